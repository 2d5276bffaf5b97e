package incident

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/tocsin-io/tocsin"
)

// A service is what a device logs log-ins of.
type service uint8

const (
	ssh service = iota
	qnap
	samba
	vsftpd
	services
)

var serviceNames = [services]tocsin.Service{"ssh", "qnap", "samba", "vsftpd"}

// logFiles are the names that the logs have in a device's folder.
var logFiles = [services]string{"auth.log", "qulogd.log", "log.smbd", "vsftpd.log"}

// portTold and knowsAccounts say what a log of a service tells besides the name
// and the address.
func (s service) portTold() bool      { return s == ssh || s == samba }
func (s service) knowsAccounts() bool { return s == ssh || s == samba }

// An owner has devices, and people who use them.
type owner struct {
	id      tocsin.OwnerID
	network int // of the access networks
	devices []int
}

// A device is one machine of the fleet.
type device struct {
	name            tocsin.DeviceID
	owner           int
	model, firmware string
	address         netip.Addr
	network         block
	services        []service
	style           int // how its log daemon writes the time
	exposed         bool
	rotated         int64        // when its logs were rotated; 0 is never
	bot             int          // index+1 of the break-in; 0: not compromised
	gone            map[gone]int // what telemetry was removed
	gap             [2]int64     // of the lines that are missing
	events          []event
	attacked        bool
	count           [tocsin.Probe + 1]int // attempts that its logs show
	next            map[service]int       // process number of the next connection
}

// gone is telemetry that was removed.
type gone uint8

const (
	goneLogs  gone = iota // all files
	goneLines             // those of some time
	goneFlows             // all connections
)

var goneWords = [...]string{goneLogs: "logs", goneLines: "lines", goneFlows: "flows"}

func (d *device) removed() bool { return len(d.gone) > 0 }

func (d *device) lacks(g gone) bool { return d.gone[g] > 0 }

func (d *device) remove(g gone) {
	if d.gone == nil {
		d.gone = map[gone]int{}
	}
	d.gone[g]++
}

// builtInAccount reports whether an account exists on every device.
func builtInAccount(name string) bool { return name == "admin" || name == "root" }

// A model is a kind of device.
type model struct {
	name     string
	share    int // of a hundred
	firmware [2]string
	services []service
}

// models are as in the generator that controllers are ranked with: half of the
// fleet is the one model that gets compromised, which confounds.
var models = []model{
	{"A-464", 50, [2]string{"5.1.2", "4.3.6"}, []service{qnap, ssh}},
	{"B-220", 30, [2]string{"7.2.1", "7.1.0"}, []service{ssh, samba}},
	{"C-100", 20, [2]string{"6.9.0", "6.5.1"}, []service{ssh, vsftpd}},
}

// ownerSizes are how many devices owners have, in turn.
var ownerSizes = []int{1, 2, 1, 3, 1, 5, 2, 8, 1, 4}

// fleet makes up owners and their devices.
func (w *world) fleet() {
	r := w.random(partFleet, 0)
	for len(w.devices) < w.c.Devices {
		o := owner{id: tocsin.OwnerID(fmt.Sprintf("owner-%04d", len(w.owners)+1)), network: len(w.owners) % accessNetworks}
		for range ownerSizes[len(w.owners)%len(ownerSizes)] {
			if len(w.devices) < w.c.Devices {
				o.devices = append(o.devices, len(w.devices))
				w.devices = append(w.devices, w.device(r, len(w.owners), o.network))
			}
		}
		w.owners = append(w.owners, o)
	}
	// Four in five can be reached from the internet, evenly, so that even a small
	// fleet has both kinds.
	for i := range w.devices {
		if d := &w.devices[i]; i%5 != 4 || len(w.devices) < 5 {
			d.exposed = true
			w.exposed = append(w.exposed, i)
		}
	}
}

func (w *world) device(r *rand.Rand, owner, network int) device {
	i := len(w.devices)
	m := &models[pick(i)]
	d := device{
		name: tocsin.DeviceID(fmt.Sprintf("nas-%04d", i+1)), owner: owner, model: m.name, firmware: m.firmware[0],
		services: m.services, style: r.IntN(styles), next: map[service]int{},
	}
	if r.IntN(5) == 0 {
		d.firmware = m.firmware[1]
	}
	if m.services[0] == qnap && r.IntN(2) == 0 {
		d.services = m.services[:1]
	}
	d.network = deviceBlock(network)
	if r.IntN(20) == 0 {
		d.network = deviceBlock6(network)
	}
	d.address = w.fresh(r, d.network)
	if r.IntN(4) == 0 {
		d.rotated = w.start + int64(float64(w.end-w.start)*(0.45+0.3*r.Float64()))
	}
	for s := range services {
		d.next[s] = 1000 + r.IntN(20_000)
	}
	return d
}

// pick returns the model of device i: the shares hold in every ten devices.
func pick(i int) int {
	switch i % 10 {
	case 0, 2, 4, 6, 8:
		return 0
	case 1, 5, 7:
		return 1
	}
	return 2
}

// runs reports whether d has a service.
func (d *device) runs(s service) bool {
	for _, have := range d.services {
		if have == s {
			return true
		}
	}
	return false
}

// An event is something that happened on a device besides log-ins.
type event struct {
	at      int64
	fact    tocsin.Fact
	subject string
}
