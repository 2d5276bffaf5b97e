package authlog

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// parseAddr reads an address as services write it, unmapped and without its
// zone. Names, and the addresses that are nobody's, are refused.
func parseAddr(b []byte) (netip.Addr, bool) {
	if a, ok := parse4(b); ok {
		return a, a != netip.IPv4Unspecified()
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

// parse4 reads a dotted quad. Leading zeros are refused: some read them as
// octal.
func parse4(b []byte) (netip.Addr, bool) {
	if len(b) < 7 || len(b) > 15 {
		return netip.Addr{}, false
	}
	var ip [4]byte
	part, value, digits := 0, 0, 0
	for _, c := range b {
		if c == '.' {
			if digits == 0 || part == 3 {
				return netip.Addr{}, false
			}
			ip[part] = byte(value)
			part, value, digits = part+1, 0, 0
			continue
		}
		if c < '0' || c > '9' || digits > 0 && value == 0 {
			return netip.Addr{}, false
		}
		digits++
		if value = value*10 + int(c-'0'); value > 255 {
			return netip.Addr{}, false
		}
	}
	ip[3] = byte(value)
	return netip.AddrFrom4(ip), digits > 0 && part == 3
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
		n = n*10 + int(c-'0')
	}
	return n, n <= limit
}
