package ruleset

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A thief holds the online key and knows what the device holds. He makes frames
// of any content, number and epoch; their hashes are right.
type thief struct {
	*rand.Rand
	now time.Time
}

func (x *thief) pick(n ...int) int { return n[x.IntN(len(n))] }

// key4 draws an address, mostly one of few.
func (x *thief) key4() uint32 {
	if x.IntN(4) == 0 {
		return x.Uint32()
	}
	return 0xc6120000 | uint32(x.IntN(600))
}

func (x *thief) sections() (s sections) {
	n := 1 + x.IntN(3)
	if x.IntN(20) == 0 {
		n = 1 + x.IntN(60)
	}
	for range n {
		kind := x.pick(blockHosts, blockHosts, blockHosts, blockHosts, blockPrefixes, passHosts)
		if x.IntN(200) == 0 {
			kind = passPrefixes
		}
		k4, k6 := x.key4(), uint64(0x20010db8)<<32|uint64(x.IntN(40))<<8
		if kind == blockPrefixes || kind == passPrefixes {
			length := 23 + x.IntN(9)
			k4 = k4&^(1<<(32-length)-1) | 1<<(31-length)
			length = 47 + x.IntN(17)
			k6 = k6&^(1<<(64-length)-1) | 1<<(63-length)
		}
		if x.IntN(3) == 0 {
			s.v6[kind] = append(s.v6[kind], k6)
		} else {
			s.v4[kind] = append(s.v4[kind], k4)
		}
	}
	for i := range kinds {
		slices.Sort(s.v4[i])
		slices.Sort(s.v6[i])
		s.v4[i], s.v6[i] = slices.Compact(s.v4[i]), slices.Compact(s.v6[i])
	}
	return s
}

// frame makes the next frame against one list of a set.
func (x *thief) frame(s *Set) Frame {
	l := s.lists[x.IntN(len(s.lists))].list
	f := Frame{Header: Header{Kind: Delta, Position: l.pos, Created: x.now, Expires: x.now.Add(time.Hour)}}
	f.Created = whole(x.now.Add(time.Duration(x.IntN(1500)-800) * time.Second))
	f.Position.Serial += uint64(x.pick(1, 1, 1, 1, 1, 1, 0, 2))
	if x.IntN(3) == 0 {
		f.Kind = Snapshot
		f.Position.Epoch += uint64(x.pick(0, 0, 0, 1, 1<<40))
	}
	old := alive(l.groups, f.Created)
	if f.Kind == Snapshot {
		old = nil
	}
	for _, g := range old {
		c := cut{end: g.end}
		for i := range kinds {
			for at := range g.v4[i] {
				if x.IntN(4) == 0 {
					c.places[0][i] = append(c.places[0][i], uint32(at))
				}
			}
		}
		if c.len() > 0 {
			f.cuts = append(f.cuts, c)
		}
	}
	step := uint32(l.pos.Ref.Class.Step() / unit)
	end := uint32(f.Created.Unix()/int64(unit/time.Second)) / step * step
	for range x.IntN(3) {
		end += step * uint32(1+x.IntN(14))
		f.adds = append(f.adds, newGroup(end, x.sections()))
	}
	f.Prev = sum(old)
	if next, err := change(old, f.cuts, f.adds); err == nil {
		f.Result = sum(next)
	}
	return f
}

// A kernel is what a device enforces, as told by its changes, and a plain
// reading of its limits.
type kernel struct {
	rules map[held]time.Time
	grown []growing
	begun map[Ref]time.Time // when a list last began without counting as growth
	last  map[Ref]time.Time // when the last rule of a list ended, or will
}

type held struct {
	prefix netip.Prefix
	action tocsin.Action
}

type growing struct {
	at time.Time
	n  int
}

func (k *kernel) take(t *testing.T, f Frame, c tocsin.Change, lim Limits, now time.Time) {
	t.Helper()
	for h, end := range k.rules {
		if !end.After(now) {
			delete(k.rules, h)
		}
	}
	for _, r := range c.Remove {
		delete(k.rules, held{r.Prefix, r.Action})
	}
	grown := 0
	for _, r := range c.Add {
		h := held{r.Prefix, r.Action}
		if _, ok := k.rules[h]; !ok {
			grown++
		}
		k.rules[h] = r.Until
		if r.Until.After(now.Add(skew + lim.TTL + f.Position.Ref.Class.Step())) {
			t.Fatalf("%v for %v", r, r.Until.Sub(now))
		}
	}
	k.grow(t, f, grown, lim, now)
	k.within(t, lim)
}

