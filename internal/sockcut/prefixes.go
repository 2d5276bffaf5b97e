package sockcut

import (
	"net/netip"
	"slices"
)

// prefixes is a set of prefixes of at most [MaxQueue]; one look-up for each
// length in use tells whether an address is inside. The zero set is empty.
type prefixes struct {
	set          map[netip.Prefix]struct{}
	bits4, bits6 []int // lengths in use
}

// add adds p, masked and unmapped, and reports whether there was room. An
// invalid prefix is passed over.
func (s *prefixes) add(p netip.Prefix) bool {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	p = p.Masked()
	if _, have := s.set[p]; have || !p.IsValid() {
		return true
	}
	if len(s.set) >= MaxQueue {
		return false
	}
	if s.set == nil {
		s.set = map[netip.Prefix]struct{}{}
	}
	s.set[p] = struct{}{}
	bits := &s.bits6
	if p.Addr().Is4() {
		bits = &s.bits4
	}
	if !slices.Contains(*bits, p.Bits()) {
		*bits = append(*bits, p.Bits())
	}
	return true
}

func (s *prefixes) len() int { return len(s.set) }

// contains reports whether a, unmapped, is in a prefix of s.
func (s *prefixes) contains(a netip.Addr) bool {
	bits := s.bits6
	if a.Is4() {
		bits = s.bits4
	}
	for _, b := range bits {
		if p, err := a.Prefix(b); err == nil {
			if _, in := s.set[p]; in {
				return true
			}
		}
	}
	return false
}
