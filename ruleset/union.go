package ruleset

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A union is the groups of several lists at one time: a rule is in force if any
// of them holds it, until the latest end.
type union []*group

// ends returns the latest end of each key, 0 where there is none.
func ends[K number](u union, keys []K, of func(*group) []K) []uint32 {
	out := make([]uint32, len(keys))
	for _, g := range u {
		match(keys, of(g), func(i, _ int) { out[i] = max(out[i], g.end) })
	}
	return out
}

func v4(kind int) func(*group) []uint32 { return func(g *group) []uint32 { return g.v4[kind] } }
func v6(kind int) func(*group) []uint64 { return func(g *group) []uint64 { return g.v6[kind] } }

// keys returns what any group holds, once.
func keys[K number](u union, of func(*group) []K) []K {
	n := 0
	for _, g := range u {
		n += len(of(g))
	}
	out := make([]K, 0, n)
	for _, g := range u {
		out = append(out, of(g)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// rules yields every rule once, with its latest end.
func (u union) rules(yield func(tocsin.Rule) bool) {
	for kind := range kinds {
		k := keys(u, v4(kind))
		for i, end := range ends(u, k, v4(kind)) {
			if !yield(tocsin.Rule{Prefix: prefix4(kind, k[i]), Action: action(kind), Until: moment(end)}) {
				return
			}
		}
	}
	for kind := range kinds {
		k := keys(u, v6(kind))
		for i, end := range ends(u, k, v6(kind)) {
			if !yield(tocsin.Rule{Prefix: prefix6(kind, k[i]), Action: action(kind), Until: moment(end)}) {
				return
			}
		}
	}
}

// bound returns totals that are never too small, quickly.
func (u union) bound() totals {
	t := (&sections{}).count()
	for _, g := range u {
		t.add(g.totals)
	}
	return t
}

// exact returns the totals, each rule and each address counted once.
func (u union) exact() totals {
	t := u.bound()
	hosts := keys(u, v4(blockHosts))
	prefixes := keys(u, v4(blockPrefixes))
	t.blocks = len(hosts) + len(prefixes) + len(keys(u, v6(blockHosts))) + len(keys(u, v6(blockPrefixes)))
	t.passes = len(keys(u, v4(passHosts))) + len(keys(u, v4(passPrefixes))) +
		len(keys(u, v6(passHosts))) + len(keys(u, v6(passPrefixes)))
	t.cover4 = cover(hosts, prefixes)
	return t
}

// cover returns how many addresses hosts and prefixes cover together.
func cover(hosts, prefixes []uint32) (n uint64) {
	slices.SortFunc(prefixes, func(a, b uint32) int { // as ranges, by first address; the middle of a range sorts otherwise
		return int(int64(a&(a-1)) - int64(b&(b-1)))
	})
	var covered uint64 // everything below is counted
	for _, k := range prefixes {
		first := uint64(k & (k - 1))
		last := first + 1<<(32-length4(k)) // exclusive
		for len(hosts) > 0 && uint64(hosts[0]) < first {
			if uint64(hosts[0]) >= covered {
				n++
			}
			hosts = hosts[1:]
		}
		if last > covered {
			n += last - max(first, covered)
			covered = last
		}
	}
	for _, h := range hosts {
		if uint64(h) >= covered {
			n++
		}
	}
	return n
}

// A diff is what enforcing another union changes.
type diff struct {
	change tocsin.Change
	grown  int // rules that were not in force before
}

// differing compares two unions that differ in one list, of which old and next
// are the groups.
func differing(before, after union, old, next []*group) (d diff) {
	for kind := range kinds {
		section(&d, before, after, touched(old, next, v4(kind)), v4(kind), kind, prefix4)
	}
	for kind := range kinds {
		section(&d, before, after, touched(old, next, v6(kind)), v6(kind), kind, prefix6)
	}
	return d
}

func section[K number](d *diff, before, after union, keys []K, of func(*group) []K, kind int, prefix func(int, K) netip.Prefix) {
	b, a := ends(before, keys, of), ends(after, keys, of)
	adds, removes := 0, 0
	for i := range keys {
		if a[i] == 0 {
			removes++
		} else if a[i] != b[i] {
			adds++
		}
	}
	d.change.Add = slices.Grow(d.change.Add, adds)
	d.change.Remove = slices.Grow(d.change.Remove, removes)
	for i, k := range keys {
		d.put(tocsin.Rule{Prefix: prefix(kind, k), Action: action(kind)}, b[i], a[i])
	}
}

func (d *diff) put(r tocsin.Rule, before, after uint32) {
	switch {
	case before == after:
	case after == 0:
		r.Until = moment(before)
		d.change.Remove = append(d.change.Remove, r)
	default:
		r.Until = moment(after)
		d.change.Add = append(d.change.Add, r)
		if before == 0 {
			d.grown++
		}
	}
}

// touched returns the keys whose end is not the same in old and next.
func touched[K number](old, next []*group, of func(*group) []K) (out []K) {
	for len(old)+len(next) > 0 {
		switch {
		case len(next) == 0 || len(old) > 0 && old[0].end < next[0].end:
			out, old = append(out, of(old[0])...), old[1:]
		case len(old) == 0 || next[0].end < old[0].end:
			out, next = append(out, of(next[0])...), next[1:]
		default:
			if old[0] != next[0] {
				out = differ(out, of(old[0]), of(next[0]))
			}
			old, next = old[1:], next[1:]
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// within returns which limit a step from before to after breaks. What is above
// a limit already, since somebody lowered it, may stay or shrink.
func within(before, after union, added []*group, lim Limits, r Ref, latest time.Time) string {
	t := (&sections{}).count()
	for _, g := range added {
		t.add(g.totals)
		if moment(g.end).After(latest.Add(lim.TTL + r.Class.Step())) {
			return "a rule lasts too long"
		}
	}
	if t.widest4 < shortest(lim.Widest4, 32) || t.widest6 < shortest(lim.Widest6, 64) {
		return "a prefix is too wide"
	}
	if t.widePass {
		return "a pass is wider than one source"
	}
	if t = after.bound(); t.fit(lim) == "" {
		return ""
	}
	a, b := after.exact(), before.exact()
	lim.Entries = max(lim.Entries, b.blocks)
	lim.Passes = max(lim.Passes, b.passes)
	lim.Cover4 = max(lim.Cover4, b.cover4)
	return a.fit(lim)
}

func (t totals) fit(lim Limits) string {
	switch {
	case t.blocks > lim.Entries:
		return "too many rules"
	case t.cover4 > lim.Cover4:
		return "too much of IPv4"
	case t.passes > lim.Passes:
		return "too many passes"
	}
	return ""
}

// shortest returns the shortest length that a limit allows; 0 is hosts only.
func shortest(limit, host int) int {
	if limit <= 0 {
		return host
	}
	return limit
}
