package sqlite_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store/sqlite"
	"github.com/tocsin-io/tocsin/store/storetest"
)

// sightings returns a batch with sources all over the place, as botnets have.
func sightings(device, first uint64, n int) []tocsin.Received {
	id := tocsin.DeviceID(fmt.Sprintf("9f8e7d6c5b4a3928-%06d", device))
	all := make([]tocsin.Received, n)
	for i := range all {
		counter := first + uint64(i)
		h := (device<<32 + counter) * 0x9e3779b97f4a7c15
		all[i] = storetest.Sighting(id, 1, counter, byte(h>>40))
		a := all[i].Source.Addr().As4()
		a[0], a[1], a[2] = 198, 18+byte(h>>56)&1, byte(h>>48)
		all[i].Source = tocsin.SourcePrefix(netip.AddrFrom4(a))
	}
	return all
}

// BenchmarkAppend commits sightings of many devices at once: what a hub under
// attack does. Beside it the same one by one, by one caller, each with a commit
// of its own.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ devices, batch int }{{64, 100}, {16, 100}, {1, 100}, {64, 1}, {1, 1}} {
		b.Run(fmt.Sprintf("devices=%d/batch=%d", c.devices, c.batch), func(b *testing.B) {
			s, err := sqlite.Open(b.Context(), b.TempDir(), time.Now)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			batches := make([][]tocsin.Received, c.devices)
			for d := range batches {
				batches[d] = sightings(uint64(d), 1, c.batch)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for d := range c.devices {
				wg.Go(func() {
					for own := batches[d]; next.Add(1) <= int64(b.N); {
						fresh, err := s.Append(b.Context(), own)
						if err != nil || len(fresh) != c.batch {
							b.Error(len(fresh), err)
							return
						}
						for i := range own {
							own[i].ID.Counter += uint64(c.batch)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N*c.batch)/b.Elapsed().Seconds(), "sightings/s")
		})
	}
}

// BenchmarkSince reads the log as a hub that starts does.
func BenchmarkSince(b *testing.B) {
	s, err := sqlite.Open(b.Context(), b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const n = 100_000
	for i := uint64(0); i < n; i += 500 {
		if _, err := s.Append(b.Context(), sightings(1, i+1, 500)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		got := 0
		for _, err := range s.Since(b.Context(), 0) {
			if err != nil {
				b.Fatal(err)
			}
			got++
		}
		if got != n {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkAddContacts commits batches as a guard sends them: 150 windows of which
// one in three is told again, grown.
func BenchmarkAddContacts(b *testing.B) {
	s, err := sqlite.Open(b.Context(), b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const size = 150
	batch := make([]tocsin.Contact, size)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for i := range batch {
			first := storetest.Noon.Add(time.Duration(n*size*2/3+i) * time.Second)
			batch[i] = storetest.Contact("dev-1", "198.51.100.7:443", first, first.Add(time.Minute))
		}
		if err := s.AddContacts(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "contacts/s")
}
