package blocklist

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
)

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

func decision(p string, o tocsin.Origin, a tocsin.Action, ttl time.Duration) tocsin.Decision {
	return tocsin.Decision{
		Prefix: netip.MustParsePrefix(p), Action: a, Origin: o,
		At: noon, Until: noon.Add(ttl), Reason: "because",
	}
}

func block(p string, ttl time.Duration) tocsin.Decision {
	return decision(p, tocsin.ByDevice, tocsin.Block, ttl)
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestWhoWins(t *testing.T) {
	allow := decision("203.0.113.7/32", tocsin.ByOperator, tocsin.Pass, time.Hour)
	tests := []struct {
		name      string
		decisions []tocsin.Decision
		ask       string
		blocked   bool
		last      Verdict
	}{
		{"a block blocks", []tocsin.Decision{block("203.0.113.7/32", time.Hour)}, "203.0.113.7", true, Enforced},
		{"and nothing else", []tocsin.Decision{block("203.0.113.7/32", time.Hour)}, "203.0.113.8", false, Enforced},
		{"a mapped address is the address", []tocsin.Decision{block("203.0.113.7/32", time.Hour)}, "::ffff:203.0.113.7", true, Enforced},
		{"a pass wins over a block before it", []tocsin.Decision{block("203.0.113.7/32", time.Hour), allow}, "203.0.113.7", false, Enforced},
		{"a pass wins over a block after it", []tocsin.Decision{allow, block("203.0.113.7/32", time.Hour)}, "203.0.113.7", false, Passed},
		{"a pass wins over a wider block", []tocsin.Decision{allow, block("203.0.113.0/24", time.Hour)}, "203.0.113.7", false, Enforced},
		{"whose rest stays blocked", []tocsin.Decision{allow, block("203.0.113.0/24", time.Hour)}, "203.0.113.8", true, Enforced},
		{"IPv6 by /64", []tocsin.Decision{block("2001:db8::/64", time.Hour)}, "2001:db8::abcd", true, Enforced},
		{"private is spared", []tocsin.Decision{block("192.168.1.5/32", time.Hour)}, "192.168.1.5", false, Spared},
		{"shared address space is spared", []tocsin.Decision{block("100.100.1.5/32", time.Hour)}, "100.100.1.5", false, Spared},
		{"link-local is spared", []tocsin.Decision{block("fe80::/64", time.Hour)}, "fe80::1", false, Spared},
		{"but an operator may", []tocsin.Decision{decision("192.168.1.5/32", tocsin.ByOperator, tocsin.Block, time.Hour)}, "192.168.1.5", true, Enforced},
		{"over already", []tocsin.Decision{block("203.0.113.7/32", -time.Second)}, "203.0.113.7", false, Ended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New(DefaultLimits, false)
			var v Verdict
			for _, d := range tt.decisions {
				_, v = l.Decide(d, noon)
			}
			if got := l.Blocked(addr(tt.ask), noon); got != tt.blocked || v != tt.last {
				t.Errorf("blocked %v, verdict %v, want %v, %v", got, v, tt.blocked, tt.last)
			}
		})
	}
}

func TestProtectedIsNeverBlocked(t *testing.T) {
	l := New(DefaultLimits, true)
	gateway := netip.MustParsePrefix("192.0.2.254/32")
	for _, o := range []tocsin.Origin{tocsin.ByDevice, tocsin.ByFleet, tocsin.ByOperator} {
		l.Decide(decision("192.0.2.254/32", o, tocsin.Block, time.Hour), noon)
	}
	l.Decide(block("192.0.2.0/24", time.Hour), noon)
	c := l.Protect([]netip.Prefix{gateway, gateway}, noon)
	if len(c.Add) != 1 || c.Add[0].Action != tocsin.Pass || len(c.Remove) != 1 {
		t.Errorf("protecting a blocked gateway changes %+v", c)
	}
	if l.Blocked(gateway.Addr(), noon) || !l.Blocked(addr("192.0.2.7"), noon) {
		t.Error("the gateway is blocked, or its network is not")
	}
	for _, o := range []tocsin.Origin{tocsin.ByDevice, tocsin.ByFleet, tocsin.ByOperator} {
		if _, v := l.Decide(decision("192.0.2.254/32", o, tocsin.Block, time.Hour), noon); v != Spared {
			t.Errorf("block by %v of the gateway: %v", o, v)
		}
	}
	if c := l.Protect(nil, noon); len(c.Remove) != 1 || l.Protected(gateway) {
		t.Errorf("protection taken back changes %+v", c)
	}
}

