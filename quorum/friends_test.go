package quorum

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
)

// A step is something that happens to a Tally.
type step func(*Tally) []Ruling

func seen(r tocsin.Received) step { return func(t *Tally) []Ruling { return t.Observe(r) } }

func run(t *Tally, steps ...step) (got []string) {
	for _, s := range steps {
		got = append(got, words(s(t))...)
	}
	return got
}

// attacked has three old owners in three networks agree about evil.
func attacked(after time.Duration) step {
	return func(t *Tally) (all []Ruling) {
		for i := range 3 {
			o := fmt.Sprint("w", i)
			for _, r := range t.Observe(blocked(from(told(o, o, evil, after, "root"), i))) {
				if r.Owner != tocsin.OwnerID(o) {
					all = append(all, r)
				}
			}
		}
		return all
	}
}

// belongs has somebody get in at an owner.
func belongs(owner, device string, network int, after time.Duration) step {
	return seen(from(in(told(owner, device, evil, after), "#me"), network))
}

func lost(owner, device string, network int, after time.Duration) step {
	return func(t *Tally) []Ruling {
		r := from(told(owner, device, evil, after), network)
		return t.Lost(tocsin.Loss{
			Device: r.ID.Device, Owner: r.Owner, Network: r.Network, From: r.From, Enrolled: r.Enrolled, Prefix: r.Source,
		}, r.At)
	}
}

func young(r tocsin.Received, days int) tocsin.Received {
	r.Enrolled = day0.Add(-time.Duration(days) * 24 * time.Hour)
	return r
}

func honeypot(r tocsin.Received) tocsin.Received {
	r.Channel, r.Owner, r.ID.Device = tocsin.Honeypot, "hub", "honeypot"
	return r
}

