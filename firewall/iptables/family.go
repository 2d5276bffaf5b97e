package iptables

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxName is the length that chain names may have in every kernel, and maxBase
// what that leaves for [Options].Chain: "-P" and the longest label follow it.
const (
	maxName = 28
	maxBase = maxName - len("-P20010db8-0001-0002")
)

// A family is what IPv4 and IPv6 differ in.
type family struct {
	name   string // as a person calls it
	bits   int
	levels [3]int // prefix lengths at which the tree branches; the last only where it is crowded
}

var (
	ipv4 = family{name: "IPv4", bits: 32, levels: [3]int{8, 16, 24}}
	ipv6 = family{name: "IPv6", bits: 128, levels: [3]int{32, 48, 64}}
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

// label names the chain of a node: "203", "203-0", "20010db8-0001".
func (f family) label(p netip.Prefix) string {
	b := p.Addr().AsSlice()
	var parts []string
	for _, level := range f.levels {
		if p.Bits() < level {
			break
		}
		from := 0
		if i := len(parts); i > 0 {
			from = f.levels[i-1] / 8
		}
		part := b[from : level/8]
		if f.bits == 32 {
			parts = append(parts, fmt.Sprint(part[0]))
		} else {
			parts = append(parts, fmt.Sprintf("%x", part))
		}
	}
	return strings.Join(parts, "-")
}

// normal masks p and makes an IPv4-mapped prefix the IPv4 one that it means.
func normal(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
