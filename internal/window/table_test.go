package window

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
)

// value is as large as what detect remembers of a source.
type value [24]uint32

func TestTableForgetsTheKeySeenLongestAgo(t *testing.T) {
	table := New[value](3, Seed{})
	for _, k := range []uint64{1, 2, 3, 1, 4} {
		table.Touch(k)
	}
	if table.Get(2) != nil || table.Get(1) == nil {
		t.Errorf("2 is the one to forget: got 1 %v, 2 %v", table.Get(1) != nil, table.Get(2) != nil)
	}
	table.Get(3) // no sight of 3
	table.Touch(5)
	var keys []uint64
	for k := range table.All() {
		keys = append(keys, k)
	}
	if diff := cmp.Diff([]uint64{1, 4, 5}, keys); diff != "" {
		t.Errorf("order of sight (-want +got):\n%s", diff)
	}
}

// TestTableAgreesWithModel does the same to a Table and to a slow, plain model.
func TestTableAgreesWithModel(t *testing.T) {
	const limit = 700
	rng := rand.New(rand.NewPCG(1, 2))
	table := New[value](limit, Seed{3, 4})
	model := map[uint64]uint32{}
	var order []uint64
	drop := func(k uint64) {
		delete(model, k)
		for i, o := range order {
			if o == k {
				order = append(order[:i], order[i+1:]...)
				return
			}
		}
	}
	for range 60_000 {
		k := rng.Uint64N(1000)
		if rng.IntN(4) == 0 {
			table.Delete(k)
			drop(k)
			continue
		}
		was := model[k]
		drop(k)
		if len(order) == limit {
			drop(order[0])
		}
		model[k], order = was+1, append(order, k)
		v := table.Touch(k)
		if v[0] != was {
			t.Fatalf("key %d: remembered %d, want %d", k, v[0], was)
		}
		v[0]++
	}
	var keys []uint64
	for k, v := range table.All() {
		keys = append(keys, k)
		if v[0] != model[k] {
			t.Errorf("key %d: %d, want %d", k, v[0], model[k])
		}
	}
	if diff := cmp.Diff(order, keys); diff != "" || table.Len() != len(order) {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestTableIsBounded(t *testing.T) {
	const limit = 10_001
	table := New[value](limit, Seed{})
	full := 0
	for i := range uint64(300_000) {
		table.Touch(i << 20)
		if i == 2*limit {
			full = table.Bytes()
		}
	}
	if table.Len() != limit || table.Cap() != limit {
		t.Errorf("remembers %d of %d, want %d", table.Len(), table.Cap(), limit)
	}
	if grown := table.Bytes(); grown > full+full/20 {
		t.Errorf("grew from %d to %d bytes when full", full, grown)
	}
}

// TestOneMillionFit holds the promise of 128 MiB to what the heap really grows.
func TestOneMillionFit(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	table := New[value](1_000_000, Seed{1, 2})
	for i := range uint64(1_100_000) {
		table.Touch(i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int(after.HeapAlloc - before.HeapAlloc)
	if table.Len() != 1_000_000 || grown > 124<<20 || table.Bytes() > 124<<20 {
		t.Errorf("%d keys take %d bytes, says %d", table.Len(), grown, table.Bytes())
	}
}

func TestRingKeepsOrder(t *testing.T) {
	var r Ring
	for _, at := range []uint32{50, 10, 90, 30, 70, 20, 80, 40, 60, 100, 5} {
		all := r.With(Event{At: at, Tag: at})
		r = all.Ring()
	}
	var got []uint32
	for _, e := range r.Events() {
		got = append(got, e.At)
	}
	if diff := cmp.Diff([]uint32{100, 90, 80, 70, 60, 50, 40, 30, 20}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if n := len(Since(r.Events(), 100, 30)); n != 3 {
		t.Errorf("%d events younger than 30 s, want 3: 70 is exactly as old", n)
	}
	r.Drop(func(e Event) bool { return e.At > 45 })
	if n := len(r.Events()); n != 3 || r[3] != (Event{}) {
		t.Errorf("%d events after the drop, want 3", n)
	}
}

func TestKey(t *testing.T) {
	for _, s := range []string{"192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1:2::7", "2001:db8:1:2::7%eth0", "255.255.255.255", "::1"} {
		a := netip.MustParseAddr(s)
		k, ok := Key(a)
		if got := Prefix(k); !ok || got != tocsin.SourcePrefix(a) {
			t.Errorf("%s: %v, %v, want %v", s, got, ok, tocsin.SourcePrefix(a))
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::ffff:0.0.0.0"),
		netip.MustParseAddr("::"), netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("::ffff:224.0.0.1"),
		netip.MustParseAddr("ffff:ffff:c000:207::1")} {
		if k, ok := Key(a); ok {
			t.Errorf("%v is a source: %x", a, k)
		}
	}
}

// TestSeedIsSipHash checks the hash against an independent evaluation order:
// bytes and numbers of the same content agree.
func TestSeedIsSipHash(t *testing.T) {
	s := Seed{0x0706050403020100, 0x0f0e0d0c0b0a0908}
	if a, b := s.Hash(0x0706050403020100), s.HashBytes([]byte{0, 1, 2, 3, 4, 5, 6, 7}); a != b {
		t.Errorf("number %x, bytes %x", a, b)
	}
	if a, b := s.Hash2(0, 1), s.HashBytes([]byte{7: 0, 8: 1, 15: 0}); a != b {
		t.Errorf("two numbers %x, bytes %x", a, b)
	}
	if s.HashBytes([]byte("ab")) == s.HashBytes([]byte("ab\x00")) || s.Hash(1) == (Seed{}).Hash(1) {
		t.Error("length or seed does not count")
	}
}

func BenchmarkTouch(b *testing.B) {
	for _, n := range []uint64{4_000, 40_000, 400_000, 1_000_000} {
		b.Run(name(n), func(b *testing.B) {
			table := New[value](int(n), Seed{1, 2})
			for i := range n {
				table.Touch(i)
			}
			rng := rand.NewPCG(1, 2)
			b.ReportAllocs()
			for b.Loop() {
				table.Touch(rng.Uint64() % n)[0]++
			}
			b.ReportMetric(float64(table.Bytes())/float64(n), "B/source")
		})
	}
}

// BenchmarkTouchWarm is BenchmarkTouch in batches of 64, warmed before.
func BenchmarkTouchWarm(b *testing.B) {
	for _, n := range []uint64{4_000, 40_000, 400_000, 1_000_000} {
		b.Run(name(n), func(b *testing.B) {
			table := New[value](int(n), Seed{1, 2})
			for i := range n {
				table.Touch(i)
			}
			rng := rand.NewPCG(1, 2)
			var keys [64]uint64
			i := 0
			for b.Loop() {
				if i &= 63; i == 0 {
					for j := range keys {
						keys[j] = rng.Uint64() % n
					}
					table.Warm(keys[:])
				}
				table.Touch(keys[i])[0]++
				i++
			}
		})
	}
}

func TestWarmChangesNothing(t *testing.T) {
	table := New[value](100, Seed{})
	for i := range uint64(150) {
		table.Touch(i)
	}
	before := collect(table)
	keys := make([]uint64, 1000)
	for i := range keys {
		keys[i] = uint64(i) / 5
	}
	table.Warm(keys)
	table.Warm(nil)
	if diff := cmp.Diff(before, collect(table)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func collect(table *Table[value]) (keys []uint64) {
	for k := range table.All() {
		keys = append(keys, k)
	}
	return keys
}

func name(n uint64) string {
	return map[uint64]string{4_000: "4k", 40_000: "40k", 400_000: "400k", 1_000_000: "1M"}[n]
}
