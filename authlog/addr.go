package authlog

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// parseAddr reads an address as services write it, unmapped and without its
// zone. Names, and the addresses that are nobody's, are refused.
func parseAddr(b []byte) (netip.Addr, bool) {
	if a, end, ok := quad(b, 0); ok && end == len(b) {
		return a, true
	}
	if i := bytes.IndexByte(b, '%'); i >= 0 {
		b = b[:i]
	}
	if len(b) < 2 || len(b) > 45 || bytes.IndexByte(b, ':') < 0 {
		return netip.Addr{}, false
	}
	// No copy: ParseAddr keeps its argument only in an error, which is dropped.
	a, err := netip.ParseAddr(unsafe.String(&b[0], len(b)))
	a = a.Unmap()
	return a, err == nil && !a.IsUnspecified()
}

// quad reads a dotted quad at b[i:] and returns where it ends; nothing that
// could belong to an address or a name may follow. Leading zeros are refused
// (some read them as octal), and so is 0.0.0.0.
func quad(b []byte, i int) (a netip.Addr, end int, ok bool) {
	var ip uint32
	for part := 0; ; part++ {
		if i >= len(b) {
			return a, 0, false
		}
		value := uint32(b[i] - '0')
		if value > 9 {
			return a, 0, false
		}
		i++
		for digits := 1; i < len(b); digits++ {
			d := uint32(b[i] - '0')
			if d > 9 {
				break
			}
			if value == 0 || digits == 3 {
				return a, 0, false
			}
			value = value*10 + d
			i++
		}
		if value > 255 {
			return a, 0, false
		}
		ip = ip<<8 | value
		if part == 3 {
			break
		}
		if i >= len(b) || b[i] != '.' {
			return a, 0, false
		}
		i++
	}
	if i < len(b) && goesOn(b[i:]) {
		return a, 0, false
	}
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}), i, ip != 0
}

// goesOn reports whether b, which follows an address, could belong to it. The
// colon of "203.0.113.7: …" does not.
func goesOn(b []byte) bool {
	return class[b[0]]&(1<<addr) != 0 && (b[0] != ':' || len(b) > 1 && class[b[1]]&(1<<addr) != 0)
}

// parseAddrPort reads 192.0.2.1:22, [2001:db8::1]:22, 2001:db8::1:22, each also
// without its port, and each also after "ipv4:" or "ipv6:" as Samba writes it.
func parseAddrPort(b []byte) (netip.Addr, uint16, bool) {
	if len(b) > 5 && b[0] == 'i' && (string(b[:5]) == "ipv4:" || string(b[:5]) == "ipv6:") {
		b = b[5:]
	}
	if i := bytes.LastIndexByte(b, ':'); i > 0 {
		if n, ok := number(b[i+1:], 65535); ok {
			if a, ok := parseAddr(unbracket(b[:i])); ok {
				return a, uint16(n), true
			}
		}
	}
	a, ok := parseAddr(unbracket(b))
	return a, 0, ok
}

func unbracket(b []byte) []byte {
	if len(b) > 2 && b[0] == '[' && b[len(b)-1] == ']' {
		return b[1 : len(b)-1]
	}
	return b
}

// number reads a decimal number of at most limit.
func number(b []byte, limit int) (int, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		digit := int(c - '0')
		if digit > limit || n > (limit-digit)/10 { // before it overflows: 32 bits do
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}
