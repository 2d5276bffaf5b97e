package quorum

import (
	"net/netip"

	"github.com/tocsin-io/tocsin"
)

const (
	panelSize = 6   // witnesses remembered of a source
	maxPoints = 255 // that one witness's failures weigh at most in a window
)

// A witness is one group of reporters, one owner in one network and place: one
// vote in each window, however many devices speak. Windows start with their
// first event: they may tell too late that it is enough, never too early.
type witness struct {
	owner    uint32
	network  uint32 // autonomous system
	enrolled uint32 // the device of the group that is longest known
	last     uint32
	start    [3]uint32 // of the window of 10 minutes, a day, a week
	place    uint16    // hash of the /24 or /48
	points   [3]uint8
	marks    uint8
}

// Marks of a witness: each report is confirmed once and refuted once.
const (
	confirmed uint8 = 1 << iota
	refuted
	forged // all of it could have been written by any user of the device
)

// spans are the three windows, in seconds.
var spans = [3]uint32{600, daySeconds, weekSeconds}

// A panel is the witnesses of one source. Those that weigh least make room.
type panel [panelSize]witness

// source is what is remembered of a source to all.
type source struct {
	panel    panel
	start    uint32 // of the last block for everybody
	end      uint32
	honeypot uint32 // when a honeypot of the hub saw it try to log in
	keeper   uint32 // owner of that honeypot
	strikes  uint8
	by       rule
	owners   uint8 // of the last block
	networks uint8
	score    uint16
}

// place hashes the network that the hub saw the reporter in.
func (t *Tally) place(from netip.Addr) uint16 {
	bits := 24
	if from = from.Unmap(); from.Is6() {
		bits = 48
	}
	p, err := from.WithZone("").Prefix(bits)
	if err != nil {
		return 0
	}
	b := p.Addr().As16()
	return uint16(t.policy.Seed.HashBytes(b[:]))
}

// find returns the group's witness in p, or nil.
func (p *panel) find(owner, network uint32, place uint16) *witness {
	for i := range p {
		if w := &p[i]; w.owner == owner && w.network == network && w.place == place && w.last != 0 {
			return w
		}
	}
	return nil
}

// room returns the place for a new witness of that network and trust, or nil:
// an empty or outdated one first, otherwise the one trusted least within the
// network that has most.
func (t *Tally) room(p *panel, network uint32, trust int, now uint32) *witness {
	least, most, leastTrust := -1, 0, 0
	for i := range p {
		if !within(p[i].last, now, weekSeconds) {
			return &p[i]
		}
		n := 0
		for j := range p {
			if p[j].network == p[i].network {
				n++
			}
		}
		tr := t.trust(p[i].owner, p[i].enrolled, now)
		if n > most || n == most && tr < leastTrust {
			least, most, leastTrust = i, n, tr
		}
	}
	own := 0
	for i := range p {
		if p[i].network == network {
			own++
		}
	}
	if own < most-1 || trust > leastTrust {
		return &p[least]
	}
	return nil
}

// add counts points for w at the second last.
func (w *witness) add(points int, last uint32) {
	for i := range spans {
		more := points
		if i == 2 {
			more = min(more, guessPoints) // in a week, a burst is one guess
		}
		if w.points[i] == 0 || last < w.start[i] || last-w.start[i] >= spans[i] {
			w.points[i], w.start[i] = 0, last
		}
		w.points[i] = uint8(min(int(w.points[i])+more, maxPoints))
	}
	w.last = max(w.last, last)
}

// fill makes w a whole witness in every window: the device decided by itself.
func (w *witness) fill(full [3]int, last uint32) {
	for i := range spans {
		if last < w.start[i] || last-w.start[i] >= spans[i] {
			w.start[i] = last
		}
		w.points[i] = uint8(min(max(int(w.points[i]), full[i]), maxPoints))
	}
	w.last = max(w.last, last)
}

// guessPoints is what one guess may weigh in the window of a week.
const guessPoints = 5

