package hub

import (
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
)

// A budget paces what devices take as growth: an honest frame must never be
// beyond it.
type budget struct {
	spent []spending
}

type spending struct {
	at time.Time
	n  int
}

// What the lists of everybody and of one owner may grow by within the time that a
// device looks back, an hour in slots of five minutes: together less than it
// takes. What is left is for passes, which nothing puts off.
const (
	growthFleet = 3800
	growthOwner = 900
	growthSpan  = 70 * time.Minute
)

// isNew reports whether a rule would be growth at a device that follows the
// lists of its owner.
func (p *publisher) isNew(owner tocsin.OwnerID, r tocsin.Rule, now time.Time) bool {
	for _, ref := range bothOf(owner) {
		if one := p.lists[ref]; one != nil && one.list.Has(r.Prefix, r.Action, now) {
			return false
		}
	}
	return true
}

// afford returns the additions that may be published now; the rest is found
// missing at the next comparison. Passes are: somebody is locked out. A hub
// that starts lists anew has no bound: what it says devices had before.
func (p *publisher) afford(owner tocsin.OwnerID, add []tocsin.Rule, now time.Time) []tocsin.Rule {
	first := !p.begun
	for _, ref := range bothOf(owner) {
		first = first && (p.lists[ref] == nil || p.lists[ref].list.Position().Serial <= 1)
	}
	most := growthFleet
	if owner != fleet.Everybody {
		most = growthOwner
	}
	b := p.budget[owner]
	if b == nil {
		b = new(budget)
		p.budget[owner] = b
	}
	b.spent = slices.DeleteFunc(b.spent, func(s spending) bool { return now.Sub(s.at).Abs() >= growthSpan })
	left := most
	for _, s := range b.spent {
		left -= s.n
	}
	var paid []tocsin.Rule
	grown := 0
	for _, r := range add {
		if p.isNew(owner, r, now) {
			if !first && grown >= left && r.Action == tocsin.Block {
				continue
			}
			grown++
		}
		paid = append(paid, r)
	}
	switch {
	case grown > 0:
		b.spent = append(b.spent, spending{now, grown})
	case len(b.spent) == 0:
		delete(p.budget, owner)
	}
	return paid
}
