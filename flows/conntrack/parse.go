package conntrack

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's numbers of the attributes read here.
const (
	attrMask = 0x3fff // without the flags for nesting and byte order

	ctaTupleOrig     = 1
	ctaStatus        = 3
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaTimestamp     = 20

	tupleIP    = 1
	tupleProto = 2

	ip4Src, ip4Dst, ip6Src, ip6Dst = 1, 2, 3, 4
	protoNum, protoSrc, protoDst   = 1, 2, 3

	countersBytes  = 2
	timestampStart = 1

	seenReply = 1 << 1 // bits of the status
	assured   = 1 << 2

	tcp, udp, sctp = 6, 17, 132
)

// A tuple names a connection: who opened it, to whom.
type tuple struct {
	from, to netip.AddrPort
	protocol uint8
}

// An event is what one message says.
type event struct {
	tuple
	status         uint32
	sent, received uint64
	start          time.Time // zero where the kernel keeps none
}

// failed reports, of a connection that ended, whether it was refused or never
// answered. Of TCP the kernel says "assured" once the handshake was complete.
func (e event) failed() bool {
	if e.protocol == tcp {
		return e.status&assured == 0
	}
	return e.status&seenReply == 0
}

// parse reads one message: nfgenmsg, then attributes. The bytes are the
// kernel's, whose later versions may add others: what is not known is passed
// over. Connections without ports are none.
func parse(data []byte) (e event, ok bool) {
	const genmsg = 4
	if len(data) < genmsg {
		return e, false
	}
	attributes(data[genmsg:], func(kind uint16, value []byte) {
		switch kind {
		case ctaTupleOrig:
			e.tuple, ok = tupleOf(value)
		case ctaStatus:
			if len(value) == 4 {
				e.status = binary.BigEndian.Uint32(value)
			}
		case ctaCountersOrig:
			e.sent = number(value, countersBytes)
		case ctaCountersReply:
			e.received = number(value, countersBytes)
		case ctaTimestamp:
			if ns := number(value, timestampStart); ns > 0 && ns < 1<<62 {
				e.start = time.Unix(0, int64(ns))
			}
		}
	})
	return e, ok
}

// attributes calls each for every attribute, as far as their lengths hold.
func attributes(data []byte, each func(kind uint16, value []byte)) {
	for len(data) >= unix.SizeofNlAttr {
		length := int(binary.NativeEndian.Uint16(data))
		if length < unix.SizeofNlAttr || length > len(data) {
			return
		}
		each(binary.NativeEndian.Uint16(data[2:])&attrMask, data[unix.SizeofNlAttr:length])
		data = data[min(len(data), (length+3)&^3):]
	}
}

func tupleOf(value []byte) (u tuple, ok bool) {
	var from, to netip.Addr
	var ports [2]uint16
	attributes(value, func(kind uint16, value []byte) {
		switch kind {
		case tupleIP:
			attributes(value, func(kind uint16, value []byte) {
				a, _ := netip.AddrFromSlice(value)
				switch kind {
				case ip4Src, ip6Src:
					from = a.Unmap()
				case ip4Dst, ip6Dst:
					to = a.Unmap()
				}
			})
		case tupleProto:
			attributes(value, func(kind uint16, value []byte) {
				switch {
				case kind == protoNum && len(value) == 1:
					u.protocol = value[0]
				case (kind == protoSrc || kind == protoDst) && len(value) == 2:
					ports[kind-protoSrc] = binary.BigEndian.Uint16(value)
				}
			})
		}
	})
	u.from, u.to = netip.AddrPortFrom(from, ports[0]), netip.AddrPortFrom(to, ports[1])
	ok = from.IsValid() && to.IsValid() && (u.protocol == tcp || u.protocol == udp || u.protocol == sctp)
	return u, ok
}

// number returns the 64 bits of one attribute among several, 0 where it is
// missing.
func number(value []byte, want uint16) (n uint64) {
	attributes(value, func(kind uint16, value []byte) {
		if kind == want && len(value) == 8 {
			n = binary.BigEndian.Uint64(value)
		}
	})
	return n
}
