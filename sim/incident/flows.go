package incident

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A destination is where connections go.
type destination struct {
	to       netip.AddrPort
	protocol uint8 // 6 is TCP, 17 is UDP
	service  string
}

// A flow is one connection that a device opened. Many are in memory at a time.
type flow struct {
	start    int64  // microseconds since 1970
	millis   uint32 // how long it lasted
	sent     uint32
	received uint32
	to       uint32 // index of the destination
	device   uint32
	port     uint16
	state    state
}

// state is how a connection ended, in the words of Zeek.
type state uint8

const (
	finished   state = iota // SF
	unanswered              // S0
	rejected                // REJ
	cut                     // RSTO
)

// Numbers of destinations, as in the generator that controllers are ranked with.
const (
	commonVendors = 3 // of all devices; each model has as many of its own
	modelVendors  = 2
	webServices   = 400
	privatePeers  = 20 // of each device
	attackTargets = 60
)

// network is what all devices can contact: by IPv4 first, by IPv6 second.
type network struct {
	list       []destination
	vendors    [2][]uint32
	resolvers  [2][]uint32
	clocks     [2][]uint32
	web        [2][]uint32
	targets    []uint32
	controller uint32
	payload    uint32
	others     map[netip.AddrPort]uint32 // what compromised devices attack and scan
}

func (n *network) add(a netip.Addr, port uint16, protocol uint8, service string) uint32 {
	n.list = append(n.list, destination{netip.AddrPortFrom(a, port), protocol, service})
	return uint32(len(n.list) - 1)
}

// other returns the destination of an attack, the same for the same address and
// port.
func (n *network) other(a netip.Addr, port uint16) uint32 {
	at := netip.AddrPortFrom(a, port)
	if _, ok := n.others[at]; !ok {
		n.others[at] = n.add(a, port, 6, "")
	}
	return n.others[at]
}

// places makes up the destinations.
func (w *world) places() {
	r := w.random(partNetwork, 0)
	n := &w.net
	n.others = map[netip.AddrPort]uint32{}
	for f, b := range []block{vendorBlock, vendorBlock6} {
		for i := range commonVendors + modelVendors*len(models) {
			n.vendors[f] = append(n.vendors[f], n.add(b.nth(10+i), 443, 6, "ssl"))
		}
		for i := range 2 {
			n.resolvers[f] = append(n.resolvers[f], n.add(b.nth(53+i), 53, 17, "dns"))
		}
		for i := range 4 {
			n.clocks[f] = append(n.clocks[f], n.add(b.nth(120+i), 123, 17, "ntp"))
		}
	}
	for f, b := range []block{contentBlock, contentBlock6} {
		for i := range webServices {
			port, service := uint16(443), "ssl"
			if i%9 == 8 {
				port, service = 993, ""
			}
			n.web[f] = append(n.web[f], n.add(b.nth(1+i*3), port, 6, service))
		}
	}
	ports := []uint16{22, 8080, 443, 22, 8080}
	for i := range attackTargets {
		n.targets = append(n.targets, n.other(w.fresh(r, targetBlock), ports[i%len(ports)]))
	}
	n.controller = n.add(commandBlock.nth(10+r.IntN(200)), []uint16{8443, 4443, 6667, 9000}[r.IntN(4)], 6, "")
	n.payload = n.add(payloadBlock.nth(10+r.IntN(200)), 80, 6, "http")
}

// connections makes up what every device opened, in the order in which the
// connections ended, which is how they are logged.
func (w *world) connections(ctx context.Context) error {
	w.places()
	for i := range w.devices {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%16 == 0 {
			w.c.Progress("inventing connections", i, len(w.devices))
		}
		t := traffic{w: w, r: w.random(partFlows, i), device: i}
		if t.w.devices[i].address.Is6() {
			t.family = 1
		}
		t.everyday()
		if b := w.devices[i].bot; b > 0 {
			t.attack(&w.bots[b-1])
		}
		if w.devices[i].lacks(goneFlows) {
			continue // made up all the same, so that nothing else is another
		}
		w.flows = append(w.flows, t.list...)
	}
	slices.SortFunc(w.flows, func(a, b flow) int {
		return cmp.Or(cmp.Compare(a.ends(), b.ends()), cmp.Compare(a.device, b.device), cmp.Compare(a.to, b.to),
			cmp.Compare(a.start, b.start), cmp.Compare(a.port, b.port))
	})
	return nil
}

func (f *flow) ends() int64 { return f.start + int64(f.millis)*1000 }

// traffic is what one device opens.
type traffic struct {
	w      *world
	r      *rand.Rand
	device int
	family int // of its address: 0 is IPv4, 1 is IPv6
	list   []flow
}

// A shape is about what a connection carries.
type shape struct {
	sent, received float64 // bytes, in the middle
	seconds        float64
	spread         float64 // 0: always the same
}

func (s shape) of(r *rand.Rand) (sent, received, millis uint32) {
	some := func(x float64) uint32 { return uint32(min(x*math.Exp(s.spread*r.NormFloat64()), 1<<31)) }
	return some(s.sent), some(s.received), some(1000 * s.seconds)
}

