package console

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/overview"
)

// shownNetworks is how many networks a graph shows besides sources and targets.
const shownNetworks = 12

// CampaignGraph implements [api.Console]: the sources that tried most, the targets that
// were tried most, the candidates that targets contacted, and the largest networks.
func (p *Part) CampaignGraph(ctx context.Context, id tocsin.CampaignID, most int) (g api.CampaignGraph, err error) {
	g = api.CampaignGraph{Nodes: []api.Node{}, Edges: []api.Edge{}}
	c, err := p.campaign(ctx, id)
	if err != nil {
		return g, err
	}
	targets, err := p.targets(ctx, c)
	if err != nil {
		return g, err
	}
	rules, err := p.allRules(ctx)
	if err != nil {
		return g, err
	}
	sources := slices.Clone(c.Sources)
	slices.SortStableFunc(sources, func(a, b tocsin.Member) int { return cmp.Compare(b.Attempts, a.Attempts) })
	room := max(1, most-min(shownNetworks, most/10))
	forTargets := min(len(targets), max(room/3, room-len(sources)))
	forSources := min(len(sources), room-forTargets)
	g.LeftOut = api.LeftOut{Sources: len(sources) - forSources, Targets: len(targets) - forTargets}
	sources, targets = sources[:forSources], targets[:forTargets]

	shown := map[string]bool{}
	for _, m := range sources {
		n := api.Node{ID: sourceNode(m.Source), Kind: "source", Label: addressOf(m.Source), Weight: float64(m.Attempts)}
		if blocked(rules, m.Source) {
			n.State = "blocked"
		}
		shown[n.ID] = true
		g.Nodes = append(g.Nodes, n)
	}
	for _, t := range targets {
		n := api.Node{ID: targetNode(t.Device), Kind: "target", Label: cmp.Or(t.Name, string(t.Device)), Weight: float64(t.Attempts), State: t.Entered}
		shown[n.ID] = true
		g.Nodes = append(g.Nodes, n)
	}
	for _, t := range p.touches(sourcesOf(sources)) {
		if from, to := sourceNode(t.Source), targetNode(t.Device); shown[from] && shown[to] {
			g.Edges = append(g.Edges, api.Edge{From: from, To: to, Kind: "guessed", Weight: float64(t.Attempts)})
		}
	}
	if err := p.addControllers(ctx, &g, c, targets, most); err != nil {
		return g, err
	}
	p.addNetworks(&g, sources, min(shownNetworks, most-len(g.Nodes))) // in the room that controllers leave
	return g, nil
}

func sourceNode(p netip.Prefix) string       { return "s:" + p.String() }
func targetNode(id tocsin.DeviceID) string   { return "t:" + string(id) }
func networkNode(number uint32) string       { return fmt.Sprintf("n:%d", number) }
func addressOf(p netip.Prefix) (text string) { return strings.TrimSuffix(p.String(), "/32") }

// addNetworks adds those with most of the sources; one alone says nothing.
func (p *Part) addNetworks(g *api.CampaignGraph, sources []tocsin.Member, most int) {
	of := map[uint32][]tocsin.Member{}
	for _, m := range sources {
		if n := p.hub.Network(m.Source.Addr()).AS; n != 0 {
			of[n] = append(of[n], m)
		}
	}
	numbers := slices.SortedFunc(maps.Keys(of), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(len(of[b]), len(of[a])), cmp.Compare(a, b))
	})
	for _, n := range numbers {
		if most <= 0 || len(of[n]) < 2 {
			return
		}
		most--
		g.Nodes = append(g.Nodes, api.Node{ID: networkNode(n), Kind: "network", Label: fmt.Sprintf("AS%d", n), Weight: float64(len(of[n]))})
		for _, m := range of[n] {
			g.Edges = append(g.Edges, api.Edge{From: sourceNode(m.Source), To: networkNode(n), Kind: "belongs", Weight: 1})
		}
	}
}

// shownContacts is of how many targets that were entered it is read whom they contacted.
const shownContacts = 50

// addControllers adds the candidates that may be proposed, and those that a case is
// about, with the targets that contacted them: those that were entered, as far as they
// tell what they open.
func (p *Part) addControllers(ctx context.Context, g *api.CampaignGraph, c tocsin.Campaign, targets []Target, most int) error {
	candidates, err := p.allControllers(ctx)
	if err != nil {
		return err
	}
	shown := map[netip.AddrPort]string{}
	for _, k := range candidates {
		if len(g.Nodes) >= most || !k.Admitted && k.Case == nil || k.Class != tocsin.Commands && k.Class != tocsin.Payload {
			continue
		}
		at := netip.AddrPortFrom(k.Address, k.Port)
		shown[at] = "c:" + at.String()
		g.Nodes = append(g.Nodes, api.Node{ID: shown[at], Kind: "controller", Label: at.String(), Weight: float64(k.Devices), State: k.Class.String()})
	}
	if len(shown) == 0 {
		return nil
	}
	entered := slices.DeleteFunc(slices.Clone(targets), func(t Target) bool {
		return t.Entered != compromise.Confirmed.String() && t.Entered != compromise.Suspected.String()
	})
	for _, t := range entered[:min(len(entered), shownContacts)] {
		count := map[netip.AddrPort]uint32{}
		for o, err := range p.deps.Store.Contacts(ctx, t.Device, c.First.Add(-contactsBefore)) {
			if err != nil {
				return err
			}
			if shown[o.To] != "" {
				count[o.To] += o.Count
			}
		}
		for _, to := range slices.SortedFunc(maps.Keys(count), netip.AddrPort.Compare) {
			g.Edges = append(g.Edges, api.Edge{From: targetNode(t.Device), To: shown[to], Kind: "contacted", Weight: float64(count[to])})
		}
	}
	return nil
}

