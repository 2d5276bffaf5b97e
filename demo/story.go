package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
)

// A Stage is something that the story comes to.
type Stage string

// The stages. The order in which an incident comes to them is its own, but for the
// first, the last, and the case after its controller.
const (
	Attack      Stage = "attack"       // many addresses that nobody saw before
	FirstBlock  Stage = "first-block"  // at one device
	Opened      Stage = "campaign"     // the hub tells who acts together
	Everywhere  Stage = "fleet-block"  // one address, in force at every connected device
	Ranked      Stage = "controller"   // first of all destinations, and stays it
	Drafted     Stage = "case-drafted" // the mail to the provider; it is never sent
	Compromised Stage = "compromised"  // devices counted
)

// Stages are all of them.
var Stages = []Stage{Attack, FirstBlock, Opened, Everywhere, Ranked, Drafted, Compromised}

// A plot watches what the hub and its devices tell, and knows what the story came
// to. It knows nothing of what is true of the incident.
type plot struct {
	clk   *clock.Clock
	begun time.Time
	from  time.Time           // since when sources are seen, by the demo's clock
	tell  func(api.DemoStory) // told under the lock, in order

	mu       sync.Mutex // guards the fields below
	stories  []api.DemoStory
	names    map[tocsin.DeviceID]string
	kernels  map[tocsin.DeviceID]bool
	seen     map[netip.Prefix]time.Time // when a source was seen first
	fresh    map[int64]int              // sources that were, by the minute
	attack   time.Time                  // zero until it is noticed
	enforced map[netip.Prefix]map[tocsin.DeviceID]time.Time
	waves    []*wave
	leading  leading
}

// A wave is a block that the hub decided upon for every device.
type wave struct {
	prefix  netip.Prefix
	clock   time.Time
	decided time.Time // by the wall clock
	reason  tocsin.Reason
}

// leading is which address is first of all that may command the devices.
type leading struct {
	address netip.AddrPort
	since   time.Time // by the demo's clock
}

func newPlot(clk *clock.Clock, tell func(api.DemoStory)) *plot {
	return &plot{
		clk: clk, begun: time.Now(), tell: tell, names: map[tocsin.DeviceID]string{}, kernels: map[tocsin.DeviceID]bool{},
		seen: map[netip.Prefix]time.Time{}, fresh: map[int64]int{}, enforced: map[netip.Prefix]map[tocsin.DeviceID]time.Time{},
	}
}

// reached reports whether the story came to a stage. The caller holds the lock.
func (p *plot) reached(s Stage) bool {
	for _, one := range p.stories {
		if Stage(one.Stage) == s {
			return true
		}
	}
	return false
}

// has reports the same to others.
func (p *plot) has(s Stage) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.reached(s) }

// come notes that the story came to a stage. The caller holds the lock.
func (p *plot) come(s Stage, clock time.Time, en, fr string, measured map[string]any) {
	now := time.Now()
	one := api.DemoStory{
		N: len(p.stories) + 1, Stage: string(s), At: clock.UTC(), Clock: clock.UTC().Format(time.TimeOnly), Elapsed: now.Sub(p.begun).Seconds(),
		EN: en, FR: fr, Measured: measured,
	}
	p.stories = append(p.stories, one)
	p.tell(one)
}

// An attack is noticed when more addresses that nobody saw before guess within a
// minute than usually do within several.
const (
	usualOver  = 20 // minutes that tell what is usual
	surgeTimes = 3
	surgeLeast = 12
)

// heard takes an event of the hub, and what followed from it.
func (p *plot) heard(e tocsin.Event, effects []fleet.Effect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := e.Received; r != nil && r.Failures > 0 {
		p.sighted(r)
	}
	if p.attack.IsZero() {
		return
	}
	for _, f := range effects {
		d := f.Decision
		if f.Owner == fleet.Everybody && f.Verdict == blocklist.Enforced && !f.Withdrawn && d.Action == tocsin.Block && len(p.waves) < mostWaves {
			p.waves = append(p.waves, &wave{prefix: d.Prefix.Masked(), clock: e.At, decided: time.Now(), reason: d.Reason})
		}
	}
}

// mostWaves bounds the blocks that are followed to every device: the first ones.
const mostWaves = 200

func (p *plot) sighted(r *tocsin.Received) {
	source := r.Source.Masked()
	if at, known := p.seen[source]; !known || r.First.Before(at) {
		if !known {
			p.fresh[r.First.Unix()/60]++
		}
		p.seen[source] = r.First
	}
	if p.attack.IsZero() {
		p.surge(r.First.Unix() / 60)
	}
	if !p.attack.IsZero() && r.Facts.Has(tocsin.BlockedHere) && !p.reached(FirstBlock) && !p.seen[source].Before(p.attack) {
		if at, held := p.enforced[source][r.ID.Device]; held {
			p.firstBlock(r, at)
		}
	}
}

