// Package fleettrace invents fleets with a controller among what they contact,
// for tests and benchmarks of package controller: devices of three models, the
// compromised ones all of one, services that many use, servers of the vendor,
// destinations that only one device has, a host that the malware comes from, and
// targets that are attacked. The same options always give the same fleet.
//
// Addresses are those kept for documentation and benchmarks; nothing is sent.
package fleettrace

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/controller"
)

// When everything is observed, and when the attack comes.
var (
	Start = time.Date(2023, 10, 9, 0, 0, 0, 0, time.UTC)
	End   = Start.Add(7 * 24 * time.Hour)
	Burst = time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)
)

// Options say what fleet is invented. Zero fields take the value in parentheses.
type Options struct {
	Seed        uint64
	Devices     int     // (1000)
	Bots        int     // compromised devices, all of the first model
	Sensitivity float64 // share of the bots that are labelled (0.6)
	Mislabelled float64 // share of the others that are labelled (0.002)
	Private     int     // destinations that only one device has, of each (20)
	Services    int     // (400)
	Targets     int     // (60)

	Irregular bool // bots contact the controller at random times
	Untimed   bool // when they do so has nothing to do with when they attack
	NoClock   bool // the times of the first attack are made up: nothing at all can be learnt from them
}

func (o Options) filled() Options {
	def := func(n *int, to int) {
		if *n == 0 {
			*n = to
		}
	}
	def(&o.Devices, 1000)
	def(&o.Private, 20)
	def(&o.Services, 400)
	def(&o.Targets, 60)
	if o.Sensitivity == 0 {
		o.Sensitivity = 0.6
	}
	if o.Mislabelled == 0 {
		o.Mislabelled = 0.002
	}
	return o
}

// A Trace is an invented fleet with what it contacted, and the truth.
type Trace struct {
	Devices    []controller.Device
	Flows      []Flow // those of a device to a destination together
	Controller netip.AddrPort
	Payload    netip.AddrPort
	Vendor     map[netip.AddrPort]bool
	Targets    map[netip.AddrPort]bool
	Bots       map[tocsin.DeviceID]bool
}

// A Flow is one connection of a device, by its number.
type Flow struct {
	Device int
	contact.Flow
}

// Contacts sums the flows up: the connections of a device to a destination in
// as few contacts as their starts fit into. A hub has them by the hour, which
// says the same and takes ten times as long to make.
func (t *Trace) Contacts() (list []tocsin.Contact) {
	for rest := t.Flows; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Device == rest[0].Device && rest[n].To == rest[0].To {
			n++
		}
		pair := rest[:n]
		slices.SortFunc(pair, func(a, b Flow) int { return a.Start.Compare(b.Start) })
		for part := range slices.Chunk(pair, tocsin.MaxStarts) {
			list = append(list, t.contact(part))
		}
		rest = rest[n:]
	}
	return list
}

func (t *Trace) contact(flows []Flow) tocsin.Contact {
	f := flows[0]
	c := tocsin.Contact{Device: t.Devices[f.Device].ID, To: f.To, Protocol: f.Protocol, First: f.Start, Last: f.End}
	for _, f := range flows {
		c.Count++
		if f.Failed {
			c.Failed++
		}
		c.Sent, c.Received = c.Sent+f.Sent, c.Received+f.Received
		c.Last = later(c.Last, f.End)
		c.Longest = max(c.Longest, f.End.Sub(f.Start))
		c.Starts = append(c.Starts, tocsin.Start{At: f.Start, Sent: f.Sent})
	}
	return c
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Input is what a ranking is made of.
func (t *Trace) Input(seed uint64) controller.Input {
	return controller.Input{Devices: t.Devices, Contacts: t.Contacts(), Seed: seed}
}

// Address returns the address that a device's flows come from.
func Address(device int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 19, byte(device >> 8), byte(device)})
}

// maxDevices is how many addresses there are for devices.
const maxDevices = 1 << 16

