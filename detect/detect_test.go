package detect

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

var day = time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)

// A story is what one source does: "F root", "S bob", "U oracle" (a failure on
// an account that the service called unknown), "P" (a probe), each after a wait.
type step struct {
	wait time.Duration
	what string
}

const attacker = "192.0.2.1"

func attempt(what string, source string, at time.Time) tocsin.Attempt {
	kind, account, _ := strings.Cut(what, " ")
	a := tocsin.Attempt{
		At: at, Service: "ssh", Account: account, Provenance: tocsin.Attested,
		Source: netip.AddrPortFrom(netip.MustParseAddr(source), 40000),
	}
	switch kind[:1] {
	case "F":
		a.Outcome = tocsin.Failure
	case "U":
		a.Outcome, a.Unknown = tocsin.Failure, true
	case "S":
		a.Outcome = tocsin.Success
	case "P":
		a.Outcome = tocsin.Probe
	}
	switch kind[1:] {
	case "l":
		a.Provenance = tocsin.Local
	case "n":
		a.Provenance = tocsin.Network
	}
	return a
}

func times(n int, wait time.Duration, what ...string) (steps []step) {
	for i := range n {
		steps = append(steps, step{wait, what[i%len(what)]})
	}
	return steps
}

func after(wait time.Duration, steps []step) []step {
	steps = append([]step(nil), steps...)
	steps[0].wait = wait
	return steps
}

func story(parts ...[]step) (all []step) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// play tells a story and returns at which steps (from 1) a decision was taken,
// and all facts.
func play(d *Detector, steps []step) (decided []int, decisions []tocsin.Decision, facts tocsin.FactSet) {
	at := day
	for i, s := range steps {
		at = at.Add(s.wait)
		what, blocked := strings.CutPrefix(s.what, "blocked ")
		r := d.Observe(attempt(what, attacker, at), is(blocked))
		facts |= r.Facts
		if r.Decided {
			decided = append(decided, i+1)
			decisions = append(decisions, r.Decision)
		}
	}
	return decided, decisions, facts
}

