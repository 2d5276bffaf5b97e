package nft

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// Chains of our table. The marker says that the table is ours, and by its
// number how it is laid out.
const (
	chainMarker = "tocsin_v1"
	chainGate   = "gate" // the only one with a hook
	chainV4     = "v4"
	chainV6     = "v6"
	chainCaught = "caught"
)

// A setID names one of our hash sets: the rules of one generation, action,
// family and prefix length. Generations exist side by side only while Replace
// runs, or after it was killed.
type setID struct {
	gen  int
	pass bool
	six  bool
	bits int
}

// String returns the name of the set, such as b4_24_1.
func (id setID) String() string {
	return fmt.Sprintf("%s_%d_%d", family(id.pass, id.six), id.bits, id.gen)
}

// number tells sets of one transaction apart, and is never 0: the library would
// then count on a variable that other filters of the process share.
func (id setID) number() uint32 {
	n := uint32(id.gen)<<16 | uint32(id.bits)
	if id.pass {
		n |= 1 << 8
	}
	if id.six {
		n |= 1 << 9
	}
	return n
}

// chain returns the chain whose rules look the set up.
func (id setID) chain() string { return genChain(id.pass, id.six, id.gen) }

func genChain(pass, six bool, gen int) string {
	return family(pass, six) + "_" + strconv.Itoa(gen)
}

func family(pass, six bool) string {
	switch {
	case pass && six:
		return "p6"
	case pass:
		return "p4"
	case six:
		return "b6"
	}
	return "b4"
}

// parseSet reads the name of a set; false if it is none of ours.
func parseSet(name string) (setID, bool) {
	part := strings.Split(name, "_")
	if len(part) != 3 {
		return setID{}, false
	}
	bits, err := strconv.Atoi(part[1])
	if err != nil {
		return setID{}, false
	}
	gen, err := strconv.Atoi(part[2])
	if err != nil {
		return setID{}, false
	}
	id := setID{gen: gen, pass: strings.HasPrefix(part[0], "p"), six: strings.HasSuffix(part[0], "6"), bits: bits}
	most := 32
	if id.six {
		most = 128
	}
	ok := id.String() == name && bits >= 0 && bits <= most && gen >= 1 && gen <= maxGens
	return id, ok
}

// setOf returns where a rule of prefix p belongs. p is masked.
func setOf(p netip.Prefix, a tocsin.Action, gen int) setID {
	return setID{gen: gen, pass: a == tocsin.Pass, six: p.Addr().Is6(), bits: p.Bits()}
}

func (f *Filter) set(id setID) *nftables.Set {
	s := &nftables.Set{Table: f.table, ID: id.number(), Name: id.String(), KeyType: nftables.TypeIPAddr, HasTimeout: true}
	if id.six {
		s.KeyType = nftables.TypeIP6Addr
	}
	return s
}

func (f *Filter) chain(name string) *nftables.Chain {
	return &nftables.Chain{Name: name, Table: f.table}
}

func (f *Filter) rule(chain string, exprs ...expr.Any) {
	f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: f.chain(chain), Exprs: exprs})
}

// skeleton queues what does not depend on the rules. The gate stands behind
// connection tracking, or replies to connections of this device could not be
// told from what an attacker sends; and before routing, so that forwarded
// traffic passes it too. hooked makes the gate see packets; a probe need not.
func (f *Filter) skeleton(hooked bool) {
	f.conn.AddTable(f.table)
	for _, name := range []string{chainMarker, chainV4, chainV6, chainCaught} {
		f.conn.AddChain(f.chain(name))
	}
	gate := f.chain(chainGate)
	if hooked {
		accept := nftables.ChainPolicyAccept
		gate.Type, gate.Policy = nftables.ChainTypeFilter, &accept
		gate.Hooknum, gate.Priority = nftables.ChainHookPrerouting, nftables.ChainPriorityMangle
	}
	f.conn.AddChain(gate)
	for _, name := range []string{chainGate, chainCaught} {
		f.conn.FlushChain(f.chain(name))
	}
	f.when(expr.MetaKeyIIFTYPE, native16(unix.ARPHRD_LOOPBACK), verdict(expr.VerdictAccept, ""))
	f.when(expr.MetaKeyNFPROTO, []byte{unix.NFPROTO_IPV4}, verdict(expr.VerdictGoto, chainV4))
	f.when(expr.MetaKeyNFPROTO, []byte{unix.NFPROTO_IPV6}, verdict(expr.VerdictGoto, chainV6))
	f.caught()
}

