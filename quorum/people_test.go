package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// TestPeople mixes people into an attack on ten devices of one owner: nobody who
// belongs there is blocked, and whoever shares an address with an attacker not
// for long.
func TestPeople(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var log []tocsin.Received
	say := func(device int, source string, after time.Duration, names ...string) {
		log = append(log, told("o", fmt.Sprint("d", device), source, after, names...))
	}
	enter := func(device int, source string, after time.Duration, name string) {
		log = append(log, in(told("o", fmt.Sprint("d", device), source, after), name))
	}
	anyTime := func() time.Duration { return time.Duration(rng.Int64N(int64(14 * 24 * time.Hour))) }
	const typing = 8 * time.Second

	innocent := map[string]string{}
	for i := range 200 { // one to four typing errors, on their own account and device, now and then
		source, me, device := fmt.Sprintf("198.51.100.%d", 1+i), fmt.Sprintf("#me%d", i), rng.IntN(10)
		if i%10 == 0 {
			me = "admin" // somebody has to be called so
		}
		innocent[source] = "a person"
		for range 4 {
			at := anyTime()
			for range 1 + rng.IntN(4) {
				say(device, source, at, me)
				at += typing
			}
			enter(device, source, at, me)
		}
	}
	innocent["203.0.113.1"], innocent["203.0.113.2"], innocent["2001:db8:0:5::/64"] = "a phone", "an office", "privacy addresses"
	for i := range 500 { // a phone with an old password beside a laptop that gets in
		say(3, "203.0.113.1", time.Hour+time.Duration(i)*10*time.Minute, "#phone")
	}
	enter(3, "203.0.113.1", 0, "#phone")
	for d := range 14 { // an office of twenty behind one address, in the morning
		for i := range 20 {
			at := time.Duration(d)*24*time.Hour + time.Duration(rng.Int64N(int64(30*time.Minute)))
			for range rng.IntN(5) {
				say(i%10, "203.0.113.2", at, fmt.Sprintf("#office%d", i))
				at += typing
			}
			enter(i%10, "203.0.113.2", at, fmt.Sprintf("#office%d", i))
		}
	}
	for i := range 60 {
		say(i%3, fmt.Sprintf("2001:db8:0:5::%x", i+1), time.Duration(i)*5*time.Hour, "#six")
		enter(i%3, fmt.Sprintf("2001:db8:0:5::%x", i+1), time.Duration(i)*5*time.Hour+typing, "#six")
	}
	enter(0, "203.0.113.3", 0, "#shared")
	for i := range 100 {
		say(i%10, "203.0.113.3", time.Hour+time.Duration(i)*time.Minute, "root")
	}
	attackers := 0
	for i := range 300 {
		attackers++
		for range 30 {
			say(rng.IntN(10), fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200), anyTime(), []string{"root", "admin", "test", "#guess"}[rng.IntN(4)])
		}
	}
	slices.SortStableFunc(log, func(a, b tocsin.Received) int { return a.At.Compare(b.At) })

	tally, blocked := New(Default()), map[string]bool{}
	for _, r := range log {
		for _, ruling := range tally.Observe(r) {
			source := strings.TrimSuffix(ruling.Prefix.String(), "/32")
			if who := innocent[source]; who != "" {
				t.Errorf("%s, %s, at %v: %s", who, source, r.At, ruling.Reason)
			}
			if source == "203.0.113.3" && ruling.Until.Sub(r.At) > 10*time.Minute {
				t.Errorf("a shared address is blocked for %v", ruling.Until.Sub(r.At))
			}
			blocked[source] = true
		}
	}
	found := 0
	for source := range blocked {
		if strings.HasPrefix(source, "198.18.") {
			found++
		}
	}
	if found < attackers*99/100 {
		t.Errorf("%d of %d attackers blocked", found, attackers)
	}
}

// TestLate: an excuse that is told late, clocks that are wrong, and what was
// spooled while the hub was away.
func TestLate(t *testing.T) {
	tally := New(Default())
	ahead := told("o", "a", evil, 0, "root")
	ahead.Last, ahead.First, ahead.Offset = ahead.Last.Add(5*time.Hour), ahead.First.Add(5*time.Hour), 5*time.Hour
	tally.Observe(ahead)
	if e := tally.Explain("o", host(evil), day0); e.AtOwner.Failures != [3]int{1, 1, 1} {
		t.Errorf("a clock ahead by what the hub estimated: %+v", e.AtOwner)
	}
	for _, year := range []int{1970, 2038, 9999} {
		r := told("o", "b", evil, time.Minute, "#me")
		r.First, r.Last = time.Date(year, 1, 20, 0, 0, 0, 0, time.UTC), time.Date(year, 1, 20, 0, 0, 0, 0, time.UTC)
		tally.Observe(r)
	}
	if e := tally.Explain("o", host(evil), day0.Add(time.Minute)); e.AtOwner.Failures[2] != 4 || e.AtOwner.Failures[0] != 3 {
		t.Errorf("clocks of 1970, 2038 and 9999: %+v", e.AtOwner)
	}
	spooled := New(Default())
	for i := range 5 {
		r := told("o", "a", evil, 30*time.Hour, "root")
		r.First, r.Last = day0.Add(time.Duration(i)*time.Second), day0.Add(time.Duration(i)*time.Second)
		if got := spooled.Observe(r); len(got) > 0 {
			t.Errorf("a burst of yesterday is judged as if it were now: %v", words(got))
		}
	}
}

func TestExplain(t *testing.T) {
	tally := New(Default())
	run(tally, belongs("f", "f", 9, 0), seen(honeypot(told("", "", evil, 0, "root"))), attacked(time.Hour))
	e := tally.Explain("w1", host(evil), day0.Add(90*time.Minute))
	if e.AtAll == nil || e.AtOwner == nil || len(e.AtAll.Witnesses) != 3 || e.AtAll.Until.IsZero() || e.Vouched != 1 ||
		e.Policy == "" || e.Evidence == "" || e.AtAll.Honeypot.IsZero() {
		t.Fatalf("%+v", e)
	}
	text := strings.Join(e.Lines(), "\n")
	for _, want := range []string{"blocked for everybody until 2023-10-14T08:00:00Z", "honeypot", "AS64501", "7 days", "1.00 within 24 hours", "got in at 1 owner"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, w := range e.AtAll.Witnesses {
		if strings.Contains(w.Pseudonym, "w") {
			t.Errorf("an owner's name is told to another: %+v", w)
		}
	}
	if got := tally.Explain("w1", host("192.0.2.1"), day0).Lines(); len(got) != 2 || !strings.HasPrefix(got[0], "nothing is known of 192.0.2.1") {
		t.Errorf("got %q", got)
	}
	if got := tally.Explain("", host(evil), day0.Add(time.Hour)); got.AtOwner != nil || got.AtAll == nil {
		t.Errorf("everybody's view: %+v", got)
	}
}

func TestValidateSaysAllAtOnce(t *testing.T) {
	p := Default()
	p.Share, p.Owners, p.Firm, p.Hint.Count, p.Sources, p.Begin, p.Excused, p.DeviceHour = 500, 1, 25*time.Hour, 99, -1, 2000, -1, -1
	err := p.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"share", "owners", "firm", "hint", "remember -1", "begin", "excused", "rate"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if got := New(Policy{}).Observe(blocked(told("o", "a", evil, 0, "root"))); len(got) > 0 {
		t.Errorf("the zero policy rules %v", words(got))
	}
	if Default().Version() == p.Version() {
		t.Error("two policies have one version")
	}
}
