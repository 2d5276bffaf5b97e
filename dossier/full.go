package dossier

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/takedown"
)

// Bounds of a full dossier.
const (
	maxVictims  = 500
	maxKept     = 200
	maxAccounts = 50
)

// A Full is what is handed out on request: TLP:AMBER. Of owners who did not
// agree it holds what the forwardable dossier does.
type Full struct {
	Marking
	Case       takedown.ID    `json:"case"`
	Kind       takedown.Kind  `json:"kind"`
	State      takedown.State `json:"state"`
	Source     string         `json:"source"`
	Port       uint16         `json:"port,omitempty"`
	Domain     string         `json:"domain,omitempty"`
	First      time.Time      `json:"first"`
	Last       time.Time      `json:"last"`
	Attempts   uint64         `json:"attempts"`    // by the address
	Connected  uint64         `json:"connections"` // to it, by the fleet's devices
	Networks   int            `json:"networks"`
	Services   []string       `json:"services,omitempty"`
	Accounts   []string       `json:"accounts,omitempty"` // public defaults only
	Fleet      Fleet          `json:"fleet"`
	Assessment *Assessment    `json:"assessment,omitempty"`
	Campaign   *Campaign      `json:"campaign,omitempty"`
	Victims    []FullVictim   `json:"victims,omitempty"`
	Withheld   int            `json:"withheld"` // victims of owners who did not agree, or beyond the bound
	Evidence   []FullEvidence `json:"evidence,omitempty"`
	Lines      []string       `json:"lines"`
	Left       int            `json:"left,omitempty"`
}

// An Assessment is why an address counts as a controller.
type Assessment struct {
	Marking
	Q          float64 `json:"q"`
	Score      float64 `json:"score"`
	Devices    int     `json:"devices"`
	Labelled   int     `json:"labelled"`
	Strata     int     `json:"strata"`
	Prevalence float64 `json:"p_prevalence"`
	Precedence float64 `json:"p_precedence"`
	Regularity float64 `json:"regularity"`
	Rarity     float64 `json:"rarity"`
}

// A Campaign is what a dossier tells of a campaign: numbers.
type Campaign struct {
	Marking
	Status     tocsin.CampaignStatus `json:"status"`
	First      time.Time             `json:"first"`
	Last       time.Time             `json:"last"`
	Attempts   uint64                `json:"attempts"`
	Sources    int                   `json:"sources"`
	Size       tocsin.Estimate       `json:"size"`
	Confidence float64               `json:"confidence"`
}

