package detect

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
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
	p.Sources = 20_000
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
		d.Observe(a, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if d.Len() > d.Cap() || d.Cap() != p.Sources {
		t.Errorf("%d sources, cap %d", d.Len(), d.Cap())
	}
	const most = 20_000*130 + 6<<20
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); d.Bytes() > most || grown > most {
		t.Errorf("holds %d bytes, grew by %d, want at most %d", d.Bytes(), grown, most)
	}
}

// TestOneMillionSources holds the promise: a million sources, with everything
// else filled as well, in 128 MiB.
func TestOneMillionSources(t *testing.T) {
	n := 1_000_000
	if raceEnabled {
		n /= 10
	}
	p := Default()
	p.Sources = n
	d := New(p)
	a := attempt("F root", attacker, day)
	for i := range uint32(n*2 + 100_000) {
		a.Source, a.Outcome = v4(i), tocsin.Failure
		if i%20 == 0 {
			a.Outcome = tocsin.Success
		}
		d.Observe(a, nil)
	}
	if d.Len() != n || d.Bytes() > 128<<20 {
		t.Errorf("%d sources in %d bytes, want %d in at most %d", d.Len(), d.Bytes(), n, 128<<20)
	}
}

// TestFloodDoesNotHideTheOwner: a million attackers do not make a device forget
// who got in.
func TestFloodDoesNotHideTheOwner(t *testing.T) {
	p := Default()
	p.Sources = 1000
	p.Instant = []string{"decoy"}
	d := New(p)
	d.Observe(attempt("S margaret", attacker, day), nil)
	a := attempt("F root", attacker, day)
	for i := range uint32(10_000) {
		a.Source = v4(i)
		d.Observe(a, nil)
	}
	if r := d.Observe(attempt("F decoy", attacker, day.Add(time.Hour)), nil); r.Decided {
		t.Errorf("blocked: %v", r.Decision)
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	d := New(Default())
	a := attempt("F root", attacker, day)
	i := uint32(0)
	for range 70_000 {
		i++
		a.Source = v4(i)
		d.Observe(a, nil)
	}
	if n := testing.AllocsPerRun(1000, func() {
		i++
		a.Source = v4(i)
		d.Observe(a, nil)
		a.Outcome = tocsin.Success
		d.Observe(a, nil)
		a.Outcome = tocsin.Probe
		d.Observe(a, nil)
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
		traffic(seed, 2000, func(a tocsin.Attempt, blocked bool) { checkResult(t, a, d.Observe(a, is(blocked))) })
		if d.Len() > p.Sources || d.successes.Len() > p.Successes || d.sprayed.Len() > p.Accounts {
			t.Fatal("a table is over its cap")
		}
	}
}

// TestSameAttemptsSameDecisions: nothing but the attempts matters.
func TestSameAttemptsSameDecisions(t *testing.T) {
	x, y := New(smallPolicy()), New(smallPolicy())
	traffic(5, 5000, func(a tocsin.Attempt, blocked bool) {
		if r, s := x.Observe(a, is(blocked)), y.Observe(a, is(blocked)); r != s {
			t.Fatalf("%+v: %+v and %+v", a, r, s)
		}
	})
}

// cpu returns the processor time taken so far: the machine may have other work.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchmark(b *testing.B, sources uint32, warm bool) {
	p := Default()
	p.Sources = max(int(sources), p.Sources)
	if sources > 1_000_000 {
		p.Sources = 1_000_000
	}
	d := New(p)
	a := attempt("F margaret", attacker, day)
	for i := range min(sources, uint32(p.Sources)) {
		a.Source = v4(i)
		d.Observe(a, nil)
	}
	b.ReportAllocs()
	start := cpu(b)
	var batch [64]tocsin.Attempt
	n := 0
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if n &= 63; n == 0 {
			for i := range batch {
				a.Source = v4(rng.Uint32N(sources))
				batch[i] = a
			}
			a.At = a.At.Add(time.Hour)
			if warm {
				d.Warm(batch[:])
			}
		}
		d.Observe(batch[n], nil)
		n++
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(d.Bytes())/float64(d.Len()), "B/source")
}

// BenchmarkObserve comes back to the sources in no order at all, the worst for
// the caches, and so slowly that no decision is taken.
func BenchmarkObserve(b *testing.B) {
	for _, n := range []uint32{4_000, 40_000, 400_000, 1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(int(n)), func(b *testing.B) { benchmark(b, n, false) })
	}
}

// BenchmarkObserveWarm is the same in batches that are told beforehand.
func BenchmarkObserveWarm(b *testing.B) {
	for _, n := range []uint32{4_000, 40_000, 400_000, 1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(int(n)), func(b *testing.B) { benchmark(b, n, true) })
	}
}

// BenchmarkDecide decides each time, and says why.
func BenchmarkDecide(b *testing.B) {
	p := Default()
	p.First, p.Longest = time.Second, time.Second
	d := New(p)
	a := attempt("F root", attacker, day)
	b.ReportAllocs()
	for b.Loop() {
		a.At = a.At.Add(time.Minute)
		d.Observe(a, nil)
	}
}
