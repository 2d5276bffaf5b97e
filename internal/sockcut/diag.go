package sockcut

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel's layouts and numbers, of linux/inet_diag.h and net/tcp_states.h.
const (
	sizeID  = 48
	sizeReq = 8 + sizeID
	sizeMsg = 4 + sizeID + 20

	attrBytecode = 1
	opJump       = 1
	opRemote     = 8 // INET_DIAG_BC_D_COND

	stateListen = 1 << 10
	// Established, half open and closing: all that a remote end can hold open.
	// SYN_SENT is a connection of ours, TIME_WAIT and CLOSE hold nothing.
	statesOpen = 1<<1 | 1<<3 | 1<<4 | 1<<5 | 1<<8 | 1<<9 | 1<<11
)

// maxFilter is how many prefixes the kernel is given to choose sockets by;
// beyond it, reading all sockets is cheaper than asking about each so often.
const maxFilter = 64

// A socket is what the kernel needs to find a connection again.
type socket struct {
	family uint8
	id     [sizeID]byte // ports, addresses, interface and cookie, as they came
}

func (s socket) local() netip.AddrPort {
	return netip.AddrPortFrom(s.addr(4), binary.BigEndian.Uint16(s.id[0:]))
}
func (s socket) remote() netip.Addr { return s.addr(20) }

func (s socket) addr(at int) netip.Addr {
	if s.family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(s.id[at : at+4]))
	}
	return netip.AddrFrom16([16]byte(s.id[at : at+16])).Unmap()
}

// parseSocket reads one inet_diag_msg.
func parseSocket(data []byte) (socket, bool) {
	if len(data) < sizeMsg || data[0] != unix.AF_INET && data[0] != unix.AF_INET6 {
		return socket{}, false
	}
	return socket{family: data[0], id: [sizeID]byte(data[4:])}, true
}

// request builds an inet_diag_req_v2 for TCP.
func request(family uint8, states uint32, id [sizeID]byte) []byte {
	b := make([]byte, 0, sizeReq)
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, id[:]...)
}

// dump calls found for each TCP socket in states that the filter takes, until
// found returns false.
func (c *Cutter) dump(states uint32, filter []byte, found func(socket) bool) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		data := request(family, states, [sizeID]byte{})
		if len(filter) > 0 {
			attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attrBytecode, Data: filter}})
			if err != nil {
				return err
			}
			data = append(data, attrs...)
		}
		_, err := c.conn.Send(netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
			Data:   data,
		})
		if err != nil {
			return fmt.Errorf("ask for sockets: %w", err)
		}
		more := true
		for m, err := range c.conn.ReceiveIter() {
			if err != nil {
				return fmt.Errorf("read sockets: %w", err)
			}
			if s, ok := parseSocket(m.Data); ok && more {
				more = found(s)
			}
		}
	}
	return nil
}

// listeners returns where the device listens: what a connection to one of them
// was accepted, not opened here.
func (c *Cutter) listeners() (map[netip.AddrPort]bool, error) {
	all := map[netip.AddrPort]bool{}
	err := c.dump(stateListen, nil, func(s socket) bool {
		all[s.local()] = true
		return true
	})
	return all, err
}

// accepted reports whether local is an end that a listener accepted.
func accepted(local netip.AddrPort, listeners map[netip.AddrPort]bool) bool {
	port := local.Port()
	return listeners[local] ||
		listeners[netip.AddrPortFrom(netip.IPv6Unspecified(), port)] ||
		local.Addr().Is4() && listeners[netip.AddrPortFrom(netip.IPv4Unspecified(), port)]
}

// connections returns accepted connections of sources in ps, at most c.most.
func (c *Cutter) connections(ps prefixes, listeners map[netip.AddrPort]bool) ([]socket, error) {
	var all []socket
	err := c.dump(statesOpen, bytecode(ps), func(s socket) bool {
		from, at := s.remote(), s.local()
		if ps.contains(from) && accepted(at, listeners) && (c.spare == nil || !c.spare(at, from)) {
			all = append(all, s)
		}
		return len(all) < c.most
	})
	return all, err
}

// destroy closes one connection, exactly the one that was found: the cookie
// tells it from a later one between the same ends.
func (c *Cutter) destroy(s socket) error {
	_, err := c.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DESTROY, Flags: netlink.Request | netlink.Acknowledge},
		Data:   request(s.family, statesOpen, s.id),
	})
	if err != nil {
		return fmt.Errorf("close a connection of %v: %w", s.remote(), err)
	}
	return nil
}

// bytecode returns the kernel's filter program for remote ends in ps: one
// condition for each, with a jump to the end behind all but the last. It is nil,
// which means all sockets, when there are too many.
func bytecode(ps prefixes) []byte {
	if ps.len() == 0 || ps.len() > maxFilter {
		return nil
	}
	const sizeJump = 4
	var conds [][]byte
	total := 0
	for p := range ps.set {
		cond := condition(p)
		conds = append(conds, cond)
		total += len(cond) + sizeJump
	}
	total -= sizeJump
	var code []byte
	for i, cond := range conds {
		code = appendOp(code, opRemote, len(cond), len(cond)+sizeJump)
		code = append(code, cond[sizeJump:]...) // its first bytes were kept free for the operation
		if i < len(conds)-1 {
			code = appendOp(code, opJump, sizeJump, total-len(code))
		}
	}
	return code
}

// appendOp appends an inet_diag_bc_op: how far to go on a match and otherwise.
// Beyond the end means no.
func appendOp(b []byte, op uint8, yes, no int) []byte {
	return binary.NativeEndian.AppendUint16(append(b, op, uint8(yes)), uint16(no))
}

// condition returns an inet_diag_hostcond for any port of p, with room for the
// operation before it.
func condition(p netip.Prefix) []byte {
	b := make([]byte, 4, 32)
	family := uint8(unix.AF_INET)
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	b = append(b, family, uint8(p.Bits()), 0, 0, 0xff, 0xff, 0xff, 0xff) // port -1: any
	return append(b, p.Addr().AsSlice()...)
}
