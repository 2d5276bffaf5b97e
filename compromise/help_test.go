package compromise_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

var (
	start = time.Date(2023, 10, 14, 0, 0, 0, 0, time.UTC)
	month = compromise.Period{From: start, To: start.Add(30 * 24 * time.Hour)}
	whole = compromise.Coverage{Read: []compromise.Period{month}, Heard: month.To}
)

func at(d time.Duration) time.Time { return start.Add(d) }

var counter uint64

// sight is a sighting of one source on one device.
func sight(device tocsin.DeviceID, source string, after time.Duration, facts ...tocsin.Fact) tocsin.Received {
	counter++
	r := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: device, Boot: 1, Counter: counter}, Source: netip.MustParsePrefix(source),
			Service: "ssh", First: at(after), Last: at(after + 10*time.Second), Provenance: tocsin.Attested,
		},
		At: at(after + 11*time.Second), Channel: tocsin.Enrolled,
	}
	for _, f := range facts {
		r.Facts = r.Facts.With(f)
	}
	return r
}

func failed(r tocsin.Received, tag tocsin.AccountTag, n uint32) tocsin.Received {
	r.Failures += n
	r.Accounts = append(r.Accounts, tocsin.Tried{Tag: tag, Failures: n})
	return r
}

func letIn(r tocsin.Received, tag tocsin.AccountTag) tocsin.Received {
	r.Successes++
	r.Accounts = append(r.Accounts, tocsin.Tried{Tag: tag, Successes: 1})
	return r
}

func clue(device tocsin.DeviceID, f tocsin.Fact, after time.Duration) tocsin.Clue {
	counter++
	return tocsin.Clue{
		ID: tocsin.ID{Device: device, Boot: 1, Counter: counter}, Device: device, At: at(after), Fact: f,
		Subject: fmt.Sprint("/subject/", f), Digest: [32]byte{byte(f), byte(counter)},
	}
}

func contact(device tocsin.DeviceID, to string, after time.Duration) tocsin.Contact {
	return tocsin.Contact{
		Device: device, To: netip.MustParseAddrPort(to), Protocol: 6, First: at(after), Last: at(after + time.Minute), Count: 1,
	}
}

// device is one with complete telemetry.
func device(id tocsin.DeviceID) compromise.Device {
	return compromise.Device{Facts: compromise.Facts{Device: id}, Coverage: whole}
}

var controller = tocsin.Controller{
	Address: netip.MustParseAddr("198.18.0.1"), Port: 6667, Protocol: 6, Class: tocsin.Commands, Admitted: true,
}

func campaign(sources ...string) tocsin.Campaign {
	c := tocsin.Campaign{ID: "c1"}
	for _, s := range sources {
		c.Sources = append(c.Sources, tocsin.Member{Source: netip.MustParsePrefix(s), First: at(time.Hour), Last: at(48 * time.Hour)})
	}
	return c
}

// one assesses a single device.
func one(d compromise.Device, controllers ...tocsin.Controller) compromise.Assessment {
	return compromise.Assess(month, []compromise.Device{d}, []tocsin.Campaign{campaign("203.0.113.66/32")}, controllers)[0]
}