// open opens a connection, at a time in seconds.
func (t *traffic) open(to uint32, at float64, s shape, ended state) {
	if at < float64(t.w.start) || at >= float64(t.w.end) {
		return
	}
	f := flow{start: int64(at * 1e6), to: to, device: uint32(t.device), port: uint16(1024 + t.r.IntN(60_000)), state: ended}
	f.sent, f.received, f.millis = s.of(t.r)
	switch ended {
	case unanswered:
		f.sent, f.received, f.millis = 0, 0, 0
	case rejected:
		f.sent, f.received, f.millis = 0, 0, uint32(1+t.r.IntN(80))
	case cut:
		f.received /= 2
	}
	t.list = append(t.list, f)
}

// ordinary is how an everyday connection ends.
func (t *traffic) ordinary() state {
	switch t.r.IntN(100) {
	case 0:
		return unanswered
	case 1:
		return cut
	}
	return finished
}

// some opens n connections at any time.
func (t *traffic) some(to uint32, n int, s shape) {
	for range n {
		t.open(to, float64(t.w.start)+t.r.Float64()*float64(t.w.end-t.w.start), s, t.ordinary())
	}
}

// every opens connections so many seconds apart, give or take a share of it.
func (t *traffic) every(to uint32, from, seconds, jitter float64, s shape) {
	for at := from + t.r.Float64()*seconds; at < float64(t.w.end); at += seconds * (1 + jitter*(2*t.r.Float64()-1)) {
		t.open(to, at, s, t.ordinary())
	}
}

// everyday is what every device opens: its vendor, names, the time, services
// that many use, and peers that nobody else has.
func (t *traffic) everyday() {
	w, r, n := t.w, t.r, &t.w.net
	hours := float64(w.end-w.start) / 3600
	begin := float64(w.start)
	own := slices.IndexFunc(models, func(m model) bool { return m.name == w.devices[t.device].model })
	for i, to := range n.vendors[t.family] {
		if i < commonVendors || (i-commonVendors)/modelVendors == own {
			t.every(to, begin, 600, 0.05, shape{900, 4000, 1.5, 0.2})
		}
	}
	for _, to := range n.resolvers[t.family] {
		t.some(to, int(8*hours)+1, shape{60, 180, 0.03, 0.3})
	}
	t.every(n.clocks[t.family][r.IntN(4)], begin, 1024, 0.02, shape{48, 48, 0.02, 0})
	for range 8 + r.IntN(12) {
		to := n.web[t.family][zipf(r, webServices)]
		if r.IntN(5) == 0 {
			t.every(to, begin, 300+900*r.Float64(), 0.02+0.2*r.Float64(), shape{700, 9000, 2, 0.3})
			continue
		}
		t.some(to, 1+r.IntN(3), shape{1200, 30_000, 4, 1})
	}
	block := []block{peerBlock, peerBlock6}[t.family]
	for k := range privatePeers {
		i := t.device*privatePeers + k
		// Scattered over the block; what comes round again has another port.
		to := n.add(block.nth(1+i*40503%65521), uint16(20_000+i/65521), 6, "")
		if k == 0 {
			t.every(to, begin, 240+400*r.Float64(), 0.03, shape{400, 500, 1, 0.1})
			continue
		}
		t.some(to, 1+r.IntN(2), shape{5000, 5000, 20, 1.5})
	}
}

// zipf returns a number below n, the k-th about as often as 1/(k+1).
func zipf(r *rand.Rand, n int) int {
	return min(int(math.Exp(r.Float64()*math.Log(float64(n+1))))-1, n-1)
}

// attack is what a compromised device opens besides.
func (t *traffic) attack(b *bot) {
	n, w, r := &t.w.net, t.w, t.r
	entered, act, end := float64(b.entered), float64(b.firstAct), float64(w.end)
	if b.fetches {
		t.open(n.payload, entered+2+20*r.Float64()*w.scale, shape{300, 4e6, 9, 0.3}, finished)
	}
	if b.commands {
		from, order := entered+25*w.scale, shape{240, 180, 0.8, 0.05}
		if b.late {
			from = act + 60*w.scale
		}
		if b.regular {
			t.every(n.controller, from, 120*w.scale, 0.05, order)
		} else {
			for at := from; at < end; at += (5 + 115*r.ExpFloat64()) * w.scale {
				t.open(n.controller, at, order, finished)
			}
		}
	}
	first := true
	for _, to := range n.targets {
		if r.IntN(100) >= 35 {
			continue
		}
		for k := range 1 + r.IntN(3) {
			at := act + (end-act)*r.Float64()*0.9
			if first && k == 0 {
				at, first = act, false
			}
			t.open(to, at, shape{900, 1500, 3, 0.4}, t.refused())
		}
	}
	if b.scans {
		t.scan(act + 30*w.scale)
	}
}

// refused is how most attacks on others end.
func (t *traffic) refused() state {
	switch t.r.IntN(10) {
	case 0, 1:
		return finished
	case 2, 3, 4:
		return rejected
	}
	return unanswered
}

// scan tries many others within some minutes.
func (t *traffic) scan(from float64) {
	port := []uint16{22, 8080}[t.r.IntN(2)]
	for i, n := 0, 150+t.r.IntN(100); i < n; i++ {
		to := t.w.net.other(targetBlock.nth(1+t.r.IntN(targetBlock.size())), port)
		at := from + 480*t.w.scale*float64(i)/float64(n)
		t.open(to, at, shape{900, 1500, 3, 0.4}, t.refused())
	}
}
