// Package batchfuzz_test fuzzes what devices send. It is apart from the tests of
// package api, whose validator of answers takes minutes to build for a fuzzer.
package batchfuzz_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
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

func FuzzEvidence(f *testing.F) {
	noon := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	clue, err := json.Marshal(api.ClueOf(tocsin.Clue{
		ID: tocsin.ID{Device: "nas", Boot: 2, Counter: 1}, Device: "nas", At: noon, Fact: tocsin.KeysChanged, Subject: "/root/.ssh/authorized_keys",
		Source: netip.MustParsePrefix("203.0.113.7/32"), To: netip.MustParseAddrPort("[2001:db8::7]:443"),
	}))
	if err != nil {
		f.Fatal(err)
	}
	contact, err := json.Marshal(tocsin.Contact{
		To: netip.MustParseAddrPort("198.51.100.7:443"), Protocol: 6, First: noon, Last: noon, Count: 2, Starts: []tocsin.Start{{At: noon}},
	})
	if err != nil {
		f.Fatal(err)
	}
	for _, items := range []string{string(clue), string(contact), "7", ""} {
		f.Add([]byte(`{"sent":"2026-01-15T12:00:00Z","clues":[` + items + `],"contacts":[` + items + `]}`))
	}
	f.Add([]byte(`{"sent":"2026-01-15T12:00:00Z","clues":[` + string(clue) + `]}`))
	f.Add([]byte(`{"sent":"2026-01-15T12:00:00Z","contacts":[` + string(contact) + `]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		sent, clues, err := api.ReadClues(body, "nas")
		refusedOnly(t, err, len(clues))
		again := api.ClueBatch{Sent: sent, Clues: []api.Clue{}}
		for _, c := range clues {
			if c.Device != "nas" || c.ID.Device != "nas" || len(c.Subject) > tocsin.MaxSubject || c.Fact == 0 || c.To.Addr().Is4In6() || c.At.Sub(sent) > 2*time.Minute {
				t.Fatalf("taken: %+v", c)
			}
			again.Clues = append(again.Clues, api.ClueOf(c))
		}
		sent, contacts, err2 := api.ReadContacts(body, "nas")
		refusedOnly(t, err2, len(contacts))
		for _, c := range contacts {
			if c.Device != "nas" || !c.To.IsValid() || c.To.Addr().Is4In6() || c.Last.Before(c.First) || len(c.Starts) > tocsin.MaxStarts || c.Failed > c.Count {
				t.Fatalf("taken: %+v", c)
			}
		}
		if err == nil {
			b, err := json.Marshal(again)
			if err != nil {
				t.Fatal(err)
			}
			if _, list, err := api.ReadClues(b, "nas"); err != nil || len(list) != len(clues) {
				t.Fatalf("clues do not come back: %v", err)
			}
		}
		if err2 == nil {
			b, err := json.Marshal(api.ContactBatch{Sent: sent, Contacts: contacts})
			if err != nil {
				t.Fatal(err)
			}
			if _, list, err := api.ReadContacts([]byte(strings.Replace(string(b), `"contacts":null`, `"contacts":[]`, 1)), "nas"); err != nil || len(list) != len(contacts) {
				t.Fatalf("contacts do not come back: %v", err)
			}
		}
	})
}

// refusedOnly wants a refusal of the whole, or none.
func refusedOnly(t *testing.T, err error, taken int) {
	var refused *api.Error
	if err != nil && (!errors.As(err, &refused) || refused.Status < 400 || refused.Status >= 500 || taken > 0) || taken > api.MaxBatch {
		t.Fatalf("%T %v, %d taken", err, err, taken)
	}
}
