package console

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/overview"
)

// Bounds of what is told about one address.
const (
	mostEvents = 50
	mostSaid   = 20 // owners for whom it is explained
	mostBeside = 20 // campaigns that it is beside
)

// About implements [api.Console].
func (p *Part) About(ctx context.Context, a netip.Addr) (about api.About, err error) {
	source := tocsin.SourcePrefix(a)
	network := p.hub.Network(a)
	about = api.About{
		Address: a, Prefix: source, Network: api.Network{Number: network.AS}, Country: network.Country,
		Explanations: []api.Explanation{}, Campaigns: []api.Membership{}, Cases: []api.CaseLine{}, Events: []api.Event{},
	}
	var owners []tocsin.OwnerID
	p.with(func(l *overview.Ledger) {
		s, ok := l.Source(source)
		if !ok {
			return
		}
		owners = s.Owners
		about.LastHit = pointer(s.LastHit)
		about.Seen = seenOf(s)
	})
	if err := p.explain(ctx, &about, owners); err != nil {
		return about, err
	}
	if err := p.attribute(ctx, &about); err != nil {
		return about, err
	}
	events, err := p.hub.About(ctx, source, mostEvents)
	for _, e := range events {
		about.Events = append(about.Events, api.EventOf(e))
	}
	return about, err
}

func seenOf(s overview.Source) *api.Seen {
	seen := api.Seen{
		First: s.First, Last: s.Last, Attempts: s.Attempts, Failures: s.Failures, Successes: s.Successes, Probes: s.Probes,
		Dropped: s.Dropped, Devices: s.Devices, Owners: s.Owners, Services: s.Services, Accounts: s.Accounts,
	}
	if seen.Owners == nil {
		seen.Owners = []tocsin.OwnerID{}
	}
	if seen.Accounts == nil {
		seen.Accounts = []tocsin.AccountTag{}
	}
	return &seen
}

// explain adds why the address is blocked or is not: for everybody, and for each owner
// who saw it, or has a rule about it.
func (p *Part) explain(ctx context.Context, about *api.About, owners []tocsin.OwnerID) error {
	rules, err := p.allRules(ctx)
	if err != nil {
		return err
	}
	for i := range rules {
		if r := &rules[i]; r.Owner != "" && r.Prefix.Contains(about.Address) && !slices.Contains(owners, r.Owner) {
			owners = append(owners, r.Owner)
		}
	}
	until := time.Time{}
	for _, owner := range append([]tocsin.OwnerID{""}, owners[:min(len(owners), mostSaid)]...) {
		x, err := p.hub.Explain(ctx, owner, about.Address)
		if err != nil {
			return err
		}
		if x.Lines == nil {
			x.Lines = []string{}
		}
		for _, r := range x.Rules {
			if r.Action == tocsin.Block.String() {
				about.Blocked = true
				if r.Until.After(until) {
					until = r.Until
				}
			}
		}
		about.Explanations = append(about.Explanations, x)
	}
	about.Until = pointer(until)
	return nil
}

// attribute adds the campaigns, the candidate and the cases that name the address.
func (p *Part) attribute(ctx context.Context, about *api.About) error {
	campaigns, err := p.hub.MembershipsOf(ctx, about.Prefix, mostBeside)
	if err != nil {
		return err
	}
	about.Campaigns = append(about.Campaigns, campaigns...)
	ranking, err := p.rankingNow(ctx)
	if err != nil {
		return err
	}
	for _, c := range ranking.Candidates {
		if c.Address == about.Address {
			about.Controller = &c
			break
		}
	}
	cases, err := p.allCases(ctx)
	for _, c := range cases {
		if c.Source.Contains(about.Address) {
			about.Cases = append(about.Cases, c)
		}
	}
	return err
}

// Notifications implements [api.Console].
func (p *Part) Notifications(context.Context) ([]api.Notified, error) { return p.deps.Notified, nil }
