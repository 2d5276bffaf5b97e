package quorum

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
	"pgregory.net/rapid"
)

// The properties P1 to P7 are those that docs/quorum.md promises; P2 is in
// cost_test.go.

// lie draws whatever a device can say about one of a few addresses.
func lie(t *rapid.T, owners, networks int, clock *time.Duration) tocsin.Received {
	*clock += time.Duration(rapid.IntRange(0, 7200).Draw(t, "step")) * time.Second
	o := rapid.IntRange(0, owners-1).Draw(t, "owner")
	names := rapid.SliceOfN(rapid.SampledFrom([]string{"root", "admin", "#x", "#y", "", "guest"}), 0, 8).Draw(t, "names")
	r := told(fmt.Sprint("liar", o), fmt.Sprint("device", o, rapid.IntRange(0, 2).Draw(t, "device")),
		fmt.Sprintf("203.0.113.%d", rapid.IntRange(1, 2).Draw(t, "source")), *clock, names...)
	r = from(r, rapid.IntRange(0, networks-1).Draw(t, "network"))
	if rapid.Bool().Draw(t, "unknown network") {
		r.Network = 0
	}
	r.From = netip.AddrFrom4([4]byte{198, 18, byte(rapid.IntRange(0, 9).Draw(t, "place")), 1})
	r.Provenance = rapid.SampledFrom([]tocsin.Provenance{0, tocsin.Attested, tocsin.Attested, tocsin.Local, tocsin.Network, 9}).Draw(t, "provenance")
	r.Facts = tocsin.FactSet(rapid.Uint32Range(0, 1<<7).Draw(t, "facts"))
	r.Failures = max(r.Failures, rapid.SampledFrom([]uint32{0, 1, 50, 1<<32 - 1}).Draw(t, "failures"))
	r.Probes = rapid.SampledFrom([]uint32{0, 30, 1<<32 - 1}).Draw(t, "probes")
	r.Dropped = rapid.SampledFrom([]uint32{0, 1, 1<<32 - 1}).Draw(t, "dropped")
	if rapid.Bool().Draw(t, "in") {
		r = in(r, rapid.SampledFrom([]string{"#x", "root", "guest"}).Draw(t, "who"))
	}
	skew := time.Duration(rapid.IntRange(-300, 300).Draw(t, "skew")) * time.Hour
	r.First, r.Last = r.First.Add(skew), r.Last.Add(skew)
	return r
}

// TestP1TwoNetworks: whatever owners in two networks and an unknown one say, no
// address is blocked at anybody else.
func TestP1TwoNetworks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally, clock := New(Default()), time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "reports") {
			r := lie(t, 8, 2, &clock)
			for _, ruling := range tally.Observe(r) {
				if ruling.Owner != r.Owner {
					t.Fatalf("a lie of %s led to %+v", r.Owner, ruling)
				}
			}
		}
	})
}

// TestRulingsAreFit: whatever devices say, a ruling is about one public source,
// ends within a day, and stands at most once for each scope.
func TestRulingsAreFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally, clock := New(Default()), time.Duration(0)
		for range rapid.IntRange(1, 100).Draw(t, "reports") {
			r := lie(t, 6, 6, &clock)
			r.Channel = rapid.SampledFrom([]tocsin.Channel{0, tocsin.Enrolled, tocsin.Honeypot, tocsin.Agentless, tocsin.Imported}).Draw(t, "channel")
			scopes := map[tocsin.OwnerID]bool{}
			for _, ruling := range tally.Observe(r) {
				length := ruling.Until.Sub(ruling.At)
				if ruling.Prefix != r.Source || !ruling.At.Equal(r.At) || length < time.Second || length > 24*time.Hour ||
					ruling.Origin != tocsin.ByFleet || ruling.Reason == "" || scopes[ruling.Owner] {
					t.Fatalf("%+v", ruling)
				}
				scopes[ruling.Owner] = true
			}
		}
	})
}

// adversary is what many trusted owners in many networks say at the worst.
func adversary(rng *rand.Rand, i int, sources []string) tocsin.Received {
	o := rng.IntN(60)
	return blocked(from(told(fmt.Sprint("liar", o), fmt.Sprint("liar", o), sources[rng.IntN(len(sources))],
		time.Hour+time.Duration(i)*200*time.Millisecond, "root", "admin", "pi"), 10+o))
}

