package controller

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/contact"
)

// A fleet is the devices by number, in the order of their names, so that the
// order of the input does not matter.
type fleet struct {
	devices  []Device
	number   map[tocsin.DeviceID]int32
	stratum  []int32 // of each device
	size     []int   // of each stratum, in devices
	marked   []int   // labelled ones of each stratum
	labelled int
}

func newFleet(devices []Device) *fleet {
	f := &fleet{devices: slices.Clone(devices), number: make(map[tocsin.DeviceID]int32, len(devices))}
	slices.SortStableFunc(f.devices, func(a, b Device) int { return cmp.Compare(a.ID, b.ID) })
	f.devices = slices.CompactFunc(f.devices, func(a, b Device) bool { return a.ID == b.ID })
	type kind struct{ model, firmware string }
	sizes := map[kind]int{}
	for i, d := range f.devices {
		f.number[d.ID] = int32(i)
		sizes[kind{d.Model, d.Firmware}]++
	}
	f.size, f.marked = []int{0}, []int{0} // stratum 0 is the small ones together
	numbers := map[kind]int32{}
	for _, d := range f.devices {
		k := kind{d.Model, d.Firmware}
		s, ok := numbers[k]
		if !ok && sizes[k] >= smallStratum {
			s = int32(len(f.size))
			f.size, f.marked = append(f.size, 0), append(f.marked, 0)
			numbers[k] = s
		}
		f.stratum = append(f.stratum, s)
		f.size[s]++
		if d.Compromised {
			f.marked[s]++
			f.labelled++
		}
	}
	return f
}

// An observed time is in nanoseconds since 1970: millions of them are compared.
type instant = int64

// A pair is all contacts of one device with one destination.
type pair struct {
	device      int32
	refs        []ref
	first, last instant
	count       uint64
	failed      uint64
	received    uint64
	longest     time.Duration
}

// A ref is one contact of the input, by numbers.
type ref struct{ dest, device, contact int32 }

// A dest is one external destination with those that contacted it, by device.
type dest struct {
	key   destKey
	pairs []pair
}

type destKey struct {
	to       netip.AddrPort
	protocol uint8
}

// observe sorts the contacts by destination and device.
func (a *analysis) observe(contacts []tocsin.Contact) {
	numbers := map[destKey]int32{}
	var refs []ref
	var counts []int
	for i := range contacts {
		c := &contacts[i]
		device, ok := a.fleet.number[c.Device]
		if !ok || !contact.Public(c.To.Addr()) {
			continue
		}
		k := destKey{c.To, c.Protocol}
		n, ok := numbers[k]
		if !ok {
			n = int32(len(a.dests))
			numbers[k] = n
			a.dests = append(a.dests, dest{key: k})
			counts = append(counts, 0)
		}
		counts[n]++
		refs = append(refs, ref{n, device, int32(i)})
	}
	ends, sum := make([]int, len(counts)), 0
	for n, c := range counts {
		ends[n] = sum
		sum += c
	}
	sorted := make([]ref, len(refs))
	for _, r := range refs {
		sorted[ends[r.dest]] = r
		ends[r.dest]++
	}
	pairs := make([]pair, 0, len(refs)) // so long that no append moves it
	for n, c := range counts {
		from := len(pairs)
		pairs = a.group(contacts, sorted[ends[n]-c:ends[n]], pairs)
		a.dests[n].pairs = pairs[from:len(pairs):len(pairs)]
	}
}

// group appends the pairs of one destination.
func (a *analysis) group(contacts []tocsin.Contact, refs []ref, pairs []pair) []pair {
	slices.SortFunc(refs, func(x, y ref) int {
		return cmp.Or(cmp.Compare(x.device, y.device), contacts[x.contact].First.Compare(contacts[y.contact].First),
			contacts[x.contact].Last.Compare(contacts[y.contact].Last), cmp.Compare(x.contact, y.contact))
	})
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].device == refs[0].device {
			n++
		}
		p := pair{device: refs[0].device, refs: refs[:n], first: contacts[refs[0].contact].First.UnixNano()}
		p.last = p.first
		for _, r := range refs[:n] {
			c := &contacts[r.contact]
			p.last = max(p.last, c.Last.UnixNano())
			p.count += uint64(c.Count)
			p.failed += uint64(c.Failed)
			p.received = max(p.received, p.received+c.Received)
			p.longest = max(p.longest, c.Longest)
		}
		a.span[p.device].widen(p.first, p.last)
		a.whole.widen(p.first, p.last)
		pairs = append(pairs, p)
		refs = refs[n:]
	}
	return pairs
}

// An interval is from the first to the last contact; the zero interval is none.
type interval struct {
	from, to instant
	any      bool
}

func (i *interval) widen(from, to instant) {
	if !i.any {
		*i = interval{from, to, true}
		return
	}
	i.from, i.to = min(i.from, from), max(i.to, to)
}

func (i interval) length() time.Duration { return time.Duration(i.to - i.from) }
