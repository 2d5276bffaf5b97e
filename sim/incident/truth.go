package incident

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin"
)

// TruthFile is the name of the file that says what is true.
const TruthFile = "truth.json"

// note stands at the head of that file.
const note = "What is true of this invented incident. For tests only: whatever detects, ranks or assesses must not read it."

// Truth is what is true of an incident. Tests compare what was found with it;
// nothing else may read it.
type Truth struct {
	Note       string           `json:"note"`
	Seed       uint64           `json:"seed"`
	Start      time.Time        `json:"start"`
	End        time.Time        `json:"end"`
	Campaigns  []TrueCampaign   `json:"campaigns"`
	Controller netip.AddrPort   `json:"controller"`
	Payload    netip.AddrPort   `json:"payload"`
	Vendor     []netip.AddrPort `json:"vendor"`  // servers of the vendor
	Targets    []netip.AddrPort `json:"targets"` // that compromised devices attack, scans left out
	Devices    []TrueDevice     `json:"devices"`
	Persons    []Person         `json:"persons"`
	Failures   int              `json:"failures"` // that the logs show, all together
	Successes  int              `json:"successes"`
	Probes     int              `json:"probes"`
}

// A TrueCampaign is a campaign with all of its sources.
type TrueCampaign struct {
	Name     string       `json:"name"` // loud or slow
	Begins   time.Time    `json:"begins"`
	Sources  []TrueSource `json:"sources"`
	Accounts []string     `json:"accounts"` // its dictionary, in order
}

// A TrueSource is one source of a campaign, with what the logs show of it.
type TrueSource struct {
	Source   netip.Addr `json:"source"`
	Attempts int        `json:"attempts"`
	Devices  int        `json:"devices"`
}

// A TrueDevice is a device, with what became of it and what can be seen of that.
type TrueDevice struct {
	Device      tocsin.DeviceID `json:"device"`
	Owner       tocsin.OwnerID  `json:"owner"`
	Attacked    bool            `json:"attacked"` // anybody but its people tried to log in
	Compromised bool            `json:"compromised"`
	Labelled    bool            `json:"labelled"` // said to be compromised in devices.csv
	Entered     time.Time       `json:"entered,omitzero"`
	By          netip.Addr      `json:"by,omitzero"`
	Campaign    string          `json:"campaign,omitempty"`
	FirstAct    time.Time       `json:"first_attack_act,omitzero"`
	// Shows is what can be seen of the break-in: guessed or entered (by a source of
	// a campaign that had not failed there before), persistence, scan, controller,
	// payload.
	Shows []string `json:"shows,omitempty"`
	// Removed is what telemetry was: logs, lines, flows.
	Removed   []string  `json:"removed,omitempty"`
	GapFrom   time.Time `json:"gap_from,omitzero"`
	GapTo     time.Time `json:"gap_to,omitzero"`
	Failures  int       `json:"failures"` // that its logs show
	Successes int       `json:"successes"`
	Probes    int       `json:"probes"`
}

// A Person is somebody who belongs there: a person, one of an office that shares
// an address, a phone with an old password, or another device of the owner.
type Person struct {
	Kind    string          `json:"kind"` // person, office, phone or device
	Account string          `json:"account"`
	Device  tocsin.DeviceID `json:"device"`
	Source  netip.Addr      `json:"source"`
}

