// Package trial replays the hub's log to two fleets, one with the policy in force and
// one with another, and tells what the other would have made of the same days. Both are
// the production code in virtual time, so that the same log always gives the same
// answer. It is pure.
//
// It knows only what the log tells: what devices decided by themselves stays as it was,
// and packets that they dropped count as attempts that would have come.
package trial

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/overview"
)

const (
	// memory is how far back a fleet remembers sightings: what is older changes nothing.
	memory = 8 * 24 * time.Hour

	maxSources = 1 << 20 // whose attempts are counted
	mostTold   = 200     // blocks that are told one by one
	tidyEvery  = 10_000  // events, after which it is forgotten what both fleets changed
)

// A Sum is what a policy made of the days.
type Sum struct {
	Blocked  int     `json:"blocked"`         // prefixes, at whomever
	Attempts uint64  `json:"attempts"`        // that came, or would have
	Stopped  uint64  `json:"stopped"`         // of those, from who was blocked there by then
	Share    float64 `json:"stopped_share"`   // of the attempts
	Welcome  int     `json:"welcome_blocked"` // sources that somebody who belongs there logged in from, while they were blocked
}

// A Block is one that only one of the policies made.
type Block struct {
	Prefix   netip.Prefix  `json:"prefix"`
	At       time.Time     `json:"at"`
	Why      tocsin.Reason `json:"why"`
	Attempts uint64        `json:"attempts"` // of the source, in these days
}

// A Result sets the two beside each other.
type Result struct {
	Events       int     `json:"events"` // in these days
	Span         Span    `json:"span"`
	Now          Sum     `json:"now"`
	Then         Sum     `json:"then"`
	Added        []Block `json:"added"` // those with most attempts first
	Removed      []Block `json:"removed"`
	AddedCount   int     `json:"added_count"`
	RemovedCount int     `json:"removed_count"`
}

// A Span is the days that were replayed.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// A Trial is under way. It is not safe for concurrent use.
type Trial struct {
	from, to  time.Time
	now, then *side
	attempts  map[netip.Prefix]uint64
	events    int
	played    int
}

// A side is one of the two fleets.
type side struct {
	mind    *fleet.Fleet
	sum     Sum
	blocked map[netip.Prefix]Block
	welcome map[netip.Prefix]bool
}

// New returns a Trial that counts what happened from then on, to the end of the log.
func New(now, then fleet.Config, from, to time.Time) *Trial {
	begin := func(c fleet.Config) *side {
		return &side{mind: fleet.New(c), blocked: map[netip.Prefix]Block{}, welcome: map[netip.Prefix]bool{}}
	}
	return &Trial{from: from, to: to, now: begin(now), then: begin(then), attempts: map[netip.Prefix]uint64{}}
}

// Play takes the next event of the log, from its beginning on.
func (t *Trial) Play(e tocsin.Event) {
	if e.Received != nil && e.At.Before(t.from.Add(-memory)) {
		return
	}
	if t.played++; t.played%tidyEvery == 0 {
		t.now.mind.Changes()
		t.then.mind.Changes()
	}
	counts := !e.At.Before(t.from)
	if counts {
		t.events++
		if r := e.Received; r != nil && (len(t.attempts) < maxSources || t.attempts[r.Source] > 0) {
			t.attempts[r.Source] += weight(r)
		}
	}
	t.now.play(e, counts)
	t.then.play(e, counts)
}

// weight returns how many attempts came, or would have come without a block.
func weight(r *tocsin.Received) uint64 { return overview.Attempts(r.Sighting) + uint64(r.Dropped) }

func (s *side) play(e tocsin.Event, counts bool) {
	if r := e.Received; r != nil && counts {
		rule, _, held := s.mind.Lookup(r.Owner, r.Source.Addr(), e.At)
		blocked := held && rule.Action == tocsin.Block
		n := weight(r)
		s.sum.Attempts += n
		if blocked {
			s.sum.Stopped += n
		}
		if blocked && welcome(r) {
			s.welcome[r.Source] = true
		}
	}
	for _, f := range s.mind.Apply(e) {
		d := f.Decision
		if !counts || d.Action != tocsin.Block || f.Verdict != blocklist.Enforced || f.Withdrawn || !d.Until.After(d.At) {
			continue
		}
		if _, known := s.blocked[d.Prefix]; !known {
			s.blocked[d.Prefix] = Block{Prefix: d.Prefix, At: e.At.UTC(), Why: d.Reason}
		}
	}
}

// welcome reports whether somebody was let in who seems to belong there.
func welcome(r *tocsin.Received) bool {
	return r.Successes > 0 && !r.Facts.Has(tocsin.SuccessAfterFailures) && !r.Facts.Has(tocsin.SuccessFromBlocked)
}

// Done returns how far the replay is, from 0 to 1, by the time of its newest event.
func (t *Trial) Done(e tocsin.Event) float64 {
	begin := t.from.Add(-memory)
	whole := t.to.Sub(begin).Seconds()
	if whole <= 0 {
		return 1
	}
	return min(1, max(0, e.At.Sub(begin).Seconds()/whole))
}

// Result returns what came of it.
func (t *Trial) Result() Result {
	r := Result{
		Events: t.events, Span: Span{t.from.UTC(), t.to.UTC()}, Now: t.now.total(), Then: t.then.total(),
	}
	r.Added, r.AddedCount = t.only(t.then, t.now)
	r.Removed, r.RemovedCount = t.only(t.now, t.then)
	return r
}

func (s *side) total() Sum {
	sum := s.sum
	sum.Blocked, sum.Welcome = len(s.blocked), len(s.welcome)
	if sum.Attempts > 0 {
		sum.Share = float64(sum.Stopped) / float64(sum.Attempts)
	}
	return sum
}

// only returns the blocks of a that b did not make.
func (t *Trial) only(a, b *side) ([]Block, int) {
	list := []Block{}
	for p, block := range a.blocked {
		if _, both := b.blocked[p]; !both {
			block.Attempts = t.attempts[p]
			list = append(list, block)
		}
	}
	slices.SortFunc(list, func(a, b Block) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), a.Prefix.Compare(b.Prefix))
	})
	return list[:min(len(list), mostTold)], len(list)
}
