package firewalltest

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// many is more elements than fit into one netlink attribute, and more rules
// than fit into one line of anything.
const many = 5000

// changes are the tests of what many rules do together.
func changes() []subjectTest {
	return []subjectTest{
		{"removals come first", func(t *testing.T, s Subject) {
			r := s.block(wide, time.Hour)
			s.change(t, tocsin.Change{Add: []tocsin.Rule{r}, Remove: []tocsin.Rule{r}})
			s.want(t, inWide, false)
			s.holds(t, wide, true)
		}},
		{"a rule may come twice in one change", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, ttl), s.block(wide, time.Hour), s.block(netip.PrefixFrom(inWide, 24), time.Hour))
			s.Sleep(over)
			s.want(t, inWide, false) // the last one counts
			s.replace(t, s.block(other, ttl), s.block(other, time.Hour))
			s.want(t, inOther, false)
		}},
		{"replace leaves nothing else", testReplace},
		{"on error what was enforced stays", testError},
		{"an invalid rule is refused", testInvalid},
		{"holds tells the exact prefix, until it ends", testHolds},
		{"thousands in one change", testMany},
		{"several goroutines", testConcurrent},
	}
}

func testReplace(t *testing.T, s Subject) {
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour), s.pass(outside24, time.Hour))
	s.add(t, s.block(netip.MustParsePrefix("198.18.0.0/17"), time.Hour))
	s.replace(t, s.block(other, time.Hour), s.block(wide, -time.Hour), s.block(outside24, time.Hour))
	s.want(t, inWide, true)
	s.want(t, inWide6, true)
	s.want(t, inOther, false)
	s.want(t, outside, false) // the pass is gone too
	s.holds(t, netip.MustParsePrefix("198.18.0.0/17"), false)
	s.replace(t, s.block(wide, ttl), s.pass(other, time.Hour))
	s.want(t, inOther, true)
	s.eventually(t, "a rule of Replace ends", func() bool { return s.Reaches(inWide) })
	s.replace(t)
	s.holds(t, other, false)
	s.add(t, s.block(wide, time.Hour)) // and goes on from nothing
	s.want(t, inWide, false)
}

var outside24 = netip.PrefixFrom(outside, 24).Masked()

func testError(t *testing.T, s Subject) {
	r := s.block(wide, time.Hour)
	s.add(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Filter.Change(ctx, tocsin.Change{Remove: []tocsin.Rule{r}}); err == nil {
		t.Error("Change with a cancelled context succeeded")
	}
	if err := s.Filter.Replace(ctx, slices.Values([]tocsin.Rule(nil))); err == nil {
		t.Error("Replace with a cancelled context succeeded")
	}
	s.want(t, inWide, false)
	s.want(t, outside, true)
}

func testInvalid(t *testing.T, s Subject) {
	s.add(t, s.block(wide, time.Hour))
	for _, r := range []tocsin.Rule{
		s.block(netip.Prefix{}, time.Hour),
		{Prefix: other, Until: s.Now().Add(time.Hour)},
		{Prefix: other, Action: 77, Until: s.Now().Add(time.Hour)},
	} {
		if err := s.Filter.Change(t.Context(), tocsin.Change{Add: []tocsin.Rule{s.block(other, time.Hour), r}}); err == nil {
			t.Errorf("Change took %+v", r)
		}
		if err := s.Filter.Replace(t.Context(), slices.Values([]tocsin.Rule{s.block(other, time.Hour), r})); err == nil {
			t.Errorf("Replace took %+v", r)
		}
	}
	s.want(t, inWide, false)
}

func testHolds(t *testing.T, s Subject) {
	s.add(t, s.block(wide, ttl), s.block(wide6, time.Hour), s.pass(other, time.Hour))
	s.holds(t, netip.PrefixFrom(inWide, 32), false)
	s.holds(t, netip.PrefixFrom(inWide, 23), false)
	s.holds(t, wide6, true)
	s.holds(t, netip.PrefixFrom(inWide6, 64), true) // masked before use
	s.holds(t, netip.PrefixFrom(inWide6, 48), false)
	s.holds(t, other, true) // a pass is a rule too
	s.eventually(t, "holds ends with the rule", func() bool {
		held, err := s.Filter.Holds(t.Context(), wide)
		if err != nil {
			t.Fatal(err)
		}
		return !held
	})
	s.want(t, inWide, true)
}

func testMany(t *testing.T, s Subject) {
	var c tocsin.Change
	for i := range many {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		c.Add = append(c.Add, s.block(netip.PrefixFrom(a, 32), time.Hour))
		if i%10 == 0 {
			six := netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, 0x99, byte(i >> 8), byte(i)})
			c.Add = append(c.Add, s.block(netip.PrefixFrom(six, 64), time.Hour))
		}
	}
	s.change(t, c)
	s.held(t, c.Add, true)
	s.want(t, c.Add[0].Prefix.Addr(), false)
	s.want(t, c.Add[len(c.Add)-1].Prefix.Addr(), false)
	s.want(t, outside, true)
	s.change(t, c) // renewed, all at once
	s.held(t, c.Add, true)
	s.change(t, tocsin.Change{Remove: c.Add})
	s.held(t, c.Add, false)
	s.replace(t, c.Add...)
	s.held(t, c.Add, true)
}

// held checks every rule, or some of them where asking is slow.
func (s Subject) held(t *testing.T, rules []tocsin.Rule, want bool) {
	t.Helper()
	wrong, start := 0, time.Now()
	for i := 0; i < len(rules); i++ {
		got, err := s.Filter.Holds(t.Context(), rules[i].Prefix)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			wrong++
		}
		if time.Since(start) > time.Second {
			i += len(rules) / 50 // a back end that starts a process for each
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d rules: held is not %v", wrong, len(rules), want)
	}
}

func testConcurrent(t *testing.T, s Subject) {
	var wg sync.WaitGroup
	for g := range 4 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 7, byte(g)}), 32)
		wg.Go(func() {
			for range 5 {
				if err := s.Filter.Change(t.Context(), tocsin.Change{Add: []tocsin.Rule{s.block(p, time.Hour)}}); err != nil {
					t.Error(err)
				}
				if held, err := s.Filter.Holds(t.Context(), p); !held || err != nil {
					t.Errorf("Holds(%v): got %v, %v", p, held, err)
				}
			}
		})
	}
	wg.Wait()
}
