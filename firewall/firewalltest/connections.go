package firewalltest

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// A chat is a connection that a source of the world keeps sending on, to a
// server on the device that also sends: its packets are what makes a filter
// that goes by connection state take the attacker for an old friend.
type chat struct {
	heard atomic.Int64 // lines that reached the server
	tried atomic.Int64 // lines that the client handed to its kernel, or that failed
	cut   atomic.Bool  // the server's end was closed under it
}

const pace = 5 * time.Millisecond

func newChat(t *testing.T, n *testnet.Net, from netip.Addr, server netip.Addr) *chat {
	t.Helper()
	l, at := listen(t, n.Device, netip.AddrPortFrom(server, 0))
	t.Cleanup(func() { l.Close() })
	client := dial(t, n.World, "tcp", from, at)
	t.Cleanup(func() { client.Close() })
	side, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { side.Close() })
	return start(t, client, side)
}

// start makes both ends talk until the test ends.
func start(t *testing.T, client, server net.Conn) *chat {
	c := &chat{}
	go func() {
		b := make([]byte, 1)
		for {
			if _, err := server.Read(b); err != nil {
				c.cut.Store(true)
				return
			}
			c.heard.Add(1)
		}
	}()
	for i, end := range []net.Conn{client, server} {
		go func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for {
				select {
				case <-t.Context().Done():
					return
				case <-tick.C:
				}
				// Once blocked, or cut, writing fails sooner or later.
				_, err := end.Write([]byte("x"))
				if i == 0 {
					c.tried.Add(1)
				} else if err != nil {
					return
				}
			}
		}()
	}
	go func() { // the client reads, or its window closes
		b := make([]byte, 64)
		for {
			if _, err := client.Read(b); err != nil {
				return
			}
		}
	}()
	wait(t, "the chat runs", func() bool { return c.heard.Load() > 5 })
	return c
}

// wantSilence proves that nothing of what the client goes on sending arrives.
func (c *chat) wantSilence(t *testing.T) {
	t.Helper()
	heard, tried := c.heard.Load(), c.tried.Load()
	wait(t, "the client goes on", func() bool { return c.tried.Load() > tried+60 })
	// One line may have been read, but not counted, when the block fell.
	if got := c.heard.Load(); got > heard+1 {
		t.Errorf("%d of 60 lines arrived after the block", got-heard)
	}
}

func (c *chat) wantAlive(t *testing.T) {
	t.Helper()
	heard := c.heard.Load()
	wait(t, "lines arrive", func() bool { return c.heard.Load() > heard+5 })
}

// wait polls for a condition that must come true.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pace) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

func testOpenConnection(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	four := newChat(t, n, inWide, testnet.Device4)
	six := newChat(t, n, inWide6, testnet.Device6)
	spared := newChat(t, n, inOther, testnet.Device4)
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	four.wantSilence(t)
	six.wantSilence(t)
	four.wantSilence(t) // and stays silent, though the server sent meanwhile
	spared.wantAlive(t)
	s.change(t, tocsin.Change{Remove: []tocsin.Rule{s.block(wide, 0)}})
	four.wantAlive(t) // a retransmission brings it back
}

// testOlderConnection begins before the kernel tracks connections, so that the
// first packet it sees is of the middle.
func testOlderConnection(t *testing.T, k Kernel, n *testnet.Net) {
	four := newChat(t, n, inWide, testnet.Device4)
	six := newChat(t, n, inWide6, testnet.Device6)
	f := k.Open(t, n, true)
	s := Subject{Filter: f, Now: time.Now, Sleep: time.Sleep}
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	// Whose packet the kernel saw first decides whether the rules alone stop
	// it; closing the socket stops it in any case.
	wait(t, "both are cut", func() bool { return four.cut.Load() && six.cut.Load() })
	four.wantSilence(t)
	six.wantSilence(t)
}

func testSockets(t *testing.T, k Kernel, n *testnet.Net) {
	f := k.Open(t, n, true)
	s := Subject{Filter: f, Now: time.Now, Sleep: time.Sleep}
	bad := newChat(t, n, inWide, testnet.Device4)
	bad6 := newChat(t, n, inWide6, testnet.Device6)
	good := newChat(t, n, inOther, testnet.Device4)
	l, at := listen(t, n.World, netip.AddrPortFrom(inWide, 0))
	echo(t, l)
	own := dial(t, n.Device, "tcp", netip.Addr{}, at)
	defer own.Close()
	ask(t, own, "before")
	passed := newChat(t, n, inWide.Next(), testnet.Device4)
	s.add(t, s.pass(netip.PrefixFrom(inWide.Next(), 32), time.Hour))
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	wait(t, "sockets of blocked sources are closed", func() bool { return bad.cut.Load() && bad6.cut.Load() })
	good.wantAlive(t)
	passed.wantAlive(t)
	ask(t, own, "the device's own connection goes on")
}

func testReplies(t *testing.T, k Kernel, n *testnet.Net) {
	s := k.subject(t, n)
	for _, a := range []netip.Addr{inWide, inWide6} {
		l, at := listen(t, n.World, netip.AddrPortFrom(a, 0))
		echo(t, l)
		open := dial(t, n.Device, "tcp", netip.Addr{}, at)
		defer open.Close()
		ask(t, open, "before the block")
		udp, err := n.World.ListenUDP(netip.AddrPortFrom(a, 0))
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		go (&prober{seen: make(map[string]bool)}).serve(udp)

		s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
		s.want(t, a, false)
		ask(t, open, "a connection that the device opened before")
		fresh := dial(t, n.Device, "tcp", netip.Addr{}, at)
		defer fresh.Close()
		ask(t, fresh, "one that it opens now")
		query := dial(t, n.Device, "udp", netip.Addr{}, udp.LocalAddr().(*net.UDPAddr).AddrPort())
		defer query.Close()
		ask(t, query, "a datagram that it sends")
		s.want(t, a, false)
	}
}

func testForwarded(t *testing.T, k Kernel, n *testnet.Net) {
	at, err := n.Publish(8080)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Container()
	if err != nil {
		t.Fatal(err)
	}
	l, _ := listen(t, c, netip.AddrPortFrom(testnet.Container4, 8080))
	echo(t, l)
	l6, at6 := listen(t, c, netip.AddrPortFrom(testnet.Container6, 8080))
	echo(t, l6)
	s := k.subject(t, n)
	for _, tt := range []struct {
		in   netip.Addr
		free netip.Addr
		at   netip.AddrPort
	}{{inWide, inOther, at}, {inWide6, netip.MustParseAddr("2001:db8:55::1"), at6}} {
		open := dial(t, n.World, "tcp", tt.in, tt.at)
		defer open.Close()
		ask(t, open, "before")
		s.add(t, s.block(tocsin.SourcePrefix(tt.in), time.Hour))
		if exchange(open, "after", 300*time.Millisecond) == nil {
			t.Errorf("%v: an open connection to the container goes on", tt.in)
		}
		if connects(t, n.World, tt.in, tt.at) {
			t.Errorf("%v: a blocked source reaches the container", tt.in)
		}
		reached(t, n.World, tt.free, tt.at, "the container from a source that is not blocked")
	}
}
