package quorum

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// BenchmarkObserve takes sightings of a million sources by devices of one owner
// and of three hundred, in no order.
func BenchmarkObserve(b *testing.B) {
	for _, owners := range []int{1, 300} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) { benchmarkObserve(b, owners) })
	}
}

func benchmarkObserve(b *testing.B, owners int) {
	const sources = 1 << 20
	names := []string{"root", "admin", "#6f3kd02jf8", "ubuntu", "#qpwoeiru"}
	var pool [4096]tocsin.Received
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range pool {
		o := rng.IntN(owners)
		pool[i] = from(told(fmt.Sprint("owner", o), fmt.Sprint("device", o, "-", rng.IntN(10)), evil, 0,
			names[rng.IntN(len(names))], names[rng.IntN(len(names))]), o%200)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tally := New(Default())
	n, ruled := 0, 0
	observe := func(source uint32) {
		r := pool[n%len(pool)]
		r.Source = netip.PrefixFrom(netip.AddrFrom4([4]byte{16, byte(source >> 16), byte(source >> 8), byte(source)}), 32)
		r.At = day0.Add(time.Duration(n) * 3 * time.Microsecond)
		r.First, r.Last = r.At, r.At
		ruled += len(tally.Observe(r))
		n++
	}
	for i := range uint32(sources) {
		observe(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		observe(rng.Uint32N(sources))
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sightings/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	b.ReportMetric(float64(ruled), "rulings")
	runtime.KeepAlive(tally)
}
