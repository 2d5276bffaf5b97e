package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// An asker reads from nf_tables one thing at a time, by a socket of its own.
// The library's reads of sets fetch every element, and lose the error number.
type asker struct {
	table string
	mu    sync.Mutex // one question at a time
	nl    *netlink.Conn
}

func newAsker(table string) (*asker, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	return &asker{table: table, nl: nl}, nil
}

func (a *asker) close() error { return a.nl.Close() }

// do asks for what an nf_tables message and its attributes name.
func (a *asker) do(msg uint16, flags netlink.HeaderFlags, attrs ...netlink.Attribute) ([]netlink.Message, error) {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.nl.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | msg), Flags: netlink.Request | flags},
		Data:   append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	})
}

// has reports whether a question has an answer.
func (a *asker) has(msg uint16, attrs ...netlink.Attribute) (bool, error) {
	answer, err := a.do(msg, 0, attrs...)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return len(answer) > 0, err
}

func (a *asker) hasTable() (bool, error) {
	return a.has(unix.NFT_MSG_GETTABLE, text(unix.NFTA_TABLE_NAME, a.table))
}

func (a *asker) hasChain(name string) (bool, error) {
	return a.has(unix.NFT_MSG_GETCHAIN, text(unix.NFTA_CHAIN_TABLE, a.table), text(unix.NFTA_CHAIN_NAME, name))
}

// sets returns the names of the table's sets.
func (a *asker) sets() ([]string, error) {
	msgs, err := a.do(unix.NFT_MSG_GETSET, netlink.Dump, text(unix.NFTA_SET_TABLE, a.table))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range msgs {
		if name, ok := textOf(m.Data, unix.NFTA_SET_NAME); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// holds asks for one element, which costs the same in a set of any size. The
// kernel does not find one that has ended.
func (a *asker) holds(id setID, p netip.Prefix) (bool, error) {
	return a.has(unix.NFT_MSG_GETSETELEM, a.element(id, p)...)
}

// life asks how long an element was given when it was last added.
func (a *asker) life(id setID, p netip.Prefix) (time.Duration, error) {
	msgs, err := a.do(unix.NFT_MSG_GETSETELEM, 0, a.element(id, p)...)
	if err != nil {
		return 0, err
	}
	for _, m := range msgs {
		if d, ok := lifeOf(m.Data); ok {
			return d, nil
		}
	}
	return 0, errors.New("element without an end")
}

// element names one element of a set.
func (a *asker) element(id setID, p netip.Prefix) []netlink.Attribute {
	key := nest(unix.NFTA_SET_ELEM_KEY, netlink.Attribute{Type: unix.NFTA_DATA_VALUE, Data: p.Addr().AsSlice()})
	return []netlink.Attribute{
		text(unix.NFTA_SET_ELEM_LIST_TABLE, a.table),
		text(unix.NFTA_SET_ELEM_LIST_SET, id.String()),
		nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, nest(unix.NFTA_LIST_ELEM, key)),
	}
}

// Holds implements [firewall.Filter]: it asks the kernel for that one element.
func (f *Filter) Holds(ctx context.Context, p netip.Prefix) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("nft: holds %v: %w", p, err)
	}
	p = normal(p)
	if !p.IsValid() {
		return false, errors.New("nft: holds: invalid prefix")
	}
	for _, action := range []tocsin.Action{tocsin.Block, tocsin.Pass} {
		for _, id := range f.setsOf(p, action) {
			if held, err := f.ask.holds(id, p); held || err != nil {
				return held, explain("look for "+p.String(), err)
			}
		}
	}
	return false, nil
}

// setsOf returns the sets that may hold a rule of p, one for each generation.
func (f *Filter) setsOf(p netip.Prefix, a tocsin.Action) (ids []setID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, g := range f.state.gens {
		if id := setOf(p, a, g); f.state.sets[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// spared reports whether the port is one that everybody may open, or a pass lets
// addr in, so that the connection stays.
func (f *Filter) spared(local netip.AddrPort, addr netip.Addr) bool {
	if f.spares && slices.Contains(f.opt.Spare, local.Port()) {
		return true
	}
	addr = addr.Unmap().WithZone("")
	for bits := range addr.BitLen() + 1 {
		p, err := addr.Prefix(bits)
		if err != nil {
			return false // an invalid address has no connections
		}
		for _, id := range f.setsOf(p, tocsin.Pass) {
			// In doubt a connection stays: the block silences it anyway.
			if held, err := f.ask.holds(id, p); held || err != nil {
				return true
			}
		}
	}
	return false
}

func text(attr uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: attr, Data: append([]byte(s), 0)}
}

// nest puts attributes into one. They are small and cannot fail to encode.
func nest(attr uint16, in ...netlink.Attribute) netlink.Attribute {
	b, err := netlink.MarshalAttributes(in)
	if err != nil {
		panic(err)
	}
	return netlink.Attribute{Type: attr | unix.NLA_F_NESTED, Data: b}
}

// textOf finds a string attribute in the body of an nf_tables message.
func textOf(body []byte, attr uint16) (string, bool) {
	s, ok := attrOf(body[min(genmsg, len(body)):], attr)
	if ok && len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return string(s), ok
}

// lifeOf finds the life of the first element in the body of a message.
func lifeOf(body []byte) (time.Duration, bool) {
	b := body[min(genmsg, len(body)):]
	for _, attr := range []uint16{unix.NFTA_SET_ELEM_LIST_ELEMENTS, unix.NFTA_LIST_ELEM, unix.NFTA_SET_ELEM_TIMEOUT} {
		var ok bool
		if b, ok = attrOf(b, attr); !ok {
			return 0, false
		}
	}
	if len(b) != 8 {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint64(b)) * time.Millisecond, true
}

// genmsg is the length of what stands before the attributes of a message.
const genmsg = 4

// attrOf finds an attribute. Bytes are read by hand: broken ones end the search
// and are no reason to stop, since news may be about tables of others.
func attrOf(b []byte, attr uint16) ([]byte, bool) {
	const head = 4
	for len(b) >= head {
		n := int(binary.NativeEndian.Uint16(b))
		if n < head || n > len(b) {
			return nil, false
		}
		if binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == attr {
			return b[head:n], true
		}
		b = b[min(len(b), (n+3)&^3):]
	}
	return nil, false
}
