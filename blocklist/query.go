package blocklist

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// An Entry is what is known about one prefix, for people.
type Entry struct {
	Prefix  netip.Prefix
	Action  tocsin.Action
	At      time.Time // of the newest decision
	Until   time.Time
	Origins []tocsin.Origin
	Reason  tocsin.Reason
	Hits    uint32    // packets dropped, by sample: a lower bound
	LastHit time.Time // zero if none was sampled
}

// Lookup returns the entry that decides what happens to traffic from a: the
// pass that covers it, else the widest block.
func (l *List) Lookup(a netip.Addr, now time.Time) (Entry, bool) {
	a = a.Unmap().WithZone("")
	p := netip.PrefixFrom(a, a.BitLen())
	if k, ok := l.passes.covering(p, now); ok {
		return l.entry(k, l.passes.rows[k], tocsin.Pass, now), true
	}
	if k, ok := l.blocks.covering(p, now); ok {
		return l.entry(k, l.blocks.rows[k], tocsin.Block, now), true
	}
	return Entry{}, false
}

// Blocked reports whether traffic from a is dropped.
func (l *List) Blocked(a netip.Addr, now time.Time) bool {
	a = a.Unmap().WithZone("")
	p := netip.PrefixFrom(a, a.BitLen())
	if _, blocked := l.blocks.covering(p, now); !blocked {
		return false
	}
	_, passed := l.passes.covering(p, now)
	return !passed && !l.Protected(p)
}

// Entries returns what is in force: passes, then blocks, newest first. Whoever
// ranges over it must not change the List meanwhile.
func (l *List) Entries(now time.Time) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, k := range l.passes.newest(now) {
			if !yield(l.entry(k, l.passes.rows[k], tocsin.Pass, now)) {
				return
			}
		}
		for _, k := range l.blocks.newest(now) {
			if !yield(l.entry(k, l.blocks.rows[k], tocsin.Block, now)) {
				return
			}
		}
	}
}

func (l *List) entry(k key, r row, a tocsin.Action, now time.Time) Entry {
	e := Entry{
		Prefix: k.prefix(), Action: a, Reason: l.reasons[k], Hits: r.hits,
		At: time.Unix(int64(r.at), 0), Until: time.Unix(int64(r.end()), 0),
	}
	for o, until := range r.until {
		if int64(until) > now.Unix() {
			e.Origins = append(e.Origins, tocsin.Origin(o))
		}
	}
	if r.last != 0 {
		e.LastHit = time.Unix(int64(r.last), 0)
	}
	return e
}

// Hit counts n packets dropped from a and returns the prefix that stopped them.
func (l *List) Hit(a netip.Addr, n uint32, at time.Time) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	k, ok := l.blocks.covering(netip.PrefixFrom(a, a.BitLen()), at)
	if !ok {
		return netip.Prefix{}, false
	}
	r := l.blocks.rows[k]
	r.hits += min(n, ^uint32(0)-r.hits)
	r.last = seconds(at)
	l.blocks.put(k, r)
	return k.prefix(), true
}

// Decisions returns every decision in force, as Decide would take it again: the
// list's whole state but for the protected prefixes. Blocks come first: a pass
// that covers one for a while would have Decide refuse it.
func (l *List) Decisions(now time.Time) iter.Seq[tocsin.Decision] {
	return func(yield func(tocsin.Decision) bool) {
		for _, t := range []struct {
			table
			action tocsin.Action
		}{{l.blocks, tocsin.Block}, {l.passes, tocsin.Pass}} {
			for k, r := range t.rows {
				for o, until := range r.until {
					if int64(until) <= now.Unix() {
						continue
					}
					d := tocsin.Decision{
						Prefix: k.prefix(), Action: t.action, Origin: tocsin.Origin(o), Reason: l.reasons[k],
						At: time.Unix(int64(r.at), 0), Until: time.Unix(int64(until), 0),
					}
					if !yield(d) {
						return
					}
				}
			}
		}
	}
}

// Shift moves every deadline by d: the wall clock jumped, and what had ten
// minutes to go still has.
func (l *List) Shift(d time.Duration) {
	by := int64(d / time.Second)
	move := func(s uint32) uint32 {
		if s == 0 {
			return 0
		}
		return uint32(min(max(int64(s)+by, 1), 1<<32-1))
	}
	clear(l.due)
	l.next = 0
	for _, t := range []table{l.passes, l.blocks} {
		for k, r := range t.rows {
			r.at, r.last = move(r.at), move(r.last)
			for o := range r.until {
				r.until[o] = move(r.until[o])
			}
			r.due = 0
			l.remember(k, &r)
			t.rows[k] = r
		}
	}
}

// Protect sets the prefixes that are never blocked: the device's own addresses
// and networks, gateway, resolvers, allowlist. They pass in the kernel too,
// since a wide block may cover them. It returns what the kernel must change;
// blocks that protection overtakes are forgotten.
func (l *List) Protect(prefixes []netip.Prefix, now time.Time) tocsin.Change {
	next := make([]netip.Prefix, 0, len(prefixes))
	for _, p := range prefixes {
		if p.IsValid() {
			next = append(next, p.Masked())
		}
	}
	slices.SortFunc(next, netip.Prefix.Compare)
	next = slices.Compact(next)

	var c tocsin.Change
	until := now.AddDate(10, 0, 0)
	for _, p := range l.protect {
		if _, found := slices.BinarySearchFunc(next, p, netip.Prefix.Compare); !found {
			c.Remove = append(c.Remove, tocsin.Rule{Prefix: p, Action: tocsin.Pass, Until: until})
			if r, ok := l.passes.rows[keyOf(p)]; ok && r.live(now) {
				c.Add = append(c.Add, r.rule(keyOf(p), tocsin.Pass))
			}
		}
	}
	for _, p := range next {
		if !slices.Contains(l.protect, p) {
			c.Add = append(c.Add, tocsin.Rule{Prefix: p, Action: tocsin.Pass, Until: until})
		}
	}
	l.protect = next
	for k, r := range l.blocks.rows {
		if l.Protected(k.prefix()) {
			l.forget(&l.blocks, k)
			c.Remove = append(c.Remove, r.rule(k, tocsin.Block))
		}
	}
	return c
}

// Protected reports whether all of p lies inside a protected prefix.
func (l *List) Protected(p netip.Prefix) bool {
	return slices.ContainsFunc(l.protect, func(q netip.Prefix) bool {
		return q.Bits() <= p.Bits() && q.Overlaps(p)
	})
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// isPrivate reports whether p is in a range that is not routed on the internet:
// RFC 1918, RFC 4193, link-local, loopback, and the addresses behind a
// provider's translation (RFC 6598), which private networks over the internet
// use, too.
func isPrivate(p netip.Prefix) bool {
	a := p.Addr()
	return sharedSpace.Contains(a) || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
}