func TestLiftEndsEveryOriginsBlock(t *testing.T) {
	l := New(DefaultLimits, false)
	for _, o := range []tocsin.Origin{tocsin.ByDevice, tocsin.ByFleet, tocsin.ByOperator} {
		l.Decide(decision("203.0.113.7/32", o, tocsin.Block, time.Hour), noon)
	}
	l.Decide(decision("203.0.113.0/24", tocsin.ByFleet, tocsin.Block, time.Hour), noon)
	c, v := l.Lift(decision("203.0.113.7/32", tocsin.ByOperator, tocsin.Pass, 10*time.Minute), noon)
	if v != Enforced || len(c.Remove) != 1 || len(c.Add) != 1 || c.Add[0].Action != tocsin.Pass {
		t.Errorf("lift changes %+v, %v", c, v)
	}
	if l.Blocked(addr("203.0.113.7"), noon) || !l.Blocked(addr("203.0.113.8"), noon) {
		t.Error("the lifted address is blocked, or the wider block went with it")
	}
	if _, v := l.Decide(decision("203.0.113.7/32", tocsin.ByFleet, tocsin.Block, time.Hour), noon); v != Passed {
		t.Errorf("the fleet's next block: %v", v)
	}
	later := noon.Add(11 * time.Minute)
	l.Expire(later)
	if e, ok := l.Lookup(addr("203.0.113.7"), later); !ok || e.Prefix.Bits() != 24 {
		t.Errorf("after the pass: %+v, %v", e, ok)
	}
}

func TestAPassThatEndsGivesTheBlockBack(t *testing.T) {
	l := New(DefaultLimits, false)
	l.Decide(block("203.0.113.7/32", time.Hour), noon)
	l.Decide(decision("203.0.113.7/32", tocsin.ByOperator, tocsin.Pass, 10*time.Minute), noon)
	next, ok := l.Next()
	if !ok || next.Before(noon.Add(10*time.Minute)) || next.After(noon.Add(12*time.Minute)) {
		t.Fatalf("next expiry %v, %v", next, ok)
	}
	l.Expire(next)
	if !l.Blocked(addr("203.0.113.7"), next) {
		t.Error("the block behind the pass is gone")
	}
	if blocks, passes := l.Len(); blocks != 1 || passes != 0 {
		t.Errorf("%d blocks and %d passes are left", blocks, passes)
	}
}

func TestEndTakesBackOneOriginsWord(t *testing.T) {
	l := New(DefaultLimits, false)
	p := netip.MustParsePrefix("203.0.113.7/32")
	l.Decide(decision("203.0.113.7/32", tocsin.ByFleet, tocsin.Block, 2*time.Hour), noon)
	l.Decide(block("203.0.113.7/32", time.Hour), noon)
	if c, ok := l.End(p, tocsin.Block, tocsin.ByFleet, noon); !ok || len(c.Add) != 1 || !c.Add[0].Until.Equal(noon.Add(time.Hour)) {
		t.Errorf("the device's block is left: %+v, %v", c, ok)
	}
	if c, ok := l.End(p, tocsin.Block, tocsin.ByDevice, noon); !ok || len(c.Remove) != 1 {
		t.Errorf("nothing is left: %+v, %v", c, ok)
	}
	if _, ok := l.End(p, tocsin.Block, tocsin.ByDevice, noon); ok {
		t.Error("ended twice")
	}
	if blocks, _ := l.Len(); blocks != 0 || l.count != [origins]int{} {
		t.Errorf("%d blocks, counts %v", blocks, l.count)
	}
}

