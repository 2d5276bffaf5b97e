package overview

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Source is what one source did, as far as it is remembered.
type Source struct {
	Prefix    netip.Prefix
	Attempts  uint64 // within the span that was asked for
	Dropped   uint64 // packets, by sample: a lower bound
	Failures  uint64
	Successes uint32
	Probes    uint64
	Devices   int
	Shared    int              // how many owners those devices have
	Owners    []tocsin.OwnerID // who; of one source only
	Services  []tocsin.Service
	Accounts  []tocsin.AccountTag // of one source only
	First     time.Time
	Last      time.Time
	LastHit   time.Time // when a device last dropped packets of it; zero is never
}

// Sources returns who did something in a span up to now, in no order.
func (l *Ledger) Sources(now time.Time, span time.Duration) []Source {
	first := minuteOf(now) - int64(span/time.Minute) + 1
	list := make([]Source, 0, len(l.sources.all))
	for p, x := range l.sources.all {
		if x.last/60 >= first {
			list = append(list, l.row(p, x, first))
		}
	}
	return list
}

// Source returns what is remembered of one, of a whole week.
func (l *Ledger) Source(p netip.Prefix) (Source, bool) {
	x := l.sources.all[p]
	if x == nil {
		return Source{}, false
	}
	out := l.row(p, x, 0)
	out.Accounts = slices.Clone(x.accounts)
	for _, t := range x.touches {
		out.Owners = append(out.Owners, l.names.devices[t.device].owner)
	}
	slices.Sort(out.Owners)
	out.Owners = slices.Compact(out.Owners)
	return out, true
}

func (l *Ledger) row(p netip.Prefix, x *source, first int64) Source {
	out := Source{
		Prefix: p, Failures: x.failures, Successes: x.successes, Probes: x.probes, Devices: len(x.touches),
		First: clock(x.first), Last: clock(x.last),
	}
	if x.dropAt > 0 {
		out.LastHit = clock(x.dropAt)
	}
	for _, c := range x.cells {
		if int64(c.minute) >= first {
			out.Attempts += uint64(c.attempts)
			out.Dropped += uint64(c.dropped)
		}
	}
	services := uint32(0)
	for _, t := range x.touches {
		services |= t.services
	}
	out.Shared = l.names.ownersOf(x.touches)
	out.Services = l.names.of(services)
	return out
}

func clock(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

// Hits returns how often packets of a source were dropped, and when last.
func (l *Ledger) Hits(p netip.Prefix) (n uint64, last time.Time) {
	x := l.sources.all[p]
	if x == nil || x.dropAt == 0 {
		return 0, time.Time{}
	}
	return x.dropped, clock(x.dropAt)
}

// A Touch is what one source did at one device.
type Touch struct {
	Source   netip.Prefix
	Device   tocsin.DeviceID
	Owner    tocsin.OwnerID
	Attempts uint32
	Services []tocsin.Service
	First    time.Time
	Last     time.Time
}

// A Tried is what several sources did at one device, together.
type Tried struct {
	Device   tocsin.DeviceID
	Attempts uint64
	Sources  int
	Services []tocsin.Service
	First    time.Time
	Last     time.Time
}

// Tried sums up what these sources did, by device, in no order.
func (l *Ledger) Tried(list []netip.Prefix) []Tried {
	type sum struct {
		attempts    uint64
		sources     int
		services    uint32
		first, last uint32
	}
	sums := make([]sum, len(l.names.devices))
	for _, p := range list {
		x := l.sources.all[p]
		if x == nil {
			continue
		}
		for _, t := range x.touches {
			s := &sums[t.device]
			if s.sources == 0 || t.first < s.first {
				s.first = t.first
			}
			s.attempts += uint64(t.attempts)
			s.sources++
			s.services |= t.services
			s.last = max(s.last, t.last)
		}
	}
	var out []Tried
	for i, s := range sums {
		if s.sources > 0 {
			out = append(out, Tried{
				Device: l.names.devices[i].id, Attempts: s.attempts, Sources: s.sources, Services: l.names.of(s.services),
				First: clock(int64(s.first)), Last: clock(int64(s.last)),
			})
		}
	}
	return out
}

// Touches returns what these sources did where.
func (l *Ledger) Touches(list []netip.Prefix) (out []Touch) {
	for _, p := range list {
		x := l.sources.all[p]
		if x == nil {
			continue
		}
		for _, t := range x.touches {
			d := l.names.devices[t.device]
			out = append(out, Touch{
				Source: p, Device: d.id, Owner: d.owner, Attempts: t.attempts, Services: l.names.of(t.services),
				First: clock(int64(t.first)), Last: clock(int64(t.last)),
			})
		}
	}
	return out
}

// At returns what sources did at one device, as far as it is remembered.
func (l *Ledger) At(id tocsin.DeviceID) (out []Touch) {
	number, ok := l.names.numbers[id]
	if !ok {
		return nil
	}
	for p, x := range l.sources.all {
		for _, t := range x.touches {
			if t.device == number {
				out = append(out, Touch{
					Source: p, Device: id, Owner: l.names.devices[number].owner, Attempts: t.attempts, Services: l.names.of(t.services),
					First: clock(int64(t.first)), Last: clock(int64(t.last)),
				})
			}
		}
	}
	slices.SortFunc(out, func(a, b Touch) int { return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), a.Source.Compare(b.Source)) })
	return out
}

// A Course is what some sources did over time, oldest first.
type Course struct {
	Step     int      `json:"step"` // seconds
	At       []int64  `json:"at"`
	Attempts []uint64 `json:"attempts"`
	Dropped  []uint64 `json:"dropped"`
	Sources  []uint32 `json:"sources"`
}

// Course returns what these sources did between two moments, as far as it is
// remembered, in at most 200 steps.
func (l *Ledger) Course(list []netip.Prefix, from, to time.Time) Course {
	step := int64(1)
	for _, wider := range []int64{5, 15, 60, 360, 1440} {
		if to.Sub(from)/time.Minute/time.Duration(step) >= 200 {
			step = wider
		}
	}
	first := minuteOf(from) / step * step
	n := int(max(1, min(200, (minuteOf(to)-first)/step+1)))
	c := Course{
		Step: int(step * 60), At: make([]int64, n), Attempts: make([]uint64, n), Dropped: make([]uint64, n), Sources: make([]uint32, n),
	}
	for i := range n {
		c.At[i] = (first + int64(i)*step) * 60
	}
	for _, p := range list {
		x := l.sources.all[p]
		if x == nil {
			continue
		}
		done := -1
		for _, one := range x.cells {
			i := int((int64(one.minute) - first) / step)
			if int64(one.minute) < first || i >= n {
				continue
			}
			c.Attempts[i] += uint64(one.attempts)
			c.Dropped[i] += uint64(one.dropped)
			if i != done {
				c.Sources[i]++
				done = i
			}
		}
	}
	return c
}

// Services returns those of which a device told something.
func (l *Ledger) Services(id tocsin.DeviceID) []tocsin.Service {
	i, ok := l.names.numbers[id]
	if !ok {
		return []tocsin.Service{}
	}
	return l.names.of(l.names.devices[i].services)
}