// when queues a rule of the gate for packets with a property.
func (f *Filter) when(key expr.MetaKey, is []byte, do expr.Any) {
	f.rule(chainGate, &expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: is}, do)
}

// caught queues what becomes of packets from blocked sources: neighbours may
// ask who has our address, or a block that holds the router cuts off everybody
// behind it; replies pass, and spared ports; the rest is sampled and
// dropped.
func (f *Filter) caught() {
	f.rule(chainCaught,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{routerSolicit}, ToData: []byte{redirect}},
		verdict(expr.VerdictAccept, ""),
	)
	f.rule(chainCaught,
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{1}},
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: native32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: native32(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: native32(0)},
		verdict(expr.VerdictAccept, ""),
	)
	if f.spares {
		for _, port := range f.opt.Spare {
			f.spare(port)
		}
	}
	if f.sampled {
		f.rule(chainCaught,
			&expr.Limit{Type: expr.LimitTypePkts, Rate: f.opt.SampleRate, Unit: expr.LimitTimeSecond, Burst: uint32(min(2*f.opt.SampleRate, 1<<20))},
			&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN, Group: f.opt.Group, Snaplen: snap},
		)
	}
	f.rule(chainCaught, &expr.Counter{}, verdict(expr.VerdictDrop, ""))
}

// spare queues that blocked sources may use a TCP port of this machine: what
// belongs to a connection passes, what begins one so often only.
func (f *Filter) spare(port uint16) {
	known := []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native32(expr.CtStateBitESTABLISHED), Xor: native32(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: native32(0)},
	}
	seldom := []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: spareRate, Unit: expr.LimitTimeSecond, Burst: 2 * spareRate}}
	for _, which := range [][]expr.Any{known, seldom} {
		exprs := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, port)},
			// Not those that machines behind this one have under the same number.
			&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native32(unix.RTN_LOCAL)},
		}
		f.rule(chainCaught, append(append(exprs, which...), verdict(expr.VerdictAccept, ""))...)
	}
}

// generation queues the empty chains of one generation of rules.
func (f *Filter) generation(gen int) {
	for _, pass := range []bool{true, false} {
		for _, six := range []bool{true, false} {
			f.conn.AddChain(f.chain(genChain(pass, six, gen)))
		}
	}
}

// dispatch queues that the generations given are in force, and no others: the
// passes of all of them first.
func (f *Filter) dispatch(gens ...int) {
	for _, six := range []bool{false, true} {
		name := chainV4
		if six {
			name = chainV6
		}
		f.conn.FlushChain(f.chain(name))
		for _, pass := range []bool{true, false} {
			for _, g := range gens {
				f.rule(name, verdict(expr.VerdictJump, genChain(pass, six, g)))
			}
		}
	}
}

// addSet queues a set and the rule that looks it up.
func (f *Filter) addSet(id setID) error {
	if err := f.conn.AddSet(f.set(id), nil); err != nil {
		return err
	}
	proto, offset, length := byte(unix.NFPROTO_IPV4), uint32(12), 4
	if id.six {
		proto, offset, length = unix.NFPROTO_IPV6, 8, 16
	}
	exprs := []expr.Any{
		// Known here already, but without it nft shows bytes instead of addresses.
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(length)},
	}
	if id.bits < 8*length {
		exprs = append(exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(length),
			Mask: net.CIDRMask(id.bits, 8*length), Xor: make([]byte, length)})
	}
	do := verdict(expr.VerdictGoto, chainCaught)
	if id.pass {
		do = verdict(expr.VerdictAccept, "")
	}
	f.rule(id.chain(), append(exprs, &expr.Lookup{SourceRegister: 1, SetName: id.String()}, do)...)
	return nil
}

// dropGeneration queues the removal of a generation that is not in force.
func (f *Filter) dropGeneration(gen int, s state) {
	for _, pass := range []bool{true, false} {
		for _, six := range []bool{true, false} {
			c := f.chain(genChain(pass, six, gen))
			f.conn.AddChain(c) // or its removal is an error where somebody was first
			f.conn.FlushChain(c)
			f.conn.DelChain(c)
		}
	}
	for id := range s.sets {
		if id.gen == gen {
			f.conn.DelSet(f.set(id))
		}
	}
}

// Neighbour discovery, first and last type of ICMPv6 (RFC 4861).
const routerSolicit, redirect = 133, 137

// spareRate is how many packets a second may begin a connection to a spared port.
const spareRate = 20

// snap is how much of a dropped packet is copied: enough for its source.
const snap = 64

func native16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func verdict(k expr.VerdictKind, chain string) expr.Any { return &expr.Verdict{Kind: k, Chain: chain} }
