package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/notify"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// told remembers what people were told, over restarts, so that they hear of each
// thing once.
type told struct {
	mu      sync.Mutex // guards the fields below
	keys    map[string]time.Time
	changed bool
}

// Bounds of what is remembered as told: the newest.
const (
	mostTold = 20_000
	toldFor  = 60 * 24 * time.Hour

	toldKind = "told"
)

// first reports whether a key comes for the first time.
func (t *told) first(key string, at time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.keys[key]; known {
		return false
	}
	t.keys[key], t.changed = at, true
	return true
}

// loadTold reads what people were told before the part started.
func (p *Part) loadTold(ctx context.Context) error {
	p.told.mu.Lock()
	defer p.told.mu.Unlock()
	if p.told.keys != nil {
		return nil
	}
	keys := map[string]time.Time{}
	r, err := p.deps.Store.Record(ctx, toldKind, "all")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		if err := json.Unmarshal(r.Body, &keys); err != nil {
			return fmt.Errorf("what people were told: %w", err)
		}
	}
	p.told.keys = keys
	return nil
}

// keepTold writes down what people were told, if there is anything new.
func (p *Part) keepTold(ctx context.Context) error {
	p.told.mu.Lock()
	defer p.told.mu.Unlock()
	if !p.told.changed {
		return nil
	}
	old := p.deps.Now().Add(-toldFor)
	maps.DeleteFunc(p.told.keys, func(_ string, at time.Time) bool { return at.Before(old) })
	if over := len(p.told.keys) - mostTold; over > 0 {
		byAge := slices.SortedFunc(maps.Keys(p.told.keys), func(a, b string) int {
			return cmp.Or(p.told.keys[a].Compare(p.told.keys[b]), cmp.Compare(a, b))
		})
		for _, key := range byAge[:over] {
			delete(p.told.keys, key)
		}
	}
	var kept map[string]time.Time
	if err := p.change(ctx, toldKind, "all", &kept, func() error { kept = p.told.keys; return nil }); err != nil {
		return err
	}
	p.told.changed = false
	return nil
}

// tell says what a judgement brought up that people were not told before.
func (p *Part) tell(j judgement) {
	for _, c := range j.Campaigns {
		if c.Status != tocsin.Joined && p.told.first("campaign "+string(c.ID), j.At) && j.At.Sub(c.Opened) < recent {
			p.deps.Notify(notify.Event{
				Kind: notify.CampaignOpened, At: c.Opened, Link: p.link("campaigns", string(c.ID)),
				Title: titleOf(c),
				Todo:  "look at its sources and targets: tocsin campaigns show " + string(c.ID),
			})
		}
	}
	for _, a := range j.Assessed {
		p.tellState(j, a)
	}
	if j.At.Sub(p.begun) <= p.cfg.Silent {
		return // after a pause of the hub all would seem silent
	}
	for _, d := range j.Devices {
		s, heard := j.States[d.ID]
		silent := heard && j.At.Sub(s.At) > p.cfg.Silent
		if silent && p.told.first(fmt.Sprint("silent ", d.ID, s.At.Unix()), j.At) {
			p.deps.Notify(notify.Event{
				Kind: notify.DeviceSilent, At: j.At, Link: p.link("devices", string(d.ID)),
				Title: fmt.Sprintf("%s of %s was heard of last at %s", nameOf(d), d.Owner, s.At.UTC().Format(time.RFC3339)),
				Todo:  "see whether it runs and reaches the hub: tocsin status on the device",
			})
		}
	}
}

// titleOf says what a campaign is: a surge is noticed before anybody is known to
// take part in it.
func titleOf(c tocsin.Campaign) string {
	if len(c.Sources) == 0 {
		return fmt.Sprintf("campaign %s: a surge of attempts at the fleet, by nobody known yet", c.ID)
	}
	return fmt.Sprintf("campaign %s: %d sources act together against %d devices", c.ID, len(c.Sources), len(c.Targets))
}

// recent is how old what is told may be: a hub that starts does not tell of weeks.
const recent = time.Hour

func (p *Part) tellState(j judgement, a compromise.Assessment) {
	if a.State != compromise.Confirmed && a.State != compromise.Suspected {
		return
	}
	newest := time.Time{}
	for _, e := range a.Ledger {
		if e.At.After(newest) {
			newest = e.At
		}
	}
	if !p.told.first(fmt.Sprint(a.State, " ", a.Device), j.At) || j.At.Sub(newest) > 24*recent {
		return
	}
	d := j.ByID[a.Device]
	p.deps.Notify(notify.Event{
		Kind: notify.DeviceSuspected, At: j.At, Link: p.link("devices", string(a.Device)),
		Title: fmt.Sprintf("%s of %s: %s: %s", nameOf(d), d.Owner, a.State, a.Why()),
		Todo:  "look at the evidence, and tell the owner: tocsin compromise show " + string(a.Device),
	})
}

func nameOf(d tocsin.Device) string {
	if d.Name != "" {
		return d.Name
	}
	return string(d.ID)
}

func (p *Part) tellCase(c takedown.Case, what string) {
	title := fmt.Sprintf("case %s: %s", c.ID, c.State)
	if what != "" {
		title += ", " + what
	}
	p.deps.Notify(notify.Event{
		Kind: notify.CaseState, At: p.deps.Now(), Link: p.link("cases", string(c.ID)), Title: takedown.OneLine(title, 200),
		Todo: "tocsin case show " + string(c.ID),
	})
}

func (p *Part) tellDue(c takedown.Case, due takedown.Proposal) {
	if !p.told.first(fmt.Sprint("due ", c.ID, due.Step, due.Due.Unix()), p.deps.Now()) {
		return
	}
	p.deps.Notify(notify.Event{
		Kind: notify.CaseState, At: due.Due, Link: p.link("cases", string(c.ID)),
		Title: fmt.Sprintf("case %s: %s is due", c.ID, due.Step),
		Todo:  fmt.Sprintf("do it, then: tocsin case escalate %s --step %s", c.ID, due.Step),
	})
}

func (p *Part) tellProposed(c proposal) {
	if !p.told.first(fmt.Sprint("proposed ", c.Source, c.Port), p.deps.Now()) {
		return
	}
	p.deps.Notify(notify.Event{
		Kind: notify.ControllerProposed, At: p.deps.Now(), Link: p.link("controllers", ""),
		Title: fmt.Sprintf("%v port %d looks like the controller of %d compromised devices (q %.2g)", c.candidate.Address, c.Port, c.candidate.Labelled, c.candidate.Q),
		Todo:  fmt.Sprintf("look at its numbers, and open a case: tocsin case new --controller %v --port %d", c.candidate.Address, c.Port),
	})
}

// link returns where to see something, or "" without a console.
func (p *Part) link(elem ...string) string {
	if p.cfg.Console == "" {
		return ""
	}
	s, err := url.JoinPath(p.cfg.Console, elem...)
	if err != nil {
		return ""
	}
	return s
}
