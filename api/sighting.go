package api

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/sighting"
)

// A Sighting is the JSON form of a [tocsin.Sighting], on the wire and in the
// output of the command line: scripts depend on these names.
type Sighting struct {
	Device     tocsin.DeviceID `json:"device"`
	Boot       uint64          `json:"boot"`
	Counter    uint64          `json:"counter"`
	Source     netip.Prefix    `json:"source"`
	Port       uint16          `json:"port"`
	Service    tocsin.Service  `json:"service"` // "" where packets were dropped
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Failures   uint32          `json:"failures"`
	Successes  uint32          `json:"successes"`
	Probes     uint32          `json:"probes"`
	Dropped    uint32          `json:"dropped"`
	Accounts   []Tried         `json:"accounts,omitempty"`
	Provenance string          `json:"provenance"`
	Facts      []string        `json:"facts,omitempty"`
}

// Tried is the JSON form of a [tocsin.Tried].
type Tried struct {
	Tag       tocsin.AccountTag `json:"tag"`
	Failures  uint32            `json:"failures"`
	Successes uint32            `json:"successes"`
	Unknown   bool              `json:"unknown,omitempty"`
}

const lastFact = tocsin.BlockedHere

// SightingOf returns s in its JSON form.
func SightingOf(s tocsin.Sighting) Sighting {
	r := Sighting{
		Device: s.ID.Device, Boot: s.ID.Boot, Counter: s.ID.Counter, Source: s.Source, Port: s.Port,
		Service: s.Service, First: s.First, Last: s.Last, Failures: s.Failures, Successes: s.Successes,
		Probes: s.Probes, Dropped: s.Dropped, Provenance: s.Provenance.String(),
	}
	for _, t := range s.Accounts {
		r.Accounts = append(r.Accounts, Tried(t))
	}
	for f := tocsin.Fact(1); f <= lastFact; f++ {
		if s.Facts.Has(f) {
			r.Facts = append(r.Facts, f.String())
		}
	}
	return r
}

// Sighting returns the sighting that s is the JSON form of, or what no device
// would say. A fact of a newer version is left out.
func (s Sighting) Sighting() (tocsin.Sighting, error) {
	t := tocsin.Sighting{
		ID:     tocsin.ID{Device: s.Device, Boot: s.Boot, Counter: s.Counter},
		Source: s.Source, Port: s.Port, Service: s.Service, First: s.First, Last: s.Last,
		Failures: s.Failures, Successes: s.Successes, Probes: s.Probes, Dropped: s.Dropped,
	}
	if err := s.check(); err != nil {
		return tocsin.Sighting{}, err
	}
	for p := tocsin.Attested; p <= tocsin.Network; p++ {
		if p.String() == s.Provenance {
			t.Provenance = p
		}
	}
	if t.Provenance == 0 {
		return tocsin.Sighting{}, fmt.Errorf("provenance %q: want attested, local or network", cut(s.Provenance))
	}
	for _, a := range s.Accounts {
		t.Accounts = append(t.Accounts, tocsin.Tried(a))
	}
	for f := tocsin.Fact(1); f <= lastFact; f++ {
		if slices.Contains(s.Facts, f.String()) {
			t.Facts = t.Facts.With(f)
		}
	}
	return t, nil
}

// check holds what a device says to what a device can say.
func (s Sighting) check() error {
	switch {
	case !s.Source.IsValid() || s.Source != tocsin.SourcePrefix(s.Source.Addr()):
		return fmt.Errorf("source %s: want an IPv4 address as /32 or an IPv6 network as /64", s.Source)
	case !word(string(s.Service), tocsin.MaxAccount):
		return fmt.Errorf("service %q: want at most %d printable bytes", cut(string(s.Service)), tocsin.MaxAccount)
	case s.Boot > math.MaxInt64 || s.Counter > math.MaxInt64:
		return errors.New("boot and counter: want at most 2^63-1")
	case s.First.IsZero() || s.Last.Before(s.First):
		return errors.New("first and last: want both, in this order")
	case !storable(s.First) || !storable(s.Last):
		return errors.New("first and last: want years from 1970 to 2199")
	case len(s.Accounts) > sighting.MaxAccounts:
		return fmt.Errorf("%d accounts: want at most %d", len(s.Accounts), sighting.MaxAccounts)
	case len(s.Facts) > 32:
		return fmt.Errorf("%d facts: want at most 32", len(s.Facts))
	}
	for _, a := range s.Accounts {
		if a.Tag == "" || !word(string(a.Tag), tocsin.MaxAccount) {
			return fmt.Errorf("account tag %q: want 1 to %d printable bytes", cut(string(a.Tag)), tocsin.MaxAccount)
		}
	}
	return nil
}

// storable reports whether every part of a hub can keep t: nanoseconds since
// 1970 in 64 bits.
func storable(t time.Time) bool { y := t.UTC().Year(); return y >= 1970 && y < 2200 }

// word reports whether s is short printable text.
func word(s string, most int) bool {
	if len(s) > most || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// cut shortens hostile text for an error.
func cut(s string) string { return s[:min(len(s), 40)] }
