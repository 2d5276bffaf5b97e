package overview

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of what is remembered of sources: an attacker chooses the addresses, and how
// often each comes.
const (
	MaxSources = 1 << 17
	maxTouches = 256     // devices of one source
	maxCells   = 1 << 22 // minutes of all sources together
	mostCells  = 512     // minutes of one source
	leastCells = 24
)

// sources is who did something in the last week, each with its minutes and devices.
type sources struct {
	all map[netip.Prefix]*source
}

func newSources() sources { return sources{all: make(map[netip.Prefix]*source)} }

// A source is one of them. Times are in seconds since 1970.
type source struct {
	first, last int64
	dropAt      int64
	successes   uint32
	probes      uint64
	failures    uint64
	dropped     uint64
	cells       []cell  // by minute
	touches     []touch // in the order in which the devices told of it first
	accounts    []tocsin.AccountTag
}

// A cell is what a source did in one minute.
type cell struct {
	minute   uint32
	attempts uint32
	dropped  uint32
}

// A touch is what a source did at one device.
type touch struct {
	device      uint32 // in names
	attempts    uint32
	first, last uint32
	services    uint32 // a bit each, in names
}

const maxAccounts = 16 // of one source

func (s *sources) add(r *tocsin.Received, at time.Time, n uint64, names *names) {
	x := s.all[r.Source]
	began := min(at.Unix(), r.First.Add(-r.Offset).Unix())
	if x == nil {
		if len(s.all) >= MaxSources {
			s.makeRoom(at)
		}
		x = &source{first: began, last: at.Unix()}
		s.all[r.Source] = x
	}
	x.first, x.last = min(x.first, began), max(x.last, at.Unix())
	x.failures += uint64(r.Failures)
	x.probes += uint64(r.Probes)
	x.successes += r.Successes
	x.dropped += uint64(r.Dropped)
	if r.Dropped > 0 {
		x.dropAt = max(x.dropAt, at.Unix())
	}
	x.count(uint32(minuteOf(at)), uint32(n), r.Dropped, s.room())
	device, service := names.device(r.ID.Device, r.Owner), names.service(r.Service)
	names.devices[device].services |= service
	x.touch(device, service, uint32(n), began, at.Unix())
	for _, t := range r.Accounts {
		if len(x.accounts) < maxAccounts && !slices.Contains(x.accounts, t.Tag) {
			x.accounts = append(x.accounts, t.Tag)
		}
	}
}

// room returns how many minutes of one source are remembered.
func (s *sources) room() int {
	return min(mostCells, max(leastCells, maxCells/max(1, len(s.all))))
}

// count adds to a minute. Where there are too many, the older half gets coarser.
func (x *source) count(minute, attempts, dropped uint32, room int) {
	i := len(x.cells)
	for i > 0 && x.cells[i-1].minute > minute {
		i--
	}
	if i > 0 && x.cells[i-1].minute == minute {
		x.cells[i-1].attempts += attempts
		x.cells[i-1].dropped += dropped
		return
	}
	x.cells = slices.Insert(x.cells, i, cell{minute, attempts, dropped})
	if len(x.cells) <= room {
		return
	}
	kept := x.cells[:0]
	for j, c := range x.cells {
		if j < len(x.cells)/2 && j%2 == 1 {
			kept[len(kept)-1].attempts += c.attempts
			kept[len(kept)-1].dropped += c.dropped
			continue
		}
		kept = append(kept, c)
	}
	x.cells = kept
}

func (x *source) touch(device, services, attempts uint32, first, last int64) {
	for i := range x.touches {
		t := &x.touches[i]
		if t.device == device {
			t.attempts += attempts
			t.services |= services
			t.first, t.last = min(t.first, uint32(first)), max(t.last, uint32(last))
			return
		}
	}
	if len(x.touches) < maxTouches {
		x.touches = append(x.touches, touch{device, attempts, uint32(first), uint32(last), services})
	}
}

