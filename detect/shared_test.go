package detect

import (
	"testing"
	"time"
)

// longest has a source guess at root in bursts, once a day for two weeks, and a
// person come each evening by what, and returns the longest block.
func longest(d *Detector, what string) (most time.Duration) {
	observe := func(what string, at time.Time) {
		if r := d.Observe(attempt(what, "198.51.100.7", at), nil); r.Decided {
			most = max(most, r.Decision.Until.Sub(r.Decision.At))
		}
	}
	observe(what, day.Add(-time.Hour))
	for i := range 14 {
		morning := day.Add(time.Duration(i) * 24 * time.Hour)
		for j := range 12 {
			observe("F root", morning.Add(time.Duration(j)*time.Minute))
		}
		observe(what, morning.Add(14*time.Hour))
	}
	return most
}

// TestSharedAddress: where somebody goes on logging in who did before anybody
// guessed, blocks stay short, however long the guessing goes on. Nothing else
// makes them short.
func TestSharedAddress(t *testing.T) {
	if got := longest(New(Default()), "S margaret"); got != time.Hour {
		t.Errorf("behind an address that a person shares: blocked for %v, want an hour", got)
	}
	for _, what := range []string{"F margaret", "S guest", "Sn margaret", "P"} {
		if got := longest(New(Default()), what); got != 24*time.Hour {
			t.Errorf("%q: blocked for %v at most, want a day", what, got)
		}
	}
	late := New(Default())
	for i := range 5 {
		late.Observe(attempt("F root", "198.51.100.7", day.Add(-2*time.Hour+time.Duration(i)*time.Minute)), nil)
	}
	if got := longest(late, "S margaret"); got != 24*time.Hour {
		t.Errorf("who came first after the guessing: blocked for %v at most, want a day", got)
	}
	open := Default()
	open.Shared = 0
	if got := longest(New(open), "S margaret"); got != 24*time.Hour {
		t.Errorf("switched off: blocked for %v at most, want a day", got)
	}
}
