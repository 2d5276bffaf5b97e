package console

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/takedown"
)

// grace is how long a device may take to enforce what is published before it counts as
// lagging: under an attack the next frame is always under way.
const grace = 5 * time.Second

// Overview implements [api.Console].
func (p *Part) Overview(ctx context.Context, span time.Duration) (api.Overview, error) {
	return p.overviews.of(span).get(func() (api.Overview, error) { return p.overview(ctx, span) })
}

// overview adds up what all who look at that moment are shown.
func (p *Part) overview(ctx context.Context, span time.Duration) (o api.Overview, err error) {
	now := p.deps.Now()
	o.At = now.UTC()
	if o.Now, err = p.now(ctx); err != nil {
		return o, err
	}
	p.with(func(l *overview.Ledger) {
		o.Series = l.Series(now, span)
		o.Reaction = reactionOf(l.Reactions(now))
	})
	campaigns, err := p.allCampaigns(ctx)
	if err != nil {
		return o, err
	}
	if i := newest(campaigns); i >= 0 {
		o.Campaign = &campaigns[i]
	}
	o.Attention, err = p.attention(ctx)
	return o, err
}

// newest returns which of the campaigns, newest first, people are told of first: one
// that goes on before one that ended, and one that tells who acts together before one
// that is a rise in numbers only. It is -1 if there is none.
func newest(list []api.CampaignLine) int {
	best, most := -1, -1
	for i := range list {
		tells := 0
		if list[i].Status == tocsin.Open || list[i].Status == tocsin.Held {
			tells += 2
		}
		if list[i].Sources > 0 {
			tells++
		}
		if tells > most {
			best, most = i, tells
		}
	}
	return best
}

// reactionOf sums up how long it took.
func reactionOf(list []overview.Reaction) (r api.Reaction) {
	if len(list) == 0 {
		return r
	}
	last := list[len(list)-1]
	var took, spread []float64
	for _, one := range list {
		took = append(took, one.Took().Seconds())
		if one.Spread > 0 {
			spread = append(spread, one.Spread)
		}
	}
	newest := took[len(took)-1]
	slices.Sort(took)
	slices.Sort(spread)
	return api.Reaction{
		Last: &newest, P50: rank(took, 0.5), P95: rank(took, 0.95), N: len(list), Prefix: last.Prefix, First: last.First, Everywhere: last.Everywhere,
		SpreadP50: rank(spread, 0.5), SpreadP95: rank(spread, 0.95),
	}
}

// rank returns the value that a share of the sorted list does not exceed; nil is none.
func rank(sorted []float64, share float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	return &sorted[int(share*float64(len(sorted)-1)+0.5)]
}

// now returns how things stand.
func (p *Part) now(ctx context.Context) (api.Now, error) {
	return p.nows.get(func() (n api.Now, err error) {
		at := p.deps.Now()
		n.At = at.UTC()
		p.with(func(l *overview.Ledger) {
			day := l.Sum(at, 24*time.Hour)
			n.Attempts, n.Sources = day.Attempts, day.Sources
			n.LastMinute = l.Sum(at, time.Minute)
		})
		if n.Blocks, err = p.hub.Blocks(ctx); err != nil {
			return n, err
		}
		devices, err := p.allDevices(ctx)
		if err != nil {
			return n, err
		}
		countDevices(&n, devices)
		campaigns, err := p.allCampaigns(ctx)
		for _, c := range campaigns {
			if c.Status == tocsin.Open || c.Status == tocsin.Held {
				n.CampaignsOpen++
			}
		}
		if err != nil || p.incident == nil {
			return n, err
		}
		cases, err := p.allCases(ctx)
		for _, c := range cases {
			if c.Closed.IsZero() {
				n.CasesOpen++
			}
		}
		return n, err
	})
}

func countDevices(n *api.Now, devices []Device) {
	covered := 0
	for i := range devices {
		d := &devices[i]
		switch d.State {
		case stateRevoked:
			continue
		case stateConnected:
			covered++
		case stateLagging:
			n.Lagging++
		case stateSilent:
			n.Silent++
		}
		n.Devices++
		if d.Connected {
			n.Connected++
		}
		switch d.Compromise {
		case compromise.Suspected.String():
			n.Suspected++
		case compromise.Confirmed.String():
			n.Confirmed++
		case compromise.Unknown.String():
			n.Unknown++
		}
	}
	if n.Devices > 0 {
		n.Coverage = float64(covered) / float64(n.Devices)
	}
}

