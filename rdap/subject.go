package rdap

import (
	"fmt"
	"net/netip"

	"github.com/tocsin-io/tocsin/internal/addrspace"
)

// A subject is what is asked about: an address, or else an autonomous system.
type subject struct {
	addr netip.Addr
	as   uint32
}

// String returns what a person calls it.
func (s subject) String() string {
	if s.addr.IsValid() {
		return s.addr.String()
	}
	return fmt.Sprintf("AS%d", s.as)
}

// path returns the question (RFC 9082), below the registry's base.
func (s subject) path() string {
	if s.addr.IsValid() {
		return "ip/" + s.addr.String()
	}
	return fmt.Sprintf("autnum/%d", s.as)
}

// listName is the list of registries that tells whom to ask.
func (s subject) listName() string {
	switch {
	case !s.addr.IsValid():
		return "asn.json"
	case s.addr.Is4():
		return "ipv4.json"
	}
	return "ipv6.json"
}

// check refuses what nobody but the owner of this network knows: a registry has
// no answer, and need not learn the question.
func (s subject) check() error {
	switch {
	case s.addr.IsValid() && inside(s.addr):
		return fmt.Errorf("rdap: %s is not a public address: no provider has it", s)
	case s.addr.IsValid():
		return nil
	case s.as == 0 || s.as >= 64512 && s.as <= 65535 || s.as >= 4200000000:
		return fmt.Errorf("rdap: %s is not a public number: no provider has it", s)
	}
	return nil
}

var (
	thisNet   = netip.MustParsePrefix("0.0.0.0/8")
	reserved  = netip.MustParsePrefix("240.0.0.0/4")
	protocols = netip.MustParsePrefix("192.0.0.0/24")
	bench     = netip.MustParsePrefix("198.18.0.0/15")
	siteLocal = netip.MustParsePrefix("fec0::/10")
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	nat64Own  = netip.MustParsePrefix("64:ff9b:1::/48")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// inside reports whether a belongs to somebody's own network, or to none.
func inside(a netip.Addr) bool {
	return !addrspace.Public(a) || thisNet.Contains(a) || reserved.Contains(a) || siteLocal.Contains(a)
}

// public reports whether a server may be asked at a. What is translated to IPv4
// on the way counts as the address that it leads to.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case nat64Own.Contains(a):
		return false
	case nat64.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(a):
		return public(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return !inside(a) && !protocols.Contains(a) && !bench.Contains(a)
}
