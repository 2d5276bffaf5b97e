package firewalltest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// sparePort is the port that blocked sources may open.
const sparePort = 7443

// testSpare has sources blocked that talk to a spared port, and to another.
func testSpare(t *testing.T, k Kernel, n *testnet.Net) {
	c, err := n.Container()
	if err != nil {
		t.Fatal(err)
	}
	behind, atBehind := listen(t, c, netip.AddrPortFrom(testnet.Container6, sparePort))
	echo(t, behind)
	reached(t, n.World, inWide6, atBehind, "the container before the block")
	s := Subject{Filter: k.Open(t, n, true, sparePort), Now: time.Now, Sleep: time.Sleep}
	for _, tt := range []struct {
		from   netip.Addr
		device netip.Addr
	}{{inWide, testnet.Device4}, {inWide6, testnet.Device6}} {
		spared, at := listen(t, n.Device, netip.AddrPortFrom(tt.device, sparePort))
		echo(t, spared)
		other, atOther := listen(t, n.Device, netip.AddrPortFrom(tt.device, 0))
		echo(t, other)
		open := dial(t, n.World, "tcp", tt.from, at)
		defer open.Close()
		ask(t, open, "before the block")
		bad := newChat(t, n, tt.from, tt.device)
		s.add(t, s.block(tocsin.SourcePrefix(tt.from), time.Hour))
		wait(t, "the sockets of the blocked source are closed", bad.cut.Load)
		ask(t, open, "a connection from before")
		fresh := dial(t, n.World, "tcp", tt.from, at)
		defer fresh.Close()
		ask(t, fresh, "one of now")
		if connects(t, n.World, tt.from, atOther) {
			t.Errorf("%v opens another port", tt.from)
		}
		s.replace(t, s.block(tocsin.SourcePrefix(tt.from), time.Hour))
		ask(t, fresh, "after all rules were replaced")
		again := dial(t, n.World, "tcp", tt.from, at)
		defer again.Close()
		ask(t, again, "and one opened then")
	}
	if connects(t, n.World, inWide6, atBehind) {
		t.Error("a blocked source opens the spared port of a machine behind this one")
	}
}

// testSpareFlood has a blocked source open a spared port as fast as it can.
func testSpareFlood(t *testing.T, k Kernel, n *testnet.Net) {
	s := Subject{Filter: k.Open(t, n, false, sparePort), Now: time.Now, Sleep: time.Sleep}
	s.add(t, s.block(wide, time.Hour), s.block(wide6, time.Hour))
	for _, tt := range []struct{ from, free, device netip.Addr }{
		{inWide, inOther, testnet.Device4},
		{inWide6, netip.MustParseAddr("2001:db8:55::1"), testnet.Device6},
	} {
		l, at := listen(t, n.Device, netip.AddrPortFrom(tt.device, sparePort))
		echo(t, l)
		opened := 0
		for opened < 5000 && connects(t, n.World, tt.from, at) {
			opened++
		}
		if opened == 0 || opened == 5000 {
			t.Errorf("%v opened %d connections in a row, want some and then none", tt.from, opened)
		}
		fresh := dial(t, n.World, "tcp", tt.free, at)
		defer fresh.Close()
		ask(t, fresh, "a source that is not blocked")
	}
}