// A score is what a panel adds up to in the window that says most.
type score struct {
	sum      int // thousandths, after the shares were cut
	owners   int
	networks int
	window   int
}

// weigh adds up the panel's witnesses but for those of owner without, in each
// window. No network and no owner contributes more than its share of the
// threshold: see docs/adr/0065.
func (t *Tally) weigh(p *panel, now, without uint32) (best score) {
	for win := range spans {
		var weights [panelSize]int
		for i := range p {
			weights[i] = t.weight(&p[i], win, now, without)
		}
		s := score{window: win}
		most := t.policy.Threshold * t.policy.Share / 1000
		byNetwork, networks := clipped(p, &weights, most, func(w *witness) uint32 { return w.network })
		byOwner, owners := clipped(p, &weights, most, func(w *witness) uint32 { return w.owner })
		s.sum, s.networks, s.owners = min(byNetwork, byOwner), networks, owners
		if t.better(s, best) {
			best = s
		}
	}
	return best
}

func (t *Tally) better(a, b score) bool {
	if e, f := t.enough(a), t.enough(b); e != f {
		return e
	}
	return a.sum > b.sum
}

func (t *Tally) enough(s score) bool {
	return t.policy.Threshold > 0 && s.sum >= t.policy.Threshold && s.owners >= t.policy.Owners && s.networks >= t.policy.Networks
}

func (t *Tally) weight(w *witness, win int, now, without uint32) int {
	if w.owner == 0 || w.owner == without || !within(w.start[win], now, spans[win]) {
		return 0
	}
	full := max(t.policy.Full[win], 1)
	weight := t.trust(w.owner, w.enrolled, now) * min(int(w.points[win]), full) / full
	if w.marks&forged != 0 {
		weight /= 2
	}
	return weight
}

// clipped adds up weights by what of says, none of them more than most, and
// counts those that weigh anything.
func clipped(p *panel, weights *[panelSize]int, most int, of func(*witness) uint32) (sum, distinct int) {
	for i := range p {
		if weights[i] == 0 {
			continue
		}
		total, first := 0, true
		for j := range p {
			if weights[j] == 0 || of(&p[j]) != of(&p[i]) {
				continue
			}
			first = first && j >= i
			total += weights[j]
		}
		if first {
			sum += min(total, most)
		}
		if first && of(&p[i]) != 0 { // an unknown network is none
			distinct++
		}
	}
	return sum, distinct
}

// testify enters what o says into the panel, if its reporter weighs anything.
func (t *Tally) testify(o *observed, p *panel, mark uint8) *witness {
	enrolled := seconds(o.Enrolled)
	if o.Enrolled.IsZero() {
		enrolled = 0
	}
	trust := t.trust(o.owner, enrolled, o.now)
	if trust == 0 {
		return nil
	}
	place := t.place(o.From)
	w := p.find(o.owner, o.Network, place)
	if w == nil || !within(w.last, o.now, weekSeconds) {
		if w == nil {
			w = t.room(p, o.Network, trust, o.now)
		}
		if w == nil || !t.mayVote(o) {
			return nil
		}
		*w = witness{owner: o.owner, network: o.Network, enrolled: enrolled, place: place, marks: mark}
	}
	w.enrolled = min(w.enrolled, enrolled)
	if !o.local {
		w.marks &^= forged
	}
	return w
}

func (t *Tally) mayVote(o *observed) bool {
	d := t.devices.Touch(o.device)
	return d.votes.take(o.now, t.policy.VotesDevice, 1<<16-1) &&
		t.standings[o.owner-1].votes.take(o.now, t.policy.VotesOwner, 1<<16-1)
}

// honeypot reports whether o is a honeypot's that saw somebody try to log in:
// that takes a connection, which nobody can forge.
func (o *observed) honeypot() bool {
	return o.Channel == tocsin.Honeypot && o.Provenance == tocsin.Attested && o.Failures+o.Successes > 0
}