// A maker makes one trace.
type maker struct {
	Options
	r     *rand.Rand
	t     *Trace
	next  int         // number of the next destination
	burst []time.Time // when each device attacks; zero is never
	since []time.Time // when it was broken into
}

// New invents a fleet.
func New(o Options) *Trace {
	o = o.filled()
	if o.Devices > maxDevices || o.Bots > o.Devices/2 {
		panic(fmt.Sprintf("fleettrace: %d devices, %d bots: at most %d, and half of them", o.Devices, o.Bots, maxDevices))
	}
	m := &maker{
		Options: o, r: rand.New(rand.NewPCG(o.Seed, 0x70c517)),
		t: &Trace{Vendor: map[netip.AddrPort]bool{}, Targets: map[netip.AddrPort]bool{}, Bots: map[tocsin.DeviceID]bool{}},
	}
	m.devices()
	m.vendor()
	m.services()
	m.private()
	m.t.Controller, m.t.Payload = m.dest(4433), m.dest(80)
	m.command()
	m.attack()
	return m.t
}

// dest returns a destination that was not used before. Their addresses have
// nothing to do with what they are.
func (m *maker) dest(port uint16) netip.AddrPort {
	n := m.next
	m.next++
	low := uint16(n) * 40503 // odd, so no two are alike
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(low >> 8), byte(low)}), port+uint16(n>>16))
}

func (m *maker) devices() {
	m.burst, m.since = make([]time.Time, m.Devices), make([]time.Time, m.Devices)
	for i := range m.Devices {
		model := "A"
		switch {
		case i >= m.Devices*8/10:
			model = "C"
		case i >= m.Devices/2:
			model = "B"
		}
		d := controller.Device{
			ID: tocsin.DeviceID(fmt.Sprintf("nas-%05d", i)), Owner: tocsin.OwnerID(fmt.Sprintf("owner-%d", i/2)),
			Model: model, Firmware: "5." + string(rune('0'+i%2)),
		}
		m.t.Devices = append(m.t.Devices, d)
	}
	for i, at := range m.r.Perm(m.Devices / 2) { // model A
		if i >= m.Bots {
			break
		}
		d := &m.t.Devices[at]
		m.t.Bots[d.ID] = true
		m.burst[at] = Burst.Add(m.upTo(time.Hour))
		m.since[at] = m.burst[at].Add(-3*time.Hour - m.upTo(45*time.Hour))
	}
	for i := range m.t.Devices {
		m.label(i)
	}
}

// label gives device i its label, and the time at which it was noticed to
// attack: somewhat after it began.
func (m *maker) label(i int) {
	d, bot := &m.t.Devices[i], !m.burst[i].IsZero()
	share := m.Mislabelled
	if bot {
		share = m.Sensitivity
	}
	if m.r.Float64() >= share {
		return
	}
	d.Compromised = true
	d.FirstAttack = m.burst[i].Add(m.upTo(90 * time.Minute))
	if !bot || m.NoClock {
		d.FirstAttack = m.anyTime()
	}
}

func (m *maker) upTo(d time.Duration) time.Duration { return time.Duration(m.r.Int64N(int64(d))) }

func (m *maker) anyTime() time.Time { return Start.Add(m.upTo(End.Sub(Start))) }

// flow adds a connection, if it falls into what is observed.
func (m *maker) flow(device int, to netip.AddrPort, at time.Time, sent, received uint64, failed bool) {
	if at.Before(Start) || !at.Before(End) {
		return
	}
	f := contact.Flow{
		From: Address(device), To: to, Protocol: 6, Start: at, End: at.Add(m.upTo(10 * time.Second)),
		Sent: sent, Received: received, Failed: failed,
	}
	if failed {
		f.End, f.Received = f.Start, 0
	}
	m.t.Flows = append(m.t.Flows, Flow{device, f})
}

