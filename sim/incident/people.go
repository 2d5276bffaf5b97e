package incident

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/tocsin-io/tocsin"
)

// history is how many seconds before the start rotated logs reach back.
const history = 24 * 3600

// clerks are how many people share the address of the office.
const clerks = 20

var firstNames = []string{
	"agnes", "bruno", "carla", "dario", "elsa", "felix", "greta", "hugo", "ines", "jonas", "klara", "lars", "mona",
	"nils", "olga", "paul", "quinn", "rosa", "sven", "tilda", "ugo", "vera", "willem", "xenia", "yann", "zoe",
}

// people makes up those who belong there.
func (w *world) people() {
	for o := range w.owners {
		w.household(w.random(partPeople, o), o)
	}
	w.office(w.random(partPeople, 1<<20))
	w.phone(w.random(partPeople, 1<<20+1))
	w.copies(w.random(partPeople, 1<<20+2))
}

// household is one owner's people: some share an address, some come by IPv6.
func (w *world) household(r *rand.Rand, o int) {
	own := &w.owners[o]
	home := w.home(r, own.network)
	for i := range len(own.devices) + 1 {
		address := home
		if r.IntN(2) == 0 {
			address = w.home(r, own.network)
		}
		name := fmt.Sprintf("%s%d", firstNames[(o+7*i)%len(firstNames)], i)
		dev := own.devices[i%len(own.devices)]
		w.person("person", name, dev, address)
		for range 1 + r.IntN(3) {
			errors := 0
			if r.IntN(2) == 0 {
				errors = 1 + r.IntN(4)
			}
			w.logIn(r, w.start+int64(r.Float64()*float64(w.end-w.start-60)), dev, name, address, errors)
		}
		if w.devices[dev].rotated > 0 {
			w.logIn(r, w.start-300-r.Int64N(history-600), dev, name, address, r.IntN(2))
		}
	}
}

func (w *world) home(r *rand.Rand, network int) netip.Addr {
	if r.IntN(7) == 0 {
		return w.fresh(r, peopleBlock6(network))
	}
	return w.fresh(r, peopleBlock(network))
}

// logIn is a person who mistypes some times, then gets in.
func (w *world) logIn(r *rand.Rand, at int64, dev int, name string, address netip.Addr, errors int) {
	d := &w.devices[dev]
	var tries []try
	for range errors {
		tries = append(tries, try{account: name, mine: true})
	}
	tries = append(tries, try{account: name, in: true})
	w.session(r, at, dev, d.services[r.IntN(len(d.services))], visitor{source: address}, tries...)
}

func (w *world) person(kind, account string, dev int, address netip.Addr) {
	w.persons = append(w.persons, Person{Kind: kind, Account: account, Device: w.devices[dev].name, Source: address})
}

// office is many people behind one address, at the largest owner who was not
// entered.
func (w *world) office(r *rand.Rand) {
	best := -1
	for o := range w.owners {
		clean := true
		for _, dev := range w.owners[o].devices {
			clean = clean && w.devices[dev].bot == 0
		}
		if clean && (best < 0 || len(w.owners[o].devices) > len(w.owners[best].devices)) {
			best = o
		}
	}
	if best < 0 {
		return
	}
	own := &w.owners[best]
	address := w.fresh(r, peopleBlock(own.network))
	for i := range clerks {
		dev := own.devices[i%len(own.devices)]
		name := fmt.Sprintf("clerk%02d", i+1)
		w.person("office", name, dev, address)
		w.logIn(r, w.start+int64(r.Float64()*float64(w.end-w.start-60)), dev, name, address, max(0, r.IntN(5)-2))
	}
}

// phone is a device that somebody carries about with an old password: let in at
// first, then refused again and again, then let in once its owner noticed.
func (w *world) phone(r *rand.Rand) {
	for i := range w.devices {
		d := &w.devices[i]
		if d.bot > 0 {
			continue
		}
		s := d.services[len(d.services)-1]
		address := w.fresh(r, peopleBlock(w.owners[d.owner].network))
		w.person("phone", "phone", i, address)
		v := visitor{source: address}
		w.session(r, w.start+5, i, s, v, try{account: "phone", in: true})
		changed := w.start + (w.end-w.start)/8
		noticed := w.end - (w.end-w.start)/8
		for at := changed; at < noticed; at += 30 + int64(r.Float64()*120) {
			w.session(r, at, i, s, v, try{account: "phone", mine: true})
		}
		w.session(r, noticed+60, i, s, v, try{account: "phone", in: true})
		return
	}
}

// copies are devices that copy to another one of their owner, by a key.
func (w *world) copies(r *rand.Rand) {
	for o := range w.owners {
		own := &w.owners[o]
		if len(own.devices) < 2 {
			continue
		}
		from, to := own.devices[0], own.devices[1]
		if !w.devices[to].runs(ssh) || w.devices[from].bot > 0 {
			continue
		}
		w.person("device", "replica", to, w.devices[from].address)
		v := visitor{source: w.devices[from].address, machine: true}
		for at := w.start + r.Int64N(900); at < w.end; at += 900 {
			w.session(r, at, to, ssh, v, try{account: "replica", in: true})
		}
	}
}

// remove takes telemetry away: all of one compromised device in eight, and of
// one other in twelve the logs, some lines, or the connections.
func (w *world) remove() {
	r := w.random(partRemoved, 0)
	for n := len(w.bots) / 8; n > 0; n-- {
		d := &w.devices[w.bots[n-1].device]
		d.remove(goneLogs)
		d.remove(goneFlows)
		d.events = nil
	}
	left := len(w.devices) / 12
	for _, i := range r.Perm(len(w.devices)) {
		d := &w.devices[i]
		if d.bot > 0 || left == 0 || w.special(d) {
			continue
		}
		switch left--; left % 3 {
		case 0:
			d.remove(goneLogs)
			d.events = nil
		case 1:
			d.remove(goneLines)
			span := w.end - w.start
			d.gap[0] = w.start + span/5 + r.Int64N(span/5)
			d.gap[1] = d.gap[0] + span/4
			d.events = append(d.events, event{d.gap[1], tocsin.LogGap, logFiles[d.services[0]]})
		case 2:
			d.remove(goneFlows)
		}
	}
}

// special reports whether somebody whose mistakes are to be seen uses d.
func (w *world) special(d *device) bool {
	for i := range w.persons {
		if p := &w.persons[i]; p.Device == d.name && p.Kind != "person" {
			return true
		}
	}
	return false
}