// A FullVictim is a device of an owner who agreed. It has no name.
type FullVictim struct {
	Marking
	Address  string    `json:"address"`
	Model    string    `json:"model,omitempty"`
	Firmware string    `json:"firmware,omitempty"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Count    uint64    `json:"count"` // attempts and connections
}

// A FullEvidence tells what is kept, and by its hash that it is the same later.
type FullEvidence struct {
	Marking
	Name   string    `json:"name"`
	At     time.Time `json:"at"`
	Zone   string    `json:"zone"` // of the times inside
	SHA256 string    `json:"sha256"`
	Size   int       `json:"size,omitempty"`
}

func full(in *Input, list []event, s summary) Full {
	agreed := map[tocsin.OwnerID]bool{}
	for _, o := range in.Disclose {
		agreed[o] = o != "" // the unknown owner did not agree
	}
	f := Full{
		Marking: Amber, Case: in.Case.ID, Kind: in.Case.Kind, State: in.Case.State, Source: host(in.Case.Source), Port: in.Case.Port,
		Domain: takedown.OneLine(in.Case.Domain, takedown.MaxName), First: s.first, Last: s.last, Attempts: s.attempts, Connected: s.connections, Networks: s.networks,
		Services: s.services, Accounts: defaults(in), Fleet: in.Fleet, Left: max(len(list)-MaxLines, 0),
	}
	if c := in.Controller; c != nil && in.Case.Kind != takedown.BruteForce {
		f.Assessment = &Assessment{Marking: Amber, Q: c.Q, Score: c.Score, Devices: c.Devices, Labelled: c.Labelled, Strata: c.Strata,
			Prevalence: c.Prevalence, Precedence: c.Precedence, Regularity: c.Regularity, Rarity: c.Rarity}
	}
	if c := in.Campaign; c != nil {
		f.Campaign = &Campaign{Marking: Amber, Status: c.Status, First: c.First.UTC(), Last: c.Last.UTC(), Attempts: c.Attempts,
			Sources: len(c.Sources), Size: c.Size, Confidence: c.Confidence}
	}
	for _, e := range list[f.Left:] {
		f.Lines = append(f.Lines, e.line(in.Case.Source, agreed[e.victim.Owner]))
	}
	f.victims(agreed, list)
	f.evidence(in, agreed)
	return f
}

func (f *Full) victims(agreed map[tocsin.OwnerID]bool, list []event) {
	byDevice := map[tocsin.DeviceID]*FullVictim{}
	withheld := map[tocsin.DeviceID]bool{}
	for _, e := range list {
		if !agreed[e.victim.Owner] || !e.victim.Address.IsValid() {
			withheld[e.device] = true
			continue
		}
		v := byDevice[e.device]
		if v == nil {
			v = &FullVictim{Marking: Amber, Address: e.victim.Address.Unmap().String(), Model: takedown.OneLine(e.victim.Model, 100),
				Firmware: takedown.OneLine(e.victim.Firmware, 100), First: e.first, Last: e.last}
			byDevice[e.device] = v
		}
		if e.last.After(v.Last) {
			v.Last = e.last
		}
		v.Count += e.count
	}
	for v := range maps.Values(byDevice) {
		f.Victims = append(f.Victims, *v)
	}
	slices.SortFunc(f.Victims, func(a, b FullVictim) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Address, b.Address), a.Last.Compare(b.Last),
			cmp.Compare(a.Count, b.Count), cmp.Compare(a.Model, b.Model), cmp.Compare(a.Firmware, b.Firmware))
	})
	n := min(len(f.Victims), maxVictims)
	f.Withheld = len(withheld) + len(f.Victims) - n
	f.Victims = f.Victims[:n]
}

func (f *Full) evidence(in *Input, agreed map[tocsin.OwnerID]bool) {
	for _, e := range in.Evidence {
		if e.Device != "" && !agreed[in.Victims[e.Device].Owner] {
			continue
		}
		zone := takedown.OneLine(e.Zone, 40)
		if zone == "" {
			zone = "UTC"
		}
		f.Evidence = append(f.Evidence, FullEvidence{Marking: Amber, Name: takedown.OneLine(e.Name, 200), At: e.At.UTC(), Zone: zone,
			SHA256: hex.EncodeToString(e.Digest[:]), Size: e.Size})
	}
	slices.SortFunc(f.Evidence, func(a, b FullEvidence) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Zone, b.Zone))
	})
	f.Evidence = f.Evidence[:min(len(f.Evidence), maxKept)]
}

// defaults returns the names tried that are on the public list of defaults.
// Others may be names of people.
func defaults(in *Input) []string {
	set := map[string]bool{}
	for i := range in.Sightings {
		if s := &in.Sightings[i]; s.Source == in.Case.Source && in.Case.Kind != takedown.Controller {
			for _, t := range s.Accounts {
				if accounts.IsPublic(string(t.Tag)) {
					set[takedown.OneLine(accounts.Fold(string(t.Tag)), tocsin.MaxAccount)] = true
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(set))
	return names[:min(len(names), maxAccounts)]
}

// Text returns f for people, in a language.
func (f Full) Text(l Language) string {
	w := l.words()
	var b strings.Builder
	row := func(name string, value any) { fmt.Fprintf(&b, "  %s%s %v\n", name, w.colon, value) }
	head := func(name string) { fmt.Fprintf(&b, "\n%s [%s, %s]\n", name, f.TLP, f.PAP) }
	fmt.Fprintf(&b, "%s / %s\n%s\n\n[%s] %s%s %s\n\n%s\n\n", f.TLP, f.PAP, w.confidential, f.Case, w.title[f.Kind], w.colon, f.Source, w.what[f.Kind])
	row(w.address, f.Source)
	if f.Port != 0 {
		row(w.port, f.Port)
	}
	if f.Domain != "" {
		row(w.domain, f.Domain)
	}
	row(w.from, forPeople(f.First))
	row(w.to, forPeople(f.Last))
	if f.Attempts > 0 {
		row(w.attempts, f.Attempts)
	}
	if f.Connected > 0 {
		row(w.connections, f.Connected)
	}
	row(w.networks, f.Networks)
	if len(f.Services) > 0 {
		row(w.services, strings.Join(f.Services, ", "))
	}
	if len(f.Accounts) > 0 {
		row(w.accounts, strings.Join(f.Accounts, ", "))
	}
	head(w.method)
	fmt.Fprintf(&b, "%s\n", w.how[f.Kind])
	f.numbers(w, head, row)
	f.listings(&b, w, head)
	return b.String()
}

func (f Full) numbers(w *words, head func(string), row func(string, any)) {
	head(w.fleet)
	row(w.devices, f.Fleet.Devices)
	row(w.covered, f.Fleet.Covered)
	row(w.attacked, f.Fleet.Attacked)
	row(w.compromised, f.Fleet.Compromised)
	if a := f.Assessment; a != nil {
		head(w.address + " " + f.Source)
		row(w.devices, a.Devices)
		row(w.labelled, a.Labelled)
		row(w.strata, a.Strata)
		row(w.q, fmt.Sprintf("%.3g", a.Q))
		row(w.score, fmt.Sprintf("%.2f", a.Score))
	}
	if c := f.Campaign; c != nil {
		head(w.campaign)
		row(w.from, forPeople(c.First))
		row(w.to, forPeople(c.Last))
		row(w.attempts, c.Attempts)
		row(w.sources, c.Sources)
		row(w.size, fmt.Sprintf("%.0f (%.0f - %.0f)", c.Size.Value, c.Size.Low, c.Size.High))
	}
}

func (f Full) listings(b *strings.Builder, w *words, head func(string)) {
	head(w.victims)
	for _, v := range f.Victims {
		fmt.Fprintf(b, "  %s  %s %s  %s - %s  %d\n", v.Address, v.Model, v.Firmware, zulu(v.First), zulu(v.Last), v.Count)
	}
	fmt.Fprintf(b, "  %s%s %d\n", w.withheld, w.colon, f.Withheld)
	if len(f.Evidence) > 0 {
		head(w.items)
	}
	for _, e := range f.Evidence {
		fmt.Fprintf(b, "  %s  %s  (%s)\n    sha256:%s\n", zulu(e.At), e.Name, e.Zone, e.SHA256)
	}
	head(w.log + " (UTC)")
	for _, line := range f.Lines {
		fmt.Fprintf(b, "  %s\n", line)
	}
	if f.Left > 0 {
		fmt.Fprintf(b, "  %s\n", fmt.Sprintf(w.left, f.Left))
	}
}
