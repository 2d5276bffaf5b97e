package compromise_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

func netipFrom(i int) netip.Prefix {
	a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
	return netip.PrefixFrom(a, 32)
}

// fan is one contact to each of n destinations, step apart.
func fan(n int, port uint16, step time.Duration, fails int) (all []tocsin.Contact) {
	for i := range n {
		c := contact("nas", fmt.Sprintf("%s:%d", netipFrom(i).Addr(), port), time.Duration(i)*step)
		if i < fails {
			c.Failed = 1
		}
		all = append(all, c)
	}
	return all
}

func TestOutgoingScans(t *testing.T) {
	again := contact("nas", "198.18.0.1:22", time.Hour)
	for i := range 200 {
		again.Starts = append(again.Starts, tocsin.Start{At: at(time.Hour + time.Duration(i)*time.Second)})
	}
	udp := fan(100, 22, time.Second, 100)
	for i := range udp {
		udp[i].Protocol = 17
	}
	// One summary of a day each, whose starts tell that they came together.
	summed := fan(60, 23, 0, 0)
	for i := range summed {
		summed[i].First = at(-time.Duration(i) * time.Hour)
		summed[i].Starts = []tocsin.Start{{At: summed[i].First}, {At: at(time.Duration(i) * time.Second)}}
	}
	for _, c := range []struct {
		name string
		in   []tocsin.Contact
		want int
	}{
		{"nothing", nil, 0},
		{"50", fan(50, 22, time.Second, 50), 0},
		{"51", fan(51, 22, time.Second, 0), 1},
		{"51 within 10 minutes", fan(51, 8080, 12*time.Second, 0), 1},
		{"51 within 11 minutes", fan(51, 8080, 13200*time.Millisecond, 0), 0},
		{"web sites that answer", fan(500, 443, time.Second, 2), 0},
		{"web sites that do not", fan(500, 443, time.Second, 400), 1},
		{"other ports", fan(500, 80, time.Second, 500), 0},
		{"one destination often", []tocsin.Contact{again}, 0},
		{"UDP", udp, 0},
		{"by starts", summed, 1},
		{"for three days", fan(3*24*60, 22, time.Minute/10, 0)[:3*24*60], 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			clues := compromise.OutgoingScans(c.in)
			if len(clues) != c.want {
				t.Fatalf("got %d clues, want %d: %v", len(clues), c.want, clues)
			}
			for _, clue := range clues {
				if clue.Fact != tocsin.OutgoingScan || clue.Device != "nas" || clue.Digest == [32]byte{} || clue.Subject == "" {
					t.Errorf("%+v", clue)
				}
			}
			backwards := slices.Clone(c.in)
			slices.Reverse(backwards)
			if diff := cmp.Diff(clues, compromise.OutgoingScans(backwards), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("the order of contacts matters: %s", diff)
			}
		})
	}
	long := compromise.OutgoingScans(fan(2*24*600, 22, 6*time.Second, 0))
	if len(long) != 2 {
		t.Errorf("a scan of two days is told %d times, want once a day", len(long))
	}
}

// TestFewDestinationsAreNoScan: whatever a device does with at most 50
// destinations, among them a controller, it is no scan.
func TestFewDestinationsAreNoScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []tocsin.Contact
		for range rapid.IntRange(0, 200).Draw(t, "contacts") {
			c := contact("nas", fmt.Sprintf("%s:%d", netipFrom(rapid.IntRange(0, 49).Draw(t, "to")).Addr(),
				rapid.SampledFrom([]int{22, 23, 443, 8080, 6667}).Draw(t, "port")), time.Duration(rapid.IntRange(0, 900).Draw(t, "at"))*time.Second)
			c.Failed = rapid.Uint32Range(0, 1).Draw(t, "failed")
			for range rapid.IntRange(0, 100).Draw(t, "starts") {
				c.Starts = append(c.Starts, tocsin.Start{At: c.First.Add(time.Second)})
			}
			all = append(all, c)
		}
		if clues := compromise.OutgoingScans(all); len(clues) != 0 {
			t.Fatalf("got %v", clues)
		}
	})
}

func BenchmarkOutgoingScans(b *testing.B) {
	all := fan(20000, 22, time.Second, 0)
	b.ReportAllocs()
	for b.Loop() {
		compromise.OutgoingScans(all)
	}
}