func TestLimitsHold(t *testing.T) {
	l := New(Limits{Device: 100, Fleet: 100, Operator: 100, Passes: 5}, false)
	for i := range uint32(1000) {
		p := netip.PrefixFrom(nth(i), 32)
		for _, o := range []tocsin.Origin{tocsin.ByDevice, tocsin.ByFleet, tocsin.ByOperator} {
			d := decision("198.18.0.0/32", o, tocsin.Block, time.Hour+time.Duration(i)*time.Minute)
			d.Prefix = p
			l.Decide(d, noon)
		}
	}
	if l.count != [origins]int{0, 100, 100, 100} {
		t.Errorf("counts %v", l.count)
	}
	if !l.Blocked(nth(999), noon) {
		t.Error("the device's newest block did not displace its oldest")
	}
	for i := range uint32(10) {
		d := decision("198.18.0.0/32", tocsin.ByOperator, tocsin.Pass, time.Hour)
		d.Prefix = netip.PrefixFrom(nth(i), 32)
		if _, v := l.Decide(d, noon); v == Enforced != (i < 5) {
			t.Errorf("pass %d: %v", i, v)
		}
	}
}

func TestShiftKeepsWhatIsLeft(t *testing.T) {
	l := New(DefaultLimits, false)
	l.Decide(block("203.0.113.7/32", 10*time.Minute), noon)
	jump := 50 * 365 * 24 * time.Hour
	l.Shift(-jump)
	then := noon.Add(-jump)
	if !l.Blocked(addr("203.0.113.7"), then.Add(9*time.Minute)) || l.Blocked(addr("203.0.113.7"), then.Add(11*time.Minute)) {
		t.Error("the block did not move with the clock")
	}
	if l.Expire(then.Add(12 * time.Minute)); l.count[tocsin.ByDevice] != 0 {
		t.Error("the shifted block never expires")
	}
}

