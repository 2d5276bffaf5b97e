package watch

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// fleetReason is what a rule of the fleet shows: the hub knows the reasons.
const fleetReason tocsin.Reason = "the fleet decided: tocsin rules explain tells why"

// Enforce takes what the hub's lists changed. It returns what the kernel must
// change, and the prefixes that are not blocked although the fleet says so,
// because somebody who belongs here logged in from there: the hub must hear of
// those. A rule of the fleet never wins over an order of a person here.
func (w *Watch) Enforce(c tocsin.Change, at time.Time) (kernel tocsin.Change, lost []netip.Prefix) {
	for _, r := range c.Remove {
		end, _ := w.list.End(r.Prefix, r.Action, tocsin.ByFleet, at)
		kernel = join(kernel, end)
	}
	for _, r := range c.Add {
		d := tocsin.Decision{Prefix: r.Prefix, Action: r.Action, At: at, Until: r.Until, Origin: tocsin.ByFleet, Reason: fleetReason}
		switch {
		case r.Action == tocsin.Pass && !w.orderedBlock(r.Prefix, at):
			lifted, _ := w.Unblock(d)
			kernel = join(kernel, lifted)
		case r.Action == tocsin.Block && w.welcome.inside(r.Prefix, at):
			lost = append(lost, r.Prefix)
		case r.Action == tocsin.Block:
			added, _ := w.list.Decide(d, at)
			kernel = join(kernel, added)
		}
	}
	return kernel, lost
}

func join(a, b tocsin.Change) tocsin.Change {
	return tocsin.Change{Add: append(a.Add, b.Add...), Remove: append(a.Remove, b.Remove...)}
}

// orderedBlock reports whether a person here had p blocked.
func (w *Watch) orderedBlock(p netip.Prefix, at time.Time) bool {
	e, ok := w.list.Lookup(p.Addr(), at)
	return ok && e.Action == tocsin.Block && slices.Contains(e.Origins, tocsin.ByOperator)
}

// Bounds of who is welcome: the newest sources that somebody logged in from.
const (
	maxWelcome  = 64
	welcomeSpan = 7 * 24 * time.Hour
)

// A welcome remembers where people last logged in from, as far as nothing speaks
// against them. Only lines that could not be forged count.
type welcome struct {
	last   map[netip.Prefix]time.Time
	guests map[string]bool
}

// note remembers the source of a log-in, or forgets one that turned out to be an
// attacker.
func (w *welcome) note(a tocsin.Attempt, facts tocsin.FactSet, decided bool) {
	if a.Outcome != tocsin.Success && !decided {
		return
	}
	p := tocsin.SourcePrefix(a.Source.Addr())
	if decided || facts.Has(tocsin.SuccessAfterFailures) || facts.Has(tocsin.SuccessFromBlocked) {
		delete(w.last, p)
		return
	}
	if a.Provenance != tocsin.Attested || a.Tentative || a.Account == "" || w.guests[a.Account] {
		return
	}
	if _, known := w.last[p]; !known && len(w.last) >= maxWelcome {
		var oldest netip.Prefix
		for q, t := range w.last {
			if !oldest.IsValid() || t.Before(w.last[oldest]) {
				oldest = q
			}
		}
		delete(w.last, oldest)
	}
	w.last[p] = a.At
}

// inside reports whether somebody who belongs here logged in from p.
func (w *welcome) inside(p netip.Prefix, at time.Time) bool {
	for q, t := range w.last {
		if p.Overlaps(q) && at.Sub(t) < welcomeSpan {
			return true
		}
	}
	return false
}

// Welcome returns the sources that somebody who belongs here last logged in
// from, and when: to be remembered over a restart.
func (w *Watch) Welcome() map[netip.Prefix]time.Time { return maps.Clone(w.welcome.last) }

// SetWelcome takes what Welcome returned.
func (w *Watch) SetWelcome(last map[netip.Prefix]time.Time) {
	clear(w.welcome.last)
	for p, t := range last {
		if len(w.welcome.last) < maxWelcome {
			w.welcome.last[p] = t
		}
	}
}

// newWelcome returns an empty memory; guests are accounts whose log-in proves
// nothing.
func newWelcome(guests []string) welcome {
	w := welcome{last: make(map[netip.Prefix]time.Time), guests: make(map[string]bool)}
	for _, g := range guests {
		w.guests[g] = true
	}
	return w
}
