package incident

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A block is a range of addresses that belongs to one network.
type block struct {
	prefix  netip.Prefix
	as      uint32 // of those kept for documentation (RFC 5398)
	country string // of the codes that ISO 3166 leaves to whoever needs some
}

// How many networks have devices and the people who use them, and how many have
// the sources of campaigns and scanners alike.
const (
	accessNetworks = 8
	mixedNetworks  = 12
)

// Fixed blocks. Devices, people and sources have one for each of their networks.
var (
	vendorBlock   = block{netip.MustParsePrefix("192.0.2.0/24"), 65541, "XM"}
	commandBlock  = block{netip.MustParsePrefix("203.0.113.0/24"), 65542, "XN"}
	payloadBlock  = block{netip.MustParsePrefix("198.51.100.0/24"), 65543, "XO"}
	contentBlock  = block{netip.MustParsePrefix("198.18.128.0/20"), 65540, "XK"}
	targetBlock   = block{netip.MustParsePrefix("198.18.144.0/20"), 65544, "XL"}
	peerBlock     = block{netip.MustParsePrefix("198.19.0.0/16"), 65545, "XP"}
	contentBlock6 = block{netip.MustParsePrefix("2001:db8:300::/48"), 65540, "XK"}
	vendorBlock6  = block{netip.MustParsePrefix("2001:db8:301::/48"), 65541, "XM"}
	peerBlock6    = block{netip.MustParsePrefix("2001:db8:302::/48"), 65545, "XP"}
)

func access(k int) (as uint32, country string) { return 64496 + uint32(k), "X" + string(rune('A'+k%5)) }

func mixed(k int) (as uint32, country string) {
	as = 64504 + uint32(k)
	if k >= 8 {
		as = 65536 + uint32(k-8)
	}
	return as, "X" + string(rune('A'+k%10))
}

func deviceBlock(k int) block {
	as, country := access(k)
	return block{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(8 * k), 0}), 21), as, country}
}

func deviceBlock6(k int) block {
	as, country := access(k)
	return block{v6block(0x100 + k), as, country}
}

func peopleBlock(k int) block {
	as, country := access(k)
	return block{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(64 + 8*k), 0}), 21), as, country}
}

func peopleBlock6(k int) block {
	as, country := access(k)
	return block{v6block(0x200 + k), as, country}
}

func sourceBlock(k int) block {
	as, country := mixed(k)
	return block{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(160 + 8*k), 0}), 21), as, country}
}

func sourceBlock6(k int) block {
	as, country := mixed(k)
	return block{v6block(0x400 + k), as, country}
}

func v6block(third int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(third >> 8), byte(third)}), 48)
}

// blocks returns every block, in the order of addresses.
func blocks() []block {
	all := []block{
		vendorBlock, commandBlock, payloadBlock, contentBlock, targetBlock, peerBlock, contentBlock6, vendorBlock6, peerBlock6,
	}
	for k := range accessNetworks {
		all = append(all, deviceBlock(k), deviceBlock6(k), peopleBlock(k), peopleBlock6(k))
	}
	for k := range mixedNetworks {
		all = append(all, sourceBlock(k), sourceBlock6(k))
	}
	slices.SortFunc(all, func(a, b block) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	return all
}

// nth returns the n-th address of b; of IPv6, the first one of the n-th /64.
func (b block) nth(n int) netip.Addr {
	if b.prefix.Addr().Is4() {
		a := b.prefix.Addr().As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n))
		return netip.AddrFrom4(a)
	}
	a := b.prefix.Addr().As16()
	binary.BigEndian.PutUint16(a[6:], uint16(n))
	a[15] = 1
	return netip.AddrFrom16(a)
}

// size is how many addresses of b can be given away, from the first one on.
func (b block) size() int {
	if b.prefix.Addr().Is4() {
		return 1<<(32-b.prefix.Bits()) - 2
	}
	return 1<<16 - 2
}

// fresh returns an address of b that nobody has yet.
func (w *world) fresh(r *rand.Rand, b block) netip.Addr {
	for n := 1 + r.IntN(b.size()); ; n = 1 + n%b.size() {
		if a := b.nth(n); !w.used[a] {
			w.used[a] = true
			return a
		}
	}
}

// source returns the address of a new source: of any of the networks that
// campaigns and scanners share, one in sixteen by IPv6.
func (w *world) source(r *rand.Rand) netip.Addr {
	k := r.IntN(mixedNetworks)
	if r.IntN(16) == 0 {
		return w.fresh(r, sourceBlock6(k))
	}
	return w.fresh(r, sourceBlock(k))
}

// last returns the highest address of p.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// writeNetworks writes the table that tocsin hub networks imports.
func writeNetworks(out *bufio.Writer) error {
	for _, b := range blocks() {
		fmt.Fprintf(out, "%s,%s,%d,%s\n", b.prefix.Addr(), last(b.prefix), b.as, b.country)
	}
	return nil // the writer keeps its first error
}

func writeCountries(out *bufio.Writer) error {
	for _, b := range blocks() {
		fmt.Fprintf(out, "%s,%s,%s\n", b.prefix.Addr(), last(b.prefix), b.country)
	}
	return nil
}
