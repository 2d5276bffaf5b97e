package incident

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func seen(d tocsin.DeviceID, source string, at time.Time, successes uint32, facts ...tocsin.Fact) tocsin.Received {
	s := tocsin.Sighting{
		ID: tocsin.ID{Device: d}, Source: netip.MustParsePrefix(source), Service: "ssh", First: at, Last: at, Failures: 5, Successes: successes,
	}
	for _, f := range facts {
		s.Facts = s.Facts.With(f)
	}
	return tocsin.Received{Sighting: s}
}

// TestWhoGotInIsNotForgotten, however much is guessed afterwards.
func TestWhoGotInIsNotForgotten(t *testing.T) {
	m := memory{devices: map[tocsin.DeviceID]*recalled{}}
	m.take(seen("nas", "203.0.113.9/32", day, 1, tocsin.SuccessAfterFailures))
	for i := range 3 * mostTelling {
		m.take(seen("nas", "203.0.113.10/32", day.Add(time.Duration(i)*time.Minute), 0, tocsin.InstantAccount))
		m.take(seen("nas", "203.0.113.11/32", day.Add(time.Duration(i)*time.Minute), 1))
	}
	list := m.of("nas")
	if len(list) != mostTelling || list[0].Successes != 1 || !list[0].Facts.Has(tocsin.SuccessAfterFailures) {
		t.Errorf("%d sightings, the first %+v", len(list), list[0])
	}
}

// TestMemoryOfALargeFleet is bounded as a whole.
func TestMemoryOfALargeFleet(t *testing.T) {
	m := memory{devices: map[tocsin.DeviceID]*recalled{}}
	const devices = 5000
	all := 0
	for i := range devices {
		m.devices[tocsin.DeviceID(fmt.Sprint(i))] = &recalled{failing: map[dayOf]*tocsin.Received{}}
	}
	for id := range m.devices {
		for j := range 100 {
			m.take(seen(id, fmt.Sprintf("203.0.113.%d/32", j), day, 0))
			m.take(seen(id, fmt.Sprintf("203.0.113.%d/32", j), day, 1))
		}
		all += len(m.of(id))
	}
	if all > 2*mostOfAll || all < mostOfAll {
		t.Errorf("%d sightings are remembered, want at most %d", all, 2*mostOfAll)
	}
}
