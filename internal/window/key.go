package window

import (
	"encoding/binary"
	"net/netip"
)

// v4Key marks the key of an IPv4 address: as a /64 it would lie in the multicast
// range, where no source can be.
const v4Key = 0xffffffff << 32

// Key returns the number that stands for the source of a, as
// tocsin.SourcePrefix counts sources: an IPv4 address, mapped or not, or the /64
// of an IPv6 address. There is none for an invalid, unspecified or multicast
// address: nobody connects from there.
func Key(a netip.Addr) (uint64, bool) {
	if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
		return 0, false
	}
	if a = a.Unmap(); a.Is4() {
		if a.IsMulticast() || a.IsUnspecified() {
			return 0, false
		}
		b := a.As4()
		return v4Key | uint64(binary.BigEndian.Uint32(b[:])), true
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]), true
}

// Prefix returns the source that key stands for.
func Prefix(key uint64) netip.Prefix {
	if key >= v4Key {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(key))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], key)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}