// surge looks whether a minute is unlike those before.
func (p *plot) surge(minute int64) {
	usual := 0
	for m := minute - usualOver; m < minute; m++ {
		usual += p.fresh[m]
	}
	n := p.fresh[minute]
	if n < surgeLeast || n*usualOver < surgeTimes*usual || len(p.seen) < surgeLeast*2 {
		return
	}
	if p.attack = time.Unix(minute*60, 0).UTC(); p.attack.Before(p.from.Add(usualOver * time.Minute)) {
		p.attack = time.Time{} // nobody knows what is usual
		return
	}
	p.come(Attack, p.attack,
		fmt.Sprintf("Attack: %d addresses that nobody saw before guess passwords within one minute; usually %.1f do.", n, float64(usual)/usualOver),
		fmt.Sprintf("Attaque : %d adresses jamais vues essaient des mots de passe en une minute ; d'habitude, %s.", n, comma(fmt.Sprintf("%.1f", float64(usual)/usualOver))),
		map[string]any{"new_sources": n, "usual_per_minute": float64(usual) / usualOver, "noticed": p.clk.Now().UTC()})
}

func (p *plot) firstBlock(r *tocsin.Received, at time.Time) {
	name := p.name(r.ID.Device)
	after := r.Last.Sub(p.attack).Round(time.Second)
	where, ou := "in memory", "en mémoire"
	if p.kernels[r.ID.Device] {
		where, ou = "in the kernel", "dans le noyau"
	}
	p.come(FirstBlock, r.Last,
		fmt.Sprintf("First block: %s drops %s (%s).", name, show(r.Source), where),
		fmt.Sprintf("Premier blocage : %s rejette %s (%s).", name, show(r.Source), ou),
		map[string]any{"device": name, "source": show(r.Source), "after_seconds": after.Seconds(), "enforced": at.UTC(), "kernel": p.kernels[r.ID.Device]})
}

func (p *plot) name(id tocsin.DeviceID) string {
	if n := p.names[id]; n != "" {
		return n
	}
	return string(id)
}

// holds takes a device's word that its firewall blocks a prefix.
func (p *plot) holds(id tocsin.DeviceID, prefix netip.Prefix, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.enforced[prefix]
	if m == nil {
		m = map[tocsin.DeviceID]time.Time{}
		p.enforced[prefix] = m
	}
	if _, known := m[id]; !known {
		m[id] = at
	}
}

// everywhere returns the first block of the whole fleet that every connected device
// holds, and when the last of them did.
func (p *plot) everywhere(connected []tocsin.DeviceID) (w *wave, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(connected) == 0 || p.reached(Everywhere) {
		return nil, last
	}
	for _, one := range p.waves {
		at, all := one.decided, true
		for _, id := range connected {
			held, ok := p.enforced[one.prefix][id]
			if all = all && ok; ok && held.After(at) {
				at = held
			}
		}
		if all {
			return one, at
		}
	}
	return nil, last
}

// inForce notes that a block of the fleet was read back from the firewall of every
// connected device.
func (p *plot) inForce(w *wave, last time.Time, devices, kernels int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached(Everywhere) {
		return
	}
	took := max(last.Sub(w.decided), 0)
	since := w.clock.Sub(p.seen[w.prefix])
	p.come(Everywhere, w.clock,
		fmt.Sprintf("Fleet-wide: %s is blocked at all %d connected devices, %s after the hub decided; first seen %s before.",
			show(w.prefix), devices, short(took), short(since)),
		fmt.Sprintf("Toute la flotte : %s est bloquée sur les %d appareils connectés, %s après la décision ; vue %s avant.",
			show(w.prefix), devices, comma(short(took)), comma(short(since))),
		map[string]any{
			"source": show(w.prefix), "devices": devices, "kernels": kernels, "seconds": took.Seconds(),
			"first_seen": p.seen[w.prefix].UTC(), "decided_after_seconds": since.Seconds(), "since_attack_seconds": w.clock.Sub(p.attack).Seconds(), "reason": w.reason,
		})
}

// actTogether is how many sources a campaign must tell as acting together that was
// open before the attack: on most days there is one.
const actTogether = 5

