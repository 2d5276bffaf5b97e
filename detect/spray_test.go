package detect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// source returns the nth of many addresses.
func nth(i uint32) string {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 198<<24|18<<16+i)
	return netip.AddrFrom4(a).String()
}

// spray lets n sources fail once each, and returns how many facts were told.
func spray(d *Detector, what string, n int, every time.Duration) (told int) {
	for i := range n {
		r := d.Observe(attempt(what, nth(uint32(i)), day.Add(time.Duration(i)*every)), nil)
		if r.Facts.Has(tocsin.Spray) && !r.Decided {
			told++
		}
	}
	return told
}

func TestSpray(t *testing.T) {
	const m = time.Minute
	tests := []struct {
		name   string
		spread string // what 25 sources do
		steps  []step // what one more source does
		first  int
	}{
		{"an account that does not exist, once", "U nagios7", times(1, 25*m, "U nagios7"), 1},
		{"another account", "U nagios7", times(3, 25*m, "U nagios8"), 0},
		{"who got in may mistype", "U nagios7", story(times(1, 25*m, "S bob"), times(4, m, "U nagios7")), 0},
		{"a name typed by habit", "U admin", times(4, 25*m/4, "U admin"), 0},
		{"mistyping root four times, then success", "F root", story(times(4, 6*m, "F root"), times(1, m, "S root")), 0},
		{"root twice, hours apart", "F root", story(times(1, 25*m, "F root"), after(2*time.Hour, times(1, 0, "F root"))), 2},
		{"a real account", "F margaret", times(9, 3*m, "F margaret"), 0},
		{"forged lines spray", "Ul nagios7", times(1, 25*m, "U nagios7"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := New(Default())
			spray(d, tt.spread, 25, m)
			first := 0
			decided, got, facts := play(d, tt.steps)
			if len(decided) > 0 {
				first = decided[0]
				if !facts.Has(tocsin.Spray) {
					t.Error("the decision does not carry the fact")
				}
			}
			if first != tt.first {
				t.Errorf("first decision at step %d, want %d: %v", first, tt.first, got)
			}
		})
	}
}

func TestSprayIsToldOnceADay(t *testing.T) {
	if told := spray(New(Default()), "F margaret", 200, time.Minute); told != 1 {
		t.Errorf("told %d times in 200 minutes", told)
	}
	// 3 a day for each quarter are never 20 a day.
	if told := spray(New(Default()), "F margaret", 200, 2*time.Hour); told != 0 {
		t.Errorf("12 sources a day are told as 20, %d times", told)
	}
	if told := spray(New(Default()), "F margaret", 400, 15*time.Minute); told < 3 || told > 5 {
		t.Errorf("told %d times in 4 days", told)
	}
}

func TestSprayReason(t *testing.T) {
	d := New(Default())
	spray(d, "U nagios7", 25, time.Minute)
	r := d.Observe(attempt("U nagios7", attacker, day.Add(time.Hour)), nil)
	// 26 sources, of which three share a bit with another.
	if want := tocsin.Reason("one of at least 23 sources that tried nagios7 within a day (ssh)"); r.Decision.Reason != want {
		t.Errorf("got %q, want %q", r.Decision.Reason, want)
	}
}

// TestOneSourceIsNoSpray fills the counter with one source's tries.
func TestOneSourceIsNoSpray(t *testing.T) {
	d := New(Default())
	for i := range 1000 {
		r := d.Observe(attempt("U nagios7", attacker, day.Add(time.Duration(i)*time.Second)), nil)
		if r.Facts.Has(tocsin.Spray) {
			t.Fatal("one source is many")
		}
	}
}

// TestRandomNamesDoNotHideASpray: an attacker who invents names cannot push a
// sprayed account out of memory.
func TestRandomNamesDoNotHideASpray(t *testing.T) {
	d := New(Default())
	told := 0
	for i := range 40 {
		r := d.Observe(attempt("F margaret", nth(uint32(i)), day.Add(time.Duration(i)*time.Minute)), nil)
		if r.Facts.Has(tocsin.Spray) {
			told++
		}
		for j := range 2000 {
			d.Observe(attempt(fmt.Sprintf("U x%d-%d", i, j), nth(uint32(1000+j)), day.Add(time.Duration(i)*time.Minute)), nil)
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}
