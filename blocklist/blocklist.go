// Package blocklist knows who is blocked or passed, by whom, until when, and
// who wins. A [List] is the only mirror of what the kernel enforces: whoever
// owns it turns every decision into the smallest [tocsin.Change] and never has
// to ask the kernel for its sets.
//
// It is pure: it reads no clock and enforces nothing. Who deserves a block is
// the business of detect and quorum; enforcing is that of package firewall.
package blocklist

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Verdict says what became of a decision.
type Verdict uint8

// The zero Verdict is invalid.
const (
	_        Verdict = iota
	Enforced         // in force, or renewed
	Spared           // the prefix is protected: reported, not blocked
	Passed           // a pass covers it, and a pass wins
	Full             // the origin holds as many rules as it may
	Ended            // it was over before it came
)

// String returns the word for a person.
func (v Verdict) String() string {
	switch v {
	case Enforced:
		return "enforced"
	case Spared:
		return "spared: protected address"
	case Passed:
		return "spared: a pass wins"
	case Full:
		return "not enforced: too many rules"
	case Ended:
		return "not enforced: over already"
	}
	return "invalid"
}

// Limits bound how many blocks and passes each origin may hold. An attacker
// chooses how many sources the device decides about.
type Limits struct{ Device, Fleet, Operator, Passes int }

// DefaultLimits suits a device with 512 MiB of memory: 100,000 rules take about
// 8 MB here and 10 MB in the kernel.
var DefaultLimits = Limits{Device: 50_000, Fleet: 1 << 20, Operator: 10_000, Passes: 1_000}

// A List is who is blocked or passed. It is not safe for concurrent use: one
// loop owns it.
type List struct {
	limits  Limits
	private bool // whether private and link-local sources may be blocked
	protect []netip.Prefix
	blocks  table
	passes  table
	reasons map[key]tocsin.Reason // of decisions by device and operator
	due     map[int64][]key       // minute of the end → prefixes to look at
	next    int64                 // the first minute in due; 0 if there is none
	count   [origins]int          // blocks in force, by origin
}

const origins = 4 // tocsin.ByOperator + 1

// New returns an empty List. Unless private is set, private and link-local
// prefixes are spared.
func New(limits Limits, private bool) *List {
	return &List{
		limits:  limits,
		private: private,
		blocks:  newTable(),
		passes:  newTable(),
		reasons: make(map[key]tocsin.Reason),
		due:     make(map[int64][]key),
	}
}

// Len returns how many blocks and passes are held, those just ended included.
func (l *List) Len() (blocks, passes int) { return len(l.blocks.rows), len(l.passes.rows) }

// Decide takes d and returns what the kernel must change, and what became of d.
// Equal decisions by the same origin renew each other: the later one stands,
// even when it ends earlier.
func (l *List) Decide(d tocsin.Decision, now time.Time) (tocsin.Change, Verdict) {
	d.Prefix = d.Prefix.Masked()
	k := keyOf(d.Prefix)
	switch {
	case !d.Until.After(now):
		return tocsin.Change{}, Ended
	case d.Action == tocsin.Pass:
		return l.pass(k, d, now)
	}
	if l.Protected(d.Prefix) || d.Origin != tocsin.ByOperator && !l.private && isPrivate(d.Prefix) {
		return tocsin.Change{}, Spared
	}
	if _, ok := l.passes.covering(d.Prefix, now); ok {
		return tocsin.Change{}, Passed
	}
	return l.block(k, d, now)
}

func (l *List) pass(k key, d tocsin.Decision, now time.Time) (tocsin.Change, Verdict) {
	if !l.passes.has(k) && len(l.passes.rows) >= l.limits.Passes {
		return tocsin.Change{}, Full
	}
	r := l.passes.rows[k]
	r.set(d)
	l.remember(k, &r)
	l.passes.put(k, r)
	l.reasons[k] = d.Reason
	if l.protects(k) {
		return tocsin.Change{}, Enforced // the kernel passes it for longer than this
	}
	return tocsin.Change{Add: []tocsin.Rule{r.rule(k, tocsin.Pass)}}, Enforced
}

// protects reports whether the kernel holds a pass for exactly k because it is
// protected: no shorter pass may take its place there.
func (l *List) protects(k key) bool {
	_, found := slices.BinarySearchFunc(l.protect, k.prefix(), netip.Prefix.Compare)
	return found
}

func (l *List) block(k key, d tocsin.Decision, now time.Time) (tocsin.Change, Verdict) {
	var c tocsin.Change
	r := l.blocks.rows[k]
	if r.until[d.Origin] == 0 {
		if l.count[d.Origin] >= l.limit(d.Origin) {
			victim, ok := l.soonest(d.Origin, now)
			if !ok {
				return tocsin.Change{}, Full
			}
			c = l.drop(&l.blocks, victim, tocsin.Block, d.Origin, now)
		}
		l.count[d.Origin]++
	}
	r.set(d)
	l.remember(k, &r)
	l.blocks.put(k, r)
	if d.Origin != tocsin.ByFleet {
		l.reasons[k] = d.Reason
	}
	c.Add = append(c.Add, r.rule(k, tocsin.Block))
	return c, Enforced
}

// Lift ends every origin's blocks inside d.Prefix and lets it pass until
// d.Until, so that no origin's next decision blocks it again meanwhile. A pass
// that is over already, as after a restart, still ends them: what was lifted
// does not come back.
func (l *List) Lift(d tocsin.Decision, now time.Time) (tocsin.Change, Verdict) {
	d.Action = tocsin.Pass
	d.Prefix = d.Prefix.Masked()
	c, v := l.Decide(d, now)
	if v != Enforced && v != Ended {
		return c, v
	}
	for k, r := range l.blocks.rows {
		p := k.prefix()
		if d.Prefix.Bits() <= p.Bits() && d.Prefix.Overlaps(p) {
			l.forget(&l.blocks, k)
			c.Remove = append(c.Remove, r.rule(k, tocsin.Block))
		}
	}
	return c, v
}

