// Package replay plays a trace of attempts to the production code in virtual
// time: one watch for each device and one fleet for all, with the delays that a
// device, a hub and the way between them have. It answers what a policy would
// have stopped, and whom it would have blocked wrongly. The same trace and
// configuration always give the same summary.
//
// It is pure: it opens no file and reads no clock. What it takes for granted is
// said in docs/replay.md.
package replay

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/sighting"
	"github.com/tocsin-io/tocsin/watch"
)

// Bounds of what one replay remembers. A trace that needs more is refused.
const (
	MaxDevices = 10_000
	MaxSources = 1 << 24
)

// Owner has the devices of attempts that name no owner.
const Owner tocsin.OwnerID = "trace"

const (
	// push is how long it takes from what a device tells until the kernels of the
	// others enforce what the hub makes of it. A line in one device's log is
	// promised to become a rule at another within a second in 99 of 100 cases. A
	// device tells when the window of its sighting closes, which comes before this.
	push = 500 * time.Millisecond
	// known is for how long the devices had been enrolled when the trace begins:
	// a fleet past its probation.
	known = 90 * 24 * time.Hour
	// sample is how many dropped packets a second a guard looks at.
	sample = 20
	// tidy is how often a device forgets what has ended.
	tidy = 24 * time.Hour
)

// A Config says what is replayed to. Zero Devices are 10.
type Config struct {
	Devices int // that attempts of one owner which name no device are dealt to
	Detect  detect.Policy
	Fleet   fleet.Config
}

// An Attempt is one line of a trace.
type Attempt struct {
	tocsin.Attempt
	Owner  tocsin.OwnerID // "" is [Owner]
	Benign bool           // by somebody who belongs there
	Line   int            // in the trace, from 1
}

// A Player is a fleet in virtual time. It is not safe for concurrent use.
type Player struct {
	config  Config
	fleet   *fleet.Fleet
	serial  uint64
	owners  map[tocsin.OwnerID]*owner
	order   []*owner // as they came
	devices int
	due     dues
	pushed  []pushed // on their way to the devices, in the order of time
	rules   map[tocsin.OwnerID]scope
	tidied  time.Time
	start   time.Time
	now     time.Time
	sources map[uint64]*source
	sum     Summary
}

type owner struct {
	id      tocsin.OwnerID
	number  int
	devices []*device // as they came
	dealt   []*device // virtual ones
	named   map[tocsin.DeviceID]*device
}

type device struct {
	id      tocsin.DeviceID
	owner   *owner
	watch   *watch.Watch
	list    *blocklist.List
	book    *sighting.Book
	waiting time.Time // when its sightings are next looked at; zero is not
	tidied  time.Time
	second  int64 // of the newest drops
	sampled int   // in that second
}

// New returns a Player that has seen nothing.
func New(c Config) (*Player, error) {
	if c.Devices == 0 {
		c.Devices = 10
	}
	if c.Devices < 1 || c.Devices > MaxDevices {
		return nil, fmt.Errorf("%d devices: between 1 and %d can be played", c.Devices, MaxDevices)
	}
	return &Player{
		config: c, fleet: fleet.New(c.Fleet), owners: map[tocsin.OwnerID]*owner{},
		rules: map[tocsin.OwnerID]scope{}, sources: map[uint64]*source{},
	}, nil
}

// Play takes the next attempt, which must not be older than the one before. An
// error says what cannot be played.
func (p *Player) Play(a Attempt) error {
	key, ok := window.Key(a.Source.Addr())
	if !ok {
		return fmt.Errorf("nobody connects from %v", a.Source.Addr())
	}
	if a.At.Before(p.now) {
		return fmt.Errorf("%v is before %v, which was played already: sort the trace by time", a.At.Format(time.RFC3339), p.now.Format(time.RFC3339))
	}
	if p.start.IsZero() {
		p.start = a.At
	}
	p.advance(a.At)
	d, err := p.device(a)
	if err != nil {
		return err
	}
	s := p.sources[key]
	if s == nil {
		if len(p.sources) >= MaxSources {
			return fmt.Errorf("more than %d sources: replay a part of the trace", MaxSources)
		}
		s = new(source)
		p.sources[key] = s
	}
	p.count(s, a)
	d.forget(a.At)
	if d.list.Blocked(a.Source.Addr(), a.At) {
		p.stopped(s, d, a)
		d.dropped(a)
	} else {
		p.observe(s, d, a)
	}
	p.schedule(d)
	return nil
}

// observe has the device take an attempt that reached it.
func (p *Player) observe(s *source, d *device, a Attempt) {
	a.Provenance = tocsin.Attested // the person who replays a trace vouches for it
	e := d.watch.Observe(a.Attempt, false)
	if e.Decided && e.Verdict == blocklist.Enforced {
		s.blocked = true
	}
}

// dropped counts what the kernel dropped, as far as a guard would see it.
func (d *device) dropped(a Attempt) {
	if second := a.At.Unix(); second != d.second {
		d.second, d.sampled = second, 0
	}
	if d.sampled++; d.sampled <= sample {
		d.watch.Dropped(a.Source.Addr(), 1, a.At)
	}
}

