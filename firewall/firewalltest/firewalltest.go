// Package firewalltest holds the tests that every firewall.Filter must pass:
// [Run] those of rules, which the memory filter does in microseconds, and
// [RunKernel] those and what only a kernel can do, in network namespaces of
// their own. Nothing outside of these is touched.
//
// It is imported by tests only.
package firewalltest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
)

// Subject is a Filter under test, a way to knock on it, and its clock: a
// kernel needs real seconds, the memory filter a hand on the clock.
type Subject struct {
	Filter  firewall.Filter
	Reaches func(netip.Addr) bool // whether a packet from the address gets through
	Now     func() time.Time
	Sleep   func(time.Duration)
}

// late is how much later than promised a rule may end: a back end without
// deadlines in the kernel removes its rules together.
const late = 3 * time.Second

// ttl is a rule's life in tests that wait for its end, and over the time after
// which a back end that forgot its renewal would have ended it.
const (
	ttl  = 1500 * time.Millisecond
	over = ttl + 1500*time.Millisecond
)

var (
	wide    = netip.MustParsePrefix("198.51.100.0/24")
	other   = netip.MustParsePrefix("203.0.113.0/24")
	wide6   = netip.MustParsePrefix("2001:db8:77:1::/64")
	inWide  = netip.MustParseAddr("198.51.100.7")
	inOther = netip.MustParseAddr("203.0.113.7")
	inWide6 = netip.MustParseAddr("2001:db8:77:1::7")
	outside = netip.MustParseAddr("198.19.0.1")
)

// Run checks the promises of [firewall.Filter] that need no kernel. start makes
// a fresh Subject for each.
func Run(t *testing.T, start func(t *testing.T) Subject) {
	for _, tt := range append(rules(), changes()...) {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, start(t)) })
	}
}

type subjectTest struct {
	name string
	test func(t *testing.T, s Subject)
}

// rules are the tests of what one rule does.
func rules() []subjectTest {
	return []subjectTest{
		{"blocks only what was asked", testPrefixes},
		{"a removed rule is gone", testRemove},
		{"a pass wins", testPass},
		{"a rule ends by itself", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, ttl), s.block(wide6, ttl))
			s.add(t, s.block(other, time.Hour), s.pass(other, ttl))
			s.eventually(t, "blocks end", func() bool { return s.Reaches(inWide) && s.Reaches(inWide6) })
			s.eventually(t, "the pass ends", func() bool { return !s.Reaches(inOther) })
		}},
		{"a rule added again lasts longer", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, ttl), s.block(wide6, ttl))
			s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
			s.Sleep(over)
			s.want(t, inWide, false)
			s.want(t, inWide6, false)
		}},
		{"a rule added again ends earlier", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
			s.add(t, s.block(wide, ttl), s.block(wide6, ttl))
			s.eventually(t, "both end", func() bool { return s.Reaches(inWide) && s.Reaches(inWide6) })
		}},
		{"a rule that has ended enforces nothing", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, -time.Hour), tocsin.Rule{Prefix: other, Action: tocsin.Block})
			s.want(t, inWide, true)
			s.want(t, inOther, true)
			s.add(t, s.block(wide, time.Hour))
			s.add(t, s.block(wide, -time.Second))
			s.want(t, inWide, true)
			s.holds(t, wide, false)
		}},
		{"a far end is no error", func(t *testing.T, s Subject) {
			s.add(t, s.block(wide, 200*365*24*time.Hour))
			s.add(t, tocsin.Rule{Prefix: other, Action: tocsin.Block, Until: time.Unix(1<<40, 0)})
			s.want(t, inWide, false)
			s.want(t, inOther, false)
		}},
	}
}

