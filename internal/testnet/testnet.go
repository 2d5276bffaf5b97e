// Package testnet makes small networks out of network namespaces, for tests
// and for the demo: a device that is attacked, a world that attacks it from any
// address set aside for documentation, and a container behind a bridge; or a town
// of several devices. Nothing outside of the namespaces is changed, and nothing is
// left when they close.
//
// It needs root. It is no sandbox: files, users and processes are the machine's.
package testnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses of the network.
var (
	Device4    = netip.MustParseAddr("192.0.2.1")
	Device6    = netip.MustParseAddr("2001:db8:1::1")
	Gateway4   = netip.MustParseAddr("192.0.2.254") // the world's end of the cable
	Gateway6   = netip.MustParseAddr("2001:db8:1::fe")
	Container4 = netip.MustParseAddr("172.30.0.2")
	Container6 = netip.MustParseAddr("2001:db8:2::2")
	bridge4    = netip.MustParseAddr("172.30.0.1")
	bridge6    = netip.MustParseAddr("2001:db8:2::1")
)

// Anywhere is where the world may send from, every address of it, without
// [Host.AddAddr]. Of 2001:db8::/32 the networks 2001:db8:1::/64 and
// 2001:db8:2::/64 belong to the device.
var Anywhere = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("2001:db8::/32"),
}

// A Net is a device and the world, joined by a cable. Close it.
type Net struct {
	Device, World *Host

	container *Host // made by Container
}

// Open makes the network. It needs root.
func Open() (*Net, error) {
	n := &Net{}
	if err := n.build(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close lets the namespaces go. What still runs in them keeps them alive: stop
// it first.
func (n *Net) Close() {
	for _, h := range []*Host{n.Device, n.World, n.container} {
		if h != nil && h.ns.IsOpen() {
			h.ns.Close() // nothing can be done about a failing close
		}
	}
}

func (n *Net) build() (err error) {
	if n.Device, err = newHost("device", "eth0"); err != nil {
		return err
	}
	if n.World, err = newHost("world", "eth0"); err != nil {
		return err
	}
	// The world binds to addresses that it only has by a route.
	if err := n.World.Sysctl("net/ipv6/ip_nonlocal_bind", "1"); err != nil {
		return err
	}
	if err := cable(n.Device, "eth0", n.World, "eth0"); err != nil {
		return err
	}
	if err := n.World.edit(n.buildWorld); err != nil {
		return err
	}
	return n.Device.edit(func(nl *netlink.Handle) error {
		for _, p := range []netip.Prefix{netip.PrefixFrom(Device4, 24), netip.PrefixFrom(Device6, 64)} {
			if err := addAddr(nl, "eth0", p); err != nil {
				return err
			}
		}
		for _, p := range Anywhere {
			if err := addRoute(nl, p, gateway(p, Gateway4, Gateway6)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *Net) buildWorld(nl *netlink.Handle) error {
	for _, p := range []netip.Prefix{netip.PrefixFrom(Gateway4, 24), netip.PrefixFrom(Gateway6, 64)} {
		if err := addAddr(nl, "eth0", p); err != nil {
			return err
		}
	}
	lo, err := nl.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, p := range Anywhere {
		// In the main table an IPv6 route does not hide the device's own, longer
		// one; the kernel binds IPv4 only to what is in the local table.
		table := unix.RT_TABLE_LOCAL
		if p.Addr().Is6() {
			table = unix.RT_TABLE_MAIN
		}
		r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: ipNet(p), Type: unix.RTN_LOCAL, Table: table, Scope: netlink.SCOPE_HOST}
		if err := nl.RouteAdd(r); err != nil {
			return fmt.Errorf("route %v: %w", p, err)
		}
	}
	return addRoute(nl, netip.PrefixFrom(bridge6, 64).Masked(), Device6)
}

// cable joins two hosts. Both ends are made inside their namespaces, so that
// no name can clash with one of the machine.
func cable(a *Host, aName string, b *Host, bName string) error {
	err := a.edit(func(nl *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = aName
		// Several queues only cost memory here.
		attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
		return nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: bName, PeerNamespace: netlink.NsFd(b.ns)})
	})
	if err != nil {
		return err
	}
	for _, e := range []struct {
		h    *Host
		name string
	}{{a, aName}, {b, bName}} {
		err := e.h.edit(func(nl *netlink.Handle) error {
			l, err := nl.LinkByName(e.name)
			if err != nil {
				return err
			}
			return nl.LinkSetUp(l)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func gateway(p netip.Prefix, v4, v6 netip.Addr) netip.Addr {
	if p.Addr().Is4() {
		return v4
	}
	return v6
}

func addRoute(nl *netlink.Handle, to netip.Prefix, via netip.Addr) error {
	if err := nl.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("route %v via %v: %w", to, via, err)
	}
	return nil
}
