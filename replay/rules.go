package replay

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A pushed change is on its way to the devices.
type pushed struct {
	at time.Time // when they enforce it
	fleet.Scoped
}

// A scope is what the lists of an owner, or of everybody, hold: the end of each
// rule.
type scope map[place]time.Time

type place struct {
	prefix netip.Prefix
	action tocsin.Action
}

// end returns when a rule ends at the devices: lists hold ends in steps.
func end(r tocsin.Rule, created time.Time) time.Time {
	class := ruleset.Short
	if r.Until.Sub(created) > class.Max() {
		class = ruleset.Long
	}
	step := int64(class.Step() / time.Second)
	at := r.Until.Unix()
	if r.Until.Nanosecond() > 0 {
		at++
	}
	return time.Unix((at+step-1)/step*step, 0).UTC()
}

// deliver has the devices enforce a change.
func (p *Player) deliver(c fleet.Scoped) {
	s := p.rules[c.Owner]
	if s == nil {
		s = scope{}
		p.rules[c.Owner] = s
	}
	touched := make([]place, 0, len(c.Add)+len(c.Remove))
	for _, r := range c.Remove {
		touched = append(touched, place{r.Prefix, r.Action})
		delete(s, place{r.Prefix, r.Action})
	}
	for _, r := range c.Add {
		touched = append(touched, place{r.Prefix, r.Action})
		s[place{r.Prefix, r.Action}] = end(r, p.now.Add(-push))
	}
	if c.Owner != fleet.Everybody {
		if o := p.owners[c.Owner]; o != nil {
			p.enforce(o, p.union(o.id, touched))
		}
		return
	}
	for _, o := range p.order {
		p.enforce(o, p.union(o.id, touched))
	}
}

// union returns what places come to at the devices of an owner, which follow
// everybody's lists and the owner's: the later end counts.
func (p *Player) union(id tocsin.OwnerID, places []place) (c tocsin.Change) {
	c.Add = make([]tocsin.Rule, 0, len(places))
	for _, at := range places {
		r := tocsin.Rule{Prefix: at.prefix, Action: at.action, Until: p.rules[id][at]}
		if other := p.rules[fleet.Everybody][at]; other.After(r.Until) {
			r.Until = other
		}
		if r.Until.After(p.now) {
			c.Add = append(c.Add, r)
		} else {
			c.Remove = append(c.Remove, r)
		}
	}
	return c
}

// inForce returns all that binds the devices of an owner.
func (p *Player) inForce(id tocsin.OwnerID) tocsin.Change {
	all := map[place]bool{}
	for _, o := range []tocsin.OwnerID{id, fleet.Everybody} {
		for at, until := range p.rules[o] {
			if until.After(p.now) {
				all[at] = true
			}
		}
	}
	return p.union(id, slices.SortedFunc(maps.Keys(all), func(a, b place) int {
		if c := a.prefix.Compare(b.prefix); c != 0 {
			return c
		}
		return int(a.action) - int(b.action)
	}))
}

// enforce has the devices of one owner take a change. What a device does not
// enforce, since somebody who belongs there came from it, the hub hears.
func (p *Player) enforce(o *owner, c tocsin.Change) {
	effects := 0
	for _, d := range o.devices {
		d.forget(p.now)
		_, lost := d.watch.Enforce(c, p.now)
		for _, prefix := range lost {
			effects += p.apply(tocsin.Event{Loss: &tocsin.Loss{
				Device: d.id, Owner: o.id, Network: o.network(), From: o.address(), Enrolled: p.start.Add(-known), Prefix: prefix,
			}})
		}
		for _, r := range c.Add {
			if r.Action == tocsin.Block && !slices.Contains(lost, r.Prefix) {
				p.markBlocked(r.Prefix)
			}
		}
	}
	if effects > 0 {
		p.publish()
	}
}

func (p *Player) markBlocked(prefix netip.Prefix) {
	if key, ok := window.Key(prefix.Addr()); ok && prefix == window.Prefix(key) {
		if s := p.sources[key]; s != nil {
			s.blocked = true
		}
	}
}

// prune forgets, each hour of the trace, rules that have ended.
func (p *Player) prune() {
	if p.now.Sub(p.tidied) < time.Hour {
		return
	}
	p.tidied = p.now
	for _, s := range p.rules {
		maps.DeleteFunc(s, func(_ place, until time.Time) bool { return !until.After(p.now) })
	}
}
