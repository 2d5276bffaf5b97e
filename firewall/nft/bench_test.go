package nft

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// addr returns the i-th of 16 M addresses; which ones makes no difference to a
// kernel that no packet reaches.
func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24|uint32(i))))
}

func blocks(n int) iter.Seq[tocsin.Rule] {
	until := time.Now().Add(24 * time.Hour)
	return func(yield func(tocsin.Rule) bool) {
		for i := range n {
			if !yield(tocsin.Rule{Prefix: netip.PrefixFrom(addr(i), 32), Action: tocsin.Block, Until: until}) {
				return
			}
		}
	}
}

// bare loads n elements with the library alone: what this package is measured
// against.
func bare(b *testing.B, n *testnet.Net, count int) {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(n.Device.NS()),
		nftables.WithSockOptions(func(nl *netlink.Conn) error { return nl.SetWriteBuffer(8 << 20) }))
	if err != nil {
		b.Fatal(err)
	}
	defer c.CloseLasting()
	t := c.AddTable(&nftables.Table{Name: "bare", Family: nftables.TableFamilyINet})
	s := &nftables.Set{Table: t, Name: "s", KeyType: nftables.TypeIPAddr, HasTimeout: true}
	if err := c.AddSet(s, nil); err != nil {
		b.Fatal(err)
	}
	es := make([]nftables.SetElement, 0, perFlush)
	for i := range count {
		es = append(es, nftables.SetElement{Key: addr(i).AsSlice(), Timeout: 24 * time.Hour})
		if len(es) < perFlush && i < count-1 {
			continue
		}
		for part := range slices.Chunk(es, perCall) {
			if err := c.SetAddElements(s, part); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			b.Fatal(err)
		}
		es = es[:0]
	}
}

// BenchmarkLoad loads rules into an empty table, in turn with the library
// alone; the ratio of the two is what counts.
func BenchmarkLoad(b *testing.B) {
	for _, count := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			var ours, theirs time.Duration
			for b.Loop() {
				b.StopTimer()
				n := testnet.New(b)
				start := time.Now()
				bare(b, n, count)
				theirs += time.Since(start)
				n.Close()
				n = testnet.New(b)
				f := open(b, n, Options{KeepSockets: true})
				b.StartTimer()
				start = time.Now()
				if err := f.Replace(b.Context(), blocks(count)); err != nil {
					b.Fatal(err)
				}
				ours += time.Since(start)
				b.StopTimer()
				if held, err := f.Holds(b.Context(), netip.PrefixFrom(addr(count-1), 32)); !held || err != nil {
					b.Fatal("last rule: ", held, err)
				}
				if err := f.Clear(b.Context()); err != nil {
					b.Fatal(err)
				}
				f.Close()
				n.Close()
				b.StartTimer()
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "s/load")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-bare")
		})
	}
}

// full returns a filter with count rules in force.
func full(b *testing.B, count int) *Filter {
	f := open(b, testnet.New(b), Options{KeepSockets: true})
	if err := f.Replace(b.Context(), blocks(count)); err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkAddOneInto1M(b *testing.B) {
	f := full(b, 1_000_000)
	b.ReportAllocs()
	i := 1_000_000
	var took []time.Duration
	for b.Loop() {
		r := tocsin.Rule{Prefix: netip.PrefixFrom(addr(i), 32), Action: tocsin.Block, Until: time.Now().Add(time.Hour)}
		start := time.Now()
		if err := f.Change(b.Context(), tocsin.Change{Add: []tocsin.Rule{r}}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		i++
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

func BenchmarkHoldsIn1M(b *testing.B) {
	f := full(b, 1_000_000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if held, err := f.Holds(b.Context(), netip.PrefixFrom(addr(i%1_000_000), 32)); !held || err != nil {
			b.Fatal(held, err)
		}
		i += 7919
	}
}

func BenchmarkReplace100k(b *testing.B) {
	f := full(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Replace(b.Context(), blocks(100_000)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChange20k(b *testing.B) {
	rules := slices.Collect(blocks(20_000))
	for name, c := range map[string]tocsin.Change{"renew": {Add: rules}, "remove": {Remove: rules}} {
		b.Run(name, func(b *testing.B) {
			f := full(b, 20_000)
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Change(b.Context(), c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPacket is what one datagram costs sender, cable and receiver
// together, which run in one system call: passing and dropped, with and without
// us, and dropped before connection tracking for comparison.
func BenchmarkPacket(b *testing.B) {
	source, free := netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("203.0.113.1")
	rules := slices.Collect(blocks(100_000))
	for i, bits := range []int{32, 24, 16, 22} { // four lengths in use
		a := netip.AddrFrom4([4]byte{198, byte(18 + i%2), byte(64 * (i / 2)), 1})
		rules = append(rules, tocsin.Rule{Prefix: netip.PrefixFrom(a, bits), Action: tocsin.Block, Until: time.Now().Add(time.Hour)})
	}
	for _, bb := range []struct {
		name string
		from netip.Addr
		set  func(b *testing.B, n *testnet.Net)
	}{
		{"no-filter", free, func(*testing.B, *testnet.Net) {}},
		{"tracked-only", free, func(b *testing.B, n *testnet.Net) {
			nft(b, n, "table inet t {\n chain c { type filter hook input priority 0; ct state invalid counter; }\n}")
		}},
		{"pass", free, func(b *testing.B, n *testnet.Net) { replace(b, n, rules) }},
		{"drop", source, func(b *testing.B, n *testnet.Net) { replace(b, n, rules) }},
		{"drop-before-tracking", source, func(b *testing.B, n *testnet.Net) {
			replace(b, n, nil)
			nft(b, n, "table inet early {\n set s { type ipv4_addr; elements = { 198.18.0.1 }; }\n chain c { type filter hook prerouting priority -300; ip saddr @s drop; }\n}")
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			n := testnet.New(b)
			at, err := n.Device.ListenUDP(netip.AddrPortFrom(testnet.Device4, 0))
			if err != nil {
				b.Fatal(err)
			}
			defer at.Close()
			bb.set(b, n)
			c, err := n.World.Dial(b.Context(), "udp", bb.from, netip.MustParseAddrPort(at.LocalAddr().String()))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			for b.Loop() {
				if _, err := c.Write([]byte("x")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((threadTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func replace(b *testing.B, n *testnet.Net, rules []tocsin.Rule) {
	f := open(b, n, Options{KeepSockets: true})
	if err := f.Replace(b.Context(), slices.Values(rules)); err != nil {
		b.Fatal(err)
	}
}

// threadTime returns the processor time of the calling thread: other load on
// the machine does not count.
func threadTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