func testPrefixes(t *testing.T, s Subject) {
	for _, tt := range []struct{ prefix, in, out string }{
		{"198.51.100.7/32", "198.51.100.7", "198.51.100.8"},
		{"203.0.113.0/24", "203.0.113.255", "198.51.100.1"},
		{"198.18.0.0/16", "198.18.200.1", "198.19.0.1"},
		{"198.19.4.77/22", "198.19.7.1", "198.19.8.1"}, // not masked
		{"198.51.100.128/25", "198.51.100.200", "198.51.100.100"},
		{"2001:db8:77:1::/64", "2001:db8:77:1:ffff::1", "2001:db8:77:2::1"},
		{"2001:db8:78::/48", "2001:db8:78:9::1", "2001:db8:79::1"},
		{"2001:db8:80::5/128", "2001:db8:80::5", "2001:db8:80::6"},
		{"2001:db8:81:1:2::5/64", "2001:db8:81:1::9", "2001:db8:81:2::9"}, // not masked
		{"::ffff:198.51.100.20/128", "198.51.100.20", "198.51.100.21"},    // IPv4-mapped
	} {
		p := netip.MustParsePrefix(tt.prefix)
		s.want(t, netip.MustParseAddr(tt.in), true)
		s.add(t, s.block(p, time.Hour))
		s.want(t, netip.MustParseAddr(tt.in), false)
		s.want(t, netip.MustParseAddr(tt.out), true)
		s.holds(t, p, true)
		s.change(t, tocsin.Change{Remove: []tocsin.Rule{s.block(p, 0)}})
		s.want(t, netip.MustParseAddr(tt.in), true)
		s.holds(t, p, false)
	}
}

func testRemove(t *testing.T, s Subject) {
	r, six := s.block(wide, time.Hour), s.block(wide6, time.Hour)
	s.add(t, r, six)
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{r, six}})
	s.want(t, inWide, true)
	s.want(t, inWide6, true)
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{r, six, r}}) // again, and twice
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{s.pass(other, time.Hour)}})
	s.add(t, r)
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{s.pass(wide, time.Hour)}})
	s.want(t, inWide, false) // a pass was removed, not the block
}

func testPass(t *testing.T, s Subject) {
	inside := s.pass(netip.PrefixFrom(inWide, 32), time.Hour)
	s.add(t, inside, s.pass(netip.PrefixFrom(inWide6, 128), time.Hour))
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	s.want(t, inWide, true)
	s.want(t, inWide.Next(), false)
	s.want(t, inWide6, true)
	s.want(t, inWide6.Next(), false)

	// The wider rule is the pass: it wins all the same.
	s.add(t, s.pass(other, time.Hour), s.block(netip.PrefixFrom(inOther, 32), time.Hour))
	s.want(t, inOther, true)
	// The same prefix, both actions.
	s.add(t, s.block(other, time.Hour))
	s.want(t, inOther, true)

	s.change(t, tocsin.Change{Remove: []tocsin.Rule{inside, s.pass(other, time.Hour)}})
	s.want(t, inWide, false)
	s.want(t, inOther, false)
}

func (s Subject) block(p netip.Prefix, ttl time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: s.Now().Add(ttl)}
}

func (s Subject) pass(p netip.Prefix, ttl time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: p, Action: tocsin.Pass, Until: s.Now().Add(ttl)}
}

func (s Subject) add(t *testing.T, r ...tocsin.Rule) {
	t.Helper()
	s.change(t, tocsin.Change{Add: r})
}

func (s Subject) change(t *testing.T, c tocsin.Change) {
	t.Helper()
	if err := s.Filter.Change(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func (s Subject) replace(t *testing.T, r ...tocsin.Rule) {
	t.Helper()
	if err := s.Filter.Replace(t.Context(), slices.Values(r)); err != nil {
		t.Fatal(err)
	}
}

func (s Subject) want(t *testing.T, a netip.Addr, reaches bool) {
	t.Helper()
	if got := s.Reaches(a); got != reaches {
		t.Errorf("%v reaches: got %v, want %v", a, got, reaches)
	}
}

func (s Subject) holds(t *testing.T, p netip.Prefix, want bool) {
	t.Helper()
	if got, err := s.Filter.Holds(t.Context(), p); got != want || err != nil {
		t.Errorf("Holds(%v): got %v, %v, want %v", p, got, err, want)
	}
}

// eventually waits for what a rule's end brings.
func (s Subject) eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := s.Now().Add(ttl + late); s.Now().Before(end); s.Sleep(50 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Errorf("not in time: %s", what)
}