// mostAttention bounds what wants a person at once; of one kind fewer, so that many
// silent devices hide no break-in.
const (
	mostAttention = 20
	mostOfKind    = 6
)

// attention returns what wants a person, the most urgent first.
func (p *Part) attention(ctx context.Context) ([]api.Attention, error) {
	list := []api.Attention{}
	add := func(kind, id, href, en, fr string, args ...any) {
		list = append(list, api.Attention{
			Kind: kind, ID: id, Href: href, TextEN: fmt.Sprintf(en, args...), TextFR: fmt.Sprintf(fr, args...),
		})
	}
	devices, err := p.allDevices(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct{ kind, en, fr string }{
		{"confirmed", "%s was entered: look at the evidence", "%s a été pénétré : regardez les preuves"},
		{"suspected", "%s may have been entered: look at the evidence", "%s a peut-être été pénétré : regardez les preuves"},
		{"silent", "%s is silent", "%s ne répond plus"},
		{"lagging", "%s lacks rules that were published", "%s n'a pas encore toutes les règles publiées"},
	} {
		n := 0
		for i := range devices {
			d := &devices[i]
			if d.State == stateRevoked || one.kind != d.State && one.kind != d.Compromise {
				continue
			}
			if n++; n <= mostOfKind {
				add(one.kind, string(d.ID), "/console/devices/"+string(d.ID), one.en, one.fr, nameOf(d))
			}
		}
		if one.kind == "suspected" {
			if err := p.casesDue(ctx, add); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range p.hub.Warnings() {
		add("keys", "", "/console/settings", "%s", "%s", text)
	}
	return list[:min(len(list), mostAttention)], nil
}

// casesDue adds the cases for which something is to be done.
func (p *Part) casesDue(ctx context.Context, add func(kind, id, href, en, fr string, args ...any)) error {
	cases, err := p.allCases(ctx)
	n := 0
	for _, c := range cases {
		wants := len(c.Clock.Due) > 0 || c.Ready || c.State == takedown.Draft
		if !c.Closed.IsZero() || !wants || n >= mostOfKind {
			continue
		}
		n++
		href := "/console/cases/" + string(c.ID)
		switch {
		case len(c.Clock.Due) > 0:
			add("case", string(c.ID), href, "Case %s: a step is due", "Dossier %s : une étape est due", c.ID)
		case c.Ready:
			add("case", string(c.ID), href, "Case %s: the mail is approved and was not sent", "Dossier %s : le courrier est approuvé et n'est pas parti", c.ID)
		default:
			add("case", string(c.ID), href, "Case %s: the mail waits for approval", "Dossier %s : le courrier attend une approbation", c.ID)
		}
	}
	return err
}

func nameOf(d *Device) string {
	if d.Name != "" {
		return d.Name
	}
	return string(d.ID)
}

// coverEvery is how often, by the hub's clock, it is noted which share of the devices has
// every rule; keepEvery is how often it is kept how fast they got it.
const (
	coverEvery = 15 * time.Second
	keepEvery  = 5 * time.Minute
	lookAgain  = 250 * time.Millisecond // a demo's clock is fast
)

// cover notes the coverage over time.
func (p *Part) cover(ctx context.Context) error {
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	var noted time.Time // by the hub's clock
	kept := time.Now()
	for {
		if now := p.deps.Now(); now.Sub(noted).Abs() >= coverEvery {
			noted = now
			if err := p.noteCoverage(ctx, now); err != nil && ctx.Err() == nil {
				p.log.Error("coverage is not known: trying again", logkey.Err, err)
			}
		}
		if time.Since(kept) >= keepEvery {
			kept = time.Now()
			p.remember(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func (p *Part) noteCoverage(ctx context.Context, now time.Time) error {
	devices, err := p.allDevices(ctx)
	if err != nil {
		return err
	}
	var n api.Now
	if countDevices(&n, devices); n.Devices > 0 {
		p.with(func(l *overview.Ledger) { l.Covered(now, n.Coverage) })
	}
	return nil
}