func (d *device) forget(now time.Time) {
	if now.Sub(d.tidied) >= tidy {
		d.tidied = now
		d.list.Expire(now)
	}
}

// device returns the one that an attempt was made on.
func (p *Player) device(a Attempt) (*device, error) {
	id := a.Owner
	if id == "" {
		id = Owner
	}
	o := p.owners[id]
	if o == nil {
		if len(p.order) >= MaxDevices {
			return nil, fmt.Errorf("more than %d owners", MaxDevices)
		}
		o = &owner{id: id, number: len(p.order), named: map[tocsin.DeviceID]*device{}}
		p.owners[id] = o
		p.order = append(p.order, o)
	}
	if a.Device != "" {
		if d := o.named[a.Device]; d != nil {
			return d, nil
		}
		d, err := p.enrol(o, "device/"+a.Device)
		if err != nil {
			return nil, err
		}
		o.named[a.Device] = d
		return d, nil
	}
	if o.dealt == nil {
		o.dealt = make([]*device, p.config.Devices)
	}
	i := p.config.Detect.Seed.Hash2(uint64(a.Line), uint64(o.number)) % uint64(len(o.dealt))
	if o.dealt[i] == nil {
		d, err := p.enrol(o, tocsin.DeviceID(fmt.Sprintf("virtual/%d", i)))
		if err != nil {
			return nil, err
		}
		o.dealt[i] = d
	}
	return o.dealt[i], nil
}

func (p *Player) enrol(o *owner, name tocsin.DeviceID) (*device, error) {
	if p.devices >= MaxDevices {
		return nil, fmt.Errorf("more than %d devices", MaxDevices)
	}
	p.devices++
	list := blocklist.New(blocklist.DefaultLimits, false)
	list.Protect(p.config.Fleet.Allow, p.start)
	id := tocsin.DeviceID(o.id) + "/" + name
	book := sighting.New([]byte(o.id), id, 1, sighting.Caps{Eager: true})
	d := &device{id: id, owner: o, list: list, book: book, watch: watch.New(detect.New(p.config.Detect), list, book, nil)}
	o.devices = append(o.devices, d)
	// What the owner's lists and everybody's hold reaches a new device, too.
	if c := p.inForce(o.id); len(c.Add) > 0 {
		d.watch.Enforce(c, p.now)
	}
	return d, nil
}

// advance plays what happens up to now between attempts.
func (p *Player) advance(now time.Time) {
	for {
		switch {
		case len(p.pushed) > 0 && !p.pushed[0].at.After(now) && (len(p.due) == 0 || !p.due[0].at.Before(p.pushed[0].at)):
			next := p.pushed[0]
			p.pushed = p.pushed[:copy(p.pushed, p.pushed[1:])] // few are on their way at a time
			p.now = next.at
			p.deliver(next.Scoped)
		case len(p.due) > 0 && !p.due[0].at.After(now):
			next := heap.Pop(&p.due).(due)
			p.now = next.at
			next.device.waiting = time.Time{}
			p.take(next.device)
			p.schedule(next.device)
		default:
			p.now = now
			p.prune()
			return
		}
	}
}

// schedule has the sightings of d taken at once, where it hurries, or once a
// window closes.
func (p *Player) schedule(d *device) {
	at, ok := d.book.Due()
	if ok && !at.After(p.now) {
		p.take(d)
		at, ok = d.book.Due()
	}
	if ok && (d.waiting.IsZero() || at.Before(d.waiting)) {
		d.waiting = at
		heap.Push(&p.due, due{at, d})
	}
}

// take hands the sightings of d to the hub.
func (p *Player) take(d *device) {
	var effects int
	for _, s := range d.book.Take(p.now) {
		effects += p.apply(tocsin.Event{Received: &tocsin.Received{
			Sighting: s, At: p.now, From: d.owner.address(), Network: d.owner.network(),
			Channel: tocsin.Enrolled, Owner: d.owner.id, Enrolled: p.start.Add(-known),
		}})
	}
	if effects > 0 {
		p.publish()
	}
}

func (p *Player) apply(e tocsin.Event) int {
	p.serial++
	e.Serial, e.At = p.serial, p.now
	return len(p.fleet.Apply(e))
}

func (p *Player) publish() {
	for _, c := range p.fleet.Changes() {
		p.pushed = append(p.pushed, pushed{p.now.Add(push), c})
	}
}

// network returns an autonomous system of the owner's own, of those kept for
// private use (RFC 6996).
func (o *owner) network() uint32 { return 4_200_000_000 + uint32(o.number) }

// address returns one of the owner's own, of those kept for documentation.
func (o *owner) address() netip.Addr {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	binary.BigEndian.PutUint16(b[4:], uint16(o.number)) // below MaxDevices
	return netip.AddrFrom16(b)
}

// A due is when sightings of a device are looked at.
type due struct {
	at     time.Time
	device *device
}

// dues is a heap, the earliest on top.
type dues []due

func (h dues) Len() int           { return len(h) }
func (h dues) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dues) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is called by package heap only.
func (h *dues) Push(x any) { *h = append(*h, x.(due)) }

// Pop is called by package heap only.
func (h *dues) Pop() any {
	n := len(*h) - 1
	x := (*h)[n]
	*h = (*h)[:n]
	return x
}
