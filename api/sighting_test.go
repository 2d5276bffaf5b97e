package api_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// seen is a sighting as a guard would send it.
func seen(counter uint64) tocsin.Sighting {
	return tocsin.Sighting{
		ID: tocsin.ID{Device: "nas", Boot: 2, Counter: counter}, Source: netip.MustParsePrefix("203.0.113.7/32"), Port: 40122,
		Service: "ssh", First: noon.Add(-10 * time.Second), Last: noon, Failures: 1,
		Accounts: []tocsin.Tried{{Tag: "root", Failures: 1}}, Provenance: tocsin.Attested,
		Facts: tocsin.FactSet(0).With(tocsin.SuccessAfterFailures),
	}
}

// TestSightingNames holds the names that guards and scripts depend on.
func TestSightingNames(t *testing.T) {
	b, err := json.Marshal(api.SightingOf(seen(3)))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"device":"nas","boot":2,"counter":3,"source":"203.0.113.7/32","port":40122,"service":"ssh",` +
		`"first":"2026-01-15T11:59:50Z","last":"2026-01-15T12:00:00Z","failures":1,"successes":0,"probes":0,"dropped":0,` +
		`"accounts":[{"tag":"root","failures":1,"successes":0}],"provenance":"attested","facts":["success after failures"]}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}

func TestSightingsComeBackAsTheyWere(t *testing.T) {
	full := seen(4)
	full.Source = netip.MustParsePrefix("2001:db8:1:2::/64")
	full.Provenance = tocsin.Network
	for f := tocsin.SuccessAfterFailures; f <= tocsin.BlockedHere; f++ {
		full.Facts = full.Facts.With(f)
	}
	dropped := tocsin.Sighting{
		ID: tocsin.ID{Device: "nas", Boot: 2, Counter: 5}, Source: netip.MustParsePrefix("203.0.113.7/32"),
		First: noon, Last: noon, Dropped: 9, Provenance: tocsin.Attested,
	}
	for _, want := range []tocsin.Sighting{seen(1), full, dropped} {
		got, err := api.SightingOf(want).Sighting()
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
}

func TestSightingsThatNoGuardWouldSend(t *testing.T) {
	for name, spoil := range map[string]func(*api.Sighting){
		"no source":          func(s *api.Sighting) { s.Source = netip.Prefix{} },
		"a wide source":      func(s *api.Sighting) { s.Source = netip.MustParsePrefix("203.0.113.0/24") },
		"a narrow source":    func(s *api.Sighting) { s.Source = netip.MustParsePrefix("2001:db8::1/128") },
		"a mapped source":    func(s *api.Sighting) { s.Source = netip.MustParsePrefix("::ffff:203.0.113.7/128") },
		"a long service":     func(s *api.Sighting) { s.Service = tocsin.Service(strings.Repeat("x", 65)) },
		"a service of two":   func(s *api.Sighting) { s.Service = "ssh\nroot" },
		"a number too large": func(s *api.Sighting) { s.Counter = 1 << 63 },
		"no time":            func(s *api.Sighting) { s.First = time.Time{} },
		"times swapped":      func(s *api.Sighting) { s.First, s.Last = s.Last, s.First },
		"a year too far":     func(s *api.Sighting) { s.Last = noon.AddDate(400, 0, 0) },
		"many accounts":      func(s *api.Sighting) { s.Accounts = make([]api.Tried, 17) },
		"a nameless account": func(s *api.Sighting) { s.Accounts = []api.Tried{{}} },
		"many facts":         func(s *api.Sighting) { s.Facts = make([]string, 33) },
		"no provenance":      func(s *api.Sighting) { s.Provenance = "" },
	} {
		t.Run(name, func(t *testing.T) {
			s := api.SightingOf(seen(1))
			spoil(&s)
			if got, err := s.Sighting(); err == nil {
				t.Errorf("taken: %+v", got)
			}
		})
	}
}