func TestRulesAreInOrderOfUrgency(t *testing.T) {
	l := New(DefaultLimits, false)
	l.Protect([]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, noon)
	l.Decide(decision("198.51.100.1/32", tocsin.ByOperator, tocsin.Pass, time.Hour), noon)
	for i := range 3 {
		d := block("203.0.113.0/32", 2*time.Hour)
		d.At = noon.Add(time.Duration(i) * time.Second)
		d.Prefix = netip.PrefixFrom(nth(uint32(i)), 32)
		l.Decide(d, noon)
	}
	var got []string
	for r := range l.Rules(noon) {
		got = append(got, r.Action.String()+" "+r.Prefix.String())
	}
	want := []string{
		"pass 192.0.2.1/32", "pass 198.51.100.1/32",
		"block 198.18.0.2/32", "block 198.18.0.1/32", "block 198.18.0.0/32",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHitsAreCounted(t *testing.T) {
	l := New(DefaultLimits, false)
	l.Decide(block("203.0.113.0/24", time.Hour), noon)
	at := noon.Add(time.Minute)
	if p, ok := l.Hit(addr("203.0.113.9"), 7, at); !ok || p.Bits() != 24 {
		t.Errorf("hit on %v, %v", p, ok)
	}
	if _, ok := l.Hit(addr("198.51.100.1"), 7, at); ok {
		t.Error("hit on an address that nothing blocks")
	}
	e, _ := l.Lookup(addr("203.0.113.9"), at)
	if e.Hits != 7 || !e.LastHit.Equal(at) {
		t.Errorf("%+v", e)
	}
}

func TestDecisionsRestoreTheList(t *testing.T) {
	l := New(DefaultLimits, false)
	l.Decide(block("203.0.113.7/32", time.Hour), noon)
	l.Decide(decision("203.0.113.7/32", tocsin.ByFleet, tocsin.Block, 2*time.Hour), noon)
	l.Decide(decision("2001:db8::/48", tocsin.ByOperator, tocsin.Pass, time.Hour), noon)
	next := New(DefaultLimits, false)
	for d := range l.Decisions(noon) {
		next.Decide(d, noon)
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(slices.Collect(l.Entries(noon)), slices.Collect(next.Entries(noon)), opts); diff != "" {
		t.Error(diff)
	}
}

// TestKernelFollows plays random decisions and checks that the changes alone,
// applied in order by a kernel that ends rules by itself, always give what
// Rules says.
func TestKernelFollows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l := New(Limits{Device: 20, Fleet: 20, Operator: 20, Passes: 5}, false)
	type name struct {
		netip.Prefix
		tocsin.Action
	}
	kernel := map[name]tocsin.Rule{}
	now := noon
	for range 20_000 {
		now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
		c := random(l, rng, now)
		for _, r := range c.Remove {
			delete(kernel, name{r.Prefix, r.Action})
		}
		for _, r := range c.Add {
			kernel[name{r.Prefix, r.Action}] = r
		}
		maps.DeleteFunc(kernel, func(_ name, r tocsin.Rule) bool { return !r.Until.After(now) })
		l.Expire(now)
		want := map[name]tocsin.Rule{}
		for r := range l.Rules(now) {
			want[name{r.Prefix, r.Action}] = r
		}
		if !maps.Equal(kernel, want) {
			t.Fatalf("at %v the kernel has %v, want %v", now, kernel, want)
		}
	}
	if l.Expire(now.Add(2 * time.Hour)); len(l.blocks.rows)+len(l.passes.rows)+len(l.reasons)+len(l.due) != 0 {
		t.Error("something is kept for ever")
	}
	if l.count != [origins]int{} || l.blocks.lengths != [2 * v4]int{} || len(l.blocks.used)+len(l.passes.used) != 0 {
		t.Errorf("counts %v, lengths %v", l.count, l.blocks.lengths)
	}
}

// random does one random thing to l.
func random(l *List, rng *rand.Rand, now time.Time) (c tocsin.Change) {
	p := netip.PrefixFrom(nth(rng.Uint32N(40)), 32-8*rng.IntN(2)).Masked()
	d := tocsin.Decision{
		Prefix: p, Action: tocsin.Action(1 + rng.IntN(2)), Origin: tocsin.Origin(1 + rng.IntN(3)),
		At: now, Until: now.Add(time.Duration(rng.IntN(3600)) * time.Second), Reason: "because",
	}
	switch rng.IntN(10) {
	case 0:
		c, _ = l.Lift(d, now)
	case 1:
		c, _ = l.End(p, d.Action, d.Origin, now)
	default:
		c, _ = l.Decide(d, now)
	}
	return c
}

func nth(i uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 198<<24|18<<16+i)
	return netip.AddrFrom4(a)
}

func TestWiden(t *testing.T) {
	for _, p := range []string{"203.0.113.77/32", "2001:db8:1:2:3:4:5:6/128", "::ffff:1:2/128"} {
		single := netip.MustParsePrefix(p)
		for bits := range single.Bits() + 1 {
			want, err := single.Addr().Prefix(bits)
			if err != nil {
				t.Fatal(err)
			}
			if got := keyOf(single).widen(keyOf(want).bits); got.prefix() != want {
				t.Errorf("%v to /%d: got %v, want %v", single, bits, got.prefix(), want)
			}
		}
	}
}

func BenchmarkDecideIntoMillion(b *testing.B) {
	l := New(DefaultLimits, false)
	d := decision("198.18.0.0/32", tocsin.ByFleet, tocsin.Block, time.Hour)
	for i := range uint32(1_000_000) {
		d.Prefix = netip.PrefixFrom(nth(i), 32)
		l.Decide(d, noon)
	}
	b.ReportAllocs()
	var i uint32
	for b.Loop() {
		d.Prefix = netip.PrefixFrom(nth(i%1_000_000), 32)
		l.Decide(d, noon)
		i++
	}
}

func BenchmarkRulesOfMillion(b *testing.B) {
	l := New(DefaultLimits, false)
	d := decision("198.18.0.0/32", tocsin.ByFleet, tocsin.Block, time.Hour)
	for i := range uint32(1_000_000) {
		d.Prefix = netip.PrefixFrom(nth(i), 32)
		l.Decide(d, noon)
	}
	for b.Loop() {
		for range l.Rules(noon) {
			break
		}
	}
}

func BenchmarkBlocked(b *testing.B) {
	l := New(DefaultLimits, false)
	for i := range uint32(10_000) {
		d := block("198.18.0.0/32", time.Hour)
		d.Prefix = netip.PrefixFrom(nth(i), 32-8*int(i%2)).Masked()
		l.Decide(d, noon)
	}
	b.ReportAllocs()
	var i uint32
	for b.Loop() {
		l.Blocked(nth(i), noon)
		i++
	}
}
