package detect

import (
	"math/bits"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

const daySpan = 24 * time.Hour

// sprayed is what is remembered of one account: which sources failed on it, one
// bit for each in four quarters of the window. Two sources may share a bit, so
// the count is a lower bound, and the window is between three and four quarters
// of what the policy says: a spray told is a spray.
type sprayed struct {
	start   uint32 // of the newest quarter
	told    uint32 // when the fact was last told
	quarter [4][4]uint64
	local   bool // some of it could have been forged on this device
}

// rumour is what is remembered of an account that only one source tried.
// Attackers invent names by the million: those must not push out the accounts
// that many try, so an account takes room among them from its second source on.
type rumour struct {
	source uint64
	at     uint32
	local  bool
}

// rumours is how many rumours are remembered for each sprayed account.
const rumours = 8

// spread counts the source against its account, and returns how many sources
// failed on it, or 0 if they are too few to be a spray. The fact is told once a
// day for each account.
func (d *Detector) spread(o *observed, r *Result) (crowd int, forged bool) {
	limit := d.limits.spray
	if limit.within == 0 || o.tag&nameless != 0 {
		return 0, false
	}
	a := d.sprayed.See(o.hash)
	if a == nil {
		first := d.rumours.Touch(o.hash)
		if first.at == 0 || first.source == o.key || !within(first.at, o.at, limit.within) {
			*first = rumour{o.key, o.at, o.local()}
			return 0, false
		}
		a = d.sprayed.Touch(o.hash)
		*a = sprayed{start: first.at, local: first.local}
		a.mark(d.bit(first.source))
		d.rumours.Delete(o.hash)
	}
	if !a.turn(o, limit.within/4) {
		return 0, false
	}
	a.local = a.local || o.local()
	a.mark(d.bit(o.key))
	n := a.sources()
	if n < limit.count {
		return 0, false
	}
	if !within(a.told, o.at, span(daySpan)) {
		a.told = o.at
		r.Facts = r.Facts.With(tocsin.Spray)
	}
	return n, a.local
}

// bit is the source's place in the counters: keyed, so that nobody can choose
// sources that count as one.
func (d *Detector) bit(source uint64) uint64 { return d.policy.Seed.Hash(source) }

func (a *sprayed) mark(bit uint64) { a.quarter[0][bit>>6&3] |= 1 << (bit & 63) }

// turn moves the quarters on to the time of o and reports whether o falls into
// them. A line a little out of order counts in the newest one. Quarters that lie
// far ahead of a live line come from a clock that was wrong.
func (a *sprayed) turn(o *observed, length uint32) bool {
	ahead := a.start > o.at && a.start-o.at >= 4*length
	if ahead && !o.live {
		return false
	}
	if ahead || o.at > a.start && o.at-a.start >= 4*length {
		*a = sprayed{start: o.at, told: a.told}
		if ahead {
			a.told = 0
		}
	}
	for o.at > a.start && o.at-a.start >= length {
		copy(a.quarter[1:], a.quarter[:3])
		a.quarter[0] = [4]uint64{}
		a.start += length
	}
	return true
}

func (a *sprayed) sources() (n int) {
	for i := range 4 {
		n += bits.OnesCount64(a.quarter[0][i] | a.quarter[1][i] | a.quarter[2][i] | a.quarter[3][i])
	}
	return n
}

// sprayVerdict decides sooner about a source that tries what many try. One
// failure is enough on an account that does not exist and that no person would
// type by habit; two guesses, not two typing errors, on one of the names that
// everybody knows; an account that exists gets no shorter limit, nor does a
// source that got in within the week: nobody innocent is blocked for it.
func (d *Detector) sprayVerdict(all *window.Recent, o *observed, crowd int, forged bool) verdict {
	switch {
	case crowd == 0, o.tag&(public|unknown) == 0:
		return verdict{}
	case o.tag&public != 0 && d.bursts(all, o) < 2:
		return verdict{}
	case d.trusted(o): // last, for it looks into another table
		return verdict{}
	}
	return verdict{decided: true, rule: bySpray, count: crowd, local: forged}
}

// bursts counts how often, within a day, the source came for this account.
func (d *Detector) bursts(all *window.Recent, o *observed) (n int) {
	list := window.Since(all.Events(), o.at, span(daySpan))
	for i, e := range list {
		if same(e.Tag, o.tag) && d.limits.opensBurst(list[i:]) {
			n++
		}
	}
	return n
}
