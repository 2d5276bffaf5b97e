package takedown

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func TestVerify(t *testing.T) {
	now := after(12 * time.Hour)
	tests := []struct {
		name   string
		kind   Kind
		change func([]Vantage) []Vantage
		want   bool
	}{
		{"three of two owners", Controller, func(v []Vantage) []Vantage { return v }, true},
		{"two", Controller, func(v []Vantage) []Vantage { return v[:2] }, false},
		{"one device three times", Controller, func(v []Vantage) []Vantage { return []Vantage{v[0], v[0], v[0]} }, false},
		{"nobody", Controller, func([]Vantage) []Vantage { return nil }, false},
		{"contact", Controller, func(v []Vantage) []Vantage { v[0].Last = now.Add(-Quiet + 1); return v }, false},
		{"contact seen by a device that blocks", Controller, func(v []Vantage) []Vantage {
			w := vantage(now, "c", 9)
			w.Blocks, w.Outgoing, w.Last = true, false, now.Add(-time.Hour)
			return append(v, w)
		}, false},
		{"quiet for exactly six hours", Controller, func(v []Vantage) []Vantage {
			for i := range v {
				v[i].Last = now.Add(-Quiet)
			}
			return v
		}, true},
		{"blocked without sampling", Controller, func(v []Vantage) []Vantage { v[0].Blocks = true; return v }, false},
		{"blocked, drops sampled", Controller, func(v []Vantage) []Vantage { v[0].Blocks, v[0].Sampled = true, true; return v }, true},
		{"no outgoing coverage", Controller, func(v []Vantage) []Vantage { v[0].Outgoing = false; return v }, false},
		{"no outgoing coverage, of a source", BruteForce, func(v []Vantage) []Vantage { v[0].Outgoing = false; return v }, true},
		{"log-ins unread", BruteForce, func(v []Vantage) []Vantage { v[0].Incoming = false; return v }, false},
		{"never had contact", Controller, func(v []Vantage) []Vantage { v[0].Last = time.Time{}; return v }, false},
		{"a gap", Controller, func(v []Vantage) []Vantage { v[0].From = now.Add(-Quiet + 1); return v }, false},
		{"gone", Controller, func(v []Vantage) []Vantage { v[0].Until = now.Add(-Fresh - 1); return v }, false},
		{"from the future", Controller, func(v []Vantage) []Vantage { v[0].Until = now.Add(1); return v }, false},
		{"one owner of two", Controller, func(v []Vantage) []Vantage { v[2].Outgoing = false; return append(v, vantage(now, "a", 7)) }, false},
		{"only one owner there is", Controller, func(v []Vantage) []Vantage { v[2].Owner = "a"; return v }, true},
	}
	for _, test := range tests {
		_, err := Verify(test.kind, test.change(quiet(now, "a", "a", "b")), now)
		if (err == nil) != test.want || err != nil && !errors.Is(err, ErrNotProven) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestProofIsBoundedAndChecked(t *testing.T) {
	now := after(12 * time.Hour)
	var crowd []Vantage
	for i := range 1000 {
		crowd = append(crowd, vantage(now, "a", i))
	}
	p, err := Verify(Controller, append(crowd, vantage(now, "b", 5000)), now)
	if err != nil || len(p.Witnesses) != maxWitnesses || p.Qualified != 1001 {
		t.Fatalf("%v, %d witnesses of %d", err, len(p.Witnesses), p.Qualified)
	}
	c := sent(t, Controller)
	refused(t, c, Entry{At: now, By: "anna", Act: VerifyDown}, ErrNotProven)
	refused(t, c, Entry{At: now, By: "anna", Act: VerifyDown, Proof: &Proof{Witnesses: crowd[:2]}}, ErrNotProven)
	refused(t, c, Entry{At: now, By: "anna", Act: VerifyDown, Proof: &Proof{Witnesses: crowd}}, nil)
	// A proof does not keep.
	refused(t, c, Entry{At: now.Add(Fresh + 1), By: "anna", Act: VerifyDown, Proof: &p}, ErrNotProven)
	steps(t, c, Entry{At: now, By: "anna", Act: VerifyDown, Proof: &p})
}

func TestPropose(t *testing.T) {
	good := tocsin.Controller{Address: netip.MustParseAddr("198.51.100.7"), Port: 8443, Protocol: 6, Class: tocsin.Commands, Q: 0.001,
		Admitted: true, Devices: 5, Labelled: 3, Strata: 2}
	tests := []struct {
		name   string
		change func(*tocsin.Controller)
		owners int
		want   Kind
	}{
		{"good", func(*tocsin.Controller) {}, 1, Controller},
		{"one stratum, two owners", func(c *tocsin.Controller) { c.Strata = 1 }, 2, Controller},
		{"one stratum, one owner", func(c *tocsin.Controller) { c.Strata = 1 }, 1, 0},
		{"one device", func(c *tocsin.Controller) { c.Labelled = 1 }, 2, 0},
		{"not admitted", func(c *tocsin.Controller) { c.Admitted = false }, 2, 0},
		{"payload", func(c *tocsin.Controller) { c.Class = tocsin.Payload }, 2, CompromisedServer},
		{"target", func(c *tocsin.Controller) { c.Class = tocsin.Target }, 2, 0},
		{"other", func(c *tocsin.Controller) { c.Class = tocsin.OtherClass }, 2, 0},
		{"private", func(c *tocsin.Controller) { c.Address = netip.MustParseAddr("10.0.0.1") }, 2, 0},
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		o, err := Propose(c, test.owners)
		if o.Kind != test.want || (err == nil) != (test.want != 0) {
			t.Errorf("%s: got %s, %v", test.name, o.Kind, err)
		}
		if err != nil {
			continue
		}
		o.ID = NewID(day0, [5]byte{})
		if _, err := Open(o, System, "", day0); err != nil || !strings.Contains(fmt.Sprint(o.Reasons), "3 of 5") {
			t.Errorf("%s: %v, %v", test.name, err, o.Reasons)
		}
	}
}
