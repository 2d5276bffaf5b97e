package detect

import (
	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

func (d *Detector) failure(o *observed) Result {
	if o.Provenance == tocsin.Network {
		return Result{} // anybody can forge a datagram, and so frame somebody else
	}
	if d.excuse(o) {
		return Result{}
	}
	var r Result
	s := d.sources.Touch(o.key)
	if o.live {
		s.dropFuture(o.at, d.limits.sitting)
	}
	all := s.failures.With(window.Event{At: o.at, Tag: o.tag})
	s.failures = all.Ring()
	v := d.judge(s, &all, o)
	crowd, forged := d.spread(o, &r)
	if !v.decided {
		v = d.sprayVerdict(&all, o, crowd, forged)
	}
	if o.instant {
		r.Facts = r.Facts.With(tocsin.InstantAccount)
		if !v.decided && !d.trusted(o) {
			v = verdict{decided: true, rule: byInstant, count: 1, local: o.local()}
		}
	}
	if v.decided && o.live {
		d.decide(s, o, v, &all, &r)
	}
	if crowd > 0 && r.Decided {
		r.Facts = r.Facts.With(tocsin.Spray)
	}
	return r
}

// excuse reports whether a success of this very account excuses the failure: a
// phone that still has the old password.
func (d *Detector) excuse(o *observed) bool {
	if o.tag&(nameless|unknown) != 0 || d.successes.Len() == 0 {
		return false
	}
	s := d.successes.See(d.pair(o.key, o.tag))
	if s == nil || s.local && !o.local() || o.blocked() {
		return false
	}
	if o.at < s.at { // told late: the mistyping just before it
		return s.at-o.at < d.limits.sitting
	}
	if o.at-s.at >= weekSeconds || int(s.excused) >= d.policy.Excused {
		return false
	}
	s.excused++
	return true
}

// dropFuture forgets failures that lie well ahead of a live one. They come from
// a clock that was wrong or a forged line, and would hide what happens now.
func (s *source) dropFuture(at, slack uint32) {
	if newest := s.failures[0].At; newest > at && newest-at > slack {
		s.failures.Drop(func(e window.Event) bool { return e.At > at && e.At-at > slack })
	}
}
