// Package compromise says of every device whether it was attacked and entered,
// how sure that is, and what nobody can say because it was not seen. It is pure:
// the same facts always give the same answer, in whatever order they came.
//
// The order of work has no circle: [Label] sees only what a device's own logs
// and files told, package controller ranks what labelled devices contacted, and
// only [Assess] knows of controllers. So a controller never proves itself
// through devices that are labelled for having met it.
//
// States follow a table; the probability orders the work and supplies labels,
// and decides nothing. It finds no evidence itself: guards and hub do.
package compromise

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Facts are what the logs and files of one device told: all that [Label] may
// see. What another device told is left out. Times of clues are by the hub's
// clock, as far as it knew the device's; those of sightings are corrected here.
type Facts struct {
	Device    tocsin.DeviceID
	Sightings []tocsin.Received
	Clues     []tocsin.Clue // of the device, and those of [OutgoingScans]
}

// A Device is all that the hub knows of one device.
type Device struct {
	Facts
	Contacts []tocsin.Contact
	Coverage Coverage
	Closings []Closing
}

// A Labelled is one device as package controller is told of it.
type Labelled struct {
	Device tocsin.DeviceID
	P      float64 // that it is compromised, by its own facts
	Likely bool    // p is at least [Threshold]
	// Acted is when it first attacked others, by its own contacts: zero is not
	// as far as is known.
	Acted time.Time
}

// Threshold is from which probability a device is labelled as compromised.
const Threshold = 0.5

// Label says of each device how likely it is compromised, sorted by device. It
// knows nothing of controllers, and of contacts no more than that they were a
// scan.
func Label(p Period, all []Facts, campaigns []tocsin.Campaign) []Labelled {
	sources := sourcesOf(campaigns)
	list := make([]Labelled, 0, len(all))
	for _, f := range all {
		found := weigh(entries(p, f, sources))
		l := Labelled{Device: f.Device, P: probability(found)}
		l.Likely = l.P >= Threshold
		for _, e := range found {
			if e.Kind == Scan {
				l.Acted = e.At
				break
			}
		}
		list = append(list, l)
	}
	slices.SortStableFunc(list, func(a, b Labelled) int { return strings.Compare(string(a.Device), string(b.Device)) })
	return list
}

// An Assessment is the answer about one device.
type Assessment struct {
	Device  tocsin.DeviceID `json:"device"`
	State   State           `json:"state"`
	P       float64         `json:"p"` // orders the work, decides nothing
	Attack  Attack          `json:"attack"`
	Covered bool            `json:"covered"` // telemetry is complete
	Missing []Missing       `json:"missing,omitempty"`
	Ledger  []Entry         `json:"ledger,omitempty"`  // by time
	Omitted int             `json:"omitted,omitempty"` // further evidence, of kinds with more than [MaxEntries]
	Closing *Closing        `json:"closing,omitempty"` // the newest, also where new facts opened the device again
}

// Attacked reports whether somebody tried to get in, or did.
func (a Assessment) Attacked() bool {
	return a.Attack.Sources > 0 || slices.ContainsFunc(a.Ledger, func(e Entry) bool { return e.Group == Access })
}

// Assess answers for every device, sorted by device: what happened to it in p.
// Of the controllers only those count that are admitted, and of the class
// controller.
func Assess(p Period, devices []Device, campaigns []tocsin.Campaign, controllers []tocsin.Controller) []Assessment {
	sources, met := sourcesOf(campaigns), destinations(controllers)
	list := make([]Assessment, 0, len(devices))
	for _, d := range devices {
		list = append(list, assess(p, d, sources, met))
	}
	slices.SortStableFunc(list, func(a, b Assessment) int { return strings.Compare(string(a.Device), string(b.Device)) })
	return list
}

func assess(p Period, d Device, sources sources, met map[destination]bool) Assessment {
	found := weigh(append(entries(p, d.Facts, sources), meetings(p, d, met)...))
	a := Assessment{
		Device: d.Device, P: probability(found), Attack: attack(p, d.Facts, sources),
		Missing: d.Coverage.missing(p, d.Facts),
	}
	a.Covered = len(a.Missing) == 0
	if c := newest(d.Closings); c != nil {
		a.Closing = c
		for i := range found {
			found[i].Closed = c.holds(found[i : i+1])
		}
	}
	if a.Closing != nil && a.Closing.holds(found) {
		a.State = FalsePositive
	} else {
		a.State = judge(found, a.Attack.Sources > 0, a.Covered)
	}
	a.Ledger, a.Omitted = bound(found)
	return a
}

// newest returns the last of the closings that give a reason, or nil.
func newest(all []Closing) (last *Closing) {
	for _, c := range all {
		if strings.TrimSpace(c.Reason) != "" && (last == nil || !c.At.Before(last.At)) {
			last = &c
		}
	}
	return last
}

// A destination is what a controller and a contact have in common.
type destination struct {
	to       netip.AddrPort
	protocol uint8
}

func destinations(controllers []tocsin.Controller) map[destination]bool {
	met := map[destination]bool{}
	for _, c := range controllers {
		if c.Admitted && c.Class == tocsin.Commands {
			met[destination{netip.AddrPortFrom(c.Address.Unmap(), c.Port), c.Protocol}] = true
		}
	}
	return met
}

// meetings returns one entry for each controller that the device contacted.
func meetings(p Period, d Device, met map[destination]bool) []Entry {
	first := map[destination]tocsin.Contact{}
	for _, c := range d.Contacts {
		to := destination{netip.AddrPortFrom(c.To.Addr().Unmap(), c.To.Port()), c.Protocol}
		if !met[to] || c.Device != d.Device || c.Last.Before(p.From) || c.First.After(p.To) {
			continue
		}
		if old, ok := first[to]; !ok || c.First.Before(old.First) {
			first[to] = c
		}
	}
	var all []Entry
	for to, c := range first {
		at := latest(c.First, p.From)
		all = append(all, Entry{Kind: Controller, At: at, Device: d.Device, To: to.to, Digest: digest(c), last: c.Last})
	}
	return all // in any order: weigh sorts them
}
