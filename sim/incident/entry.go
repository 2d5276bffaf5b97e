package incident

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// A bot is a device that was broken into, and what it did then.
type bot struct {
	device   int
	entered  int64
	by       netip.Addr
	group    group // of the campaign that entered
	guessed  bool  // after failures of the same source
	firstAct int64 // its first attack on others
	persists bool  // keys, accounts or entries that start by themselves were added
	scans    bool  // tries many others
	commands bool  // contacts the controller
	late     bool  // only after its first attack
	regular  bool  // at even times
	fetches  bool  // from the payload host
	number   int
}

// breakIns has campaigns get into some devices: only of the first model, as a
// real fault of one product would have it.
func (w *world) breakIns() {
	r := w.random(partEntries, 0)
	var able []int
	for _, i := range w.exposed {
		d := &w.devices[i]
		if d.model == models[0].name && d.address.Is4() {
			able = append(able, i)
		}
	}
	r.Shuffle(len(able), func(i, j int) { able[i], able[j] = able[j], able[i] })
	n := min(max(8, 3*len(w.devices)/100), len(w.devices)/5, len(able))
	able = able[:n]
	slices.Sort(able)
	for k, dev := range able {
		w.bots = append(w.bots, w.entry(w.random(partEntries, k+1), k, dev))
		w.devices[dev].bot = k + 1
	}
	w.chores()
}

// entry is how one device was entered. Kinds take turns, so that even a small
// incident has all of them.
func (w *world) entry(r *rand.Rand, k, dev int) bot {
	b := bot{
		device: dev, group: loud, number: k, guessed: k%3 != 1, persists: k%3 == 0, scans: k%3 == 2,
		commands: k%10 != 9, late: k%10 == 4, regular: k%20 != 6 && k%20 < 18, fetches: k%10 != 1 && k%10 != 5 && k%10 != 8,
	}
	begins := w.loud.begins + int64(120*w.scale)
	c := &w.loud
	if k%6 == 4 {
		b.group, begins, c = slow, w.start+int64(600*w.scale), &w.slow
	}
	b.entered = begins + w.minutes(r, 0, 18)
	b.by = w.member(r, c, dev, !b.guessed)
	v := visitor{source: b.by, group: b.group}
	s := w.door(r, dev)
	if b.guessed {
		var tries []try
		for range 4 + r.IntN(2) {
			tries = append(tries, try{account: w.loud.order[r.IntN(len(w.loud.order))]})
		}
		tries = append(tries, try{account: "admin"})
		w.session(r, b.entered-60, dev, s, v, tries...)
		w.session(r, b.entered-5, dev, s, v, try{account: "admin"})
	}
	w.session(r, b.entered, dev, s, v, try{account: "admin", in: true})
	b.firstAct = b.entered + w.minutes(r, 15, 35)
	if b.persists {
		w.persist(r, &b)
	}
	return b
}

// member returns a source of c; if unseen is set, one that has not tried dev.
func (w *world) member(r *rand.Rand, c *campaign, dev int, unseen bool) netip.Addr {
	tried := map[netip.Addr]bool{}
	for i := range w.attempts {
		if a := &w.attempts[i]; unseen && int(a.device) == dev {
			tried[a.source] = true
		}
	}
	first := r.IntN(len(c.sources))
	for i := range c.sources {
		if s := c.sources[(first+i)%len(c.sources)]; !tried[s] {
			return s
		}
	}
	return c.sources[first]
}

// persist is what stays behind on a device.
func (w *world) persist(r *rand.Rand, b *bot) {
	d := &w.devices[b.device]
	at := b.entered + 20 + w.minutes(r, 0, 5)
	all := []event{
		{at, tocsin.KeysChanged, "/root/.ssh/authorized_keys"},
		{at + 7, tocsin.AccountAdded, "support9"},
		{at + 15, tocsin.AutorunAdded, "/etc/cron.d/0sync"},
	}
	first := b.number / 3 % len(all)
	d.events = append(d.events, all[first])
	for i, e := range all {
		if i != first && r.IntN(2) == 0 {
			d.events = append(d.events, e)
		}
	}
}

// chores are changes of the same kinds that owners make themselves.
func (w *world) chores() {
	r := w.random(partHost, 0)
	for n := (len(w.devices) + 29) / 30; n > 0; n-- {
		d := &w.devices[r.IntN(len(w.devices))]
		if d.bot > 0 || len(d.events) > 0 {
			continue
		}
		at := w.start + r.Int64N(w.end-w.start)
		switch r.IntN(3) {
		case 0:
			d.events = append(d.events, event{at, tocsin.KeysChanged, "/home/replica/.ssh/authorized_keys"})
		case 1:
			d.events = append(d.events, event{at, tocsin.AccountAdded, "grandma"})
		case 2:
			d.events = append(d.events, event{at, tocsin.AutorunAdded, "/etc/cron.d/photo-index"})
		}
	}
}
