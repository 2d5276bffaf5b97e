package incident

import (
	"cmp"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// group says whom an attempt is by.
type group uint8

const (
	benign group = iota
	scanner
	loud
	slow
)

// An attempt is one log-in tried, with what its log needs to know.
type attempt struct {
	at      int64
	source  netip.Addr
	account string
	device  int32
	conn    uint32 // attempts of one connection share it
	port    uint16 // as the log tells it
	service service
	outcome tocsin.Outcome
	group   group
	unknown bool // the log says that there is no such account
	first   bool // of its connection
	last    bool // of its connection
	machine bool // by a key, not by a password
}

// A visitor is where attempts come from.
type visitor struct {
	source  netip.Addr
	group   group
	machine bool
}

// A try is one name, and whether it was let in.
type try struct {
	account string
	in      bool
	mine    bool // the account exists: it is a person's
}

// A campaign is sources that act together.
type campaign struct {
	name    string
	group   group
	begins  int64
	order   []string // of its dictionary
	sources []netip.Addr
	at      []int // where in the dictionary each source is
}

// session has v try names one after the other, some seconds apart, and returns
// when it ended. A connection by ssh is for one name; the others have one for all.
func (w *world) session(r *rand.Rand, at int64, dev int, s service, v visitor, tries ...try) int64 {
	var port uint16
	for i, t := range tries {
		a := attempt{
			at: at, source: v.source, account: t.account, device: int32(dev), service: s,
			outcome: tocsin.Failure, group: v.group, machine: v.machine,
		}
		a.first = i == 0 || s == ssh && t.account != tries[i-1].account
		a.last = i == len(tries)-1 || s == ssh && t.account != tries[i+1].account
		if a.first {
			w.conns++
			port = uint16(1024 + r.IntN(60_000))
		}
		a.conn = w.conns
		if s.portTold() {
			a.port = port
		}
		if t.in {
			a.outcome = tocsin.Success
		}
		a.unknown = s.knowsAccounts() && !t.in && !t.mine && !builtInAccount(t.account)
		w.attempts = append(w.attempts, a)
		at += int64(2 + r.IntN(3))
	}
	return at
}

// knock has v connect by ssh and leave again.
func (w *world) knock(r *rand.Rand, at int64, dev int, v visitor) {
	w.conns++
	w.attempts = append(w.attempts, attempt{
		at: at, source: v.source, device: int32(dev), conn: w.conns, port: uint16(1024 + r.IntN(60_000)), service: ssh,
		outcome: tocsin.Probe, group: v.group, first: true, last: true,
	})
}

// dictionary returns the names that campaigns and scanners try alike, most
// popular first.
func dictionary() []string {
	names := []string{"root", "admin", "test", "user", "ubuntu", "oracle", "postgres", "support"}
	for _, n := range accounts.Public() {
		if !accounts.IsGuest(n) && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// campaigns makes up two: one loud, which begins 42 minutes after the start, and
// one low and slow, which was there all the time.
func (w *world) campaigns() {
	devices := len(w.devices)
	w.loud = w.campaign(partLoud, "loud", loud, min(300+devices/5, 1000))
	w.loud.begins = w.start + int64(42*60*w.scale)
	w.slow = w.campaign(partSlow, "slow", slow, min(max(2*devices, 40), 500))
	w.slow.begins = w.start
	if len(w.exposed) == 0 {
		return
	}
	for i := range w.loud.sources {
		w.storm(w.random(partLoud, i+1), i)
	}
	for i := range w.slow.sources {
		w.creep(w.random(partSlow, i+1), i)
	}
}

func (w *world) campaign(part int, name string, g group, sources int) campaign {
	r := w.random(part, 0)
	c := campaign{name: name, group: g, order: dictionary()}
	r.Shuffle(len(c.order), func(i, j int) { c.order[i], c.order[j] = c.order[j], c.order[i] })
	for range sources {
		c.sources = append(c.sources, w.source(r))
		c.at = append(c.at, r.IntN(len(c.order)))
	}
	return c
}

// next returns the name that source i of c tries next.
func (c *campaign) next(i int) try {
	name := c.order[c.at[i]%len(c.order)]
	c.at[i]++
	return try{account: name}
}

// door returns one of the services of a device that campaigns know: no file
// services.
func (w *world) door(r *rand.Rand, dev int) service {
	d := &w.devices[dev]
	if d.runs(qnap) && (!d.runs(ssh) || r.IntN(2) == 0) {
		return qnap
	}
	return ssh
}

// storm is what one source of the loud campaign does: some names on some devices,
// then on others, to the end.
func (w *world) storm(r *rand.Rand, i int) {
	v := visitor{source: w.loud.sources[i], group: loud}
	at := w.loud.begins + w.minutes(r, 0, 12)
	if i == 0 {
		at = w.loud.begins
	}
	for visits := 4 + r.IntN(9); visits > 0 && at < w.end-30; visits-- {
		dev := w.exposed[r.IntN(len(w.exposed))]
		var tries []try
		for range 2 + r.IntN(5) {
			tries = append(tries, w.loud.next(i))
		}
		at = w.session(r, at, dev, w.door(r, dev), v, tries...)
		at += 20 + int64(r.ExpFloat64()*300*w.scale)
	}
}

// creep is what one source of the slow campaign does: many devices, once each,
// names in the order of the dictionary with one in five another.
func (w *world) creep(r *rand.Rand, i int) {
	v := visitor{source: w.slow.sources[i], group: slow}
	visits := min(8+r.IntN(9), len(w.exposed))
	step := float64(w.end-w.start-60) / float64(visits)
	for n, e := range r.Perm(len(w.exposed))[:visits] {
		t := w.slow.next(i)
		if r.IntN(5) == 0 {
			t.account = w.slow.order[r.IntN(len(w.slow.order))]
		}
		at := w.start + int64((float64(n)+0.1+0.8*r.Float64())*step)
		w.session(r, at, w.exposed[e], w.door(r, w.exposed[e]), v, t)
	}
}

// scanners makes up sources that belong to no campaign: most try once or twice,
// few very often, all with the dictionary of the campaigns but in no order.
func (w *world) scanners() {
	if len(w.exposed) == 0 {
		return
	}
	names := dictionary()
	for i := range min(max(4*len(w.devices), 40), 2000) {
		r := w.random(partScanners, i)
		v := visitor{source: w.source(r), group: scanner}
		left := min(int(math.Pow(r.Float64(), -1.1)), 150)
		at := w.start + int64(r.Float64()*float64(w.end-w.start))
		dev := w.exposed[r.IntN(len(w.exposed))]
		for left > 0 && at < w.end-30 {
			if r.IntN(3) == 0 {
				dev = w.exposed[r.IntN(len(w.exposed))]
			}
			n := min(left, 1+r.IntN(4))
			left -= n
			at = w.visit(r, at, dev, v, names, n) + 5 + int64(r.ExpFloat64()*240*w.scale)
		}
	}
	w.before(names)
}

// visit is one connection of a scanner.
func (w *world) visit(r *rand.Rand, at int64, dev int, v visitor, names []string, n int) int64 {
	d := &w.devices[dev]
	s := d.services[r.IntN(len(d.services))]
	if s == ssh && r.IntN(12) == 0 {
		w.knock(r, at, dev, v)
		return at
	}
	var tries []try
	for range n {
		tries = append(tries, try{account: guess(r, names, s)})
	}
	return w.session(r, at, dev, s, v, tries...)
}

// guess returns a name as scanners choose one: the popular ones far more often,
// and by ssh now and then one that imitates a log line.
func guess(r *rand.Rand, names []string, s service) string {
	if s == ssh && r.IntN(200) == 0 {
		return "root from 203.0.113.250 port 22 ssh2"
	}
	u := r.Float64()
	return names[int(u*u*u*float64(len(names)))]
}

// before gives devices whose logs are rotated a quiet day before the start.
func (w *world) before(names []string) {
	for i := range w.devices {
		d := &w.devices[i]
		if d.rotated == 0 || !d.exposed {
			continue
		}
		r := w.random(partScanners, 1<<20+i)
		for range 4 + r.IntN(8) {
			v := visitor{source: w.source(r), group: scanner}
			w.visit(r, w.start-60-r.Int64N(history-600), i, v, names, 1+r.IntN(3))
		}
	}
}

// settle puts the attempts into order and drops those that no log shows.
func (w *world) settle() {
	for i := range w.attempts {
		a := &w.attempts[i]
		if a.group != benign {
			w.devices[a.device].attacked = true
		}
	}
	w.attempts = slices.DeleteFunc(w.attempts, func(a attempt) bool {
		d := &w.devices[a.device]
		return a.at >= w.end || d.lacks(goneLogs) || d.lacks(goneLines) && a.at >= d.gap[0] && a.at < d.gap[1]
	})
	slices.SortStableFunc(w.attempts, func(a, b attempt) int { return cmp.Compare(a.at, b.at) })
	for i := range w.attempts {
		w.devices[w.attempts[i].device].count[w.attempts[i].outcome]++
	}
}