// TestP3WhoBelongs: an address that as many vouch for as a block needs is never
// blocked for everybody, and one that a single owner vouches for never there. The
// allowlist itself is kept by package fleet.
func TestP3WhoBelongs(t *testing.T) {
	const wellKnown, knownToOne = "203.0.113.1", "203.0.113.2"
	tally, rng := New(Default()), rand.New(rand.NewPCG(3, 3))
	for i, o := range []string{"x", "y", "z"} {
		tally.Observe(from(in(told(o, o, wellKnown, 0), "#me"), i))
	}
	tally.Observe(from(in(told("x", "x", knownToOne, 0), "#me"), 0))
	blocks, end := 0, map[tocsin.OwnerID]time.Time{}
	for i := range 1_000_000 {
		r := adversary(rng, i, []string{wellKnown, knownToOne, "192.168.1.1", "169.254.1.1", "100.64.0.1", "fd00::1", "127.0.0.1"})
		for _, ruling := range tally.Observe(r) {
			if !tocsin.SourcePrefix(netip.MustParseAddr(knownToOne)).Contains(ruling.Prefix.Addr()) && ruling.Owner == "" ||
				ruling.Action == tocsin.Block && ruling.Owner == "x" || !ruling.Prefix.Addr().IsGlobalUnicast() || ruling.Prefix.Addr().IsPrivate() {
				t.Fatalf("%+v", ruling)
			}
			if ruling.Action == tocsin.Pass {
				end[ruling.Owner] = ruling.Until
			}
			if ruling.Owner == "" {
				blocks++
			}
		}
	}
	if blocks == 0 || end["x"].IsZero() {
		t.Errorf("%d blocks for everybody, pass at the friend until %v: nothing was tested", blocks, end["x"])
	}
}

// TestP4OneOwner: in a fleet of 200 owners, without any single one the list
// changes by at most one in a hundred.
func TestP4OneOwner(t *testing.T) {
	const owners, attackers = 200, 1000
	list := func(without int) map[netip.Prefix]bool {
		rng, tally, all := rand.New(rand.NewPCG(4, 4)), New(Default()), map[netip.Prefix]bool{}
		for i := range attackers * 30 {
			source := fmt.Sprintf("198.18.%d.%d", i%attackers/250, 1+i%attackers%250)
			o := rng.IntN(owners)
			if o == without {
				continue
			}
			r := from(told(fmt.Sprint("o", o), fmt.Sprint("d", o), source, time.Duration(i)*time.Second, "root", "admin", "root"), o%50)
			for _, ruling := range tally.Observe(r) {
				if ruling.Owner == "" {
					all[ruling.Prefix] = true
				}
			}
		}
		return all
	}
	whole := list(-1)
	if len(whole) < attackers/2 {
		t.Fatalf("%d of %d attackers blocked: nothing is tested", len(whole), attackers)
	}
	for o := 0; o < owners; o += 23 {
		part, changed := list(o), 0
		for p := range whole {
			if !part[p] {
				changed++
			}
		}
		for p := range part {
			if !whole[p] {
				changed++
			}
		}
		if changed*100 > len(whole) {
			t.Errorf("without owner %d %d of %d entries change", o, changed, len(whole))
		}
	}
}

// TestP5Withholding: an owner that says nothing costs at most the wait for one
// more witness, and a crowd nobody trusts costs nothing.
func TestP5Withholding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		silent := rapid.IntRange(0, 5).Draw(t, "silent")
		crowd := rapid.IntRange(0, 40).Draw(t, "crowd")
		blockedAfter := func(without int) int {
			tally, witnesses := New(Default()), 0
			for i := range 6 {
				for c := range crowd {
					r := blocked(from(told(fmt.Sprint("new", c), fmt.Sprint("new", c), evil, time.Duration(i)*time.Minute, "root"), 100+c))
					r.Enrolled = day0.Add(-24 * time.Hour * time.Duration(c%5))
					if rulings := tally.Observe(r); len(rulings) > 0 && rulings[len(rulings)-1].Owner == "" {
						return witnesses
					}
				}
				if i == without {
					continue
				}
				witnesses++
				o := fmt.Sprint("honest", i)
				rulings := tally.Observe(blocked(from(told(o, o, evil, time.Duration(i)*time.Minute, "root"), i)))
				if len(rulings) > 0 && rulings[len(rulings)-1].Owner == "" {
					return i + 1
				}
			}
			return 99
		}
		all, without := blockedAfter(-1), blockedAfter(silent)
		if all > 3 || without > all+1 {
			t.Fatalf("blocked after %d witnesses, without one after %d", all, without)
		}
	})
}

