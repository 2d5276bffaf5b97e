package detect

import (
	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// success is remembered of one account that got in from one source, and of the
// source: only if it excuses.
type success struct {
	at      uint32 // the last that excuses
	seen    uint32 // the last by who was excused within the week before, whoever else guessed from there since
	excused uint16 // failures it has excused since
	local   bool   // could have been forged on this device
}

// pair is the key of a source and an account in the table of successes. It must
// be found from a remembered failure, so it rests on the tag's hash alone.
func (d *Detector) pair(source uint64, t tag) uint64 {
	return d.policy.Seed.Hash2(source, uint64(t&^flags))
}

func (d *Detector) success(o *observed) (facts tocsin.FactSet) {
	s := d.sources.Get(o.key)
	blocked := o.blocked() || !o.live && s != nil && s.blockEnd > o.at
	if blocked {
		facts = facts.With(tocsin.SuccessFromBlocked)
	}
	if o.guest {
		return facts // lets anybody in: proves nothing, and compromises nobody
	}
	own, others := d.unexcused(s, o)
	if others > 0 || d.policy.Suspicious > 0 && own >= d.policy.Suspicious {
		facts = facts.With(tocsin.SuccessAfterFailures)
	}
	switch {
	case blocked || o.Provenance == tocsin.Network:
	case others == 0:
		d.remember(o)
	default:
		d.stillHere(o)
	}
	return facts
}

// unexcused counts the source's failures on this account within a day, and
// within a week those on other accounts that did not themselves get in from
// there. A failure without an account is held against nobody.
func (d *Detector) unexcused(s *source, o *observed) (own, others int) {
	if s == nil {
		return 0, 0
	}
	for _, e := range s.failures.Events() {
		switch {
		case e.Tag&nameless != 0 || e.At > o.at || o.at-e.At >= weekSeconds:
		case same(e.Tag, o.tag):
			if o.at-e.At < span(daySpan) {
				own++
			}
		case !d.gotIn(o, e):
			others++
		}
	}
	return own, others
}

func (d *Detector) gotIn(o *observed, e window.Event) bool {
	s := d.successes.Get(d.pair(o.key, e.Tag))
	return s != nil && within(s.at, o.at, weekSeconds) && (!s.local || e.Tag&local != 0)
}

// somebody stands, in the table of successes, for all accounts of a source: it
// is no tag. It lies there and not with the source, because there only those who
// got in push one another out, and not a flood of attackers the owner.
const somebody = 1 << 32

// trusted reports whether the source got in as somebody within the last week, as
// far as o may rely on it: what a forged line vouches for excuses only what
// could be forged as well.
func (d *Detector) trusted(o *observed) bool {
	s := d.successes.See(d.policy.Seed.Hash2(o.key, somebody))
	return s != nil && within(s.at, o.at, weekSeconds) && (!s.local || o.local())
}

// stillHere notes that an account goes on getting in from where it belonged before
// somebody guessed from there: it excuses nothing, but tells a shared address.
func (d *Detector) stillHere(o *observed) {
	s := d.successes.Get(d.pair(o.key, o.tag))
	if s == nil || !within(s.seen, o.at, weekSeconds) || o.local() && !s.local {
		return
	}
	s.seen = max(s.seen, o.at)
	if all := d.successes.See(d.policy.Seed.Hash2(o.key, somebody)); all != nil {
		all.seen = max(all.seen, o.at)
	}
}

// mayBeShared reports whether somebody who belongs here still comes from the
// source.
func (d *Detector) mayBeShared(o *observed) bool {
	s := d.successes.Get(d.policy.Seed.Hash2(o.key, somebody))
	return s != nil && within(s.seen, o.at, weekSeconds) && (!s.local || o.local())
}

// remember notes a success and forgets the mistyping just before it.
func (d *Detector) remember(o *observed) {
	if s := d.sources.See(o.key); s != nil {
		s.failures.Drop(func(e window.Event) bool {
			return same(e.Tag, o.tag) && e.Tag&nameless == 0 && e.At <= o.at && o.at-e.At < d.limits.sitting &&
				(!o.local() || e.Tag&local != 0)
		})
		s.runs = 0
	}
	d.successes.Touch(d.pair(o.key, o.tag)).renew(o)
	d.successes.Touch(d.policy.Seed.Hash2(o.key, somebody)).renew(o)
}

// renew makes o the last success, unless what is known is later or firmer.
func (s *success) renew(o *observed) {
	if s.at <= o.at && (!o.local() || s.local || !within(s.at, o.at, weekSeconds)) {
		*s = success{at: o.at, seen: o.at, local: o.local()}
	}
}
