package stix

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/takedown"
)

const (
	// MaxSources bounds the sources of a bundle. Those that most surely belong to
	// their campaign come first.
	MaxSources = 10_000

	// How long an address is worth looking for after it was last seen.
	sourceLife     = 24 * time.Hour
	controllerLife = 30 * 24 * time.Hour

	maxAccounts = 20
	maxCount    = 999_999_999 // of a sighting, by the specification
)

// An Input is what a bundle is made of. Nothing in it is changed.
type Input struct {
	// Fleet tells the bundles of this hub from all others. It has to be random and
	// must not change: whoever guesses it knows whose bundle it is.
	Fleet       string
	At          time.Time
	TLP         TLP
	Campaigns   []tocsin.Campaign
	Controllers []tocsin.Controller
	Commands    map[tocsin.CampaignID][]netip.AddrPort // who commands a campaign, where that is known
	Except      []netip.Prefix                         // what is never told: the allowlist
}

// Export returns in as a bundle, and the versions of its objects for the next
// one. Left is how many sources found no room.
func Export(in Input, before Versions) (b Bundle, after Versions, left int, err error) {
	if in.Fleet == "" {
		return Bundle{}, before, 0, fmt.Errorf("stix: say which fleet it is: a random text that stays the same")
	}
	if int(in.TLP) >= len(colours) {
		return Bundle{}, before, 0, fmt.Errorf("stix: %d is no colour of TLP", in.TLP)
	}
	w := newWriter(&in, before)
	campaigns := slices.Clone(in.Campaigns)
	slices.SortFunc(campaigns, func(a, b tocsin.Campaign) int { return cmp.Compare(a.ID, b.ID) })
	infrastructure := w.controllers()
	for i := range campaigns {
		w.campaign(&campaigns[i], infrastructure)
	}
	b, after, err = w.finish()
	return b, after, w.left, err
}

// controllers writes what commands and what supplies, and returns which.
func (w *writer) controllers() map[netip.AddrPort]string {
	list := slices.Clone(w.in.Controllers)
	slices.SortFunc(list, func(a, b tocsin.Controller) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	written := map[netip.AddrPort]string{}
	for i := range list {
		c := &list[i]
		at := netip.AddrPortFrom(c.Address.Unmap(), c.Port)
		// What devices attacked is a victim; what was not admitted may be chance.
		if !c.Admitted || c.Class != tocsin.Commands && c.Class != tocsin.Payload || written[at] != "" {
			continue
		}
		p := netip.PrefixFrom(at.Addr(), at.Addr().BitLen())
		if !w.told(p, c.Last.Add(controllerLife)) {
			continue
		}
		kind, name := "command-and-control", "Controller "+at.String()
		if c.Class == tocsin.Payload {
			kind, name = "hosting-malware", "Payload host "+at.String()
		}
		infra := &Infrastructure{Name: name, Types: []string{kind}, FirstSeen: stamp(c.First), LastSeen: stamp(c.Last),
			Description: fmt.Sprintf("Contacted by %d devices, %d of them likely compromised; corrected error rate %.3g", c.Devices, c.Labelled, c.Q)}
		written[at] = w.add(infra, "infrastructure", at.String())
		w.relate(written[at], "consists-of", w.observable(p))
		indicator := w.indicator(p, name, c.First, c.Last.Add(controllerLife), 0)
		w.relate(indicator, "indicates", written[at])
	}
	return written
}

// campaign writes a campaign and its sources.
func (w *writer) campaign(c *tocsin.Campaign, infrastructure map[netip.AddrPort]string) {
	if c.ID == "" || c.Status == tocsin.Joined {
		return
	}
	key := string(c.ID)
	out := &Campaign{Confidence: percent(c.Confidence), FirstSeen: stamp(c.First), LastSeen: stamp(latest(c.First, c.Last)),
		Objective: "Guessing passwords of network storage and servers", Description: describe(c)}
	out.Name = "Campaign " + w.uuid("campaign", key)[:8]
	id := w.add(out, "campaign", key)
	for _, at := range w.in.Commands[c.ID] {
		if to := infrastructure[netip.AddrPortFrom(at.Addr().Unmap(), at.Port())]; to != "" {
			w.relate(id, "uses", to)
		}
	}
	sources := slices.Clone(c.Sources)
	slices.SortFunc(sources, func(a, b tocsin.Member) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(b.Attempts, a.Attempts),
			a.Source.Addr().Compare(b.Source.Addr()), cmp.Compare(a.Source.Bits(), b.Source.Bits()))
	})
	for i := range sources {
		m := &sources[i]
		if !w.told(m.Source, m.Last.Add(sourceLife)) {
			continue
		}
		if w.sources++; w.sources > MaxSources {
			w.left++
			continue
		}
		name := "Password guessing from " + host(m.Source)
		indicator := w.indicator(m.Source, name, m.First, m.Last.Add(sourceLife), percent(m.Confidence))
		w.relate(indicator, "indicates", id)
		w.add(&Sighting{Of: indicator, Where: []string{w.fleet}, Count: min(uint64(m.Attempts), maxCount), Summary: true,
			FirstSeen: stamp(m.First), LastSeen: stamp(latest(m.First, m.Last))}, "sighting", key+" "+m.Source.String())
	}
}

