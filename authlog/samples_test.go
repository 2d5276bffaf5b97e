package authlog

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// far is past every deadline.
var far = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// told returns everything that a line gives to a new parser of all services:
// at once, or held.
func told(m *Matcher, s Sample) (a tocsin.Attempt, n int, held bool) {
	received := time.Date(2026, 1, 15, 21, 0, 0, 0, time.UTC)
	p := m.Parser(time.UTC)
	if s.Line != "" {
		a, n = p.Parse([]byte(s.Line), received)
	} else {
		line := "Jan 15 20:54:02 host1 " + s.Program + "[4101]: " + s.Message
		a, n = p.Parse([]byte(line), received)
	}
	if n > 0 {
		return a, n, false
	}
	for {
		late, ok := p.Overdue(far)
		if !ok {
			return a, n, n > 0
		}
		a, n = late, n+1
	}
}

func TestSamples(t *testing.T) {
	for _, d := range All() {
		for i, s := range d.Samples {
			t.Run(fmt.Sprintf("%s/%d", d.Name, i), func(t *testing.T) {
				a, n, held := told(Default(), s)
				checkSample(t, d.Name, s, a, n, held)
			})
		}
	}
}

func checkSample(t *testing.T, service tocsin.Service, s Sample, a tocsin.Attempt, n int, held bool) {
	t.Helper()
	line := s.Line + s.Program + ": " + s.Message
	if s.From == "" {
		t.Errorf("%q: cites no source", line)
	}
	if s.Want == 0 {
		if n != 0 {
			t.Errorf("%q: got %d × %v, want nothing", line, n, a)
		}
		return
	}
	want := max(1, s.N)
	if n != want || a.Outcome != s.Want || held != s.Held {
		t.Fatalf("%q: got %d × %v, held %v; want %d × %v, held %v", line, n, a.Outcome, held, want, s.Want, s.Held)
	}
	source := netip.AddrPortFrom(netip.MustParseAddr(s.Addr), s.Port)
	if a.Source != source || a.Account != s.Account || a.Unknown != s.Unknown || a.Service != service {
		t.Errorf("%q: got %s %v %q unknown %v, want %s %v %q unknown %v", line,
			a.Service, a.Source, a.Account, a.Unknown, service, source, s.Account, s.Unknown)
	}
}

// Every service shows what it must read and what it must not.
func TestSamplesAreComplete(t *testing.T) {
	for _, d := range All() {
		var failures, successes, unlike int
		for _, s := range d.Samples {
			switch s.Want {
			case tocsin.Failure:
				failures++
			case tocsin.Success:
				successes++
			case 0:
				unlike++
			}
		}
		if failures == 0 || unlike == 0 || (successes == 0) != (d.NoSuccess != "") {
			t.Errorf("%s: %d failures, %d successes, %d look-alikes, NoSuccess %q", d.Name, failures, successes, unlike, d.NoSuccess)
		}
	}
}