// campaign takes a campaign that the hub tells of.
func (p *plot) campaign(c api.CampaignLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := !c.Opened.Before(p.attack)
	acting := c.Sources >= actTogether && !c.Last.Before(p.attack) && c.Into == ""
	if p.attack.IsZero() || p.reached(Opened) || !fresh && !acting {
		return
	}
	at := p.clk.Now()
	if fresh {
		at = c.Opened
	}
	p.come(Opened, at,
		fmt.Sprintf("Campaign %s: %d addresses act together so far, %d attempts on %d devices.", c.ID, c.Sources, c.Attempts, c.Targets),
		fmt.Sprintf("Campagne %s : %d adresses agissent ensemble pour l'instant, %d tentatives sur %d appareils.", c.ID, c.Sources, c.Attempts, c.Targets),
		map[string]any{"campaign": c.ID, "sources": c.Sources, "attempts": c.Attempts, "devices": c.Targets, "after_seconds": at.Sub(p.attack).Seconds()})
}

// A candidate counts as found once it was first for so long, among so many devices
// that were likely entered.
const (
	leadFor     = 3 * time.Minute
	leadDevices = 3
	leadAtLast  = 2 // once the recording is over: more will not come
)

// ranking takes who is first of the candidates, and returns it once it counts.
func (p *plot) ranking(r api.Ranking, over bool) (first netip.AddrPort, counts bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clk.Now()
	if p.attack.IsZero() || len(r.Candidates) == 0 {
		p.leading = leading{}
		return first, false
	}
	top := r.Candidates[0]
	first = netip.AddrPortFrom(top.Address, top.Port)
	least := leadDevices
	if over {
		least = leadAtLast
	}
	if first != p.leading.address || top.Class != tocsin.Commands || top.Labelled < least {
		p.leading = leading{first, now}
		return first, false
	}
	if now.Sub(p.leading.since) < leadFor {
		return first, false
	}
	if !p.reached(Ranked) {
		p.come(Ranked, now,
			fmt.Sprintf("Controller: of %d destinations %s is first: %d of %d devices likely entered contacted it, and %d others.",
				r.Observed, first, top.Labelled, r.Labelled, top.Devices-top.Labelled),
			fmt.Sprintf("Serveur de commande : parmi %d destinations, %s est la première : contactée par %d des %d appareils sans doute pénétrés, et %d autres.",
				r.Observed, first, top.Labelled, r.Labelled, top.Devices-top.Labelled),
			map[string]any{
				"address": first.String(), "q": top.Q, "score": top.Score, "labelled": top.Labelled, "of": r.Labelled, "destinations": r.Observed,
				"proposed": top.MayPropose && top.Admitted, "after_seconds": now.Sub(p.attack).Seconds(),
			})
	}
	return first, true
}

// drafted notes that the mail about a controller is written.
func (p *plot) drafted(f api.CaseFile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reached(Drafted) || f.Draft == nil {
		return
	}
	now := p.clk.Now()
	p.come(Drafted, now,
		fmt.Sprintf("Case %s: the mail to %s is drafted. Nothing is sent: people would read it and approve.", f.Case.ID, f.Draft.Letter.To),
		fmt.Sprintf("Dossier %s : le courriel à %s est rédigé. Rien n'est envoyé : des personnes le liraient et l'approuveraient.", f.Case.ID, f.Draft.Letter.To),
		map[string]any{"case": f.Case.ID, "to": f.Draft.Letter.To, "after_seconds": now.Sub(p.attack).Seconds()})
}

// counted notes how many devices were entered.
func (p *plot) counted(c api.Compromise) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := c.Summary
	if p.reached(Compromised) {
		return
	}
	unknown := s.States[compromise.Unknown]
	p.come(Compromised, p.clk.Now(),
		fmt.Sprintf("Devices entered: %d of %d covered are confirmed (%.0f to %.0f %%), %d more suspected; of %d nobody can say.",
			s.Confirmed, s.Covered, 100*s.Share.Low, 100*s.Share.High, s.States[compromise.Suspected], unknown),
		fmt.Sprintf("Appareils pénétrés : %d confirmés sur %d couverts (%.0f à %.0f %%), %d autres suspects ; de %d nul ne peut le dire.",
			s.Confirmed, s.Covered, 100*s.Share.Low, 100*s.Share.High, s.States[compromise.Suspected], unknown),
		map[string]any{
			"confirmed": s.Confirmed, "covered": s.Covered, "low": s.Share.Low, "high": s.Share.High,
			"suspected": s.States[compromise.Suspected], "unknown": unknown, "devices": s.Devices,
		})
}

// missing returns the stages that the story has not come to.
func (p *plot) missing() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []string{}
	for _, s := range Stages {
		if !p.reached(s) {
			list = append(list, string(s))
		}
	}
	return list
}

// told returns what the story came to so far.
func (p *plot) told() []api.DemoStory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]api.DemoStory{}, p.stories...)
}

// show writes a prefix as people do.
func show(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// short writes a duration as people read it.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// comma writes a number's decimals as French does.
func comma(number string) string { return strings.ReplaceAll(number, ".", ",") }
