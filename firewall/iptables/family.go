package iptables

import (
	"encoding/hex"
	"net/netip"
)

// step is how many bits of the source each level of the tree looks at.
const step = 4

// maxName is the length that chain names may have in every kernel, and maxBase
// what that leaves for [Options].Chain: "-P" and the longest label follow it.
const (
	maxName = 28
	maxBase = maxName - len("-P") - 64/step
)

// A family is what IPv4 and IPv6 differ in.
type family struct {
	name string // as a person calls it
	bits int
	deep int // prefix length of the lowest chains
}

// An IPv6 network of one customer, a /64, is what a rule names: below it no
// chain is worth its name.
var (
	ipv4 = family{name: "IPv4", bits: 32, deep: 28}
	ipv6 = family{name: "IPv6", bits: 128, deep: 64}
)

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// root is the prefix of all addresses: the key of a tree's first chain.
func (f family) root() netip.Prefix {
	if f.bits == 32 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// label names the chain of a node by its bits: "cb0" is 203.0.0.0/12.
func label(p netip.Prefix) string {
	return hex.EncodeToString(p.Addr().AsSlice())[:p.Bits()/step]
}

// normal masks p and makes an IPv4-mapped prefix the IPv4 one that it means.
func normal(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
