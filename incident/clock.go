package incident

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/dossier"
	"github.com/tocsin-io/tocsin/takedown"
)

// tick looks at the clock of every case: tells what is due, notes what the fleet
// no longer sees, and reopens what it sees again. It sends nothing. What is wrong
// with one case keeps no other from being looked at.
func (p *Part) tick(ctx context.Context) error {
	j, err := p.newest(ctx)
	if err != nil {
		return err
	}
	now := p.deps.Now().UTC()
	if j.At.After(now) {
		now = j.At
	}
	open, err := p.Cases(ctx)
	if err != nil {
		return err
	}
	contacts, err := p.contactsWith(ctx, j, open)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range open {
		for _, due := range c.Proposals(now) {
			p.tellDue(c, due)
		}
		if err := p.watchCase(ctx, j, c, contacts[c.ID], now); err != nil {
			errs = append(errs, err)
		}
	}
	for _, c := range proposed(j, open) {
		p.tellProposed(c)
	}
	return errors.Join(append(errs, p.keepTold(ctx))...)
}

// verifiable are the states in which silence ends a case.
func verifiable(s takedown.State) bool {
	switch s {
	case takedown.Sent, takedown.Delivered, takedown.Bounced, takedown.Acknowledged, takedown.Action:
		return true
	}
	return false
}

// watched reports whether what the fleet sees may move a case on.
func watched(c takedown.Case) bool {
	return verifiable(c.State) || c.State == takedown.VerifiedDown || c.State == takedown.Closed
}

// contactsWith returns who had contact with the address of each case that is
// watched: contacts are many, and read once for all cases.
func (p *Part) contactsWith(ctx context.Context, j judgement, cases []takedown.Case) (map[takedown.ID][]tocsin.Contact, error) {
	about, lengths := map[netip.Prefix][]takedown.Case{}, map[int]bool{}
	for _, c := range cases {
		if watched(c) {
			about[c.Source], lengths[c.Source.Bits()] = append(about[c.Source], c), true
		}
	}
	if len(about) == 0 {
		return nil, nil
	}
	found := map[takedown.ID][]tocsin.Contact{}
	for one, err := range p.deps.Store.Contacts(ctx, "", j.Period.From) {
		if err != nil {
			return nil, err
		}
		for bits := range lengths {
			source, err := one.To.Addr().Prefix(bits)
			if err != nil {
				continue // of the other family
			}
			for _, c := range about[source] {
				if c.Port == 0 || c.Port == one.To.Port() {
					found[c.ID] = append(found[c.ID], one)
				}
			}
		}
	}
	return found, nil
}

// watchCase has the fleet's own observation move a case on.
func (p *Part) watchCase(ctx context.Context, j judgement, c takedown.Case, contacts []tocsin.Contact, now time.Time) error {
	if !watched(c) {
		return nil
	}
	all, err := p.vantages(ctx, j, c, contacts)
	if err != nil {
		return err
	}
	if !verifiable(c.State) {
		for _, v := range all {
			seen := v.Last
			if seen.After(now) {
				seen = now // a device's clock may be ahead
			}
			if c.Recurs(seen) {
				return p.moved(ctx, c, takedown.Entry{At: now, By: takedown.System, Act: takedown.Reopen, Seen: seen, Why: "contact was seen again"})
			}
		}
		return nil
	}
	proof, err := takedown.Verify(c.Kind, all, now)
	if errors.Is(err, takedown.ErrNotProven) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.moved(ctx, c, takedown.Entry{At: now, By: takedown.System, Act: takedown.VerifyDown, Proof: &proof})
}

// moved moves a case on, unless somebody did meanwhile, or its mail is on its way:
// the next look will tell.
func (p *Part) moved(ctx context.Context, c takedown.Case, e takedown.Entry) error {
	p.cases.Lock()
	defer p.cases.Unlock()
	f, err := p.file(ctx, c.ID)
	if err == nil && (p.leaving[c.ID] || len(f.Case.History) != len(c.History)) {
		return nil
	}
	if err == nil {
		f, err = p.act(ctx, c.ID, e, nil)
	}
	if err != nil {
		return fmt.Errorf("case %s: %w", c.ID, err)
	}
	p.tellCase(f.Case, "")
	return nil
}

// sampling is how long a device counts as one that tells of what it drops.
const sampling = 7 * 24 * time.Hour

// vantages returns what every device that ever had contact with the address of a
// case can say of it.
func (p *Part) vantages(ctx context.Context, j judgement, c takedown.Case, contacts []tocsin.Contact) ([]takedown.Vantage, error) {
	last := map[tocsin.DeviceID]time.Time{}
	seen := func(id tocsin.DeviceID, at time.Time) {
		if at.After(last[id]) {
			last[id] = at
		}
	}
	var in dossier.Input
	if err := p.addSightings(ctx, file{Case: c}, &in); err != nil {
		return nil, err
	}
	for _, r := range in.Sightings {
		seen(r.ID.Device, r.Last.Add(-r.Offset))
	}
	for _, one := range contacts {
		seen(one.Device, one.Last)
	}
	var all []takedown.Vantage
	for _, d := range j.Devices {
		at, had := last[d.ID]
		if !had {
			continue
		}
		v := takedown.Vantage{Device: d.ID, Owner: d.Owner, Last: at.UTC()}
		logs, flows := j.covered.last(d.ID, tocsin.LogStream), j.covered.last(d.ID, tocsin.FlowStream)
		v.Incoming, v.Outgoing = !logs.To.IsZero(), !flows.To.IsZero()
		told := logs
		if c.Kind == takedown.Controller {
			told = flows
		}
		v.From, v.Until = told.From.UTC(), told.To.UTC()
		var err error
		if v.Blocks, err = p.deps.Fleet.Blocked(ctx, d.Owner, c.Source.Addr()); err != nil {
			return nil, err
		}
		v.Sampled = j.At.Sub(j.Drops[d.ID]) < sampling
		all = append(all, v)
	}
	return all, nil
}

// A proposal is a case that the system proposes to open; a person does.
type proposal struct {
	takedown.Opening
	candidate controller.Candidate
}

// proposed returns the cases worth opening that nobody opened.
func proposed(j judgement, have []takedown.Case) (list []proposal) {
	for _, c := range j.Ranking.Candidates {
		o, err := takedown.Propose(c.Controller, c.Owners)
		if err != nil {
			continue
		}
		covered := false
		for _, one := range have {
			covered = covered || one.Covers(o)
		}
		if !covered {
			list = append(list, proposal{o, c})
		}
	}
	return list
}

// Proposals returns the cases that the system proposes to open.
func (p *Part) Proposals(ctx context.Context) ([]takedown.Opening, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	have, err := p.Cases(ctx)
	if err != nil {
		return nil, err
	}
	var list []takedown.Opening
	for _, one := range proposed(j, have) {
		list = append(list, one.Opening)
	}
	return list, nil
}
