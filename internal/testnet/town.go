package testnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// townWorld is where the world of a [Town] may send from, every address of it.
// The other half of 198.18.0.0/15 is the hosts'.
var townWorld = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("198.18.0.0/16"),
}

// A Town is several hosts, each in an IPv4 network of its own, and the world
// between them, which passes on what they say to one another and attacks any of
// them. Close it.
type Town struct {
	World *Host
	Hosts []*Host
}

// TownAddr returns the address of a town's host: no two share a /24.
func TownAddr(host int) netip.Addr { return netip.AddrFrom4([4]byte{198, 19, byte(host), 1}) }

// maxTown is how many hosts there are addresses for.
const maxTown = 256

// OpenTown makes a town of n hosts. It needs root.
func OpenTown(n int) (*Town, error) {
	if n < 1 || n > maxTown {
		return nil, fmt.Errorf("testnet: a town of %d hosts: want 1 to %d", n, maxTown)
	}
	t := &Town{}
	if err := t.build(n); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close lets the namespaces go, as [Net.Close] does.
func (t *Town) Close() {
	for _, h := range append([]*Host{t.World}, t.Hosts...) {
		if h != nil && h.ns.IsOpen() {
			h.ns.Close() // nothing can be done about a failing close
		}
	}
}

// Net returns a host and the world as a network of their own. The town closes
// them.
func (t *Town) Net(host int) *Net { return &Net{Device: t.Hosts[host], World: t.World} }

func (t *Town) build(n int) (err error) {
	if t.World, err = newHost("world", "h0"); err != nil {
		return err
	}
	if err := t.World.Sysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	err = t.World.edit(func(nl *netlink.Handle) error {
		lo, err := nl.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, p := range townWorld {
			r := &netlink.Route{
				LinkIndex: lo.Attrs().Index, Dst: ipNet(p), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
			}
			if err := nl.RouteAdd(r); err != nil {
				return fmt.Errorf("route %v: %w", p, err)
			}
		}
		return nil
	})
	for i := 0; i < n && err == nil; i++ {
		err = t.settle(i)
	}
	return err
}

// settle makes host i and joins it to the world.
func (t *Town) settle(i int) error {
	h, err := newHost(fmt.Sprint("host ", i), "eth0")
	if err != nil {
		return err
	}
	t.Hosts = append(t.Hosts, h)
	link := fmt.Sprint("h", i)
	if err := cable(h, "eth0", t.World, link); err != nil {
		return err
	}
	own := netip.PrefixFrom(TownAddr(i), 24)
	way := netip.AddrFrom4([4]byte{198, 19, byte(i), 254}) // the world's end of the cable
	err = t.World.edit(func(nl *netlink.Handle) error { return addAddr(nl, link, netip.PrefixFrom(way, 24)) })
	if err != nil {
		return err
	}
	return h.edit(func(nl *netlink.Handle) error {
		if err := addAddr(nl, "eth0", own); err != nil {
			return err
		}
		return addRoute(nl, netip.MustParsePrefix("0.0.0.0/0"), way)
	})
}