// grow allows what began anew, and at most so many in any hour besides.
func (k *kernel) grow(t *testing.T, f Frame, n int, lim Limits, now time.Time) {
	t.Helper()
	ref := f.Position.Ref
	begun, ok := k.begun[ref]
	if f.Kind == Snapshot && (!ok || now.Sub(begun) > anew && now.Sub(k.last[ref]) > emptiness && now.Sub(begun) > emptiness) {
		k.begun[ref] = now
		n = 0
	}
	for _, g := range f.adds {
		if end := moment(g.end); end.After(k.last[ref]) {
			k.last[ref] = end
		}
	}
	k.grown = slices.DeleteFunc(k.grown, func(g growing) bool { return now.Sub(g.at) >= time.Hour })
	k.grown = append(k.grown, growing{now, n})
	sum := 0
	for _, g := range k.grown {
		sum += g.n
	}
	if n > 0 && sum > lim.Growth {
		t.Fatalf("%d new rules within an hour", sum)
	}
}

func (k *kernel) within(t *testing.T, lim Limits) {
	t.Helper()
	var blocks []netip.Prefix
	passes := 0
	for h := range k.rules {
		bits, host := h.prefix.Bits(), 64
		widest := lim.Widest6
		if h.prefix.Addr().Is4() {
			widest, host = lim.Widest4, 32
		}
		if h.action == tocsin.Pass {
			passes++
			widest = host
		} else {
			blocks = append(blocks, h.prefix)
		}
		if bits < widest {
			t.Fatalf("%s %s", h.action, h.prefix)
		}
	}
	slices.SortFunc(blocks, netip.Prefix.Compare)
	var cover uint64
	var outer netip.Prefix
	for _, p := range blocks {
		if p.Addr().Is4() && !(outer.IsValid() && outer.Overlaps(p)) {
			cover += 1 << (32 - p.Bits())
			outer = p
		}
	}
	if len(blocks) > lim.Entries || passes > lim.Passes || cover > lim.Cover4 {
		t.Fatalf("%d blocks, %d passes, %d addresses", len(blocks), passes, cover)
	}
}

// TestStolenKey applies a million frames of a thief.
func TestStolenKey(t *testing.T) {
	lim := Limits{Entries: 40, Cover4: 600, Growth: 25, Widest4: 24, Widest6: 48, TTL: 24 * time.Hour, Passes: 4}
	refs := []Ref{{Fleet, Short}, {Fleet, Long}, {Owner("acme"), Long}}
	const workers, lives, frames = 4, 50, 5000
	for w := range workers {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			taken := 0
			for life := range lives {
				x := &thief{rand.New(rand.NewPCG(uint64(w), uint64(life))), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
				s := NewSet(refs...)
				k := &kernel{rules: map[held]time.Time{}, begun: map[Ref]time.Time{}, last: map[Ref]time.Time{}}
				for i := range frames {
					x.pass()
					f := x.frame(s)
					next, c, err := s.Apply(f, lim, x.now)
					if err != nil {
						if next != s || !c.Empty() {
							t.Fatal("refused, and changed something")
						}
						continue
					}
					taken++
					k.take(t, f, c, lim, x.now)
					if s = next; i%64 == 0 {
						s = k.compare(t, s, x.now)
					}
				}
			}
			if taken < lives*frames/20 {
				t.Errorf("only %d frames were taken: the thief tries nothing", taken)
			}
		})
	}
}

// pass lets time go by, sometimes much.
func (x *thief) pass() {
	most := time.Minute
	switch x.IntN(200) {
	case 0:
		most = 10 * 24 * time.Hour
	case 1, 2:
		most = 3 * time.Hour
	}
	x.now = x.now.Add(time.Duration(x.Int64N(int64(most))))
}

