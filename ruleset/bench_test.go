package ruleset_test

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

// known returns block-listed addresses: those of a public list where it is at
// hand, otherwise made up: clustered as real ones are, in a range for tests.
func known(tb testing.TB) []uint32 {
	tb.Helper()
	f, err := os.Open("../../shared/data/blocklists/ipsum_2026-08-22.txt.gz")
	if err != nil {
		return madeUp(120_000)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var out []uint32
	for lines := bufio.NewScanner(z); lines.Scan(); {
		word, _, _ := strings.Cut(strings.TrimSpace(lines.Text()), "\t")
		if a, err := netip.ParseAddr(word); err == nil && a.Is4() {
			b := a.As4()
			out = append(out, binary.BigEndian.Uint32(b[:]))
		}
	}
	return sorted(out)
}

// madeUp draws n addresses in networks of very different weight.
func madeUp(n int) []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	var nets []uint32
	for range 12_000 {
		nets = append(nets, r.Uint32()&^0xffff)
	}
	weight := rand.NewZipf(r, 1.2, 20, uint64(len(nets)-1))
	seen := map[uint32]bool{}
	for len(seen) < n {
		seen[nets[weight.Uint64()]|uint32(r.IntN(256))<<8|uint32(r.IntN(256))] = true
	}
	out := make([]uint32, 0, n)
	for k := range seen {
		out = append(out, k)
	}
	return sorted(out)
}

// clustered returns n addresses: the known ones and neighbours drawn in their
// own /16s.
func clustered(tb testing.TB, n int) []uint32 {
	base := known(tb)
	r := rand.New(rand.NewPCG(3, 4))
	seen := make(map[uint32]bool, n)
	for _, k := range base {
		seen[k] = true
	}
	for len(seen) < n {
		seen[base[r.IntN(len(base))]&^0xffff|r.Uint32()&0xffff] = true
	}
	out := make([]uint32, 0, n)
	for k := range seen {
		out = append(out, k)
	}
	return sorted(out)
}

func sorted(s []uint32) []uint32 {
	slices.Sort(s)
	return slices.Compact(s)
}

var start = time.Date(2026, 3, 1, 12, 20, 0, 0, time.UTC)

// rules makes blocks that end in spread different hours.
func rules(keys []uint32, spread int) []tocsin.Rule {
	r := rand.New(rand.NewPCG(5, 6))
	out := make([]tocsin.Rule, len(keys))
	for i, k := range keys {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], k)
		out[i] = tocsin.Rule{
			Prefix: netip.PrefixFrom(netip.AddrFrom4(b), 32),
			Action: tocsin.Block,
			Until:  start.Add(time.Duration(24-r.IntN(spread)) * time.Hour),
		}
	}
	return out
}

var long = ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Long}

func filled(keys []uint32, spread int) *ruleset.List {
	_, l := ruleset.New(long, uint64(start.Unix())).Next(tocsin.Change{Add: rules(keys, spread)}, start)
	return l
}

func BenchmarkSnapshot(b *testing.B) {
	for _, c := range []struct {
		name   string
		keys   []uint32
		spread int
	}{
		{"known", known(b), 1},
		{"1M", clustered(b, 1_000_000), 1},
		{"1M_24ends", clustered(b, 1_000_000), 24},
	} {
		l := filled(c.keys, c.spread)
		s := newSigner(1)
		b.Run("seal/"+c.name, func(b *testing.B) {
			var sealed ruleset.Sealed
			for b.Loop() {
				sealed = seal(b, l.Snapshot(start), s)
			}
			b.ReportMetric(float64(len(sealed)), "bytes")
		})
		sealed := seal(b, l.Snapshot(start), s)
		b.Run("apply/"+c.name, func(b *testing.B) {
			for b.Loop() {
				m, err := ruleset.Open(sealed, s.keys(), start)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := ruleset.NewSet(long).Apply(m, ruleset.DefaultLimits(), start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDelta makes 300 changes of a million: half of them new addresses from
// the networks that attack anyway, half removals.
func BenchmarkDelta(b *testing.B) {
	all := clustered(b, 1_000_150)
	r := rand.New(rand.NewPCG(7, 8))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	fresh, keys := all[:150], all[150:]
	for _, c := range []struct {
		name   string
		spread int
	}{{"1M", 1}, {"1M_24ends", 24}} {
		l := filled(keys, c.spread)
		change := tocsin.Change{Add: rules(fresh, c.spread), Remove: rules(keys[:150], c.spread)}
		s := newSigner(1)
		set, _, err := ruleset.NewSet(long).Apply(l.Snapshot(start), ruleset.DefaultLimits(), start)
		if err != nil {
			b.Fatal(err)
		}
		var f ruleset.Frame
		b.Run("next/"+c.name, func(b *testing.B) {
			for b.Loop() {
				f, _ = l.Next(change, start)
			}
			b.ReportMetric(float64(len(seal(b, f, s))), "bytes")
		})
		b.Run("apply/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := set.Apply(f, ruleset.DefaultLimits(), start); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemory reports what a list of a million takes.
func BenchmarkMemory(b *testing.B) {
	keys := clustered(b, 1_000_000)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		l := filled(keys, 24)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(l)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
}

// BenchmarkOpen verifies and decodes what small frames and heartbeats take.
func BenchmarkOpen(b *testing.B) {
	s := newSigner(1)
	l := filled(clustered(b, 130_000), 1)
	f, l := l.Next(tocsin.Change{Add: rules(madeUp(100), 1)}, start)
	for name, m := range map[string]ruleset.Message{"delta": f, "heartbeat": l.Heartbeat(start)} {
		sealed := seal(b, m, s)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ruleset.Open(sealed, s.keys(), start); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(sealed)), "bytes")
		})
	}
}
