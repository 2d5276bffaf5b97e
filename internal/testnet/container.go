package testnet

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Container returns a third host behind a bridge of the device, which forwards
// for it, as Docker does: [Container4] and [Container6]. It is made at the
// first call.
func (n *Net) Container() (*Host, error) {
	if n.container != nil {
		return n.container, nil
	}
	c, err := newHost("container", "eth0")
	if err != nil {
		return nil, err
	}
	n.container = c
	if err := cable(n.Device, "ctr0", c, "eth0"); err != nil {
		return nil, err
	}
	if err := n.Device.edit(bridge); err != nil {
		return nil, err
	}
	for _, s := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := n.Device.Sysctl(s, "1"); err != nil {
			return nil, err
		}
	}
	err = c.edit(func(nl *netlink.Handle) error {
		for _, p := range []netip.Prefix{netip.PrefixFrom(Container4, 24), netip.PrefixFrom(Container6, 64)} {
			if err := addAddr(nl, "eth0", p); err != nil {
				return err
			}
		}
		if err := addRoute(nl, netip.MustParsePrefix("0.0.0.0/0"), bridge4); err != nil {
			return err
		}
		return addRoute(nl, netip.MustParsePrefix("::/0"), bridge6)
	})
	return c, err
}

// bridge puts the device's end of the container's cable into a bridge.
func bridge(nl *netlink.Handle) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	snoop := false // or neighbour discovery waits for a querier
	br := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snoop}
	if err := nl.LinkAdd(br); err != nil {
		return err
	}
	if err := nl.LinkSetUp(br); err != nil {
		return err
	}
	port, err := nl.LinkByName("ctr0")
	if err != nil {
		return err
	}
	if err := nl.LinkSetMaster(port, br); err != nil {
		return err
	}
	for _, p := range []netip.Prefix{netip.PrefixFrom(bridge4, 24), netip.PrefixFrom(bridge6, 64)} {
		if err := addAddr(nl, "br0", p); err != nil {
			return err
		}
	}
	return nil
}

// Publish forwards a TCP port of the device's IPv4 addresses to the same port
// of the container, by a DNAT rule in a table of its own, as `docker run -p`
// would. It returns where clients find it.
func (n *Net) Publish(port uint16) (netip.AddrPort, error) {
	if _, err := n.Container(); err != nil {
		return netip.AddrPort{}, err
	}
	c, err := nftables.New(nftables.WithNetNSFd(n.Device.NS()))
	if err != nil {
		return netip.AddrPort{}, err
	}
	t := c.AddTable(&nftables.Table{Name: "published", Family: nftables.TableFamilyIPv4})
	chain := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	to := Container4.As4()
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: append([]byte(n.Device.Link), make([]byte, 16-len(n.Device.Link))...)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Immediate{Register: 1, Data: to[:]},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	}})
	return netip.AddrPortFrom(Device4, port), c.Flush()
}
