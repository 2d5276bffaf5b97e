package sockcut

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

var (
	far4  = netip.MustParseAddr("203.0.113.7")
	far4b = netip.MustParseAddr("203.0.113.8")
	far6  = netip.MustParseAddr("2001:db8:9::7")
)

// cutterIn returns a Cutter for the device of a fresh network.
func cutterIn(t *testing.T, n *testnet.Net, log io.Writer, spare func(netip.AddrPort, netip.Addr) bool) *Cutter {
	t.Helper()
	var c *Cutter
	err := n.Device.Do(func() error {
		c = New(slog.New(slog.NewTextHandler(log, nil)), spare)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// pair connects from a source of the world to a listener of the device, and
// returns both ends.
func pair(t *testing.T, n *testnet.Net, l net.Listener, from netip.Addr, to netip.AddrPort) (device, world net.Conn) {
	t.Helper()
	world, err := n.World.Dial(t.Context(), "tcp", from, to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	device, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { device.Close() })
	return device, world
}

func listen(t *testing.T, h *testnet.Host, at string) net.Listener {
	t.Helper()
	l, err := h.Listen(netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// cut waits until the kernel has destroyed the device's end.
func wantCut(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("read %v: got %v, want a connection aborted", c.RemoteAddr(), err)
	}
}

// wantOpen proves that both ends still talk.
func wantOpen(t *testing.T, a, b net.Conn) {
	t.Helper()
	if _, err := a.Write([]byte{7}); err != nil {
		t.Errorf("write to %v: %v", a.RemoteAddr(), err)
		return
	}
	if err := b.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
		t.Errorf("read from %v: %v", b.RemoteAddr(), err)
	}
}

func TestCut(t *testing.T) {
	n := testnet.New(t)
	c := cutterIn(t, n, io.Discard, nil)
	only4 := listen(t, n.Device, "192.0.2.1:2001")
	both := listen(t, n.Device, "[::]:2002")
	abroad := listen(t, n.World, "203.0.113.7:2003")

	at := func(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
	d1, _ := pair(t, n, only4, far4, at(testnet.Device4, 2001))
	d2, _ := pair(t, n, both, far4, at(testnet.Device4, 2002)) // an IPv4-mapped socket
	d3, _ := pair(t, n, both, far6, at(testnet.Device6, 2002))
	otherDev, otherWorld := pair(t, n, only4, far4b, at(testnet.Device4, 2001))

	// The device opened this one itself, to the very source that is blocked.
	own, err := n.Device.Dial(t.Context(), "tcp", netip.Addr{}, at(far4, 2003))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	ownFar, err := abroad.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer ownFar.Close()

	c.Cut(netip.PrefixFrom(far4, 32), netip.MustParsePrefix("2001:db8:9:0:1::/64")) // unmasked on purpose
	wantCut(t, d1)
	wantCut(t, d2)
	wantCut(t, d3)
	wantOpen(t, otherDev, otherWorld)
	wantOpen(t, ownFar, own)

	t.Run("again", func(t *testing.T) {
		d, _ := pair(t, n, both, far4, at(testnet.Device4, 2002))
		c.Cut(netip.MustParsePrefix("203.0.113.0/29"), netip.Prefix{})
		wantCut(t, d)
		wantOpen(t, otherDev, otherWorld)
	})
	t.Run("more prefixes than the kernel is asked about", func(t *testing.T) {
		d, _ := pair(t, n, both, far4, at(testnet.Device4, 2002))
		ps := []netip.Prefix{netip.PrefixFrom(far4, 32)}
		for i := range maxFilter {
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), 32))
		}
		c.Cut(ps...)
		wantCut(t, d)
		wantOpen(t, otherDev, otherWorld)
	})
	t.Run("the last of as many as the kernel is asked about", func(t *testing.T) {
		d, _ := pair(t, n, both, far6, at(testnet.Device6, 2002))
		var ps []netip.Prefix
		for i := range maxFilter - 1 {
			ps = append(ps, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i)}), 32))
		}
		c.Cut(append(ps, netip.PrefixFrom(far6, 128))...)
		wantCut(t, d)
		wantOpen(t, otherDev, otherWorld)
	})
}

func TestSpare(t *testing.T) {
	n := testnet.New(t)
	to, open := netip.AddrPortFrom(testnet.Device4, 2001), netip.AddrPortFrom(testnet.Device4, 2002)
	c := cutterIn(t, n, io.Discard, func(at netip.AddrPort, a netip.Addr) bool { return a == far4 || at == open })
	l, both := listen(t, n.Device, to.String()), listen(t, n.Device, "[::]:2002") // of IPv4-mapped sockets
	passedDev, passedWorld := pair(t, n, l, far4, to)
	sparedDev, sparedWorld := pair(t, n, both, far4b, open)
	d, _ := pair(t, n, l, far4b, to)
	c.Cut(netip.MustParsePrefix("203.0.113.0/24"))
	wantCut(t, d)
	wantOpen(t, passedDev, passedWorld)
	wantOpen(t, sparedDev, sparedWorld)
}