func TestLimits(t *testing.T) {
	const m, h = time.Minute, time.Hour
	phone := times(500, 15*m, "F bob")
	tests := []struct {
		name  string
		steps []step
		first int // step of the first decision, 0 for none
	}{
		{"five within ten minutes", times(5, time.Second, "F root"), 5},
		{"four within ten minutes", times(4, time.Second, "F root"), 0},
		{"five within a day", times(5, 5*h, "F root"), 4}, // four guesses, hours apart
		{"five within a day in one sitting and another", story(times(4, m, "F root"), after(20*h, times(1, 0, "F root"))), 5},
		{"fewer than five a day, one name", times(4, 30*h, "F root"), 4},
		{"three a week", times(20, 60*h, "F root", "U x", "F admin"), 0},
		{"a burst is one guess", story(times(4, m, "F admin"), after(25*h, times(4, m, "F admin"))), 0},
		{"four guesses in one sitting are left to the fast limit", times(4, m, "U a", "U b", "U c", "U d"), 0},
		{"and a fifth is too many", times(5, m, "U a", "U b", "U c", "U d"), 5},
		{"a person mistypes nine times", times(9, m/2, "F margaret"), 0},
		{"and once more", times(10, m/2, "F margaret"), 10},
		{"a person all day long", times(30, 30*m, "F margaret"), 20},
		{"a person once a day, for ever", times(60, 24*h, "F margaret"), 0},
		{"a person with two names is none", times(5, m, "F margaret", "F bob"), 5},
		{"a person whose account does not exist is none", times(5, m, "U margret"), 5},
		{"a line without an account is no person", times(5, m, "F"), 5},
		{"case does not make two accounts", times(9, m/2, "F margaret", "F Margaret"), 0},
		{"mistyping four times, then success, every hour", story(times(4, m, "F root"), times(1, m, "S root"),
			after(h, times(4, m, "F root")), times(1, m, "S root"), after(h, times(4, m, "F root")), times(1, m, "S root")), 0},
		{"a phone with the old password", story(times(1, 0, "S bob"), phone), 0},
		{"a phone for longer than a week", story(times(1, 0, "S bob"), times(600, 15*m, "F bob")), 521},
		{"one valid low account, guessing admin", story(times(1, 0, "S low"), times(5, m, "F admin")), 6},
		{"low account in between excuses nothing", story(times(1, 0, "S low"), times(4, m, "F admin"), times(1, m, "S low"), times(1, m, "F admin")), 7},
		{"a guest's success excuses nothing", story(times(4, m, "F guest"), times(1, m, "S guest"), times(1, m, "F guest")), 6},
		{"two accounts that both got in", story(times(1, 0, "S ann"), times(1, 0, "S bob"), times(40, m, "F ann", "F bob")), 0},
		{"failures told before the success they precede", story(times(1, 0, "S root"), times(1, -m, "F root"), times(9, -time.Second, "F root")), 0},
		{"probes", times(20, time.Hour, "P"), 20},
		{"probes, slowly", times(40, 2*time.Hour, "P"), 0},
		{"probes of who got in", story(times(1, 0, "S bob"), times(40, m, "P")), 0},
		{"probes in forgeable lines", times(40, m, "Pl"), 0},
		{"datagrams", times(40, m, "Fn root"), 0},
		{"forgeable lines", times(5, m, "Fl root"), 5},
		{"a forged success excuses no attested failure", story(times(1, 0, "Sl bob"), times(10, m/2, "F bob")), 11},
		{"a forged success excuses forgeable failures", story(times(1, 0, "Sl bob"), times(40, m/2, "Fl bob")), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := 0
			if decided, _, _ := play(New(Default()), tt.steps); len(decided) > 0 {
				first = decided[0]
			}
			if first != tt.first {
				t.Errorf("first decision at step %d, want %d", first, tt.first)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	const m = time.Minute
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"mistyping", story(times(4, m, "F bob"), times(1, m, "S bob")), ""},
		{"much mistyping", story(times(5, m, "F bob"), times(1, m, "S bob")), "success after failures"},
		{"other accounts", story(times(2, m, "F admin"), times(1, m, "S bob")), "success after failures"},
		{"other accounts that got in before", story(times(1, m, "S ann"), times(2, m, "F ann"), times(1, m, "S bob")), ""},
		{"guest after bad log-ins", story(times(2, m, "F bob"), times(1, m, "S guest")), ""},
		{"success of the blocked", times(1, 0, "blocked S bob"), "success from a blocked source"},
		{"guest from a blocked source", times(1, 0, "blocked S guest"), "success from a blocked source"},
		{"by datagram", story(times(2, m, "F admin"), times(1, m, "Sn bob")), "success after failures"},
		{"instant", times(1, 0, "F decoy"), "account that nobody honest uses"},
	}
	p := Default()
	p.Instant = []string{"decoy"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, facts := play(New(p), tt.steps)
			if facts.String() != tt.want {
				t.Errorf("got %q, want %q", facts, tt.want)
			}
		})
	}
}

func TestSuccessOfTheBlockedExcusesNothing(t *testing.T) {
	d := New(Default())
	decided, _, _ := play(d, story(times(10, time.Second, "F bob"), times(1, time.Second, "blocked S bob"),
		after(time.Hour, times(1, 0, "F bob")), times(9, time.Second, "F bob")))
	if len(decided) < 2 {
		t.Errorf("decided at %v: got in while blocked, and was excused for it", decided)
	}
}

func TestInstantAccount(t *testing.T) {
	p := Default()
	p.Instant = []string{"Decoy"}
	if decided, got, _ := play(New(p), times(1, 0, "F decoy")); len(decided) != 1 || got[0].Reason != "tried decoy, an account that nobody honest uses (ssh)" {
		t.Errorf("decisions %v", got)
	}
	if decided, got, _ := play(New(p), story(times(1, 0, "S bob"), times(1, time.Minute, "F decoy"))); len(decided) != 0 {
		t.Errorf("who got in as bob is blocked: %v", got)
	}
}

func TestBlocksDouble(t *testing.T) {
	d := New(Default())
	at := day
	var got []time.Duration
	for range 12 {
		for range 5 {
			at = at.Add(time.Second)
			if r := d.Observe(attempt("F root", attacker, at), nil); r.Decided {
				got = append(got, r.Decision.Until.Sub(r.Decision.At))
				at = r.Decision.Until
			}
		}
	}
	want := 10 * time.Minute
	for i, length := range got {
		if length != want {
			t.Errorf("block %d lasts %v, want %v", i, length, want)
		}
		want = min(2*want, 24*time.Hour)
	}
	if len(got) < 9 {
		t.Errorf("only %d blocks", len(got))
	}
	at = at.Add(8 * 24 * time.Hour)
	for range 5 {
		if r := d.Observe(attempt("F root", attacker, at), nil); r.Decided && r.Decision.Until.Sub(at) != 10*time.Minute {
			t.Errorf("a week later the block lasts %v", r.Decision.Until.Sub(at))
		}
	}
}