// poll adds connections at intervals that vary by a share of their mean, up or
// down.
func (m *maker) poll(device int, to netip.AddrPort, from time.Time, every time.Duration, vary float64) {
	for at := from; at.Before(End); {
		m.flow(device, to, at, 300+m.r.Uint64N(200), 200+m.r.Uint64N(400), false)
		at = at.Add(time.Duration(float64(every) * (1 + vary*(2*m.r.Float64()-1))))
	}
}

// vendor: three servers that every device contacts, and two for each model.
func (m *maker) vendor() {
	for n := range 9 {
		to := m.dest(443)
		m.t.Vendor[to] = true
		for i, d := range m.t.Devices {
			if n < 3 || d.Model == string(rune('A'+(n-3)/2)) {
				m.poll(i, to, Start.Add(m.upTo(8*time.Hour)), 8*time.Hour, 0.02)
			}
		}
	}
}

// services: their popularity falls as Zipf's law says; some have friends among
// the models, and some are polled as regularly as any controller.
func (m *maker) services() {
	for n := range m.Services {
		to := m.dest(443)
		friend, polled := string(rune('A'+m.r.IntN(10))), m.r.IntN(20) == 0
		for i, d := range m.t.Devices {
			share := min(0.9, 1.2/float64(n+1))
			switch {
			case friend > "C":
			case d.Model == friend:
				share = min(0.9, 2*share)
			default:
				share /= 2
			}
			if m.r.Float64() >= share {
				continue
			}
			if polled {
				m.poll(i, to, Start.Add(m.upTo(6*time.Hour)), 6*time.Hour, 0.1)
				continue
			}
			for range 1 + int(m.r.ExpFloat64()*5) {
				m.flow(i, to, m.anyTime(), m.r.Uint64N(10_000), m.r.Uint64N(1_000_000), m.r.IntN(100) == 0)
			}
		}
	}
}

func (m *maker) private() {
	for i := range m.t.Devices {
		for range m.Private {
			to := m.dest(1024 + uint16(m.r.IntN(30_000)))
			for range 1 + m.r.IntN(3) {
				m.flow(i, to, m.anyTime(), m.r.Uint64N(10_000), m.r.Uint64N(1_000_000), m.r.IntN(20) == 0)
			}
		}
	}
}

// bots returns the numbers of the compromised devices.
func (m *maker) bots() (list []int) {
	for i, at := range m.burst {
		if !at.IsZero() {
			list = append(list, i)
		}
	}
	return slices.Clip(list)
}

// command: what the bots have in common before they attack.
func (m *maker) command() {
	every := 20*time.Minute + m.upTo(20*time.Minute)
	for _, i := range m.bots() {
		if m.r.Float64() < 0.7 {
			m.flow(i, m.t.Payload, m.since[i].Add(m.upTo(10*time.Minute)), 500, 300_000+m.r.Uint64N(4_000_000), false)
		}
		if m.r.Float64() >= 0.9 {
			continue
		}
		from := m.since[i].Add(m.upTo(10 * time.Minute))
		switch {
		case m.Untimed:
			from = Start.Add(m.upTo(End.Sub(Start) * 9 / 10))
		case m.r.Float64() >= 0.9:
			from = m.burst[i].Add(time.Hour + m.upTo(5*time.Hour))
		}
		if !m.Irregular {
			m.poll(i, m.t.Controller, from, every, 0.6) // a rhythm of about 0.85
			continue
		}
		for at := from; at.Before(End); at = at.Add(time.Duration(m.r.ExpFloat64() * float64(every))) {
			m.flow(i, m.t.Controller, at, 300, 200, false)
		}
	}
}

// attack: targets within half a day of the burst, most of which do not answer.
func (m *maker) attack() {
	for range m.Targets {
		to := m.dest(8080)
		m.t.Targets[to] = true
		for _, i := range m.bots() {
			if m.r.Float64() >= 0.35 {
				continue
			}
			at := m.burst[i].Add(m.upTo(12 * time.Hour))
			for range 1 + m.r.IntN(5) {
				m.flow(i, to, at, 60, 40, m.r.IntN(5) > 0)
				at = at.Add(time.Second + m.upTo(time.Minute))
			}
		}
	}
}
