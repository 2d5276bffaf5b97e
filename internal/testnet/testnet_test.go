package testnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

func TestReach(t *testing.T) {
	n := New(t)
	for _, tt := range []struct{ from, to string }{
		{"198.51.100.7", "192.0.2.1"},
		{"203.0.113.200", "192.0.2.1"},
		{"198.19.255.1", "192.0.2.1"},
		{"192.0.2.254", "192.0.2.1"},
		{"2001:db8:77::9", "2001:db8:1::1"},
		{"2001:db8:1::fe", "2001:db8:1::1"},
	} {
		t.Run(tt.from, func(t *testing.T) {
			from, to := netip.MustParseAddr(tt.from), netip.MustParseAddr(tt.to)
			if got := exchange(t, n.World, from, n.Device, netip.AddrPortFrom(to, 0)); got != from {
				t.Errorf("source seen: got %v, want %v", got, from)
			}
			// And the other way: the world answers on any of its addresses.
			if got := exchange(t, n.Device, to, n.World, netip.AddrPortFrom(from, 0)); got != to {
				t.Errorf("source seen: got %v, want %v", got, to)
			}
		})
	}
}

// exchange connects and sends one byte, and returns the source that the server saw.
func exchange(t *testing.T, client *Host, from netip.Addr, server *Host, at netip.AddrPort) netip.Addr {
	t.Helper()
	l, err := server.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := netip.AddrPortFrom(at.Addr(), l.Addr().(*net.TCPAddr).AddrPort().Port())
	return connect(t, client, from, l, to)
}

func connect(t *testing.T, client *Host, from netip.Addr, l *net.TCPListener, to netip.AddrPort) netip.Addr {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	c, err := client.Dial(ctx, "tcp", from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return s.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

func TestTown(t *testing.T) {
	town := NewTown(t, 3)
	for i, h := range town.Hosts {
		from := netip.MustParseAddr("203.0.113.9")
		if got := exchange(t, town.World, from, h, netip.AddrPortFrom(TownAddr(i), 0)); got != from {
			t.Errorf("host %d sees %v, want %v", i, got, from)
		}
		next := (i + 1) % len(town.Hosts)
		if got := exchange(t, h, TownAddr(i), town.Hosts[next], netip.AddrPortFrom(TownAddr(next), 0)); got != TownAddr(i) {
			t.Errorf("host %d sees %v, want host %d", next, got, i)
		}
	}
}

func TestPublishedPort(t *testing.T) {
	n := New(t)
	at, err := n.Publish(8080)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Container()
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Listen(netip.AddrPortFrom(Container4, 8080))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	from := netip.MustParseAddr("203.0.113.9")
	if got := connect(t, n.World, from, l, at); got != from {
		t.Errorf("source seen in the container: got %v, want %v", got, from)
	}
	six, err := c.Listen(netip.AddrPortFrom(Container6, 8081))
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	from = netip.MustParseAddr("2001:db8:77::9")
	if got := connect(t, n.World, from, six, netip.AddrPortFrom(Container6, 8081)); got != from {
		t.Errorf("source seen in the container: got %v, want %v", got, from)
	}
}

func TestCommandRunsInside(t *testing.T) {
	n := New(t)
	out, err := n.Device.Command(t.Context(), "cat", "/proc/net/fib_trie").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), Device4.String()) {
		t.Errorf("routes of the device lack %v", Device4)
	}
	if err := n.Device.Command(t.Context(), "false").Run(); err == nil {
		t.Error("exit status was lost")
	}
}

func TestThreadsStayClean(t *testing.T) {
	n := New(t)
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := n.World.Do(func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		if in, err := n.World.own(); in || err != nil {
			t.Fatalf("a thread stayed in the namespace: %v, %v", in, err)
		}
	}
	if after, err := os.Readlink("/proc/self/ns/net"); after != before || err != nil {
		t.Errorf("namespace of the process: got %v, %v, want %v", after, err, before)
	}
}

// own reports whether the calling thread is in h, for tests.
func (h *Host) own() (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cur, err := netns.Get()
	if err != nil {
		return false, err
	}
	defer cur.Close()
	return cur.Equal(h.ns), nil
}