// compare holds the kernel against the set, and restarts the device.
func (k *kernel) compare(t *testing.T, s *Set, now time.Time) *Set {
	t.Helper()
	n := 0
	for r := range s.Rules(now) {
		n++
		if end, ok := k.rules[held{r.Prefix, r.Action}]; !ok || !end.Equal(r.Until) {
			t.Fatalf("%v is not in the kernel, or until %v", r, end)
		}
	}
	for h, end := range k.rules {
		if end.After(now) {
			n--
		} else {
			delete(k.rules, h)
		}
	}
	if n != 0 {
		t.Fatalf("%d rules more than in the kernel", n)
	}
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := &Set{}
	if err := again.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestLimitsAtTheirEdge takes what is just allowed, and not one more.
func TestLimitsAtTheirEdge(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ref := Ref{Fleet, Long}
	hosts := func(first, n uint32, a tocsin.Action) (c tocsin.Change) {
		for i := range n {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0xc6120000+first+i)
			c.Add = append(c.Add, tocsin.Rule{Prefix: netip.PrefixFrom(netip.AddrFrom4(b), 32), Action: a, Until: at.Add(9 * time.Hour)})
		}
		return c
	}
	one := func(p string) tocsin.Change {
		return tocsin.Change{Add: []tocsin.Rule{{Prefix: netip.MustParsePrefix(p), Action: tocsin.Block, Until: at.Add(time.Hour)}}}
	}
	_, base := New(ref, 1).Next(hosts(0, 100, tocsin.Block), at)
	_, passes := New(ref, 1).Next(hosts(0, 10, tocsin.Pass), at)
	all := DefaultLimits()
	set := func(change func(*Limits)) Limits {
		l := all
		change(&l)
		return l
	}
	for name, c := range map[string]struct {
		list   *List
		change tocsin.Change
		lim    Limits
		want   bool
	}{
		"entries":               {base, hosts(100, 1, tocsin.Block), set(func(l *Limits) { l.Entries = 101 }), true},
		"one more":              {base, hosts(100, 2, tocsin.Block), set(func(l *Limits) { l.Entries = 101 }), false},
		"renewed":               {base, hosts(0, 100, tocsin.Block), set(func(l *Limits) { l.Entries, l.Growth = 101, 0 }), true},
		"cover":                 {base, one("192.0.2.0/24"), set(func(l *Limits) { l.Cover4 = 356 }), true},
		"covers one more":       {base, one("192.0.2.0/24"), set(func(l *Limits) { l.Cover4 = 355 }), false},
		"covered already":       {base, one("198.18.0.0/24"), set(func(l *Limits) { l.Cover4 = 256 }), true},
		"growth":                {base, hosts(90, 60, tocsin.Block), set(func(l *Limits) { l.Growth = 50 }), true},
		"grows by one more":     {base, hosts(90, 61, tocsin.Block), set(func(l *Limits) { l.Growth = 50 }), false},
		"passes":                {passes, hosts(10, 1, tocsin.Pass), set(func(l *Limits) { l.Passes = 11 }), true},
		"one more pass":         {passes, hosts(10, 2, tocsin.Pass), set(func(l *Limits) { l.Passes = 11 }), false},
		"/24":                   {base, one("192.0.2.0/24"), all, true},
		"/23":                   {base, one("192.0.2.0/23"), all, false},
		"/48":                   {base, one("2001:db8::/48"), all, true},
		"/47":                   {base, one("2001:db8::/47"), all, false},
		"hosts only":            {base, one("192.0.2.0/31"), set(func(l *Limits) { l.Widest4 = 0 }), false},
		"too long":              {base, hosts(100, 1, tocsin.Block), set(func(l *Limits) { l.TTL = 7 * time.Hour }), false},
		"zero":                  {base, hosts(100, 1, tocsin.Block), Limits{}, false},
		"fewer than are there":  {base, hosts(100, 1, tocsin.Block), set(func(l *Limits) { l.Entries = 50 }), false},
		"removal below a limit": {base, tocsin.Change{Remove: hosts(3, 1, tocsin.Block).Add}, Limits{}, true},
	} {
		s, _, err := NewSet(ref).Apply(c.list.Snapshot(at), all, at)
		if err != nil {
			t.Fatal(err)
		}
		f, next := c.list.Next(c.change, at)
		if f.Empty() {
			f = next.Renumber(2).Snapshot(at)
		}
		if _, _, err := s.Apply(f, c.lim, at); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := NewSet(ref).Apply(base.Snapshot(at), Limits{}, at); err == nil {
		t.Error("zero limits allow a snapshot")
	}
}
