// Package addrspace tells the internet's addresses from those that stay inside
// somebody's network. It is pure.
package addrspace

import "net/netip"

// between is the range between customers and the translators of their providers
// (RFC 6598).
var between = netip.MustParsePrefix("100.64.0.0/10")

// Public reports whether a is an address that different networks could mean the
// same machine by: no private, link-local, loopback or multicast one, and none
// behind a provider's translation. IPv4 in IPv6 counts as the IPv4 that it is; a
// zone does not matter.
//
// It says what all agree on. Ranges that nobody uses, for documentation and
// benchmarks, or that are reserved, are public: who must not take them for a
// machine says so besides.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !between.Contains(a)
}
