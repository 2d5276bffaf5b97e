package memory_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall/firewalltest"
	"github.com/tocsin-io/tocsin/firewall/memory"
)

func TestFilter(t *testing.T) {
	firewalltest.Run(t, func(t *testing.T) firewalltest.Subject {
		clock := time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)
		now := func() time.Time { return clock }
		f := memory.New(now)
		return firewalltest.Subject{
			Filter:  f,
			Reaches: func(a netip.Addr) bool { return !f.Blocks(a) },
			Now:     now,
			Sleep:   func(d time.Duration) { clock = clock.Add(d) },
		}
	})
}

func BenchmarkAddOneInto1M(b *testing.B) {
	now := time.Now()
	f := memory.New(func() time.Time { return now })
	add := func(i uint32) {
		a := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		r := tocsin.Rule{Prefix: netip.PrefixFrom(a, 32), Action: tocsin.Block, Until: now.Add(time.Hour)}
		if err := f.Change(b.Context(), tocsin.Change{Add: []tocsin.Rule{r}}); err != nil {
			b.Fatal(err)
		}
	}
	i := uint32(1 << 24)
	for range 1_000_000 {
		add(i)
		i++
	}
	b.ReportAllocs()
	for b.Loop() {
		add(i)
		i++
	}
}