// TestManyConnections fills more than one pass may find.
func TestManyConnections(t *testing.T) {
	n := testnet.New(t)
	c := cutterIn(t, n, io.Discard, nil)
	c.most = 8
	l := listen(t, n.Device, "192.0.2.1:2001")
	var open []net.Conn
	for range 3*8 + 1 {
		d, _ := pair(t, n, l, far4, netip.AddrPortFrom(testnet.Device4, 2001))
		open = append(open, d)
	}
	c.Cut(netip.PrefixFrom(far4, 32))
	for _, d := range open {
		wantCut(t, d)
	}
}

func TestQueueIsBounded(t *testing.T) {
	var q prefixes
	a := netip.MustParseAddr("198.18.0.0")
	for range MaxQueue {
		if !q.add(netip.PrefixFrom(a, 32)) {
			t.Fatalf("full after %d prefixes, want %d", q.len(), MaxQueue)
		}
		a = a.Next()
	}
	if q.add(netip.PrefixFrom(a, 32)) || q.len() != MaxQueue {
		t.Errorf("got %d prefixes, want at most %d", q.len(), MaxQueue)
	}
	if !q.add(netip.MustParsePrefix("198.18.0.1/32")) {
		t.Error("a prefix that waits already: got no room, want it merged")
	}
}

func TestPrefixes(t *testing.T) {
	var q prefixes
	for _, p := range []string{"203.0.113.7/24", "::ffff:198.51.100.7/128", "2001:db8:1:2:3::/64"} {
		q.add(netip.MustParsePrefix(p))
	}
	q.add(netip.Prefix{})
	for addr, want := range map[string]bool{
		"203.0.113.250": true, "198.51.100.7": true, "2001:db8:1:2::1": true,
		"203.0.112.1": false, "198.51.100.8": false, "2001:db8:1:3::1": false, "::": false,
	} {
		if got := q.contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("contains %s: got %v, want %v", addr, got, want)
		}
	}
	if q.len() != 3 {
		t.Errorf("got %d prefixes, want 3", q.len())
	}
}

// buffer is a log that two goroutines may use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestMissingSupportIsToldOnce(t *testing.T) {
	var log buffer
	c := &Cutter{log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		c.tell(fmt.Errorf("close: %w", os.NewSyscallError("netlink", unix.EOPNOTSUPP)))
	}
	if got := strings.Count(log.String(), "CONFIG_INET_DIAG_DESTROY"); got != 1 {
		t.Errorf("told %d times, want once:\n%s", got, log.String())
	}
}

func TestCloseTwiceAndCutAfter(t *testing.T) {
	c := New(slog.New(slog.DiscardHandler), nil)
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		c.Cut(netip.PrefixFrom(far4, 32))
	}
	none := &Cutter{done: make(chan struct{})} // as New returns it without sock_diag
	close(none.done)
	none.Cut(netip.PrefixFrom(far4, 32))
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzParseSocket(f *testing.F) {
	full := make([]byte, sizeMsg)
	full[0] = unix.AF_INET
	f.Add(full)
	six := append([]byte(nil), full...)
	six[0] = unix.AF_INET6
	f.Add(six)
	f.Add(full[:sizeMsg-1])
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := parseSocket(data)
		if !ok {
			return
		}
		if r := s.remote(); !r.IsValid() || r.Is4In6() {
			t.Errorf("remote %v: want a plain address", r)
		}
		if req := request(s.family, 0, s.id); !bytes.Equal(req[8:], data[4:4+sizeID]) {
			t.Error("the identity of the socket did not survive")
		}
	})
}

func BenchmarkCutNothingAmong1000(b *testing.B) {
	n := testnet.New(b)
	var c *Cutter
	if err := n.Device.Do(func() error {
		c = New(slog.New(slog.DiscardHandler), nil)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	l, err := n.Device.Listen(netip.AddrPortFrom(testnet.Device4, 2001))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range 1000 {
		w, err := n.World.Dial(context.Background(), "tcp", far4, netip.AddrPortFrom(testnet.Device4, 2001))
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		d, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
	}
	var q prefixes
	q.add(netip.PrefixFrom(far4b, 32))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.pass(q); err != nil {
			b.Fatal(err)
		}
	}
}
