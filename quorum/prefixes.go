package quorum

import "net/netip"

// prefixes answers whether an address lies in one of many prefixes, by one
// look-up for each length that occurs.
type prefixes struct {
	set     map[netip.Prefix]struct{}
	lengths [2][]int // IPv4, IPv6
}

func newPrefixes(list []netip.Prefix) prefixes {
	p := prefixes{set: make(map[netip.Prefix]struct{}, len(list))}
	var seen [2][129]bool
	for _, one := range list {
		if !one.IsValid() {
			continue
		}
		one = unmapped(one)
		p.set[one] = struct{}{}
		f := family(one.Addr())
		if !seen[f][one.Bits()] {
			seen[f][one.Bits()] = true
			p.lengths[f] = append(p.lengths[f], one.Bits())
		}
	}
	return p
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func (p *prefixes) contains(a netip.Addr) bool {
	for _, bits := range p.lengths[family(a)] {
		if one, err := a.Prefix(bits); err == nil {
			if _, ok := p.set[one]; ok {
				return true
			}
		}
	}
	return false
}