func TestForgeableLines(t *testing.T) {
	_, got, _ := play(New(Default()), times(200, time.Minute, "Fl root"))
	for _, d := range got {
		if length := d.Until.Sub(d.At); length != 10*time.Minute {
			t.Errorf("forged lines block for %v", length)
		}
	}
	// One forged line among attested ones makes the decision a forgeable one,
	// unless the attested alone suffice.
	p := Default()
	p.First, p.Longest = 2*time.Hour, 24*time.Hour
	_, got, _ = play(New(p), story(times(1, 0, "Fl root"), times(4, time.Second, "F root")))
	if len(got) != 1 || got[0].Until.Sub(got[0].At) != time.Hour {
		t.Errorf("mixed: %v", got)
	}
	_, got, _ = play(New(p), story(times(4, time.Second, "F root"), times(1, time.Second, "Fl x"), times(1, time.Second, "F root")))
	if len(got) != 1 || got[0].Until.Sub(got[0].At) != time.Hour {
		t.Errorf("the forged line decided: %v", got)
	}
}

// TestForgedLineTakesNoToleranceAway: whoever forges a line about a person can
// have them blocked for as long as forged lines can, no longer.
func TestForgedLineTakesNoToleranceAway(t *testing.T) {
	p := Default()
	p.First = 3 * time.Hour
	_, got, _ := play(New(p), story(times(1, 0, "Fl x"), times(6, time.Second, "F margaret")))
	for _, d := range got {
		if d.Until.Sub(d.At) > time.Hour {
			t.Errorf("blocked for %v", d.Until.Sub(d.At))
		}
	}
}

func TestStandingBlockIsNotDecidedAgain(t *testing.T) {
	decided, got, _ := play(New(Default()), times(20, time.Minute, "F root"))
	// Decided at the 5th; until then the 14th, 9 minutes on, renews it.
	if len(decided) != 2 || decided[0] != 5 || decided[1] != 14 {
		t.Errorf("decided at %v: %v", decided, got)
	}
}

func TestOldLinesDecideNothing(t *testing.T) {
	d := New(Default())
	for i := range 50 {
		if r := d.Recall(attempt("F root", attacker, day.Add(time.Duration(i)*time.Second))); r.Decided {
			t.Fatal("blocked for an old line")
		}
	}
	if r := d.Recall(attempt("S bob", attacker, day.Add(time.Minute))); !r.Facts.Has(tocsin.SuccessAfterFailures) {
		t.Error("an old line does not tell its fact")
	}
	if r := d.Observe(attempt("F root", attacker, day.Add(time.Hour)), nil); !r.Decided {
		t.Error("old lines are not remembered")
	}
}

func TestTentativeAndInvalidCountForNothing(t *testing.T) {
	d := New(Default())
	for range 20 {
		a := attempt("F root", attacker, day)
		a.Tentative = true
		b := attempt("F root", attacker, day)
		b.Provenance = 0
		c := attempt("F root", attacker, day)
		c.Outcome = 0
		e := attempt("F root", "ff02::1", day)
		f := attempt("F root", attacker, day)
		f.Source = netip.AddrPort{}
		for _, a := range []tocsin.Attempt{a, b, c, e, f} {
			if r := d.Observe(a, nil); r.Decided {
				t.Fatalf("%+v decided", a)
			}
		}
	}
	if d.Len() != 0 {
		t.Errorf("%d sources remembered", d.Len())
	}
}

