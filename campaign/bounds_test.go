package campaign_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
)

// small is a policy with little memory.
func small() campaign.Policy {
	p := campaign.Default()
	p.Sources, p.Singles, p.Welcome, p.Devices, p.Names, p.Campaigns, p.Listed = 64, 64, 64, 16, 100, 4, 100
	return p
}

// wild makes a sighting that no honest device would send.
func wild(r *rand.Rand, at time.Time) tocsin.Received {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	a := netip.AddrFrom16(b)
	if r.IntN(2) == 0 {
		a = netip.AddrFrom4([4]byte{198, 18, byte(r.IntN(4)), byte(r.IntN(256))})
	}
	n := func() uint32 { return []uint32{0, 1, 2, 9, math.MaxUint32}[r.IntN(5)] }
	s := tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: tocsin.DeviceID(strings.Repeat("d", r.IntN(300)) + fmt.Sprint(r.IntN(100)))}, Source: tocsin.SourcePrefix(a),
			Service: tocsin.Service(fmt.Sprint("s", r.IntN(400))), First: at.Add(time.Duration(r.Int64())), Last: at.Add(-time.Duration(r.Int64())),
			Failures: n(), Successes: n(), Probes: n(), Dropped: n(), Provenance: tocsin.Provenance(r.IntN(5)), Facts: tocsin.FactSet(r.Uint32()),
		},
		At: at, Offset: time.Duration(r.Int64()), Channel: tocsin.Channel(r.IntN(6)), Owner: "o", Suspect: r.IntN(9) == 0,
	}
	for range r.IntN(20) {
		s.Accounts = append(s.Accounts, tocsin.Tried{
			Tag:      tocsin.AccountTag([]string{"", "#", "root", "Admin", strings.Repeat("x", 500), fmt.Sprint("u", r.IntN(1000))}[r.IntN(6)]),
			Failures: n(), Successes: n(), Unknown: r.IntN(2) == 0,
		})
	}
	return s
}

func TestHostileSightings(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tr := campaign.New(small())
	at := start
	for i := range 30_000 {
		at = at.Add(time.Duration(r.IntN(120)-10) * time.Second)
		tr.Observe(wild(r, at))
		if i%1000 != 0 {
			continue
		}
		for _, c := range tr.Campaigns(at) {
			tr.Unattributed(c.ID)
			if len(c.Timeline) > 64 || len(c.Accounts) > campaign.MaxAccounts || len(c.Targets) > 16 || len(c.Sources) > 100 {
				t.Fatalf("%d marks, %d accounts, %d targets, %d sources", len(c.Timeline), len(c.Accounts), len(c.Targets), len(c.Sources))
			}
		}
		if n := len(tr.Campaigns(at)); n > 4 {
			t.Fatalf("%d campaigns, bound 4", n)
		}
	}
	if b := tr.Bytes(); b > 4<<20 {
		t.Errorf("%d bytes held", b)
	}
}

// TestAFloodOfSingles must not push out what others did.
func TestAFloodOfSingles(t *testing.T) {
	w := loud(1)
	tr, _ := w.play(campaign.Default())
	before := len(the(t, tr, w.end()).Sources)
	at := w.end()
	for i := range 600_000 {
		a := netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
		at = at.Add(10 * time.Millisecond)
		r := drops(netip.PrefixFrom(a, 32), i%300, at)
		r.Dropped, r.Failures, r.Service = 0, 1, "ssh"
		tr.Observe(r)
	}
	if after := len(the(t, tr, at).Sources); after < before {
		t.Errorf("%d sources, before the flood %d", after, before)
	}
	if b := tr.Bytes(); b > 256<<20 {
		t.Errorf("%d MiB", b>>20)
	}
}

func TestPolicy(t *testing.T) {
	if err := campaign.Default().Validate(); err != nil {
		t.Error(err)
	}
	var p campaign.Policy
	err := p.Validate()
	if err == nil || strings.Count(err.Error(), "\n") < 8 {
		t.Errorf("the zero policy: %v", err)
	}
	for c := campaign.Sequence; c <= campaign.Network; c++ {
		if c.String() == "invalid" {
			t.Errorf("class %d has no word", c)
		}
	}
	for k := campaign.Opened; k <= campaign.Ended; k++ {
		if k.String() == "invalid" {
			t.Errorf("kind %d has no word", k)
		}
	}
}

// dayOf makes n attempts of one day: people, many scanners, and campaigns.
func dayOf(n int) *world {
	w := newWorld(9, 5000)
	dict := dictionary(9, 100)
	w.people(n/3, start, day)
	for len(w.list) < n*9/10 {
		w.scanners(1000, dict, shuffled, start, day/2)
	}
	for i := range 3 {
		w.campaign(fmt.Sprint("campaign", i), 1000, dictionary(uint64(20+i), 60), chunk, w.all(), start.Add(day/4), day/2)
	}
	return w
}

// BenchmarkDay is a million attempts of one day, each told by itself: what that
// takes of a core, and of memory.
func BenchmarkDay(b *testing.B) {
	w := dayOf(1_000_000)
	w.sort()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		t := campaign.New(campaign.Default())
		var worst time.Duration
		for _, r := range w.list {
			one := time.Now()
			t.Observe(r)
			worst = max(worst, time.Since(one))
		}
		took := time.Since(begun)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(len(w.list)), "attempts")
		b.ReportMetric(float64(took.Nanoseconds())/float64(len(w.list)), "ns/attempt")
		b.ReportMetric(100*took.Seconds()/day.Seconds(), "%core")
		b.ReportMetric(float64(worst.Milliseconds()), "ms/longest")
		b.ReportMetric(float64(after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))/(1<<20), "MiB")
		found := 0
		for _, c := range t.Campaigns(w.end()) {
			found += len(c.Sources)
		}
		b.ReportMetric(float64(found), "attributed")
	}
}

// BenchmarkFull fills every table to its bound.
func BenchmarkFull(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		p := campaign.Default()
		t := campaign.New(p)
		r := rand.New(rand.NewPCG(1, 1))
		dict := dictionary(1, 5000)
		at := start
		for i := range p.Sources * 5 / 4 {
			a := netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
			at = at.Add(500 * time.Millisecond)
			s := drops(netip.PrefixFrom(a, 32), r.IntN(100_000), at)
			s.Service, s.Failures = "ssh", 16
			for _, name := range chunk(r, dict, 16) {
				s.Accounts = append(s.Accounts, tocsin.Tried{Tag: tocsin.AccountTag("#" + name), Failures: 1, Unknown: true})
			}
			t.Observe(s)
		}
		for i := range p.Singles * 5 / 4 {
			s := drops(netip.PrefixFrom(netip.AddrFrom4([4]byte{204, byte(i >> 16), byte(i >> 8), byte(i)}), 32), r.IntN(100_000), at)
			s.Service, s.Failures, s.Dropped = "ssh", 1, 0
			t.Observe(s)
			s.Successes, s.Failures = 1, 0
			s.Source = netip.PrefixFrom(netip.AddrFrom4([4]byte{205, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			s.Accounts = []tocsin.Tried{{Tag: "#grace", Successes: 1}}
			t.Observe(s)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-min(before.HeapAlloc, after.HeapAlloc))/(1<<20), "MiB")
		b.ReportMetric(float64(t.Bytes())/(1<<20), "MiB-told")
	}
}
