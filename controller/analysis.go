package controller

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// An analysis is one run of [Rank].
type analysis struct {
	in       Input
	fleet    *fleet
	dests    []dest
	span     []interval // that each device was observed in
	whole    interval   // that any was
	factor   logFactorials
	scans    map[port]bool
	sets     [][]uint16  // of each device: the rounds in which it is labelled at random
	draws    [][]instant // of each labelled device: random times instead of its first attack
	contacts []int       // of each stratum, for one destination
	hits     []uint32    // of each round, for one destination
	counts   []uint32    // of each round, for one destination
	sums     []float64   // of each round, for one destination
	victims  []int       // of each device: destinations that it failed to reach after its first attack

	beacon         beacons   // of one destination
	gaps           []float64 // of one pair
	marked, others []float64 // regularity of one destination's devices
}

// A port of a device: what it may scan others for.
type port struct {
	device   int32
	number   uint16
	protocol uint8
}

func newAnalysis(in Input) *analysis {
	f := newFleet(in.Devices)
	a := &analysis{
		in: in, fleet: f, span: make([]interval, len(f.devices)), factor: newLogFactorials(len(f.devices)), scans: map[port]bool{},
		contacts: make([]int, len(f.size)), hits: make([]uint32, in.Rounds), counts: make([]uint32, in.Rounds),
		sums: make([]float64, in.Rounds), victims: make([]int, len(f.devices)),
	}
	a.observe(in.Contacts)
	a.findScans()
	a.drawLabels()
	a.drawTimes()
	return a
}

// findScans finds the ports that devices try many destinations at in vain, and
// counts the destinations that each labelled device tried after its first attack.
func (a *analysis) findScans() {
	fan := map[port]int{}
	for i := range a.dests {
		d := &a.dests[i]
		for j := range d.pairs {
			p := &d.pairs[j]
			if p.failed == 0 {
				continue
			}
			k := port{p.device, d.key.to.Port(), d.key.protocol}
			if fan[k]++; fan[k] > scanFanOut {
				a.scans[k] = true
			}
			if at, ok := a.attack(p.device); ok && p.first >= at && 2*p.failed >= p.count {
				a.victims[p.device]++
			}
		}
	}
}

// attack returns when a labelled device first attacked, if that is known.
func (a *analysis) attack(device int32) (instant, bool) {
	d := &a.fleet.devices[device]
	return d.FirstAttack.UnixNano(), d.Compromised && !d.FirstAttack.IsZero()
}

func (a *analysis) labelled(device int32) bool { return a.fleet.devices[device].Compromised }

// candidate reports whether d passes the filters, and drops the pairs that are
// part of a scan.
func (a *analysis) candidate(d *dest) bool {
	if len(a.scans) > 0 {
		kept := d.pairs[:0]
		for _, p := range d.pairs {
			if !a.scans[port{p.device, d.key.to.Port(), d.key.protocol}] {
				kept = append(kept, p)
			}
		}
		d.pairs = kept
	}
	labelled, early := 0, false
	for i := range d.pairs {
		p := &d.pairs[i]
		if !a.labelled(p.device) {
			continue
		}
		labelled++
		at, known := a.attack(p.device)
		early = early || !known || p.first < at // what never attacked has no targets either
	}
	return labelled >= 2 && early && !a.allowed(d.key.to.Addr())
}

func (a *analysis) allowed(addr netip.Addr) bool {
	for _, p := range a.in.Allow {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// times appends when the connections of p began, window by window.
func (a *analysis) times(p *pair, to []instant) []instant {
	for _, r := range p.refs {
		c := &a.in.Contacts[r.contact]
		if len(c.Starts) == 0 && c.Count > 0 {
			to = append(to, c.First.UnixNano())
		}
		for _, s := range c.Starts {
			to = append(to, s.At.UnixNano())
		}
	}
	return to
}

// seen returns the first and the last contact as times.
func (d *dest) seen() (first, last time.Time) {
	var i interval
	for _, p := range d.pairs {
		i.widen(p.first, p.last)
	}
	return time.Unix(0, i.from).UTC(), time.Unix(0, i.to).UTC()
}

// examine runs every test on a candidate.
func (a *analysis) examine(d *dest) Candidate {
	var c Candidate
	c.Address, c.Port, c.Protocol = d.key.to.Addr(), d.key.to.Port(), d.key.protocol
	c.First, c.Last = d.seen()
	c.Devices = len(d.pairs)
	owners, strata := map[tocsin.OwnerID]bool{}, map[int32]bool{}
	for _, p := range d.pairs {
		if !a.labelled(p.device) {
			continue
		}
		c.Labelled++
		strata[a.fleet.stratum[p.device]] = true
		if o := a.fleet.devices[p.device].Owner; o != "" {
			owners[o] = true
		}
	}
	c.Owners, c.Strata = len(owners), len(strata)
	n, all := a.fleet.labelled, len(a.fleet.devices)
	c.Ratio = ratio(c.Labelled, n, c.Devices, all)
	c.Rarity = rarity(c.Devices, all)
	p1, least1 := a.prevalence(d)
	b := a.beacons(d)
	p2, least2 := a.precedence(d, b, &c)
	p3, least3 := a.regular(d, b, &c, least1)
	c.Prevalence, c.Precedence, c.PRegularity = p1, p2, p3
	c.Gates = [3]float64{gate(p1, least1), gate(p2, least2), gate(p3, least3)}
	c.Score = score(&c)
	c.P = p1
	if c.LabelledTimed > 0 {
		c.P = combine(p1, p2)
	}
	c.Class = a.class(d, b, &c)
	c.Reasons = reasons(&c, n, all)
	return c
}
