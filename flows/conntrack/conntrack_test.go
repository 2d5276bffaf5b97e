package conntrack

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	vnetlink "github.com/vishvananda/netlink"

	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

var own = netip.MustParseAddr("192.0.2.1")

// attr builds one attribute; nested ones are concatenated values.
func attr(kind uint16, values ...[]byte) []byte {
	var value []byte
	for _, v := range values {
		value = append(value, v...)
	}
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// message builds one message as the kernel sends it.
func message(kind uint16, from, to string, protocol uint8, more ...[]byte) netlink.Message {
	f, t := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	src, dst := uint16(ip4Src), uint16(ip4Dst)
	if f.Addr().Is6() {
		src, dst = ip6Src, ip6Dst
	}
	const nested = 1 << 15
	data := append([]byte{2, 0, 0, 0}, attr(ctaTupleOrig|nested,
		attr(tupleIP|nested, attr(src, f.Addr().AsSlice()), attr(dst, t.Addr().AsSlice())),
		attr(tupleProto|nested, attr(protoNum, []byte{protocol}), attr(protoSrc, be16(f.Port())), attr(protoDst, be16(t.Port()))),
	)...)
	for _, m := range more {
		data = append(data, m...)
	}
	return netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
}

func tracked(c Config) (*tracker, *[]contact.Flow, func(contact.Flow)) {
	c.Own = func(a netip.Addr) bool { return a == own || a.Is6() && a.IsGlobalUnicast() && a.As16()[5] == 1 }
	var list []contact.Flow
	t := &tracker{config: c, open: map[tuple]*opened{}}
	return t, &list, func(f contact.Flow) { list = append(list, f) }
}

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

func TestConnectionEnds(t *testing.T) {
	tr, list, sink := tracked(DefaultConfig())
	tr.message(message(msgNew, "192.0.2.1:40000", "203.0.113.7:4433", tcp), noon, sink)
	tr.message(message(msgDelete, "192.0.2.1:40000", "203.0.113.7:4433", tcp,
		attr(ctaStatus, be32(seenReply|assured)),
		attr(ctaCountersOrig, attr(1, be64(3)), attr(countersBytes, be64(300))),
		attr(ctaCountersReply, attr(1, be64(2)), attr(countersBytes, be64(200)))), noon.Add(time.Minute), sink)
	want := contact.Flow{
		From: own, To: netip.MustParseAddrPort("203.0.113.7:4433"), Protocol: tcp,
		Start: noon, End: noon.Add(time.Minute), Sent: 300, Received: 200,
	}
	if len(*list) != 1 || (*list)[0] != want {
		t.Errorf("got %+v, want %+v", *list, want)
	}
	if len(tr.open) != 0 || !tr.next().IsZero() {
		t.Error("an ended connection is remembered")
	}
}

func TestRefusedAndUnanswered(t *testing.T) {
	for _, tt := range []struct {
		name     string
		protocol uint8
		status   uint32
		want     bool
	}{
		{"TCP without an answer", tcp, 0, true}, {"TCP refused", tcp, seenReply, true}, {"TCP open", tcp, seenReply | assured, false},
		{"UDP without an answer", udp, 0, true}, {"UDP answered", udp, seenReply, false},
	} {
		tr, list, sink := tracked(DefaultConfig())
		tr.message(message(msgDelete, "[2001:db8:1::1]:40000", "[2001:db8:9::7]:1", tt.protocol, attr(ctaStatus, be32(tt.status)),
			attr(ctaTimestamp, attr(timestampStart, be64(uint64(noon.Add(-time.Hour).UnixNano()))))), noon, sink)
		if len(*list) != 1 || (*list)[0].Failed != tt.want || !(*list)[0].Start.Equal(noon.Add(-time.Hour)) {
			t.Errorf("%s: got %+v", tt.name, *list)
		}
	}
}

func TestOnlyOutgoingAndPublic(t *testing.T) {
	tr, list, sink := tracked(DefaultConfig())
	for _, way := range [][2]string{
		{"203.0.113.7:4433", "192.0.2.1:22"}, {"192.0.2.1:40000", "192.168.1.1:53"}, {"192.0.2.1:40000", "192.0.2.1:80"},
		{"10.0.3.2:40000", "203.0.113.7:4433"}, {"192.0.2.1:5353", "224.0.0.251:5353"},
	} {
		tr.message(message(msgNew, way[0], way[1], udp), noon, sink)
		tr.message(message(msgDelete, way[0], way[1], udp), noon, sink)
	}
	tr.message(message(msgDelete, "192.0.2.1:8", "203.0.113.7:0", 1), noon, sink)
	if len(*list)+len(tr.open) != 0 {
		t.Errorf("got %+v", *list)
	}
}

// A connection that goes on is told of again, marked so; its end too.
func TestLongConnection(t *testing.T) {
	tr, list, sink := tracked(DefaultConfig())
	tr.message(message(msgNew, "192.0.2.1:40000", "203.0.113.7:4433", tcp), noon, sink)
	if tr.due(noon.Add(14*time.Minute)) || !tr.due(noon.Add(15*time.Minute)) {
		t.Error("due: want after 15 minutes")
	}
	tr.tell(noon.Add(15*time.Minute), sink)
	tr.tell(noon.Add(30*time.Minute), sink)
	tr.message(message(msgDelete, "192.0.2.1:40000", "203.0.113.7:4433", tcp), noon.Add(31*time.Minute), sink)
	if len(*list) != 3 || (*list)[0].Again || !(*list)[1].Again || !(*list)[2].Again || (*list)[2].End.Sub((*list)[2].Start) != 31*time.Minute {
		t.Errorf("got %+v", *list)
	}
}

// Whoever opens many connections costs no more than the bounds.
func TestBounds(t *testing.T) {
	tr, list, sink := tracked(Config{PerSecond: 10, Open: 5, Every: time.Minute})
	var s Stats
	for i := range 100 {
		from := netip.AddrPortFrom(own, uint16(1000+i)).String()
		s.Left += tr.message(message(msgNew, from, "203.0.113.7:4433", tcp), noon, sink).Left
	}
	if len(tr.open) != 5 || s.Left != 95 {
		t.Errorf("got %d open, %d left", len(tr.open), s.Left)
	}
	for i := range 100 {
		from := netip.AddrPortFrom(own, uint16(1000+i)).String()
		tr.message(message(msgDelete, from, "203.0.113.7:4433", tcp), noon.Add(time.Second), sink)
	}
	if len(*list) != 15 || len(tr.open) != 0 {
		t.Errorf("got %d flows, want the 5 remembered and 10 of that second; %d open", len(*list), len(tr.open))
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(msgNew, "192.0.2.1:40000", "203.0.113.7:4433", tcp).Data)
	f.Add(message(msgDelete, "[2001:db8::1]:1", "[2001:db8::2]:2", udp, attr(ctaStatus, be32(2))).Data)
	f.Add([]byte{2, 0, 0, 0, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, ok := parse(data)
		if !ok {
			return
		}
		for _, a := range []netip.Addr{e.from.Addr(), e.to.Addr()} {
			if !a.IsValid() || a.Is4In6() {
				t.Errorf("address %v: want a plain one", a)
			}
		}
		if e.protocol != tcp && e.protocol != udp && e.protocol != sctp {
			t.Errorf("protocol %d", e.protocol)
		}
	})
}

// The kernel tells of what the device opens to servers of the world, and not of
// what the world opens to the device.
func TestRealKernel(t *testing.T) {
	n := testnet.New(t)
	track(t, n.Device)
	if err := n.Device.Sysctl("net/netfilter/nf_conntrack_acct", "1"); err != nil {
		t.Fatal(err)
	}
	served := netip.MustParseAddrPort("203.0.113.7:4433")
	six := netip.MustParseAddrPort("[2001:db8:77::7]:4433")
	refused := netip.MustParseAddrPort("198.51.100.9:81")
	at := netip.AddrPortFrom(testnet.Device4, 2222)
	serve(t, n.World, served)
	serve(t, n.World, six)
	serve(t, n.Device, at)
	var r *Reader
	err := n.Device.Do(func() (err error) {
		r, err = Open(Config{Own: func(a netip.Addr) bool { return a == testnet.Device4 || a == testnet.Device6 }})
		if err == nil && !CountsBytes() {
			t.Error("nf_conntrack_acct is on: got off")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	flows := make(chan contact.Flow, 1000)
	done := make(chan error, 1)
	go func() { done <- r.Read(ctx, func(f contact.Flow) { flows <- f }) }()
	got := map[netip.AddrPort]contact.Flow{}
	book := contact.NewBook(contact.Limits{})
	knock := time.NewTicker(100 * time.Millisecond) // what comes before the groups are joined is not told of
	defer knock.Stop()
	for len(got) < 3 {
		select {
		case f := <-flows:
			if f.Failed == (f.To == refused) { // what is cut while it opens looks refused
				got[f.To] = f
				book.Add("nas-1", f)
			}
		case <-knock.C:
			end(t, n.Device)
			for _, to := range []netip.AddrPort{served, six, refused} {
				talk(n.Device, ctx, to)
			}
			talk(n.World, ctx, at)
			talk(n.Device, ctx, netip.AddrPortFrom(testnet.Device4, 2222)) // its own
		case err := <-done:
			t.Fatalf("Read ended: %v, with %v", err, got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Read after its context ended: %v", err)
	}
	for _, to := range []netip.AddrPort{served, six, refused} {
		f := got[to]
		if f.Sent == 0 || f.Protocol != tcp || f.End.Before(f.Start) || time.Since(f.Start) > time.Minute {
			t.Errorf("%v: got %+v", to, f)
		}
	}
	if list := book.TakeAll(); len(list) != 3 || list[0].Count == 0 {
		t.Errorf("contacts: got %+v", list)
	}
	if r.Stats().Told < 3 {
		t.Errorf("got %+v", r.Stats())
	}
}

// track has the kernel track connections, as a rule of the firewall does that
// asks for their state.
func track(t *testing.T, h *testnet.Host) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(h.NS()))
	if err != nil {
		t.Fatal(err)
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "track"})
	chain := c.AddChain(&nftables.Chain{
		Name: "out", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Counter{},
	}})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// end makes the kernel forget every connection, which ends it: by itself it may
// take a minute to notice that a time ran out.
func end(t *testing.T, h *testnet.Host) {
	t.Helper()
	if err := h.Do(func() error { return vnetlink.ConntrackTableFlush(vnetlink.ConntrackTable) }); err != nil {
		t.Error(err)
	}
}

func serve(t *testing.T, h *testnet.Host, at netip.AddrPort) {
	t.Helper()
	l, err := h.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello")) //nolint:errcheck // who hung up needs no greeting
			c.Close()
		}
	}()
}

func talk(h *testnet.Host, ctx context.Context, to netip.AddrPort) {
	c, err := h.Dial(ctx, "tcp", netip.Addr{}, to)
	if err != nil {
		return // refused, as it should be
	}
	var b [5]byte
	_, _ = c.Read(b[:])
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // ends at once
	}
	c.Close()
}
