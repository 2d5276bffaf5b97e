package ruleset

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// Rules are kept as numbers, sorted, by what they are: a million of them take 4
// to 8 MB without a pointer. A host of IPv4, or a /64 of IPv6, is its bits. A
// shorter prefix is its bits, a one, and zeros: so every number but 0 is a
// prefix, and a prefix is one number.

// The places of a section in [sections].
const (
	blockHosts = iota
	blockPrefixes
	passHosts
	passPrefixes
	kinds
)

// sections are the rules of one end. Each is sorted and without repeats.
type sections struct {
	v4 [kinds][]uint32
	v6 [kinds][]uint64
}

func (s *sections) len() (n int) {
	for i := range kinds {
		n += len(s.v4[i]) + len(s.v6[i])
	}
	return n
}

// place returns where a rule belongs; ok is false for what a list cannot hold:
// an invalid prefix or action, or IPv6 longer than /64.
func place(p netip.Prefix, a tocsin.Action) (kind int, v6 bool, key uint64, ok bool) {
	switch a {
	case tocsin.Block:
		kind = blockHosts
	case tocsin.Pass:
		kind = passHosts
	default:
		return 0, false, 0, false
	}
	p = p.Masked()
	if !p.IsValid() || p.Addr().Is4In6() || p.Addr().Is6() && p.Bits() > 64 {
		return 0, false, 0, false
	}
	if p.Addr().Is4() {
		a := p.Addr().As4()
		key = uint64(binary.BigEndian.Uint32(a[:]))
		if p.Bits() < 32 {
			return kind + 1, false, key | 1<<(31-p.Bits()), true
		}
		return kind, false, key, true
	}
	b := p.Addr().As16()
	key = binary.BigEndian.Uint64(b[:])
	if p.Bits() < 64 {
		return kind + 1, true, key | 1<<(63-p.Bits()), true
	}
	return kind, true, key, true
}

func action(kind int) tocsin.Action {
	if kind >= passHosts {
		return tocsin.Pass
	}
	return tocsin.Block
}

func prefix4(kind int, k uint32) netip.Prefix {
	length := 32
	if kind == blockPrefixes || kind == passPrefixes {
		length = length4(k)
		k &= k - 1
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], k)
	return netip.PrefixFrom(netip.AddrFrom4(a), length)
}

func prefix6(kind int, k uint64) netip.Prefix {
	length := 64
	if kind == blockPrefixes || kind == passPrefixes {
		length = length6(k)
		k &= k - 1
	}
	var a [16]byte
	binary.BigEndian.PutUint64(a[:], k)
	return netip.PrefixFrom(netip.AddrFrom16(a), length)
}

// length4 returns the length of a shorter prefix.
func length4(k uint32) int { return 31 - bits.TrailingZeros32(k) }

func length6(k uint64) int { return 63 - bits.TrailingZeros64(k) }

type number interface{ uint32 | uint64 }

// gallop returns how many of s, which is sorted, are below k. It is quick when
// they are few.
func gallop[K number](s []K, k K) int {
	step := 1
	for step < len(s) && s[step-1] < k {
		step *= 2
	}
	low := step / 2
	n, _ := slices.BinarySearch(s[low:min(step, len(s))], k)
	return low + n
}

// match calls hit with the places of whatever is in both a and b. It takes time
// by the shorter one.
func match[K number](a, b []K, hit func(i, j int)) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			hit(i, j)
			i, j = i+1, j+1
		case a[i] < b[j]:
			i += gallop(a[i:], b[j])
		default:
			j += gallop(b[j:], a[i])
		}
	}
}

// merge returns old without the places in drop, and with add; both are sorted,
// and what is added is not in what stays.
func merge[K number](old []K, drop []uint32, add []K) []K {
	if len(drop)+len(add) == 0 {
		return old
	}
	out := make([]K, 0, len(old)-len(drop)+len(add))
	from := 0
	keep := func(to int) {
		for len(drop) > 0 && int(drop[0]) < to {
			out = append(out, old[from:drop[0]]...)
			from, drop = int(drop[0])+1, drop[1:]
		}
		if from < to {
			out = append(out, old[from:to]...)
			from = to
		}
	}
	for _, k := range add {
		at := from
		if at < len(old) {
			at += gallop(old[at:], k)
		}
		keep(at)
		out = append(out, k)
	}
	keep(len(old))
	return out
}

// differ returns, appended to out, what is in only one of a and b.
func differ[K number](out, a, b []K) []K {
	i, j := 0, 0
	match(a, b, func(p, q int) {
		out = append(append(out, a[i:p]...), b[j:q]...)
		i, j = p+1, q+1
	})
	return append(append(out, a[i:]...), b[j:]...)
}

// ascending reports whether s is sorted without repeats.
func ascending[K number](s []K) bool {
	for i := 1; i < len(s); i++ {
		if s[i-1] >= s[i] {
			return false
		}
	}
	return true
}
