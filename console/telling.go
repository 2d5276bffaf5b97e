package console

import (
	"context"
	"encoding/json"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A RuleNews tells that a decision was made or taken back.
type RuleNews struct {
	At     time.Time      `json:"at"`
	Prefix netip.Prefix   `json:"prefix"`
	Action string         `json:"action"`
	Owner  tocsin.OwnerID `json:"owner"`
	Origin string         `json:"origin"`
	Until  time.Time      `json:"until"`
	Reason tocsin.Reason  `json:"reason"`
	Verb   string         `json:"verb"` // decided, withdrawn, refused
	More   int            `json:"more"` // how many were left out since the one before
}

// Bounds of what consoles hear: what happens more often is counted.
const (
	tellEvery  = 250 * time.Millisecond
	rulesATime = 5 // every tellEvery: 20 a second
)

// telling is what consoles are to hear next.
type telling struct {
	mu      sync.Mutex // guards the fields below
	rules   []RuleNews // at most rulesATime
	more    int
	changed map[string]bool // tables
}

// heard notes what follows from events. It returns at once.
func (t *telling) heard(list []applied) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range list {
		if a.event.Received != nil {
			t.changed["sources"] = true
		}
		for _, f := range a.effects {
			t.changed["rules"] = true
			if len(t.rules) >= rulesATime {
				t.more++
				continue
			}
			t.rules = append(t.rules, newsOf(a.event.At, f))
		}
	}
}

func newsOf(at time.Time, f fleet.Effect) RuleNews {
	d := f.Decision
	n := RuleNews{
		At: at.UTC(), Prefix: d.Prefix, Action: d.Action.String(), Owner: f.Owner, Origin: d.Origin.String(),
		Until: d.Until.UTC(), Reason: d.Reason, Verb: "decided",
	}
	switch {
	case f.Withdrawn || !d.Until.After(d.At):
		n.Verb = "withdrawn"
	case f.Verdict != blocklist.Enforced:
		n.Verb = "refused"
	}
	return n
}

// note has consoles hear that a table changed.
func (t *telling) note(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed[name] = true
}

// next takes what is to be told.
func (t *telling) next() (rules []RuleNews, more int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rules, more = t.rules, t.more
	t.rules, t.more = nil, 0
	return rules, more
}

// tables takes which ones changed.
func (t *telling) tables() (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range t.changed {
		names = append(names, name)
	}
	clear(t.changed)
	return names
}

// tell tells consoles what happens: rules four times a second, the rest once. While
// nobody looks, nothing is found out.
func (p *Part) tell(ctx context.Context) error {
	t := time.NewTicker(tellEvery)
	defer t.Stop()
	more, seen := 0, newSeen()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		rules, left := p.telling.next()
		if p.deps.Live.Len() == 0 {
			more, seen = 0, newSeen() // whoever comes fetches all
			continue
		}
		for _, r := range rules {
			r.More, more = more, 0
			p.deps.Live.Publish("rule", r)
		}
		more += left
		if n%int(time.Second/tellEvery) != 0 {
			continue
		}
		if err := p.compare(ctx, seen); err != nil && ctx.Err() == nil {
			p.log.Warn("consoles are not told: trying again", logkey.Err, err)
		}
	}
}

// seen is what consoles were told last, by kind and name, summed up.
type seen map[string]map[string]string

func newSeen() seen { return seen{} }

// news is something of a kind, and what of it makes it another one.
type news struct {
	name, sum string
	data      any
}

// changes calls tell with what is new or another one than before, and reports whether
// anything changed. What there is when the first console comes is told as changed, but
// not one by one: it may have been another one when the page asked.
func (s seen) changes(kind string, list []news, tell func(data any)) (changed bool) {
	old, known := s[kind]
	changed = !known
	next := make(map[string]string, len(list))
	for _, n := range list {
		next[n.name] = n.sum
		if was, ok := old[n.name]; known && (!ok || was != n.sum) {
			changed = true
			tell(n.data)
		}
	}
	for name := range old {
		if _, ok := next[name]; !ok {
			changed = true
		}
	}
	s[kind] = next
	return changed
}

func asJSON(v any) string {
	b, _ := json.Marshal(v) // of types that are also answered as JSON
	return string(b)
}
