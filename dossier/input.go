package dossier

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

// MaxLines bounds the log lines of a dossier; the newest are kept.
const MaxLines = 200

// A Party is an organisation of a report: whoever complains, whoever sends.
type Party struct {
	Org     string `json:"org"`
	Contact string `json:"contact"` // an address that people read
	Domain  string `json:"domain"`
}

// A Victim is what the hub knows of a device that was attacked, or that
// contacted a controller.
type Victim struct {
	Address  netip.Addr // as the internet sees it
	Owner    tocsin.OwnerID
	Model    string
	Firmware string
}

// An Evidence is something kept on a device or at the hub that supports a case.
type Evidence struct {
	Name   string
	Device tocsin.DeviceID // "" is the hub itself
	At     time.Time       // when it was taken
	Zone   string          // of the times inside, as "+01:00" or "UTC"
	Digest [32]byte        // SHA-256
	Size   int             // bytes; 0 is unknown
}

// FromClue returns a clue as evidence. What it is about stays on the device.
func FromClue(c tocsin.Clue) Evidence {
	return Evidence{Name: c.Fact.String(), Device: c.Device, At: c.At.UTC(), Zone: "UTC", Digest: c.Digest}
}

// Fleet are the numbers of the fleet that a full dossier tells.
type Fleet struct {
	Devices     int `json:"devices"`
	Covered     int `json:"covered"` // of those, with complete telemetry
	Attacked    int `json:"attacked"`
	Compromised int `json:"compromised"` // confirmed or suspected
}

// An Input is what dossiers are written from. Nothing in it is changed.
type Input struct {
	Case       takedown.Case
	Reporter   Party
	Sender     Party
	To         string // the abuse contact
	Controller *tocsin.Controller
	Campaign   *tocsin.Campaign
	Sightings  []tocsin.Received
	Contacts   []tocsin.Contact
	Victims    map[tocsin.DeviceID]Victim
	Disclose   []tocsin.OwnerID // whose addresses, models and evidence the full dossier may tell
	Evidence   []Evidence
	Fleet      Fleet
}

// An event is one sighting or contact, as both dossiers tell it.
type event struct {
	first, last time.Time
	port        uint16 // of the source
	service     string
	protocol    string
	count       uint64
	outgoing    bool // a device contacted the address
	device      tocsin.DeviceID
	victim      Victim
}

// errNothing says that there is nothing to tell.
var errNothing = errors.New("no sighting and no contact tells of it: nothing to report")

// events returns what in tells of the case's address, in order of time.
func (in *Input) events() []event {
	var list []event
	for i := range in.Sightings {
		s := &in.Sightings[i]
		n := uint64(s.Failures) + uint64(s.Successes) + uint64(s.Probes)
		if s.Source != in.Case.Source || n == 0 || in.Case.Kind == takedown.Controller {
			continue
		}
		v := in.Victims[s.ID.Device]
		if !v.Address.IsValid() {
			v.Address = s.From
		}
		if v.Owner == "" {
			v.Owner = s.Owner
		}
		list = append(list, event{first: s.First.UTC(), last: s.Last.UTC(), port: s.Port, service: word(string(s.Service)),
			protocol: "tcp", count: n, device: s.ID.Device, victim: v})
	}
	for i := range in.Contacts {
		c := &in.Contacts[i]
		if !in.Case.Source.Contains(c.To.Addr()) || in.Case.Port != 0 && c.To.Port() != in.Case.Port || in.Case.Kind == takedown.BruteForce {
			continue
		}
		list = append(list, event{first: c.First.UTC(), last: c.Last.UTC(), port: c.To.Port(), protocol: protocol(c.Protocol),
			count: uint64(max(c.Count, 1)), outgoing: true, device: c.Device, victim: in.Victims[c.Device]})
	}
	for i := range list {
		// A device's clock may have been set between the two.
		if list[i].last.Before(list[i].first) {
			list[i].last = list[i].first
		}
	}
	slices.SortFunc(list, func(a, b event) int {
		return cmp.Or(a.first.Compare(b.first), a.last.Compare(b.last), cmp.Compare(a.port, b.port),
			cmp.Compare(a.device, b.device), cmp.Compare(a.service, b.service), cmp.Compare(a.count, b.count))
	})
	return list
}

func protocol(n uint8) string {
	switch n {
	case 6, 0:
		return "tcp"
	case 17:
		return "udp"
	}
	return strconv.Itoa(int(n))
}

// word returns s as one word, fit for a line of a log.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 32)]
}

// Mask returns the network that stands for a victim: the /24 of IPv4, the /48 of
// IPv6.
func Mask(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// line tells e as a line of a log, in UTC; whole also tells the victim's
// address.
func (e event) line(source netip.Prefix, whole bool) string {
	victim := "-"
	if m := Mask(e.victim.Address); m.IsValid() {
		victim = m.String()
		if whole {
			victim = e.victim.Address.Unmap().String()
		}
	}
	var b strings.Builder
	b.WriteString(zulu(e.first))
	if e.outgoing {
		fmt.Fprintf(&b, " src=%s dst=%s dpt=%d proto=%s connections=%d", victim, host(source), e.port, e.protocol, e.count)
	} else {
		fmt.Fprintf(&b, " src=%s", host(source))
		if e.port != 0 {
			fmt.Fprintf(&b, " spt=%d", e.port)
		}
		fmt.Fprintf(&b, " dst=%s proto=%s service=%s attempts=%d", victim, e.protocol, cmp.Or(e.service, "-"), e.count)
	}
	fmt.Fprintf(&b, " last=%s", zulu(e.last))
	return b.String()
}

// host returns p as an address where it is one.
func host(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

func zulu(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// forPeople is a time that says its zone.
func forPeople(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// A summary is what events come to.
type summary struct {
	first, last time.Time
	attempts    uint64
	connections uint64 // of the fleet's devices, to the address
	services    []string
	networks    int // of victims, masked
	port        uint16
	portAt      time.Time // when the source used port, for whoever shares addresses
}

func sum(list []event) summary {
	s := summary{first: list[0].first}
	networks, services := map[netip.Prefix]bool{}, map[string]bool{}
	for _, e := range list {
		if e.last.After(s.last) {
			s.last = e.last
		}
		if e.outgoing {
			s.connections += e.count
		} else {
			s.attempts += e.count
		}
		if m := Mask(e.victim.Address); m.IsValid() {
			networks[m] = true
		}
		if e.service != "" {
			services[e.service] = true
		}
		if !e.outgoing && e.port != 0 && !e.last.Before(s.portAt) {
			s.port, s.portAt = e.port, e.last
		}
	}
	s.networks = len(networks)
	for w := range services {
		s.services = append(s.services, w)
	}
	slices.Sort(s.services)
	s.services = s.services[:min(len(s.services), 10)]
	return s
}