// makeRoom forgets who was not seen for a week, and else the tenth that was silent for
// longest.
func (s *sources) makeRoom(now time.Time) {
	old := now.Add(-Week).Unix()
	lasts := make([]int64, 0, len(s.all))
	for _, x := range s.all {
		lasts = append(lasts, x.last)
	}
	slices.Sort(lasts)
	old = max(old, lasts[len(lasts)/10])
	for p, x := range s.all {
		if x.last <= old {
			delete(s.all, p)
		}
	}
}

// spread counts the sources of each step from the minute first on.
func (s *sources) spread(first, step int64, counts []uint32) {
	end := first + step*int64(len(counts))
	for _, x := range s.all {
		if x.last/60 < first {
			continue
		}
		done := -1
		for _, c := range x.cells {
			m := int64(c.minute)
			if m < first || m >= end {
				continue
			}
			if i := int((m - first) / step); i != done {
				counts[i]++
				done = i
			}
		}
	}
}

// count returns how many sources did something from the minute first on.
func (s *sources) count(first int64) (n int) {
	for _, x := range s.all {
		if x.last/60 >= first {
			n++
		}
	}
	return n
}

// names gives devices and services numbers: a device is told once, not a million times.
type names struct {
	devices  []named
	numbers  map[tocsin.DeviceID]uint32
	services []tocsin.Service
	sets     map[uint32][]tocsin.Service // what of returned
	owners   map[tocsin.OwnerID]uint32
	counted  []uint32 // by owner: the count in which it was counted last
	count    uint32
}

type named struct {
	id       tocsin.DeviceID
	owner    tocsin.OwnerID
	ownerN   uint32 // in names.owners
	services uint32 // a bit each
}

func newNames() names {
	return names{numbers: make(map[tocsin.DeviceID]uint32), owners: make(map[tocsin.OwnerID]uint32)}
}

func (n *names) device(id tocsin.DeviceID, owner tocsin.OwnerID) uint32 {
	i, ok := n.numbers[id]
	if !ok {
		i = uint32(len(n.devices))
		o, known := n.owners[owner]
		if !known {
			o = uint32(len(n.counted))
			n.owners[owner] = o
			n.counted = append(n.counted, 0)
		}
		n.devices = append(n.devices, named{id: id, owner: owner, ownerN: o})
		n.numbers[id] = i
	}
	return i
}

// ownersOf counts who has the devices touched.
func (n *names) ownersOf(touches []touch) (owners int) {
	if n.count++; n.count == 0 { // once in four thousand million
		clear(n.counted)
		n.count = 1
	}
	for _, t := range touches {
		if last := &n.counted[n.devices[t.device].ownerN]; *last != n.count {
			*last = n.count
			owners++
		}
	}
	return owners
}

// maxServices bounds the services that are told apart; the last bit is all others.
const maxServices = 31

func (n *names) service(s tocsin.Service) uint32 {
	i := slices.Index(n.services, s)
	if i < 0 && len(n.services) < maxServices {
		i = len(n.services)
		n.services = append(n.services, s)
	}
	if i < 0 {
		return 1 << maxServices
	}
	return 1 << i
}

// maxSets bounds how many sets of services are kept ready.
const maxSets = 1 << 10

// of returns the services of a set, sorted. The list is not the caller's.
func (n *names) of(set uint32) []tocsin.Service {
	if list, ok := n.sets[set]; ok {
		return list
	}
	list := []tocsin.Service{}
	for i, s := range n.services {
		if set&(1<<i) != 0 {
			list = append(list, s)
		}
	}
	if set&(1<<maxServices) != 0 {
		list = append(list, "other")
	}
	slices.Sort(list)
	if n.sets == nil || len(n.sets) >= maxSets {
		n.sets = make(map[uint32][]tocsin.Service)
	}
	n.sets[set] = list
	return list
}