func TestEverybody(t *testing.T) {
	report := func(owner string, network int, after time.Duration) step {
		return func(t *Tally) []Ruling {
			return only("", t.Observe(blocked(from(told(owner, owner, evil, after, "root"), network))))
		}
	}
	const h = time.Hour
	for _, c := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"three owners, three networks", []step{attacked(0)}, []string{"everybody block 1h0m0s"}},
		{"three owners, two networks", []step{report("a", 1, 0), report("b", 2, 0), report("c", 2, 0)}, nil},
		{"two owners, three networks", []step{report("a", 1, 0), report("b", 2, 0), report("b", 3, 0)}, nil},
		{"over days", []step{report("a", 1, 0), report("b", 2, 50*h), report("c", 3, 100*h)}, []string{"everybody block 1h0m0s"}},
		{"over more than a week", []step{report("a", 1, 0), report("b", 2, 100*h), report("c", 3, 200*h)}, nil},
		{"new devices", []step{func(t *Tally) (all []Ruling) {
			for i := range 20 {
				o := fmt.Sprint("new", i)
				all = append(all, only("", t.Observe(young(blocked(from(told(o, o, evil, 0, "root"), i)), i%3)))...)
			}
			return all
		}}, nil},
		{"a few failures are little evidence", []step{func(t *Tally) (all []Ruling) {
			for i := range 3 {
				o := fmt.Sprint("o", i)
				all = append(all, only("", t.Observe(from(told(o, o, evil, time.Duration(i)*h, "root", "root"), i)))...)
			}
			return all
		}}, nil},
		{"forgeable lines are half the evidence", []step{func(t *Tally) (all []Ruling) {
			for i := range 3 {
				o := fmt.Sprint("o", i)
				all = append(all, only("", t.Observe(provenance(blocked(from(told(o, o, evil, 0, "root"), i)), tocsin.Local)))...)
			}
			return all
		}}, nil},
		{"a honeypot and an owner", []step{seen(honeypot(told("", "", evil, 0, "root"))), report("a", 1, h)}, []string{"everybody block 1h0m0s"}},
		{"a honeypot alone", []step{seen(honeypot(told("", "", evil, 0, "root", "pi", "admin")))}, nil},
		{"a honeypot that saw only a connection", []step{seen(honeypot(probed(told("", "", evil, 0)))), report("a", 1, h)}, nil},
		{"a honeypot by hearsay", []step{seen(provenance(honeypot(told("", "", evil, 0, "root")), tocsin.Local)), report("a", 1, h)}, nil},
		{"a honeypot and its own owner", []step{seen(honeypot(told("", "", evil, 0, "root"))), report("hub", 1, h)}, nil},
		{"a honeypot lets everybody in", []step{seen(honeypot(in(told("", "", evil, 0), "#me"))), report("a", 1, h)}, []string{"everybody block 1h0m0s"}},
		{"again, and longer", []step{attacked(0), attacked(2 * h), attacked(30 * h)},
			[]string{"everybody block 1h0m0s", "everybody block 2h0m0s", "everybody block 2h0m0s"}},
		{"knocking renews", []step{attacked(0), seen(knocked(from(told("w0", "w0", evil, h/2), 0)))},
			[]string{"everybody block 1h0m0s", "everybody block 2h0m0s"}},
		{"knocking renews only what is witnessed", []step{attacked(0), seen(knocked(told("x", "x", evil, 8*24*h)))},
			[]string{"everybody block 1h0m0s"}},
		{"not enforced", []step{attacked(0), func(t *Tally) []Ruling {
			t.Refused(Ruling{Decision: tocsin.Decision{Prefix: host(evil), Action: tocsin.Block}}, day0)
			return only("", t.Observe(from(told("w0", "w0", evil, time.Minute, "root"), 0)))
		}}, []string{"everybody block 1h0m0s", "everybody block 2h0m0s"}},
		{"a resolver", []step{func(t *Tally) (all []Ruling) {
			for i := range 3 {
				o := fmt.Sprint("o", i)
				all = append(all, only("", t.Observe(blocked(from(told(o, o, "9.9.9.9", 0, "root"), i))))...)
			}
			return all
		}}, []string{"everybody block 10m0s"}},
		{"a friend passes", []step{belongs("f", "f", 9, 0), attacked(h)}, []string{"everybody block 1h0m0s", "f pass 1h0m0s"}},
		{"a friend who comes later passes", []step{attacked(0), belongs("f", "f", 9, h/2)}, []string{"everybody block 1h0m0s", "f pass 30m0s"}},
		{"three friends protect", []step{belongs("f", "f", 9, 0), belongs("g", "g", 10, 0), belongs("h", "h", 11, 0), attacked(h)}, nil},
		{"three friends lift", []step{attacked(0), belongs("f", "f", 9, h/2), belongs("g", "g", 10, h/2), belongs("h", "h", 11, h/2)},
			[]string{"everybody block 1h0m0s", "f pass 30m0s", "g pass 30m0s", "everybody withdraw 10m0s"}},
		{"an exception ends for who guesses", []step{
			belongs("f", "f", 9, 0), attacked(h), seen(blocked(told("f", "f", evil, h+time.Minute, "root"))),
			seen(blocked(told("f", "f", evil, h+2*time.Minute, "root"))),
		}, []string{"everybody block 1h0m0s", "f pass 1h0m0s", "f pass 1s", "f block 10m0s"}},
		{"three friends in one network do not", []step{belongs("f", "f", 9, 0), belongs("g", "g", 9, 0), belongs("h", "h", 9, 0), attacked(h)},
			[]string{"everybody block 1h0m0s", "f pass 1h0m0s", "g pass 1h0m0s", "h pass 1h0m0s"}},
		{"forgiven", []step{attacked(0), func(t *Tally) []Ruling {
			t.Forgive("", host(evil), day0.Add(h))
			return only("", t.Observe(blocked(from(told("w9", "w9", evil, h, "root"), 9))))
		}}, []string{"everybody block 1h0m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, run(New(Default()), c.steps...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// only keeps what concerns one scope.
func only(owner tocsin.OwnerID, rulings []Ruling) (list []Ruling) {
	for _, r := range rulings {
		if r.Owner == owner {
			list = append(list, r)
		}
	}
	return list
}

func probed(r tocsin.Received) tocsin.Received { r.Probes += 40; return r }

func TestLost(t *testing.T) {
	const h = time.Hour
	before := []step{belongs("f", "f1", 9, 0), belongs("f", "f2", 9, 0), belongs("g", "g1", 10, 0)}
	mine := func(owner string) step {
		return func(t *Tally) []Ruling {
			return only(tocsin.OwnerID(owner), t.Observe(blocked(told(owner, owner+"9", evil, h, "root"))))
		}
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"no block", []step{lost("f", "f1", 9, 2*h), lost("f", "f2", 9, 2*h)}, nil},
		{"one device", []step{mine("f"), lost("f", "f1", 9, h+1)}, []string{"f block 10m0s"}},
		{"one device twice", []step{mine("f"), lost("f", "f1", 9, h+1), lost("f", "f1", 9, h+2)}, []string{"f block 10m0s"}},
		{"two devices", []step{mine("f"), lost("f", "f1", 9, h+1), lost("f", "f2", 9, h+1)}, []string{"f block 10m0s", "f withdraw 10m0s"}},
		{"two devices, to everybody's", []step{attacked(h), lost("f", "f1", 9, h+time.Minute), lost("f", "f2", 9, h+time.Minute)},
			[]string{"everybody block 1h0m0s", "f pass 1h0m0s", "g pass 1h0m0s"}},
		{"devices that nobody got into", []step{mine("f"), lost("f", "f3", 9, h+1), lost("f", "f4", 9, h+1)}, []string{"f block 10m0s"}},
		{"another owner's block", []step{mine("f"), lost("g", "g1", 9, h+1), lost("g", "g2", 9, h+1)}, []string{"f block 10m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, run(New(Default()), append(before, c.steps...)...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLostByEverybody: a block for everybody is withdrawn by owners as many and
// as trusted as it takes to make one, however many others ask.
func TestLostByEverybody(t *testing.T) {
	tally := New(Default())
	var withdrawn []string
	for i := range 100 { // in one network, as one in a hundred of a large fleet
		belongs(fmt.Sprint("bot", i), fmt.Sprint("bot", i), 50, 0)(tally)
	}
	for i := range 3 {
		// Old enough for somebody to have got in, too new for their word to weigh.
		o := fmt.Sprint("f", i)
		tally.Observe(young(from(in(told(o, o, evil, 0), "#me"), 20+i), 2))
	}
	run(tally, attacked(time.Hour))
	for i := range 100 {
		withdrawn = append(withdrawn, run(tally, lost(fmt.Sprint("bot", i), fmt.Sprint("bot", i), 50, time.Hour+time.Minute))...)
	}
	if len(withdrawn) > 0 {
		t.Fatalf("bots in one network withdrew: %v", withdrawn)
	}
	for i := range 3 {
		o := fmt.Sprint("f", i)
		withdrawn = append(withdrawn, run(tally, lost(o, o, 20+i, time.Hour+2*time.Minute))...)
	}
	if diff := cmp.Diff([]string{"everybody withdraw 10m0s"}, withdrawn); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := tally.Standing("w0"); s >= 0.5 {
		t.Errorf("refuted, and still trusted %v", s)
	}
}

func TestStanding(t *testing.T) {
	tally := New(Default())
	for i := range 30 {
		r := told("a", "a", fmt.Sprintf("198.51.100.%d", i), time.Duration(i)*time.Minute, "root")
		tally.Observe(honeypot(r))
		tally.Observe(blocked(r))
	}
	if s := tally.Standing("a"); s < 0.79 || s > 0.81 {
		t.Errorf("30 confirmed reports: %v, want 0.80", s)
	}
	run(tally, attacked(time.Hour), func(t *Tally) []Ruling { t.Forgive("", host(evil), day0.Add(2*time.Hour)); return nil })
	if s := tally.Standing("w1"); s != 0.25 {
		t.Errorf("refuted once: %v, want 0.25", s)
	}
}

func host(s string) netip.Prefix { return tocsin.SourcePrefix(netip.MustParseAddr(s)) }

func TestForgiveNetworks(t *testing.T) {
	for _, p := range []string{"203.0.113.0/24", "0.0.0.0/0", "::ffff:203.0.113.9/128", "203.0.113.9/32"} {
		for _, owner := range []tocsin.OwnerID{"o", ""} {
			tally := New(Default())
			tally.Observe(told("o", "a", evil, 0, "root", "root", "root", "root"))
			tally.Forgive(owner, netip.MustParsePrefix(p), day0)
			if e := tally.Explain("o", host(evil), day0); e.AtOwner.Failures != [3]int{} {
				t.Errorf("%s for %q: %+v", p, owner, e.AtOwner)
			}
		}
	}
	tally := New(Default())
	tally.Observe(told("o", "a", evil, 0, "root"))
	tally.Forgive("o", netip.MustParsePrefix("198.51.100.0/24"), day0)
	tally.Forgive("stranger", host(evil), day0)
	tally.Forgive("", netip.Prefix{}, day0)
	if e := tally.Explain("o", host(evil), day0); e.AtOwner.Failures != [3]int{1, 1, 1} {
		t.Errorf("forgave others: %+v", e.AtOwner)
	}
}
