package firewalltest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// once is how long a connection is waited for that is not to come: shorter than
// what a kernel waits before it asks again.
const once = 900 * time.Millisecond

// connects tries once to open a connection. That it does not come proves nothing
// on a machine that is busy: what must come is for [reached].
func connects(t *testing.T, h *testnet.Host, from netip.Addr, to netip.AddrPort) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), once)
	defer stop()
	c, err := h.Dial(ctx, "tcp", from, to)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// reached fails the test unless a connection can be opened.
func reached(t *testing.T, h *testnet.Host, from netip.Addr, to netip.AddrPort, who string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	c, err := h.Dial(ctx, "tcp", from, to)
	if err != nil {
		t.Errorf("%s is not reached: %v", who, err)
		return
	}
	c.Close()
}

// testNoGap floods from a source that every list blocks while lists change.
func testNoGap(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	at, err := n.Device.ListenUDP(netip.AddrPortFrom(testnet.Device4, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	var heard atomic.Int64
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := at.ReadFromUDPAddrPort(b); err != nil {
				return
			}
			heard.Add(1)
		}
	}()
	keep := []tocsin.Rule{s.block(wide, time.Hour), s.block(netip.PrefixFrom(inOther, 32), time.Hour)}
	s.add(t, keep...)
	done := make(chan struct{})
	var flood sync.WaitGroup
	var sent atomic.Int64
	for _, from := range []netip.Addr{inWide, inOther} {
		c := dial(t, n.World, "udp", from, netip.MustParseAddrPort(at.LocalAddr().String()))
		flood.Go(func() {
			defer c.Close()
			for {
				select {
				case <-done:
					return
				default:
					// A full queue refuses some; the rest will do.
					_, _ = c.Write([]byte("flood"))
					sent.Add(1)
				}
			}
		})
	}
	wait(t, "the flood runs", func() bool { return sent.Load() > 100 })
	for round := range 4 {
		// Large lists after small ones, the common rules last.
		var list []tocsin.Rule
		for i := range 2500 * (round % 2) {
			a := netip.AddrFrom4([4]byte{198, byte(18 + round%2), byte(i >> 8), byte(i)})
			list = append(list, s.block(netip.PrefixFrom(a, 32), time.Hour))
		}
		s.replace(t, append(list, keep...)...)
		s.change(t, tocsin.Change{Add: keep}) // renewing leaves no gap either
	}
	close(done)
	flood.Wait()
	s.want(t, inWide, false)
	if got := heard.Load(); got > 0 {
		t.Errorf("%d of %d packets got through", got, sent.Load())
	}
}

func testPeaceful(t *testing.T, k Kernel, n *testnet.Net) {
	k.Plant(t, n)
	before := k.Others(t, n)
	if before == "" {
		t.Fatal("nothing of others was planted")
	}
	s := k.subject(t, n)
	s.add(t, s.block(wide, time.Hour), s.pass(other, time.Hour), s.block(wide6, time.Hour))
	s.replace(t, s.block(other, time.Hour))
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{s.block(other, 0)}})
	if diff := cmp.Diff(before, k.Others(t, n)); diff != "" {
		t.Errorf("rules of others changed (-before +after):\n%s", diff)
	}
}

// testLoss wrecks what is enforced while the filter watches.
func testLoss(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	rules := []tocsin.Rule{s.block(wide, time.Hour), s.block(wide6, time.Hour)}
	s.add(t, rules...)
	ctx, stop := context.WithCancel(t.Context())
	var told atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- s.Filter.Watch(ctx, func() { told.Add(1) }) }()
	defer stop()
	// Watching begins some time after the call: wreck until it is told.
	for round := range 2 {
		told.Store(0)
		wait(t, "the loss is told", func() bool {
			k.Wreck(t, n)
			time.Sleep(20 * time.Millisecond)
			return told.Load() > 0
		})
		if held, err := s.Filter.Holds(t.Context(), wide); held || err != nil {
			t.Errorf("round %d: Holds after the loss: got %v, %v", round, held, err)
		}
		s.want(t, inWide, true)
		s.replace(t, rules...)
		s.want(t, inWide, false)
		s.want(t, inWide6, false)
		s.add(t, s.block(other, time.Hour)) // and takes changes again
		s.want(t, inOther, false)
	}
	quiet(t, s, &told)
	stop()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	case <-time.After(patience):
		t.Error("Watch does not end with its context")
	}
}

// quiet proves that the filter does not take its own changes for drift.
func quiet(t *testing.T, s Subject, told *atomic.Int64) {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // what was told late of the last wreck
	told.Store(0)
	for range 3 {
		s.add(t, s.block(other, time.Hour), s.pass(outside24, time.Hour))
		s.replace(t, s.block(wide, time.Hour))
	}
	time.Sleep(200 * time.Millisecond)
	if n := told.Load(); n > 0 {
		t.Errorf("own changes were told as drift %d times", n)
	}
}

func testOutlive(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	s.add(t, s.block(wide, time.Hour), s.block(other, time.Hour))
	if c, ok := s.Filter.(interface{ Close() error }); ok {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, inWide, false)
	again := s
	again.Filter = k.Open(t, n, false)
	again.want(t, inWide, false) // until Replace
	again.holds(t, wide, true)
	again.change(t, tocsin.Change{Remove: []tocsin.Rule{s.block(other, 0)}})
	again.want(t, inOther, true)
	again.replace(t, s.block(other, time.Hour))
	again.want(t, inWide, true)
	again.want(t, inOther, false)
}

func testLoopback(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	var p []tocsin.Rule
	for _, a := range []string{"127.0.0.0/8", "::1/128", "192.0.2.1/32", "2001:db8:1::1/128"} {
		p = append(p, s.block(netip.MustParsePrefix(a), time.Hour))
	}
	s.add(t, p...)
	for _, a := range []string{"127.0.0.1", "::1", "192.0.2.1", "2001:db8:1::1"} {
		addr := netip.MustParseAddr(a)
		l, at := listen(t, n.Device, netip.AddrPortFrom(addr, 0))
		reached(t, n.Device, addr, at, "the device itself at "+a)
		l.Close()
	}
}

func testSamples(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	sampler, ok := s.Filter.(firewall.Sampler)
	if !ok {
		t.Fatal("the filter samples no drops")
	}
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	seen := map[netip.Addr]firewall.Drop{}
	ended := make(chan error, 1)
	go func() {
		ended <- sampler.Drops(ctx, func(d firewall.Drop) {
			mu.Lock()
			defer mu.Unlock()
			seen[d.Source] = d
		})
	}()
	wait(t, "samples of both families", func() bool {
		s.want(t, inWide, false)
		s.want(t, inWide6, false)
		s.want(t, outside, true)
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= 2
	})
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Drops: %v", err)
	}
	for a, d := range seen {
		if !slices.Contains([]netip.Addr{inWide, inWide6}, a) || d.Count < 1 || time.Since(d.At).Abs() > time.Minute {
			t.Errorf("sample: got %+v", d)
		}
	}
}