// describe tells a campaign in numbers and public names alone: its reasons and
// its timeline were written for the hub's own people.
func describe(c *tocsin.Campaign) string {
	var names []string
	for _, t := range c.Accounts {
		if n := accounts.Fold(string(t)); accounts.IsPublic(n) && !slices.Contains(names, n) && len(names) < maxAccounts {
			names = append(names, takedown.OneLine(n, tocsin.MaxAccount))
		}
	}
	text := fmt.Sprintf("%d attempts from %d known sources, estimated %.0f (%.0f to %.0f); %s", c.Attempts, len(c.Sources),
		c.Size.Value, c.Size.Low, c.Size.High, c.Status)
	if len(names) > 0 {
		text += "; default accounts tried: " + strings.Join(names, ", ")
	}
	return text
}

// told reports whether p may stand in a bundle: public, not excepted, and not
// over.
func (w *writer) told(p netip.Prefix, until time.Time) bool {
	if !p.IsValid() || p != p.Masked() || p.Addr().Is4() && p.Bits() != 32 || p.Addr().Is6() && p.Bits() < 48 ||
		p.Addr().Is4In6() || !takedown.Public(p.Addr()) {
		return false
	}
	return until.After(w.in.At) && !slices.ContainsFunc(w.in.Except, p.Overlaps)
}

// indicator writes the indicator of p, once, and that blocking it helps.
func (w *writer) indicator(p netip.Prefix, name string, from, until time.Time, confidence int) string {
	if id := w.indicators[p]; id != "" {
		return id
	}
	i := &Indicator{Name: name, Types: []string{"malicious-activity"}, Pattern: pattern(p), PatternType: "stix", PatternVersion: "2.1",
		ValidFrom: stamp(from), ValidUntil: stamp(latest(from.Add(time.Second), until)), Confidence: confidence}
	id := w.add(i, "indicator", p.String())
	w.indicators[p] = id
	w.relate(w.block, "mitigates", id)
	return id
}

// pattern is the only template that patterns come from: an address needs no
// quoting.
func pattern(p netip.Prefix) string {
	kind := "ipv4-addr"
	if p.Addr().Is6() {
		kind = "ipv6-addr"
	}
	return fmt.Sprintf("[%s:value = '%s']", kind, host(p))
}

// host returns p as an address where it is one.
func host(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// percent is 0, and left out, for what is no number.
func percent(c float64) int {
	if !(c > 0) {
		return 0
	}
	return int(min(c, 1)*100 + 0.5)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stamp is a time as STIX writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