// End takes back what origin decided about exactly p: a block, or a pass.
// ok is false where it had decided nothing.
func (l *List) End(p netip.Prefix, a tocsin.Action, origin tocsin.Origin, now time.Time) (c tocsin.Change, ok bool) {
	t, k := &l.blocks, keyOf(p.Masked())
	if a == tocsin.Pass {
		t = &l.passes
	}
	if t.rows[k].until[origin] == 0 {
		return c, false
	}
	return l.drop(t, k, a, origin, now), true
}

// Expire forgets what has ended by now. The kernel needs no word of it: there,
// each rule ends by its own deadline.
func (l *List) Expire(now time.Time) {
	if l.next == 0 || l.next*60 > now.Unix() {
		return
	}
	for minute, keys := range l.due {
		if minute*60 > now.Unix() {
			continue
		}
		delete(l.due, minute)
		for _, k := range keys {
			if r, ok := l.passes.rows[k]; ok {
				l.expire(&l.passes, k, r, now)
			}
			if r, ok := l.blocks.rows[k]; ok {
				l.expire(&l.blocks, k, r, now)
			}
		}
	}
	l.next = 0
	for minute := range l.due {
		if l.next == 0 || minute < l.next {
			l.next = minute
		}
	}
}

func (l *List) expire(t *table, k key, r row, now time.Time) {
	if !r.live(now) {
		l.forget(t, k)
		return
	}
	for o, until := range r.until {
		if until != 0 && int64(until) <= now.Unix() {
			r.until[o] = 0
			if t == &l.blocks {
				l.count[o]--
			}
		}
	}
	if int64(r.due)*60 <= now.Unix() {
		r.due = 0
		l.remember(k, &r)
	}
	t.put(k, r)
}

// Next returns when Expire has something to do, if ever.
func (l *List) Next() (time.Time, bool) { return time.Unix(l.next*60, 0), l.next != 0 }

// drop ends one origin's word about k and returns what the kernel must change:
// the other origins' words may still stand.
func (l *List) drop(t *table, k key, a tocsin.Action, origin tocsin.Origin, now time.Time) tocsin.Change {
	r := t.rows[k]
	old := r
	r.until[origin] = 0
	if t == &l.blocks {
		l.count[origin]--
	}
	t.put(k, r)
	live := r.live(now)
	if !live {
		l.forget(t, k)
	}
	switch {
	case a == tocsin.Pass && l.protects(k):
		return tocsin.Change{}
	case live:
		return tocsin.Change{Add: []tocsin.Rule{r.rule(k, a)}}
	}
	return tocsin.Change{Remove: []tocsin.Rule{old.rule(k, a)}}
}

func (l *List) forget(t *table, k key) {
	if t == &l.blocks {
		for o, until := range t.rows[k].until {
			if until != 0 {
				l.count[o]--
			}
		}
	}
	t.drop(k)
	if !l.passes.has(k) && !l.blocks.has(k) {
		delete(l.reasons, k)
	}
}

func (l *List) limit(o tocsin.Origin) int {
	switch o {
	case tocsin.ByDevice:
		return l.limits.Device
	case tocsin.ByFleet:
		return l.limits.Fleet
	}
	return l.limits.Operator
}

// soonest returns the block of the device that ends first, to make room: the
// device must go on deciding about whoever attacks now. Fleet and operator do
// not displace their own rules. What made room before is forgotten on the way,
// so that ever new sources neither fill due nor make each search longer.
func (l *List) soonest(o tocsin.Origin, now time.Time) (key, bool) {
	if o != tocsin.ByDevice {
		return key{}, false
	}
	minutes := make([]int64, 0, len(l.due))
	for m := range l.due {
		minutes = append(minutes, m)
	}
	slices.Sort(minutes)
	for _, m := range minutes {
		gone := 0
		for i, k := range l.due[m] {
			if l.blocks.rows[k].until[o] != 0 {
				l.due[m] = l.due[m][gone:]
				return k, true
			}
			if i == gone && !l.blocks.has(k) && !l.passes.has(k) {
				gone++
			}
		}
		if l.due[m] = l.due[m][gone:]; len(l.due[m]) == 0 {
			delete(l.due, m)
		}
	}
	return key{}, false
}

// remember has Expire look at k when r ends. A row renewed to a later end keeps
// its place and is looked at twice, so that renewing costs no memory.
func (l *List) remember(k key, r *row) {
	minute := r.end()/60 + 1
	if r.due != 0 && r.due <= minute {
		return
	}
	r.due = minute
	l.due[int64(minute)] = append(l.due[int64(minute)], k)
	if l.next == 0 || int64(minute) < l.next {
		l.next = int64(minute)
	}
}

// Rules returns what the kernel must hold, most urgent first: protected
// prefixes, passes, then blocks, newest first.
func (l *List) Rules(now time.Time) iter.Seq[tocsin.Rule] {
	return func(yield func(tocsin.Rule) bool) {
		for _, p := range l.protect {
			if !yield(tocsin.Rule{Prefix: p, Action: tocsin.Pass, Until: now.AddDate(10, 0, 0)}) {
				return
			}
		}
		for k, r := range l.passes.rows {
			if r.live(now) && !slices.Contains(l.protect, k.prefix()) && !yield(r.rule(k, tocsin.Pass)) {
				return
			}
		}
		for _, k := range l.blocks.newest(now) {
			if !yield(l.blocks.rows[k].rule(k, tocsin.Block)) {
				return
			}
		}
	}
}