// ReadTruth reads what is true of the incident in the folder dir.
func ReadTruth(dir string) (t Truth, err error) {
	name := filepath.Join(dir, TruthFile)
	b, err := os.ReadFile(name)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return t, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func (w *world) truth() Truth {
	n := &w.net
	t := Truth{
		Note: note, Seed: w.c.Seed, Start: w.c.Start, End: w.c.Start.Add(w.c.Span),
		Campaigns:  []TrueCampaign{w.trueCampaign(&w.loud), w.trueCampaign(&w.slow)},
		Controller: n.list[n.controller].to, Payload: n.list[n.payload].to, Persons: w.persons,
	}
	for _, family := range n.vendors {
		for _, to := range family {
			t.Vendor = append(t.Vendor, n.list[to].to)
		}
	}
	for _, to := range n.targets {
		t.Targets = append(t.Targets, n.list[to].to)
	}
	labels := w.labels()
	for i := range w.devices {
		d := w.trueDevice(&w.devices[i])
		_, d.Labelled = labels[i]
		t.Devices = append(t.Devices, d)
		t.Failures, t.Successes, t.Probes = t.Failures+d.Failures, t.Successes+d.Successes, t.Probes+d.Probes
	}
	return t
}

func (w *world) trueCampaign(c *campaign) TrueCampaign {
	type seen struct {
		attempts int
		devices  map[int32]bool
	}
	by := map[netip.Addr]*seen{}
	for i := range w.attempts {
		a := &w.attempts[i]
		if a.group != c.group {
			continue
		}
		if by[a.source] == nil {
			by[a.source] = &seen{devices: map[int32]bool{}}
		}
		by[a.source].attempts++
		by[a.source].devices[a.device] = true
	}
	t := TrueCampaign{Name: c.name, Begins: time.Unix(c.begins, 0).UTC(), Accounts: c.order}
	for _, source := range c.sources {
		s := TrueSource{Source: source}
		if b := by[source]; b != nil {
			s.Attempts, s.Devices = b.attempts, len(b.devices)
		}
		t.Sources = append(t.Sources, s)
	}
	return t
}

func (w *world) trueDevice(d *device) TrueDevice {
	t := TrueDevice{
		Device: d.name, Owner: w.owners[d.owner].id, Attacked: d.attacked,
		Failures: d.count[tocsin.Failure], Successes: d.count[tocsin.Success], Probes: d.count[tocsin.Probe],
	}
	for g := range goneWords {
		if d.lacks(gone(g)) {
			t.Removed = append(t.Removed, goneWords[g])
		}
	}
	if d.lacks(goneLines) {
		t.GapFrom, t.GapTo = time.Unix(d.gap[0], 0).UTC(), time.Unix(d.gap[1], 0).UTC()
	}
	if d.bot == 0 {
		return t
	}
	b := &w.bots[d.bot-1]
	t.Compromised, t.By, t.Campaign = true, b.by, map[group]string{loud: "loud", slow: "slow"}[b.group]
	t.Entered, t.FirstAct = time.Unix(b.entered, 0).UTC(), time.Unix(b.firstAct, 0).UTC()
	show := func(is bool, word string) {
		if is {
			t.Shows = append(t.Shows, word)
		}
	}
	if !d.lacks(goneLogs) {
		show(b.guessed, "guessed")
		show(!b.guessed, "entered")
		show(b.persists, "persistence")
	}
	if !d.lacks(goneFlows) {
		show(b.scans, "scan")
		show(b.commands, "controller")
		show(b.fetches, "payload")
	}
	return t
}

// Labels in devices.csv are as good as a first look is.
const (
	sensitivity   = 0.6   // of compromised devices whose telemetry is there
	falsePositive = 0.002 // of the others
)

// labels returns the devices that devices.csv calls compromised, with the time
// of what it calls their first attack.
func (w *world) labels() map[int]int64 {
	r := w.random(partLabels, 0)
	labels := map[int]int64{}
	var seen []int
	for i := range w.bots {
		if !w.devices[w.bots[i].device].removed() {
			seen = append(seen, i)
		}
	}
	n := int(sensitivity*float64(len(seen)) + 0.5)
	for _, k := range r.Perm(len(seen))[:n] {
		b := &w.bots[seen[k]]
		labels[b.device] = b.firstAct
	}
	for i := range w.devices {
		if wrong := r.Float64() < falsePositive; wrong && w.devices[i].bot == 0 {
			labels[i] = w.start + (w.end-w.start)/2 + r.Int64N((w.end-w.start)/3)
		}
	}
	return labels
}
