package compromise

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// When failures are more than a person's mistyping.
const (
	guesses = 5  // of one source, on accounts that it never got into
	crowd   = 10 // sources that failed and never got in, on one day
	day     = 24 * time.Hour
)

// An Attack sums up who tried to get in.
type Attack struct {
	Sources  int       `json:"sources"`
	Attempts uint64    `json:"attempts"` // of those sources: a lower bound
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
}

// hostile are facts by which a source is an attacker whatever else it did.
var hostile = []tocsin.Fact{
	tocsin.SuccessAfterFailures, tocsin.SuccessFromBlocked, tocsin.Spray, tocsin.InstantAccount, tocsin.BlockedHere,
}

// A caller is one source as one device knows it.
type caller struct {
	hostile     bool
	attempts    uint64
	first, last time.Time
	failed      map[tocsin.AccountTag]uint64 // accounts it failed on
	in          map[tocsin.AccountTag]bool   // accounts it got into
	unnamed     uint64                       // failures without an account
	days        []int64                      // on which it failed, sorted, each once
}

// attack finds out who attacked the device. A person who mistypes and then gets
// in is no attacker; neither is one who gives up after a few tries.
func attack(p Period, f Facts, sources sources) Attack {
	callers := map[netip.Prefix]*caller{}
	for _, r := range f.Sightings {
		first, last := r.First.Add(-r.Offset), r.Last.Add(-r.Offset)
		if r.ID.Device != f.Device || !r.Source.IsValid() || !p.Contains(first) && !p.Contains(last) {
			continue
		}
		key := tocsin.SourcePrefix(r.Source.Addr())
		c := callers[key]
		if c == nil {
			c = &caller{failed: map[tocsin.AccountTag]uint64{}, in: map[tocsin.AccountTag]bool{}, first: first}
			callers[key] = c
		}
		c.take(r.Sighting, first, last)
		tried := r.Failures > 0 || r.Probes > 0 || proves(r.Sighting)
		c.hostile = c.hostile || tried && sources.active(r.Source, first, last)
	}
	days := map[int64]int{}
	for _, c := range callers {
		if c.unexcused() > 0 {
			for _, d := range c.days {
				days[d]++
			}
		}
	}
	var a Attack
	for _, c := range callers {
		crowded := c.unexcused() > 0 && slices.ContainsFunc(c.days, func(d int64) bool { return days[d] >= crowd })
		if c.hostile || crowded || c.unexcused() >= guesses || c.names() {
			a.add(c)
		}
	}
	return a
}

func (c *caller) take(s tocsin.Sighting, first, last time.Time) {
	for _, f := range hostile {
		c.hostile = c.hostile || s.Facts.Has(f)
	}
	c.hostile = c.hostile || s.Dropped > 0 // only who is blocked is dropped
	c.attempts += uint64(s.Failures) + uint64(s.Successes) + uint64(s.Probes)
	if first.Before(c.first) {
		c.first = first
	}
	if last.After(c.last) {
		c.last = last
	}
	named := uint64(0)
	for _, t := range s.Accounts {
		if t.Failures > 0 {
			c.failed[t.Tag] += uint64(t.Failures)
			named += uint64(t.Failures)
		}
		if t.Successes > 0 && !accounts.IsGuest(string(t.Tag)) {
			c.in[t.Tag] = true
		}
		// A default name that the device does not have is a dictionary's.
		c.hostile = c.hostile || t.Unknown && t.Failures > 0 && accounts.IsPublic(string(t.Tag))
	}
	if all := uint64(s.Failures); all > named {
		c.unnamed += all - named
	}
	if s.Failures > 0 {
		d := first.Unix() / int64(day/time.Second)
		if i, found := slices.BinarySearch(c.days, d); !found {
			c.days = slices.Insert(c.days, i, d)
		}
	}
}

// unexcused counts failures that no later or earlier success explains. Failures
// without an account are a person's if the source got in at all.
func (c *caller) unexcused() (n uint64) {
	for tag, failures := range c.failed {
		if !c.in[tag] {
			n += failures
		}
	}
	if len(c.in) == 0 {
		n += c.unnamed
	}
	return n
}

// names reports whether the source tried several accounts and got into none.
func (c *caller) names() bool { return len(c.failed) > 1 && len(c.in) == 0 }

func (a *Attack) add(c *caller) {
	if a.Sources == 0 || c.first.Before(a.First) {
		a.First = c.first
	}
	if c.last.After(a.Last) {
		a.Last = c.last
	}
	a.Sources++
	a.Attempts += c.attempts
}
