// Package batchfuzz_test fuzzes what devices send. It is apart from the tests of
// package api, whose validator of answers takes minutes to build for a fuzzer.
package batchfuzz_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

func FuzzBatch(f *testing.F) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	one, err := json.Marshal(api.SightingOf(tocsin.Sighting{
		ID: tocsin.ID{Device: "nas", Boot: 2, Counter: 1}, Source: netip.MustParsePrefix("203.0.113.7/32"), Port: 40122,
		Service: "ssh", First: noon.Add(-10 * time.Second), Last: noon, Failures: 1,
		Accounts: []tocsin.Tried{{Tag: "root", Failures: 1}}, Provenance: tocsin.Attested,
	}))
	if err != nil {
		f.Fatal(err)
	}
	for _, sightings := range []string{
		string(one), `{"source":"2001:db8::/64","first":"1970-01-01T00:00:00Z","last":"2026-01-15T12:00:00Z","provenance":"local"}`,
		`{"source":"nowhere"}`, "",
	} {
		f.Add([]byte(`{"sent":"2026-01-15T12:00:00Z","sightings":[` + sightings + `]}`))
	}
	f.Add([]byte(`{"sent":null,"sightings":null,"x":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sent, list, err := api.ReadBatch(body, "nas")
		if err != nil {
			var refused *api.Error
			if !errors.As(err, &refused) || refused.Status < 400 || refused.Status >= 500 || list != nil {
				t.Fatalf("%T %v, %d sightings", err, err, len(list))
			}
			return
		}
		if len(list) > api.MaxBatch {
			t.Fatalf("%d sightings", len(list))
		}
		again := api.Batch{Sent: sent, Sightings: []api.Sighting{}}
		for _, s := range list {
			if s.ID.Device != "nas" || s.Source != tocsin.SourcePrefix(s.Source.Addr()) || s.Last.Before(s.First) || s.Last.Sub(sent) > 2*time.Minute {
				t.Fatalf("taken: %+v", s)
			}
			again.Sightings = append(again.Sightings, api.SightingOf(s))
		}
		b, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if _, list2, err := api.ReadBatch(b, "nas"); err != nil || len(list2) != len(list) {
			t.Fatalf("does not come back: %v", err)
		}
	})
}
