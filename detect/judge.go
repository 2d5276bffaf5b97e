package detect

import "github.com/tocsin-io/tocsin/internal/window"

// A rule is what a decision was taken by.
type rule uint8

const (
	byFailures rule = iota
	byGuesses
	byProbes
	bySpray
	byInstant
)

// A verdict is a rule's answer.
type verdict struct {
	decided bool
	rule    rule
	count   int
	span    uint32 // seconds that the count is spread over
	local   bool   // rests on lines that could have been forged on this device
}

// limits are the policy's in seconds.
type limits struct {
	fast, day, week, personFast, personDay, probes, spray limit

	least   int    // failures below which no limit can be reached
	sitting uint32 // what comes closer together is one sitting of one person
}

// defaultSitting is the sitting of a policy without a fast limit, in seconds.
const defaultSitting = 600

type limit struct {
	count  int
	within uint32 // 0 is off
}

func newLimits(p Policy) limits {
	cut := func(l Limit, most int) limit {
		if !l.on() {
			return limit{}
		}
		return limit{min(l.Count, most), span(min(l.Within, MaxMemory))}
	}
	l := limits{
		fast: cut(p.Fast, MaxCount), day: cut(p.Day, MaxCount), week: cut(p.Weekly, MaxCount),
		personFast: cut(p.PersonFast, MaxCount), personDay: cut(p.PersonDay, 1<<15),
		probes: cut(p.Probes, 1<<15), spray: cut(p.Spray, MaxSpray),
		least: MaxCount + 1, sitting: defaultSitting,
	}
	if l.fast.within > 0 {
		l.sitting = l.fast.within
	}
	for _, one := range []limit{l.fast, l.day, l.week, l.personFast} {
		if one.within > 0 {
			l.least = min(l.least, one.count)
		}
	}
	return l
}

// judge weighs the failures of a source. Lines that nobody could forge are
// weighed alone first: one forged line among them must not soften the decision.
func (d *Detector) judge(s *source, all *window.Recent, o *observed) verdict {
	list := all.Events()
	runs := 0
	if person(list, o.at) {
		runs = count(&s.runs, &s.runStart, o.at, d.limits.personDay.within)
	}
	if len(list) < d.limits.least && runs < d.limits.personDay.count {
		return verdict{}
	}
	if !forgeable(list) {
		return d.limits.weigh(list, o.at, runs)
	}
	if !o.local() {
		var firm window.Recent
		n := 0
		for _, e := range list {
			if e.Tag&local == 0 {
				firm[n] = e
				n++
			}
		}
		// Who is a person by the firm lines stays one, whatever somebody forged.
		firmRuns := 0
		if person(firm[:n], o.at) {
			firmRuns = n
		}
		if v := d.limits.weigh(firm[:n], o.at, firmRuns); v.decided {
			return v
		}
	}
	v := d.limits.weigh(list, o.at, runs)
	v.local = v.decided
	return v
}

func forgeable(list []window.Event) bool {
	for _, e := range list {
		if e.Tag&local != 0 {
			return true
		}
	}
	return false
}

// weigh applies the limits to failures, newest first. Runs is how often a person
// failed within a day, 0 for who is none.
func (l *limits) weigh(list []window.Event, at uint32, runs int) verdict {
	if runs > 0 {
		if l.personDay.within > 0 && runs >= l.personDay.count {
			return verdict{decided: true, count: runs, span: l.personDay.within}
		}
		return l.personFast.reached(list, at)
	}
	if v := l.fast.reached(list, at); v.decided {
		return v
	}
	if v := l.day.reached(list, at); v.decided {
		return v
	}
	return l.guessed(list, at)
}

func (l limit) reached(list []window.Event, at uint32) verdict {
	if l.within == 0 {
		return verdict{}
	}
	young := window.Since(list, at, l.within)
	if len(young) < l.count {
		return verdict{}
	}
	return verdict{decided: true, count: len(young), span: spread(young)}
}

func spread(list []window.Event) uint32 { return list[0].At - list[len(list)-1].At }

// person reports whether a week's failures all concern one account that exists
// and is on no public list: somebody's own.
func person(list []window.Event, at uint32) bool {
	list = window.Since(list, at, weekSeconds)
	for _, e := range list {
		if e.Tag&(unknown|public|nameless) != 0 || !same(e.Tag, list[0].Tag) {
			return false
		}
	}
	return true
}

// guessed applies the weekly limit. The owner of a box may call himself admin
// and mistype it four times, or try three names of his in one sitting: a burst
// on one account is one guess, and guesses within one sitting are left to the
// limits for that.
func (l *limits) guessed(list []window.Event, at uint32) verdict {
	list = window.Since(list, at, l.week.within)
	if l.week.within == 0 || len(list) < l.week.count {
		return verdict{}
	}
	own := ownTag(list)
	n := 0
	for i, e := range list {
		if e.Tag&nameless == 0 && !(own != 0 && same(e.Tag, own)) && l.opensBurst(list[i:]) {
			n++
		}
	}
	if n < l.week.count || spread(list) < l.sitting {
		return verdict{}
	}
	return verdict{decided: true, rule: byGuesses, count: n, span: spread(list)}
}

// ownTag returns the first account tried that could be the source's own, or 0.
func ownTag(list []window.Event) tag {
	for i := len(list) - 1; i >= 0; i-- {
		if t := list[i].Tag; t&(unknown|public|nameless) == 0 {
			return t
		}
	}
	return 0
}

// opensBurst reports whether the first of list is not the continuation of an
// older failure on the same account.
func (l *limits) opensBurst(list []window.Event) bool {
	for _, older := range list[1:] {
		if list[0].At-older.At >= l.sitting {
			return true
		}
		if same(list[0].Tag, older.Tag) {
			return false
		}
	}
	return true
}
