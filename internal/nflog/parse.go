package nflog

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's numbers of the attributes read here.
const (
	attrTimestamp = 3
	attrPayload   = 9
	attrMask      = 0x3fff // without the flags for nesting and byte order
)

// skew is how far the time of a packet may lie from now to be believed: a
// packet that was forwarded may carry another clock.
const skew = time.Minute

// parse reads one sample: nfgenmsg, then attributes. The headers come from the
// attacker, so every length is checked.
func parse(data []byte, now time.Time) (source netip.Addr, at time.Time, ok bool) {
	const genmsg = 4
	if len(data) < genmsg {
		return netip.Addr{}, time.Time{}, false
	}
	at = now
	for rest := data[genmsg:]; len(rest) >= unix.SizeofNlAttr; {
		length := int(binary.NativeEndian.Uint16(rest))
		if length < unix.SizeofNlAttr || length > len(rest) {
			break
		}
		value := rest[unix.SizeofNlAttr:length]
		switch binary.NativeEndian.Uint16(rest[2:]) & attrMask {
		case attrTimestamp:
			at = timestamp(value, now)
		case attrPayload:
			source, ok = sourceOf(value)
		}
		rest = rest[min(len(rest), (length+3)&^3):]
	}
	return source, at, ok
}

// timestamp reads seconds and microseconds, big endian; now where they are
// missing or not to be believed.
func timestamp(value []byte, now time.Time) time.Time {
	if len(value) < 16 {
		return now
	}
	s, us := binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])
	if s > 1<<40 || us >= 1e6 {
		return now
	}
	at := time.Unix(int64(s), int64(us)*1000)
	if d := now.Sub(at); d > skew || d < -skew {
		return now
	}
	return at
}

// sourceOf returns the source address of an IP packet, unmapped.
func sourceOf(packet []byte) (netip.Addr, bool) {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(packet[12:16])), true
	case len(packet) >= 40 && packet[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(packet[8:24])).Unmap(), true
	}
	return netip.Addr{}, false
}