// contactsBefore is how long before a campaign its controller may have been contacted.
const contactsBefore = 24 * time.Hour

// CampaignTimeline implements [api.Console].
func (p *Part) CampaignTimeline(ctx context.Context, id tocsin.CampaignID) (t api.CampaignTimeline, err error) {
	c, err := p.campaign(ctx, id)
	if err != nil {
		return t, err
	}
	now := p.deps.Now()
	from, to := c.First, c.Last
	if oldest := now.Add(-overview.Week); from.Before(oldest) {
		from = oldest
	}
	if to.Before(from) {
		to = from
	}
	list := sourcesOf(c.Sources)
	p.with(func(l *overview.Ledger) { t.Course = l.Course(list, from.Add(-2*time.Minute), to.Add(2*time.Minute)) })
	t.Marks, err = p.marks(ctx, c, now)
	return t, err
}

// marks returns what happened to a campaign, by time.
func (p *Part) marks(ctx context.Context, c tocsin.Campaign, now time.Time) ([]api.TimelineMark, error) {
	marks := []api.TimelineMark{{At: c.Opened, Kind: "opened", TextEN: "noticed as a campaign", TextFR: "reconnue comme une campagne"}}
	add := func(at time.Time, kind, en, fr string) {
		if !at.IsZero() {
			marks = append(marks, api.TimelineMark{At: at.UTC(), Kind: kind, TextEN: en, TextFR: fr})
		}
	}
	add(c.Ended, "ended", "nothing was seen of it any more", "plus rien n'en a été vu")
	switch {
	case c.Into != "" && c.Status == tocsin.Joined:
		add(c.Last, "joined", "joined to campaign "+string(c.Into), "réunie à la campagne "+string(c.Into))
	case c.Into != "":
		add(c.First, "split", "split from campaign "+string(c.Into), "séparée de la campagne "+string(c.Into))
	}
	rules, err := p.allRules(ctx)
	if err != nil {
		return nil, err
	}
	members := make(map[netip.Prefix]bool, len(c.Sources))
	for _, m := range c.Sources {
		members[m.Source] = true
	}
	first := time.Time{}
	for i := range rules {
		if r := &rules[i]; r.Campaign == c.ID && r.Action == tocsin.Block.String() && (first.IsZero() || r.Since.Before(first)) {
			first = r.Since
		}
	}
	add(first, "first-block", "the oldest of its blocks in force", "le plus ancien de ses blocages en vigueur")
	p.with(func(l *overview.Ledger) {
		for _, r := range l.Reactions(now) {
			if members[r.Prefix] {
				add(r.Everywhere, "fleet-block", addressOf(r.Prefix)+" is dropped by every device", addressOf(r.Prefix)+" est rejetée par tous les appareils")
				return
			}
		}
	})
	cases, err := p.allCases(ctx)
	for _, k := range cases {
		if k.Campaign == c.ID {
			add(k.Opened, "case", "case "+string(k.ID)+" opened", "dossier "+string(k.ID)+" ouvert")
		}
	}
	for _, m := range c.Timeline {
		add(m.At, "note", string(m.Text), string(m.Text))
	}
	slices.SortStableFunc(marks, func(a, b api.TimelineMark) int { return a.At.Compare(b.At) })
	return marks, err
}

// CampaignNetworks implements [api.Console].
func (p *Part) CampaignNetworks(ctx context.Context, id tocsin.CampaignID) ([]api.CampaignNetwork, error) {
	c, err := p.campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	type place struct {
		number  uint32
		country string
	}
	of := map[place]*api.CampaignNetwork{}
	for _, m := range c.Sources {
		n := p.hub.Network(m.Source.Addr())
		at := place{n.AS, n.Country}
		if of[at] == nil {
			of[at] = &api.CampaignNetwork{Network: api.Network{Number: n.AS}, Country: n.Country}
		}
		of[at].Sources++
		of[at].Attempts += uint64(m.Attempts)
	}
	list := make([]api.CampaignNetwork, 0, len(of))
	for _, n := range of {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b api.CampaignNetwork) int {
		return cmp.Or(cmp.Compare(b.Sources, a.Sources), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Country, b.Country))
	})
	return list, nil
}
