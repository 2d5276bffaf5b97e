package quorum

import (
	"time"

	"github.com/tocsin-io/tocsin"
)

// atAll takes o into what all know, and rules for everybody.
func (t *Tally) atAll(o *observed, rulings []Ruling) []Ruling {
	if o.benign {
		return t.vouch(o, rulings)
	}
	if !o.live {
		return rulings
	}
	if o.honeypot() {
		s := t.sources.Touch(o.key)
		s.honeypot, s.keeper = max(s.honeypot, o.last), o.owner
		return t.agree(o, s, rulings)
	}
	if o.owner == 0 {
		return rulings
	}
	if o.points > 0 || o.strong {
		return t.blame(o, rulings)
	}
	if s := t.sources.Get(o.key); s != nil && o.Dropped > 0 && s.end != 0 && o.now < s.end+fresh {
		return t.agree(o, s, rulings)
	}
	return rulings
}

// blame enters a witness against the source.
func (t *Tally) blame(o *observed, rulings []Ruling) []Ruling {
	if t.trust(o.owner, enrolledSeconds(o.Enrolled), o.now) == 0 {
		return rulings
	}
	s := t.sources.Touch(o.key)
	mark := uint8(0)
	if o.local {
		mark = forged
	}
	w := t.testify(o, &s.panel, mark)
	if w == nil {
		return rulings
	}
	if o.points > 0 {
		w.add(o.points, o.last)
	}
	if o.strong && !o.person {
		w.fill(t.policy.Full, o.last)
	}
	return t.agree(o, s, rulings)
}

func enrolledSeconds(at time.Time) uint32 {
	if at.IsZero() {
		return 0
	}
	return seconds(at)
}

// judgement says whether a panel suffices, its owner without left out.
func (t *Tally) judgement(s *source, now, without uint32) (score, rule) {
	sc := t.weigh(&s.panel, now, without)
	if t.enough(sc) {
		return sc, byWitness
	}
	if within(s.honeypot, now, weekSeconds) {
		// The honeypot is a whole witness of its own, and no owner's share.
		if other := t.weigh(&s.panel, now, s.keeper); without != s.keeper && other.owners > 0 && other.sum+1000 >= t.policy.Threshold {
			return other, byHoneypot
		}
	}
	return sc, 0
}

// agree rules for everybody if the witnesses suffice.
func (t *Tally) agree(o *observed, s *source, rulings []Ruling) []Ruling {
	if peace(s.start, s.end, o.now) {
		return rulings
	}
	sc, by := t.judgement(s, o.now, 0)
	if by == 0 {
		return rulings
	}
	f := t.friends.Get(o.key)
	if f != nil && t.protected(f, o.now) {
		t.refuteAll(s)
		return rulings
	}
	length := t.policy.Short
	if !o.short {
		if !within(s.end, o.now, weekSeconds) {
			s.strikes = 0
		}
		length = t.length(t.policy.Fleet, &s.strikes, s.end, o.now)
	}
	if length < time.Second {
		return rulings
	}
	s.start, s.end = o.now, o.now+span(length)
	s.by, s.owners, s.networks, s.score = by, uint8(sc.owners), uint8(sc.networks), uint16(min(sc.sum, 1<<16-1))
	t.confirmAll(s, o.now)
	rulings = append(rulings, o.ruling("", tocsin.Block, length, s.reason()))
	if f != nil {
		rulings = t.passFriends(o, s, f, rulings)
	}
	return rulings
}

// confirmAll credits, once each, the owners that the others do not need.
func (t *Tally) confirmAll(s *source, now uint32) {
	for i := range s.panel {
		w := &s.panel[i]
		if w.owner == 0 || w.marks&confirmed != 0 || !within(w.last, now, weekSeconds) {
			continue
		}
		hub := within(s.honeypot, now, weekSeconds) && s.keeper != w.owner
		if _, by := t.judgement(s, now, w.owner); hub || by != 0 {
			w.marks |= confirmed
			t.confirm(w.owner)
		}
	}
}

// refuteAll halves, once for each report, the standing of those who blamed a
// source that belongs. What a honeypot saw itself refutes nobody.
func (t *Tally) refuteAll(s *source) {
	if s.honeypot != 0 {
		return
	}
	for i := range s.panel {
		w := &s.panel[i]
		if w.owner != 0 && w.marks&refuted == 0 {
			w.marks |= refuted
			t.refute(w.owner)
		}
	}
}
