package watch

import (
	"cmp"
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
	list   []visit // who came longest ago first; short, so that it is looked through
	guests map[string]bool
}

// A visit is the last log-in from a source.
type visit struct {
	from netip.Prefix
	at   time.Time
}

// note remembers the source of a log-in, or forgets one that turned out to be an
// attacker.
func (w *welcome) note(a tocsin.Attempt, facts tocsin.FactSet, decided bool) {
	if a.Outcome != tocsin.Success && !decided {
		return
	}
	p := tocsin.SourcePrefix(a.Source.Addr())
	if decided || facts.Has(tocsin.SuccessAfterFailures) || facts.Has(tocsin.SuccessFromBlocked) {
		w.forget(p)
		return
	}
	if a.Provenance == tocsin.Attested && !a.Tentative && a.Account != "" && !w.guests[a.Account] {
		w.remember(visit{p, a.At})
	}
}

// remember makes v the newest; one too many loses the one that came longest ago.
func (w *welcome) remember(v visit) {
	if !w.forget(v.from) && len(w.list) >= maxWelcome {
		w.list = slices.Delete(w.list, 0, 1)
	}
	w.list = append(w.list, v)
}

// forget reports whether p was remembered.
func (w *welcome) forget(p netip.Prefix) bool {
	i := slices.IndexFunc(w.list, func(v visit) bool { return v.from == p })
	if i >= 0 {
		w.list = slices.Delete(w.list, i, i+1)
	}
	return i >= 0
}

// inside reports whether somebody who belongs here logged in from p.
func (w *welcome) inside(p netip.Prefix, at time.Time) bool {
	return slices.ContainsFunc(w.list, func(v visit) bool { return p.Overlaps(v.from) && at.Sub(v.at) < welcomeSpan })
}

// Welcome returns the sources that somebody who belongs here last logged in
// from, and when: to be remembered over a restart.
func (w *Watch) Welcome() map[netip.Prefix]time.Time {
	last := make(map[netip.Prefix]time.Time, len(w.welcome.list))
	for _, v := range w.welcome.list {
		last[v.from] = v.at
	}
	return last
}

// SetWelcome takes what Welcome returned; of too many the newest.
func (w *Watch) SetWelcome(last map[netip.Prefix]time.Time) {
	w.welcome.list = w.welcome.list[:0]
	for p, at := range last {
		w.welcome.list = append(w.welcome.list, visit{p, at})
	}
	slices.SortFunc(w.welcome.list, func(a, b visit) int {
		return cmp.Or(a.at.Compare(b.at), a.from.Compare(b.from))
	})
	w.welcome.list = w.welcome.list[max(0, len(w.welcome.list)-maxWelcome):]
}

// newWelcome returns an empty memory; guests are accounts whose log-in proves
// nothing.
func newWelcome(guests []string) welcome {
	w := welcome{guests: make(map[string]bool)}
	for _, g := range guests {
		w.guests[g] = true
	}
	return w
}
