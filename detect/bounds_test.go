package detect

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// v4 returns the ith of four thousand million addresses.
func v4(i uint32) netip.AddrPort {
	i = i*2654435761 | 1
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i>>24)&0x7f | 1, byte(i >> 16), byte(i >> 8), byte(i)}), 40000)
}

// TestTenMillionSources: whatever an attacker sends, memory stays where it is.
func TestTenMillionSources(t *testing.T) {
	n := uint32(10_000_000)
	if testing.Short() || raceEnabled {
		n /= 20
	}
	p := Default()
	p.Sources = 100_000
	d := New(p)
	a := attempt("F root", attacker, day)
	name := []byte("account-00000000")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range n {
		a.Source = v4(i)
		if i%8 == 0 {
			for j, x := 8, i; j < 16; j, x = j+1, x>>4 {
				name[j] = 'a' + byte(x&15)
			}
			a.Account = string(name)
		}
		a.Outcome = tocsin.Failure
		if i%16 == 5 {
			a.Outcome = tocsin.Success
		}
		d.Observe(a, false)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if d.Len() > d.Cap() || d.Cap() != p.Sources {
		t.Errorf("%d sources, cap %d", d.Len(), d.Cap())
	}
	const most = 100_000*130 + 6<<20
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); d.Bytes() > most || grown > most {
		t.Errorf("holds %d bytes, grew by %d, want at most %d", d.Bytes(), grown, most)
	}
}

// TestOneMillionSources holds the promise: a million sources, with everything
// else filled as well, in 128 MiB.
func TestOneMillionSources(t *testing.T) {
	p := Default()
	p.Sources = 1_000_000
	d := New(p)
	a := attempt("F root", attacker, day)
	for i := range uint32(2_100_000) {
		a.Source, a.Outcome = v4(i), tocsin.Failure
		if i%20 == 0 {
			a.Outcome = tocsin.Success
		}
		d.Observe(a, false)
	}
	if d.Len() != 1_000_000 || d.Bytes() > 128<<20 {
		t.Errorf("%d sources in %d bytes, want a million in at most %d", d.Len(), d.Bytes(), 128<<20)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	d := New(Default())
	a := attempt("F root", attacker, day)
	i := uint32(0)
	for range 70_000 {
		i++
		a.Source = v4(i)
		d.Observe(a, false)
	}
	if n := testing.AllocsPerRun(1000, func() {
		i++
		a.Source = v4(i)
		d.Observe(a, false)
		a.Outcome = tocsin.Success
		d.Observe(a, false)
		a.Outcome = tocsin.Probe
		d.Observe(a, false)
		a.Outcome = tocsin.Failure
	}); n > 0.1 {
		t.Errorf("%v allocations for each attempt", n)
	}
}

// TestResultsAreBounded runs wild traffic and checks what is always true.
func TestResultsAreBounded(t *testing.T) {
	p := smallPolicy()
	for seed := range uint64(20) {
		d := New(p)
		traffic(seed, 2000, func(a tocsin.Attempt, blocked bool) { checkResult(t, a, d.Observe(a, blocked)) })
		if d.Len() > p.Sources || d.successes.Len() > p.Successes || d.sprayed.Len() > p.Accounts {
			t.Fatal("a table is over its cap")
		}
	}
}

// TestSameAttemptsSameDecisions: nothing but the attempts matters.
func TestSameAttemptsSameDecisions(t *testing.T) {
	x, y := New(smallPolicy()), New(smallPolicy())
	traffic(5, 5000, func(a tocsin.Attempt, blocked bool) {
		if r, s := x.Observe(a, blocked), y.Observe(a, blocked); r != s {
			t.Fatalf("%+v: %+v and %+v", a, r, s)
		}
	})
}

func benchmark(b *testing.B, sources uint32) {
	p := Default()
	p.Sources = max(int(sources), p.Sources)
	if sources > 1_000_000 {
		p.Sources = 1_000_000
	}
	d := New(p)
	a := attempt("F root", attacker, day)
	for i := range min(sources, uint32(p.Sources)) {
		a.Source = v4(i)
		d.Observe(a, false)
	}
	b.ReportAllocs()
	var i, n uint32
	for b.Loop() {
		i = i*1664525 + 1013904223
		a.Source = v4(i % sources)
		if n++; n&1023 == 0 {
			a.At = a.At.Add(time.Second)
		}
		d.Observe(a, false)
	}
	b.ReportMetric(float64(d.Bytes())/float64(d.Len()), "B/source")
}

// BenchmarkObserve comes back to the sources in no order at all: the worst for
// the caches.
func BenchmarkObserve(b *testing.B) {
	b.Run("4k", func(b *testing.B) { benchmark(b, 4_000) })
	b.Run("40k", func(b *testing.B) { benchmark(b, 40_000) })
	b.Run("400k", func(b *testing.B) { benchmark(b, 400_000) })
	b.Run("1M", func(b *testing.B) { benchmark(b, 1_000_000) })
	b.Run("10M", func(b *testing.B) { benchmark(b, 10_000_000) })
}
