package iptables

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// botnet returns n block rules all over IPv4, as a botnet is spread, but for
// the addresses of the test network.
func botnet(n int, life time.Duration) []tocsin.Rule {
	r := rand.New(rand.NewPCG(1, 2))
	until := time.Now().Add(life)
	seen := map[netip.Prefix]bool{}
	for len(seen) < n {
		a := netip.AddrFrom4([4]byte{byte(1 + r.IntN(222)), byte(r.IntN(256)), byte(r.IntN(256)), byte(1 + r.IntN(254))})
		if a.As4()[0] != 127 && !testnetHas(a) {
			seen[netip.PrefixFrom(a, 32)] = true
		}
	}
	var rules []tocsin.Rule
	for p := range seen {
		rules = append(rules, tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: until})
	}
	return rules
}

func testnetHas(a netip.Addr) bool {
	return netip.MustParsePrefix("192.0.2.0/24").Contains(a) ||
		slices.ContainsFunc(testnet.Anywhere, func(p netip.Prefix) bool { return p.Contains(a) })
}

// BenchmarkPassing measures traffic that no rule names: echoes of small UDP
// datagrams over a cable, the worst case of a filter since its work is by packet,
// through a device without rules, with 20,000 rules in the tree, and with the
// same in one list as fail2ban makes them. The device "tracked" has no rules, but
// the kernel's connection tracking is on, as on every device with containers or a
// vendor's firewall: what the tree costs beyond it. The device "again" is like
// "none": how far it is from 1 is how far to trust the others.
//
// Each figure is the median of the ratios within a round. The order within a
// round is drawn anew: whoever follows the list finds cold caches and a slow
// clock, and would pay for it every time.
func BenchmarkPassing(b *testing.B) {
	rules := botnet(20_000, time.Hour)
	lanes := []*lane{newLane(b, "none"), newLane(b, "again"), newLane(b, "tree"), newLane(b, "linear"), newLane(b, "tracked")}
	none, again, tree, list, tracked := lanes[0], lanes[1], lanes[2], lanes[3], lanes[4]
	f := tree.open(b, Options{})
	if err := f.Replace(b.Context(), slices.Values(rules)); err != nil {
		b.Fatal(err)
	}
	list.load(b, linear(rules))
	tracked.load(b, "*mangle\n:X - [0:0]\n-A X -m conntrack --ctdir REPLY -j RETURN\nCOMMIT\n")
	r := rand.New(rand.NewPCG(3, 4))
	oneProcessor(b)
	b.ResetTimer()
	for b.Loop() {
		for _, i := range r.Perm(len(lanes)) {
			lanes[i].round(b)
		}
	}
	for _, l := range []*lane{again, tree, list, tracked} {
		b.ReportMetric(l.to(none), l.name+"/none")
	}
	b.ReportMetric(tree.to(tracked), "tree/tracked")
	b.ReportMetric(middle(none.rates), "none-echoes/s")
	b.ReportMetric(0, "ns/op") // a round has no meaning of its own
}

// oneProcessor keeps the benchmark where it is: what the kernel keeps for each
// processor stays warm, and a datagram is not carried from one to another.
func oneProcessor(b *testing.B) {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		b.Fatal(err)
	}
	for i := 0; one.Count() == 0; i++ {
		if all.IsSet(i) {
			one.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &all); err != nil {
			b.Error(err)
		}
	})
}

// linear is the list that others make, in the same place of the packet's way.
func linear(rules []tocsin.Rule) string {
	var s strings.Builder
	s.WriteString("*mangle\n")
	for _, r := range rules {
		fmt.Fprintf(&s, "-A PREROUTING -s %v -j DROP\n", r.Prefix)
	}
	s.WriteString("COMMIT\n")
	return s.String()
}

// A lane is one network of the comparison: a client in the world, and a server
// in the device.
type lane struct {
	bench
	name   string
	client net.Conn
	server *net.UDPConn
	rates  []float64 // echoes a second, by round
}

func newLane(b *testing.B, name string) *lane {
	l := &lane{bench: newBench(b), name: name}
	at := netip.AddrPortFrom(testnet.Device4, 7)
	var err error
	if l.server, err = l.Device.ListenUDP(at); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.server.Close() })
	if l.client, err = l.World.Dial(b.Context(), "udp", netip.MustParseAddr("203.0.113.7"), at); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.client.Close() })
	return l
}

func (l *lane) load(b *testing.B, input string) {
	cmd := l.command(b.Context(), "iptables-legacy-restore", "--noflush")
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}

// round exchanges echoes, a few on their way at a time. One goroutine plays both
// ends: the kernel carries a datagram to the other end before the call that sends
// it returns, so no scheduler is measured.
func (l *lane) round(b *testing.B) {
	const bursts, window = 16, 16
	buf := make([]byte, 64)
	start := time.Now()
	must := func(err error) {
		if err != nil {
			b.Fatalf("%s: %v", l.name, err)
		}
	}
	must(l.client.SetDeadline(start.Add(time.Minute)))
	must(l.server.SetDeadline(start.Add(time.Minute)))
	for range bursts {
		for range window {
			_, err := l.client.Write(buf[:32])
			must(err)
		}
		for range window {
			n, from, err := l.server.ReadFromUDPAddrPort(buf)
			must(err)
			_, err = l.server.WriteToUDPAddrPort(buf[:n], from)
			must(err)
		}
		for range window {
			_, err := l.client.Read(buf)
			must(err)
		}
	}
	l.rates = append(l.rates, bursts*window/time.Since(start).Seconds())
}

// to is the rate of l to that of other, round by round: a machine that is busy
// is busy for both.
func (l *lane) to(other *lane) float64 {
	ratios := make([]float64, len(l.rates))
	for i := range ratios {
		ratios[i] = l.rates[i] / other.rates[i]
	}
	return middle(ratios)
}

func middle(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// BenchmarkReplace20k loads 20,000 rules into a kernel that has none of them.
func BenchmarkReplace20k(b *testing.B) {
	f := newBench(b).open(b, Options{})
	rules := botnet(20_000, time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Replace(b.Context(), slices.Values(rules)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := f.Clear(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkAddOne adds one rule to few and to many.
func BenchmarkAddOne(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprint("to ", n), func(b *testing.B) {
			f := newBench(b).open(b, Options{})
			if err := f.Replace(b.Context(), slices.Values(botnet(n, time.Hour))); err != nil {
				b.Fatal(err)
			}
			one := tocsin.Rule{Prefix: netip.MustParsePrefix("203.0.113.0/32"), Action: tocsin.Block, Until: time.Now().Add(time.Hour)}
			b.ReportAllocs()
			for b.Loop() {
				one.Prefix = netip.PrefixFrom(one.Prefix.Addr().Next(), 32)
				if err := f.Change(b.Context(), tocsin.Change{Add: []tocsin.Rule{one}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHolds asks the kernel for one of many.
func BenchmarkHolds(b *testing.B) {
	f := newBench(b).open(b, Options{})
	rules := botnet(20_000, time.Hour)
	if err := f.Replace(b.Context(), slices.Values(rules)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if held, err := f.Holds(b.Context(), rules[77].Prefix); !held || err != nil {
			b.Fatal(held, err)
		}
	}
}
