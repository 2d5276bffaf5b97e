package quorum

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// BenchmarkObserve takes sightings of a million sources by devices of one owner
// and of three hundred, in no order, one by one and in batches that are told
// beforehand. It counts processor time, as the machine may be shared.
func BenchmarkObserve(b *testing.B) {
	for _, owners := range []int{1, 300} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("owners=%d/batch=%d", owners, batch), func(b *testing.B) { benchmarkObserve(b, owners, batch) })
		}
	}
}

func benchmarkObserve(b *testing.B, owners, batch int) {
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
	next := make([]tocsin.Received, batch)
	observe := func(source func(i int) uint32) {
		for i := range next {
			r := pool[n%len(pool)]
			s := source(i)
			r.Source = netip.PrefixFrom(netip.AddrFrom4([4]byte{16, byte(s >> 16), byte(s >> 8), byte(s)}), 32)
			r.At = day0.Add(time.Duration(n) * 3 * time.Microsecond)
			r.First, r.Last = r.At, r.At
			next[i] = r
			n++
		}
		if batch > 1 {
			tally.Warm(next)
		}
		for i := range next {
			ruled += len(tally.Observe(next[i]))
		}
	}
	for n < sources {
		start := uint32(n)
		observe(func(i int) uint32 { return start + uint32(i) })
	}
	b.ReportAllocs()
	start, processor := n, used()
	for b.Loop() {
		observe(func(int) uint32 { return rng.Uint32N(sources) })
	}
	b.ReportMetric(float64(n-start)/(used()-processor).Seconds(), "sightings/s")
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	b.ReportMetric(float64(ruled), "rulings")
	runtime.KeepAlive(tally)
}

// used is the processor time that this process has used.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