func TestSources(t *testing.T) {
	for _, tt := range []struct{ name, a, b, want string }{
		{"mapped is IPv4", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1/32"},
		{"a /64 is one", "2001:db8::1", "2001:db8::ffff:2", "2001:db8::/64"},
		{"two /64 are two", "2001:db8:0:1::1", "2001:db8:0:2::1", ""},
		{"two addresses are two", "192.0.2.1", "192.0.2.2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, got := New(Default()), ""
			for i := range 5 {
				if r := d.Observe(attempt("F root", []string{tt.a, tt.b}[i%2], day), nil); r.Decided {
					got = r.Decision.Prefix.String()
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestForgive(t *testing.T) {
	for _, p := range []string{"192.0.2.1/32", "192.0.2.0/24", "0.0.0.0/0", "::ffff:192.0.2.1/128"} {
		d := New(Default())
		play(d, times(7, time.Second, "F root"))
		d.Forgive(netip.MustParsePrefix(p), day.Add(time.Minute))
		if r := d.Observe(attempt("F root", attacker, day.Add(2*time.Minute)), nil); r.Decided {
			t.Errorf("%s: not forgiven", p)
		}
		for range 3 {
			d.Observe(attempt("F root", attacker, day.Add(3*time.Minute)), nil)
		}
		if r := d.Observe(attempt("F root", attacker, day.Add(4*time.Minute)), nil); !r.Decided || r.Decision.Until.Sub(r.Decision.At) != 10*time.Minute {
			t.Errorf("%s: %+v, want a first block: strikes are forgiven, the future is not", p, r)
		}
	}
	d := New(Default())
	for range 7 {
		d.Observe(attempt("F root", "2001:db8::1", day), nil)
	}
	d.Forgive(netip.MustParsePrefix("2001:db8::5/128"), day.Add(time.Minute))
	if r := d.Observe(attempt("F root", "2001:db8::1", day.Add(2*time.Minute)), nil); r.Decided {
		t.Error("a /128 forgives its /64")
	}
}

func TestShift(t *testing.T) {
	d := New(Default())
	epoch := time.Unix(100, 0)
	for range 4 {
		d.Observe(attempt("F root", attacker, epoch), nil)
	}
	d.Shift(day.Sub(epoch))
	if r := d.Observe(attempt("F root", attacker, day.Add(time.Minute)), nil); !r.Decided {
		t.Error("a clock that was set makes the failures before it forgotten")
	}
	d.Shift(-1 << 62)
	d.Shift(1 << 62)
	if r := d.Observe(attempt("F root", attacker, day), nil); r.Decided {
		t.Error("times beyond the range wrap")
	}
}

func TestFutureLinesHideNothing(t *testing.T) {
	d := New(Default())
	for range 20 {
		d.Recall(attempt("F root", attacker, day.AddDate(80, 0, 0)))
	}
	decided, _, _ := play(d, times(5, time.Second, "F root"))
	if len(decided) != 1 {
		t.Errorf("decided %v after lines from the future", decided)
	}
}

func TestReasons(t *testing.T) {
	for _, tt := range []struct {
		steps []step
		want  tocsin.Reason
	}{
		{times(5, 45*time.Second, "F root", "F admin", "U x\x1b[2J from 198.51.100.7"), `5 failures within 3 minutes: admin, root and 1 other (ssh)`},
		{times(5, 45*time.Second, "U \x1b[2Jx\n"), `5 failures within 3 minutes: "\x1b[2Jx\n" (ssh)`},
		{times(5, time.Second, "U "+strings.Repeat("y", 64)), `5 failures within 4 seconds: "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"… (ssh)`},
		{times(5, time.Second, "F"), `5 failures within 4 seconds (ssh)`},
		{times(4, 40*time.Hour, "F admin", "F test", "U qq", "U zz"), `tried zz, test, admin and 1 other within 5 days (ssh)`},
		{times(20, time.Hour, "P"), `20 connections without a log-in within 19 hours (ssh)`},
	} {
		_, got, _ := play(New(Default()), tt.steps)
		if len(got) == 0 || got[0].Reason != tt.want {
			t.Errorf("got %v\nwant %s", got, tt.want)
		}
	}
}

func TestZeroPolicyNeverBlocks(t *testing.T) {
	d := New(Policy{})
	if decided, _, _ := play(d, story(times(50, time.Second, "F root"), times(50, time.Second, "P"), times(2, 1, "S root"))); len(decided) != 0 {
		t.Errorf("decided at %v", decided)
	}
}

func TestValidate(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	p := Default()
	p.Fast.Count, p.Weekly.Within, p.Longest, p.Excused, p.Sources = 11, 8*24*time.Hour, time.Second, -1, -5
	err := p.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("not all five mistakes told at once: %v", err)
	}
}

// is answers whether a source is blocked.
func is(blocked bool) func(tocsin.Attempt) bool {
	return func(tocsin.Attempt) bool { return blocked }
}
