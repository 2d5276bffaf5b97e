package main

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
)

func TestCount(t *testing.T) {
	for want, got := range map[string]string{
		"0 passes": count(0, "pass"), "1 pass": count(1, "pass"), "2 blocks": count(2, "block"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSightingNames holds the names that scripts depend on.
func TestSightingNames(t *testing.T) {
	at := time.Date(2026, 1, 15, 20, 54, 1, 0, time.UTC)
	b, err := json.Marshal(sightingOf(tocsin.Sighting{
		ID: tocsin.ID{Device: "nas", Boot: 2, Counter: 3}, Source: netip.MustParsePrefix("203.0.113.7/32"), Port: 40122,
		Service: "ssh", First: at, Last: at, Failures: 1, Accounts: []tocsin.Tried{{Tag: "root", Failures: 1}},
		Provenance: tocsin.Attested, Facts: tocsin.FactSet(0).With(tocsin.SuccessAfterFailures),
	}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"device":"nas","boot":2,"counter":3,"source":"203.0.113.7/32","port":40122,"service":"ssh",` +
		`"first":"2026-01-15T20:54:01Z","last":"2026-01-15T20:54:01Z","failures":1,"successes":0,"probes":0,"dropped":0,` +
		`"accounts":[{"tag":"root","failures":1,"successes":0}],"provenance":"attested","facts":["success after failures"]}`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}
