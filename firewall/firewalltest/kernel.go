package firewalltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// Kernel is a back end that acts on real packets.
type Kernel struct {
	// Open opens a filter in n.Device, which closes with the test. Unless cut
	// is set it leaves the sockets of blocked sources alone: what stops then is
	// stopped by the rules. Blocked sources may open the TCP ports in spare.
	Open func(t *testing.T, n *testnet.Net, cut bool, spare ...uint16) firewall.Filter
	// Wreck does in n.Device what a careless owner does: away with all rules.
	Wreck func(t *testing.T, n *testnet.Net)
	// Plant makes rules as others do (fail2ban, Docker, a vendor), and Others
	// returns all rules but those of the filter, as text without counters.
	Plant  func(t *testing.T, n *testnet.Net)
	Others func(t *testing.T, n *testnet.Net) string
}

// RunKernel runs [Run] and the tests of what needs a kernel, each in a network
// of its own.
func RunKernel(t *testing.T, k Kernel) {
	testnet.Need(t, "nsenter")
	for _, tt := range append(rules(), changes()...) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := testnet.New(t)
			tt.test(t, k.subject(t, n))
		})
	}
	for _, tt := range []struct {
		name string
		test func(t *testing.T, k Kernel, n *testnet.Net)
	}{
		{"nothing gets through during replace", testNoGap},
		{"rules of others stay as they are", testPeaceful},
		{"loss is told and mended", testLoss},
		{"rules outlive the process", testOutlive},
		{"loopback and own addresses pass", testLoopback},
		{"open connections stop", testOpenConnection},
		{"connections older than the filter stop", testOlderConnection},
		{"blocked sockets are closed", testSockets},
		{"replies to this device pass", testReplies},
		{"published and forwarded ports are covered", testForwarded},
		{"drops are sampled", testSamples},
		{"spared ports stay open", testSpare},
		{"spared ports are not for floods", testSpareFlood},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, k, testnet.New(t))
		})
	}
}

func (k Kernel) subject(t *testing.T, n *testnet.Net) Subject {
	p := newProber(t, n)
	return Subject{
		Filter:  k.Open(t, n, false),
		Reaches: func(a netip.Addr) bool { t.Helper(); return p.reaches(t, a) },
		Now:     time.Now,
		Sleep:   time.Sleep,
	}
}

// A prober tells whether a datagram gets through, without waiting for one that
// does not come: a second one, from a source that is never blocked, overtakes
// none, so once it is answered the first will not come any more.
type prober struct {
	n  *testnet.Net
	at [2]netip.AddrPort // the device, by family

	mu   sync.Mutex // guards the fields below
	last int
	seen map[string]bool
}

func newProber(t *testing.T, n *testnet.Net) *prober {
	t.Helper()
	p := &prober{n: n, seen: make(map[string]bool)}
	for i, a := range []netip.Addr{testnet.Device4, testnet.Device6} {
		c, err := n.Device.ListenUDP(netip.AddrPortFrom(a, 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		p.at[i] = c.LocalAddr().(*net.UDPAddr).AddrPort()
		go p.serve(c)
	}
	return p
}

// serve notes and answers datagrams until c closes.
func (p *prober) serve(c *net.UDPConn) {
	b := make([]byte, 64)
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen[string(b[:n])] = true
		p.mu.Unlock()
		// A source that is gone by now needs no answer.
		_, _ = c.WriteToUDPAddrPort(b[:n], from)
	}
}

// token returns a text never sent before.
func (p *prober) token() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	return fmt.Sprint("probe ", p.last)
}

func (p *prober) reaches(t *testing.T, from netip.Addr) bool {
	t.Helper()
	at, gate := p.at[0], testnet.Gateway4
	if from.Is6() {
		at, gate = p.at[1], testnet.Gateway6
	}
	c := dial(t, p.n.World, "udp", from, at)
	defer c.Close()
	control := dial(t, p.n.World, "udp", gate, at)
	defer control.Close()
	probe := p.token()
	err := oneProcessor(func() error {
		if _, err := c.Write([]byte(probe)); err != nil {
			return err
		}
		return exchange(control, p.token(), patience)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[probe]
}

// oneProcessor runs f on a single processor, so that packets stay in order: the
// kernel delivers those of each processor one after the other.
func oneProcessor(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for i := 0; one.Count() == 0; i++ {
		if all.IsSet(i) {
			one.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, &all))
}

// dial connects, or fails the test.
func dial(t *testing.T, h *testnet.Host, network string, from netip.Addr, to netip.AddrPort) net.Conn {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	c, err := h.Dial(ctx, network, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// patience is how long tests wait for what must come.
const patience = 10 * time.Second

// ask sends a line and waits for its echo.
func ask(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if err := exchange(c, line, patience); err != nil {
		t.Fatal(err)
	}
}

func exchange(c net.Conn, line string, wait time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(line)); err != nil {
		return err
	}
	b := make([]byte, len(line))
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	if got := string(b[:n]); !strings.HasPrefix(line, got) {
		return fmt.Errorf("echo: got %q, want %q", got, line)
	}
	return nil
}

// echo serves TCP connections that send back what comes, until l closes.
func echo(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 4096)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(b[:n]); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// listen listens on any free port of an address, or fails the test.
func listen(t *testing.T, h *testnet.Host, at netip.AddrPort) (net.Listener, netip.AddrPort) {
	t.Helper()
	l, err := h.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Addr().(*net.TCPAddr).AddrPort()
}
