package iptables

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

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

// BenchmarkPassing measures traffic that no rule names: echoes a second of UDP
// over a cable, through a device without rules, with 20,000 rules in the tree,
// and with the same in one list as fail2ban makes them. The device "tracked" has
// no rules, but the kernel's connection tracking is on, as on every device with
// containers or a vendor's firewall: what the tree costs beyond it. The rounds take turns,
// so that a busy machine is busy for all.
func BenchmarkPassing(b *testing.B) {
	rules := botnet(20_000, time.Hour)
	lanes := []*lane{newLane(b, "none"), newLane(b, "tree"), newLane(b, "linear"), newLane(b, "tracked")}
	f := lanes[1].open(b, Options{})
	if err := f.Replace(b.Context(), slices.Values(rules)); err != nil {
		b.Fatal(err)
	}
	lanes[2].load(b, linear(rules))
	lanes[3].load(b, "*mangle\n:X - [0:0]\n-A X -m conntrack --ctdir REPLY -j RETURN\nCOMMIT\n")
	b.ResetTimer()
	for b.Loop() {
		for _, l := range lanes {
			l.round(b)
		}
	}
	for _, l := range lanes[1:] {
		b.ReportMetric(undisturbed(l.rates)/undisturbed(lanes[0].rates), l.name+"/none")
	}
	b.ReportMetric(undisturbed(lanes[1].rates)/undisturbed(lanes[3].rates), "tree/tracked")
	b.ReportMetric(undisturbed(lanes[0].rates), "none-echoes/s")
	b.ReportMetric(0, "ns/op") // a round has no meaning of its own
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

// A lane is one network of the comparison, with an echo running in its device.
type lane struct {
	bench
	name  string
	c     net.Conn
	rates []float64
}

func newLane(b *testing.B, name string) *lane {
	l := &lane{bench: newBench(b), name: name}
	s, err := l.Device.ListenUDP(netip.AddrPortFrom(testnet.Device4, 7))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := s.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = s.WriteToUDPAddrPort(buf[:n], from) // a lost echo is sent for again
		}
	}()
	l.c, err = l.World.Dial(b.Context(), "udp", netip.MustParseAddr("203.0.113.7"), netip.AddrPortFrom(testnet.Device4, 7))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.c.Close() })
	return l
}

func (l *lane) load(b *testing.B, input string) {
	cmd := l.command(b.Context(), "iptables-legacy-restore", "--noflush")
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}

// round exchanges echoes, a few on their way at a time.
func (l *lane) round(b *testing.B) {
	const echoes, window = 1000, 16
	buf := make([]byte, 64)
	start := time.Now()
	if err := l.c.SetDeadline(start.Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	for i := range echoes + window {
		if i < echoes {
			if _, err := l.c.Write(buf[:32]); err != nil {
				b.Fatal(err)
			}
		}
		if i >= window {
			if _, err := l.c.Read(buf); err != nil {
				b.Fatalf("%s: echo %d: %v", l.name, i, err)
			}
		}
	}
	l.rates = append(l.rates, echoes/time.Since(start).Seconds())
}

// undisturbed is the rate of a good round: others on the machine only ever make
// a round slower.
func undisturbed(rates []float64) float64 {
	rates = slices.Sorted(slices.Values(rates))
	return rates[len(rates)*9/10]
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