// TestP6PersonGetsBack: whoever fails on one account of the owner's own waits at
// most 15 minutes the first time, and not at all once forgiven.
func TestP6PersonGetsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally, clock := New(Default()), time.Duration(0)
		for range rapid.IntRange(1, 30).Draw(t, "failures") {
			clock += time.Duration(rapid.IntRange(1, 400).Draw(t, "step")) * time.Second
			r := told("o", fmt.Sprint("d", rapid.IntRange(0, 9).Draw(t, "device")), evil, clock, slices.Repeat([]string{"#me"}, rapid.IntRange(1, 4).Draw(t, "times"))...)
			r.Provenance = rapid.SampledFrom([]tocsin.Provenance{tocsin.Attested, tocsin.Local}).Draw(t, "provenance")
			if rapid.Bool().Draw(t, "blocked") {
				r = blocked(r)
			}
			for _, ruling := range tally.Observe(r) {
				if ruling.Until.Sub(r.At) > 15*time.Minute {
					t.Fatalf("%+v", ruling)
				}
				tally.Forgive("o", r.Source, r.At)
				if again := tally.Observe(told("o", "d0", evil, clock+time.Second, "#me")); len(again) > 0 {
					t.Fatalf("forgiven, and then %+v", again)
				}
				return
			}
		}
	})
}

// TestP7Replay: the same log gives the same rulings and explanations.
func TestP7Replay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []tocsin.Received
		clock := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "reports") {
			log = append(log, lie(t, 6, 6, &clock))
		}
		run := func() (all []Ruling, why []Explanation) {
			tally := New(Default())
			for _, r := range log {
				all = append(all, tally.Observe(r)...)
				why = append(why, tally.Explain(r.Owner, r.Source, r.At))
			}
			return all, why
		}
		rulings, why := run()
		again, whyAgain := run()
		same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if diff := cmp.Diff(rulings, again, same); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(why, whyAgain, same); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestBounds: however many sources, accounts, devices and owners come, the
// tables keep to their caps.
func TestBounds(t *testing.T) {
	p := Default()
	p.Sources, p.Pairs, p.Successes, p.Friends, p.Devices, p.MaxOwners = 100, 200, 50, 30, 20, 10
	tally, rng := New(p), rand.New(rand.NewPCG(5, 5))
	for i := range 20_000 {
		o := rng.IntN(100)
		r := from(told(fmt.Sprint("o", o), fmt.Sprint("d", rng.IntN(1000)), fmt.Sprintf("198.18.%d.%d", rng.IntN(250), rng.IntN(250)),
			time.Duration(i)*time.Second, fmt.Sprint("#", rng.IntN(1000))), o)
		if i%3 == 0 {
			r = in(r, "#me")
		}
		tally.Observe(r)
	}
	if s, pairs := tally.Len(); s > 100 || pairs > 200 || tally.successes.Len() > 50 || tally.known.Len() > 50 ||
		tally.friends.Len() > 30 || tally.devices.Len() > 20 || len(tally.standings) > 10 || len(tally.owners) > 10 {
		t.Error("over a bound")
	}
}

// TestRates: a device that blames half the internet has 50 addresses an hour
// and 500 a day blocked at its owner, and none once it is suspect.
func TestRates(t *testing.T) {
	for _, c := range []struct {
		name    string
		step    time.Duration
		n, want int
		suspect bool
	}{
		{"an hour", time.Second, 3600, 50, false},
		{"a day", 10 * time.Second, 8640, 500, false},
		{"suspect", time.Second, 3600, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally, got := New(Default()), 0
			for i := range c.n {
				r := blocked(told("o", "liar", fmt.Sprintf("198.18.%d.%d", i/250, 1+i%250), time.Duration(i)*c.step, "root"))
				r.Suspect = c.suspect
				got += len(tally.Observe(r))
			}
			if got != c.want {
				t.Errorf("%d blocked, want %d", got, c.want)
			}
		})
	}
}
