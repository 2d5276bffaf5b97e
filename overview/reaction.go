package overview

import (
	"net/netip"
	"slices"
	"time"
)

// mostReactions bounds what is remembered of them; the newest stay.
const mostReactions = 1000

// A Reaction is how long it took from the first sighting of a source until every
// connected device dropped it.
type Reaction struct {
	Prefix     netip.Prefix `json:"prefix"`
	First      time.Time    `json:"first_sighting"`
	Everywhere time.Time    `json:"everywhere"`
	Spread     float64      `json:"spread_seconds"` // of that, from the decision on; 0 is not known
}

// Took is the time between.
func (r Reaction) Took() time.Duration { return max(0, r.Everywhere.Sub(r.First)) }

// Reacted notes one. The first sighting of what was never seen is not known: a block
// that a person ordered beforehand is no reaction. Spread is how long it took from the
// decision on.
func (l *Ledger) Reacted(p netip.Prefix, at time.Time, spread time.Duration) (Reaction, bool) {
	x := l.sources.all[p]
	if x == nil {
		return Reaction{}, false
	}
	return l.React(Reaction{Prefix: p, First: clock(x.first), Everywhere: at, Spread: spread.Seconds()})
}

// React notes a reaction that was measured before, as by the hub before a restart.
// Each source counts once: later blocks of it only renew the first.
func (l *Ledger) React(r Reaction) (Reaction, bool) {
	if slices.ContainsFunc(l.reacted, func(old Reaction) bool { return old.Prefix == r.Prefix }) {
		return Reaction{}, false
	}
	if len(l.reacted) >= mostReactions {
		l.reacted = slices.Delete(l.reacted, 0, len(l.reacted)-mostReactions+1)
	}
	l.reacted = append(l.reacted, r)
	return r, true
}

// Reactions returns those of the last week, oldest first.
func (l *Ledger) Reactions(now time.Time) []Reaction {
	list := []Reaction{}
	for _, r := range l.reacted {
		if now.Sub(r.Everywhere) < Week {
			list = append(list, r)
		}
	}
	return list
}
