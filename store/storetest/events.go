package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func testSerials(t *testing.T, s *subject) {
	const devices, batches, size = 8, 20, 7
	var wg sync.WaitGroup
	for d := range devices {
		wg.Go(func() {
			id := tocsin.DeviceID(fmt.Sprint("dev-", d))
			for b := range batches {
				fresh, err := s.Append(t.Context(), batch(id, uint64(1+b*size), size))
				if err != nil || len(fresh) != size {
					t.Errorf("got %d fresh, %v", len(fresh), err)
				}
				for i := 1; i < len(fresh); i++ {
					if fresh[i].Serial <= fresh[i-1].Serial || fresh[i].Received.ID.Counter != fresh[i-1].Received.ID.Counter+1 {
						t.Error("a batch is out of order")
					}
				}
				if _, err := s.Add(t.Context(), order("203.0.113.0/24")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := all(t, s.Since(t.Context(), 0))
	if want := devices * batches * (size + 1); len(got) != want {
		t.Fatalf("got %d events, want %d", len(got), want)
	}
	last := map[tocsin.DeviceID]uint64{}
	for i, e := range got {
		if e.Serial != uint64(i+1) {
			t.Fatalf("event %d has serial %d", i+1, e.Serial)
		}
		if e.Received == nil {
			continue
		}
		if id := e.Received.ID; id.Counter != last[id.Device]+1 {
			t.Fatalf("%s: counter %d after %d", id.Device, id.Counter, last[id.Device])
		}
		last[e.Received.ID.Device]++
	}
}

func testRepeats(t *testing.T, s *subject) {
	counters := func(es []tocsin.Event) (got []uint64) {
		for _, e := range es {
			got = append(got, e.Received.ID.Boot*100+e.Received.ID.Counter)
		}
		return got
	}
	try := func(name string, want []uint64, ids ...uint64) {
		t.Helper()
		var b []tocsin.Received
		for _, id := range ids {
			b = append(b, Sighting("dev-1", id/100, id%100, 1))
		}
		same(t, name, counters(appendAll(t, s, b)), want)
	}
	try("first, even at zero", []uint64{0, 1, 2}, 0, 1, 2)
	try("again", nil, 0, 1, 2)
	try("half again", []uint64{3}, 2, 3)
	try("within a batch", []uint64{7, 8}, 7, 7, 5, 8)
	try("next boot", []uint64{200}, 200)
	try("boot before", nil, 199, 9)
	appendAll(t, s, batch("dev-2", 1, 3))

	if n, err := s.Forget(t.Context(), Noon.Add(time.Hour), 100); err != nil || n != 10 {
		t.Fatalf("got %d, %v; want all 10 forgotten", n, err)
	}
	try("forgotten", nil, 1, 8, 200)
	s.reopen(t)
	try("opened again", []uint64{201}, 200, 201)
	same(t, "another device", len(appendAll(t, s, batch("dev-2", 3, 2))), 1)
	if got := all(t, s.Since(t.Context(), 0)); len(got) != 2 || got[0].Serial != 11 || got[1].Serial != 12 {
		t.Errorf("serials were given twice: %v", got)
	}
	huge := Sighting("dev-3", math.MaxUint64, math.MaxUint64-1, 1)
	same(t, "huge numbers", len(appendAll(t, s, []tocsin.Received{huge, huge})), 1)
	small := Sighting("dev-3", 1, 1, 1)
	same(t, "after huge numbers", len(appendAll(t, s, []tocsin.Received{small})), 0)

	// One batch offered many times at once, as by a device that lost patience.
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 8 {
		wg.Go(func() {
			fresh, err := s.Append(t.Context(), batch("dev-4", 1, 50))
			mu.Lock()
			defer mu.Unlock()
			total += len(fresh)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	same(t, "fresh of a batch offered eight times", total, 50)
}

func testMixedBatch(t *testing.T, s *subject) {
	for _, b := range [][]tocsin.Received{
		{Sighting("dev-1", 1, 1, 1), Sighting("dev-2", 1, 1, 1)},
		{Sighting("", 1, 1, 1)},
	} {
		if _, err := s.Append(t.Context(), b); err == nil {
			t.Error("got no error")
		}
	}
	for _, e := range []tocsin.Event{{}, {Order: order("192.0.2.0/24").Order, Loss: loss("192.0.2.0/24").Loss}} {
		if _, err := s.Add(t.Context(), e); err == nil {
			t.Errorf("got no error for %v", e)
		}
	}
	same(t, "an empty batch", len(appendAll(t, s, nil)), 0)
	same(t, "events", len(all(t, s.Since(t.Context(), 0))), 0)
}

func testSame(t *testing.T, s *subject) {
	zone := time.FixedZone("", 3600)
	odd := []tocsin.Received{Sighting("dev-1", 1, 1, 1), {}, Sighting("dev-1", 1, 3, 3), Sighting("dev-1", 1, 4, 4)}
	odd[0].First, odd[0].Last = Noon.In(zone), time.Now()
	odd[0].At = Noon.Add(99 * time.Hour)
	odd[1].ID = tocsin.ID{Device: "dev-1", Boot: 1, Counter: 2}
	odd[2].Source = netip.MustParsePrefix("2001:db8:1:2::/64")
	odd[2].Accounts = []tocsin.Tried{}
	odd[2].From = netip.MustParseAddr("fe80::1%eth0")
	odd[2].First, odd[2].Last = time.Unix(0, 0), time.Unix(1<<40, 999999999)
	odd[3].Service, odd[3].Owner, odd[3].Suspect = "s\x00\xff", "o\xfe", true
	odd[3].Accounts = []tocsin.Tried{{Tag: "\xff\x00' \" --", Failures: math.MaxUint32, Successes: math.MaxUint32}}
	odd[3].Network, odd[3].Facts, odd[3].Port = math.MaxUint32, math.MaxUint32, math.MaxUint16

	got := appendAll(t, s, odd)
	for _, e := range []tocsin.Event{order("192.0.2.0/24"), loss("2001:db8::/64")} {
		one, err := s.Add(t.Context(), e)
		must(t, err)
		got = append(got, one)
	}
	var want []tocsin.Event
	for i, r := range odd {
		r.At, r.First, r.Last = Noon, r.First.Round(0).UTC(), r.Last.Round(0).UTC()
		if len(r.Accounts) == 0 {
			r.Accounts = nil
		}
		want = append(want, tocsin.Event{Serial: uint64(i + 1), At: Noon, Received: &r})
	}
	want = append(want, tocsin.Event{Serial: 5, At: Noon, Order: order("192.0.2.0/24").Order},
		tocsin.Event{Serial: 6, At: Noon, Loss: loss("2001:db8::/64").Loss})
	same(t, "returned", got, want)
	same(t, "read", all(t, s.Since(t.Context(), 0)), want)
	s.reopen(t)
	same(t, "opened again", all(t, s.Since(t.Context(), 0)), want)
}

func testClockBack(t *testing.T, s *subject) {
	var want []time.Time
	step := func(now, stamped time.Time) {
		t.Helper()
		s.clock.Set(now)
		e, err := s.Add(t.Context(), order("192.0.2.0/24"))
		must(t, err)
		want = append(want, stamped)
		same(t, "stamp", e.At, stamped)
	}
	step(Noon, Noon)
	step(Noon.Add(-time.Hour), Noon)
	step(Noon.Add(time.Second), Noon.Add(time.Second))
	s.reopen(t)
	step(time.Unix(0, 0), Noon.Add(time.Second))
	step(Noon.Add(2*time.Second), Noon.Add(2*time.Second))
	fresh := appendAll(t, s, batch("dev-1", 1, 1))
	same(t, "stamp of a sighting", fresh[0].Received.At, Noon.Add(2*time.Second))
	for i, e := range all(t, s.Since(t.Context(), 0))[:len(want)] {
		same(t, "stamp as read", e.At, want[i])
	}
}

// fill appends n events one second apart; every tenth is an order.
func fill(t *testing.T, s *subject, n int) (events []tocsin.Event) {
	t.Helper()
	for i := range n {
		s.clock.Set(Noon.Add(time.Duration(i) * time.Second))
		if i%10 == 9 {
			e, err := s.Add(t.Context(), order("203.0.113.1/32"))
			must(t, err)
			events = append(events, e)
			continue
		}
		events = append(events, appendAll(t, s, []tocsin.Received{Sighting("dev-1", 1, uint64(i+1), byte(i%3))})...)
	}
	return events
}

func testReading(t *testing.T, s *subject) {
	events := fill(t, s, 40)
	events = append(events, appendAll(t, s, batch("dev-2", 1, 1200))...) // more than a page, all at one time
	n := len(events)
	for _, after := range []int{0, 1, 39, n - 1, n, n + 5} {
		same(t, fmt.Sprint("since ", after), all(t, s.Since(t.Context(), uint64(after))), append([]tocsin.Event(nil), events[min(after, n):]...))
	}
	same(t, "since the end of numbers", len(all(t, s.Since(t.Context(), math.MaxUint64))), 0)
	for _, c := range []struct {
		t    time.Time
		skip int
	}{
		{time.Time{}, 0}, {Noon, 0}, {Noon.Add(1), 1}, {Noon.Add(20 * time.Second), 20},
		{Noon.Add(39 * time.Second), 39}, {Noon.Add(39*time.Second + 1), n}, {Noon.AddDate(1000, 0, 0), n},
	} {
		same(t, fmt.Sprint("from ", c.t), all(t, s.From(t.Context(), c.t)), append([]tocsin.Event(nil), events[c.skip:]...))
	}
	var about []tocsin.Event
	for i := n - 1; i >= 0; i-- {
		if e := events[i]; e.Order != nil || e.Received.Source == netip.MustParsePrefix("203.0.113.1/32") {
			about = append(about, e)
		}
	}
	for _, source := range []string{"203.0.113.1/32", "203.0.113.1", "::ffff:203.0.113.1"} {
		got, err := s.About(t.Context(), source, 0, 1000)
		must(t, err)
		same(t, "about "+source, got, about)
	}
	got, err := s.About(t.Context(), "203.0.113.1/32", 0, 3)
	must(t, err)
	same(t, "about, three", got, about[:3])
	got, err = s.About(t.Context(), "203.0.113.1/32", about[2].Serial, 2)
	must(t, err)
	same(t, "about, the next two", got, about[3:5])
	for device, want := range map[tocsin.DeviceID]uint64{"dev-2": 1200, "nobody": 0} {
		id, err := s.Highest(t.Context(), device)
		must(t, err)
		same(t, "highest of "+string(device), id.Counter, want)
	}
	if got, err := s.About(t.Context(), "192.0.2.1", 0, 3); err != nil || len(got) > 0 {
		t.Errorf("about nobody: got %v, %v", got, err)
	}
	if _, err := s.About(t.Context(), "nowhere", 0, 3); err == nil {
		t.Error("about nowhere: got no error")
	}
	for e, err := range s.Since(t.Context(), 0) { // asking for more meanwhile, and leaving early
		must(t, err)
		_, err := s.Add(t.Context(), loss("192.0.2.1/32"))
		must(t, err)
		if e.Serial == 50 {
			break
		}
	}
}

func testForget(t *testing.T, s *subject) {
	events := fill(t, s, 100)
	forget := func(before time.Time, most, want int) {
		t.Helper()
		if n, err := s.Forget(t.Context(), before, most); err != nil || n != want {
			t.Errorf("got %d, %v; want %d", n, err, want)
		}
	}
	kept := func(first int) (want []tocsin.Event) {
		for i, e := range events {
			if i >= first || e.Order != nil {
				want = append(want, e)
			}
		}
		return want
	}
	forget(Noon, 1000, 0)
	forget(Noon.Add(50*time.Second), 0, 0)
	forget(Noon.Add(50*time.Second), 5, 5)
	same(t, "five gone", all(t, s.Since(t.Context(), 0)), kept(5))
	forget(Noon.Add(50*time.Second), 1000, 40)
	forget(Noon.Add(50*time.Second), 1000, 0)
	same(t, "half gone", all(t, s.Since(t.Context(), 0)), kept(50))
	same(t, "from within what is gone", all(t, s.From(t.Context(), Noon.Add(12*time.Second))), kept(50)[1:])
	same(t, "from what is there", all(t, s.From(t.Context(), Noon.Add(60*time.Second))), events[60:])
	if _, n, err := s.Size(t.Context()); err != nil || n != 55 {
		t.Errorf("got %d events, %v; want 55", n, err)
	}
	forget(Noon.Add(time.Hour), 1000, 45)
	s.reopen(t)
	s.clock.Set(Noon)
	e, err := s.Add(t.Context(), order("192.0.2.1/32"))
	must(t, err)
	same(t, "serial after all is gone", e.Serial, uint64(101))
	same(t, "time after all is gone", e.At, Noon.Add(99*time.Second))
}

func testForgetBeside(t *testing.T, s *subject) {
	const n = 3000
	appendAll(t, s, batch("dev-1", 1, n))
	s.clock.Set(Noon.Add(time.Hour))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 100 {
			if _, err := s.Append(t.Context(), batch("dev-2", uint64(1+i*10), 10)); err != nil {
				t.Error(err)
			}
		}
	})
	if got, err := s.Forget(t.Context(), Noon.Add(time.Minute), n+1); err != nil || got != n {
		t.Errorf("got %d, %v; want %d", got, err, n)
	}
	wg.Wait()
	same(t, "events left", len(all(t, s.Since(t.Context(), 0))), 1000)
}

func testContext(t *testing.T, s *subject) {
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := s.Append(ended, batch("dev-1", 1, 10)); !errors.Is(err, context.Canceled) {
		t.Errorf("append: got %v", err)
	}
	for _, err := range s.Since(ended, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("since: got %v", err)
		}
	}
	same(t, "events", len(all(t, s.Since(t.Context(), 0))), 0)

	// Whoever gives up at any moment knows what became of his batch.
	var wg sync.WaitGroup
	told := make([]int, 8)
	for d := range told {
		wg.Go(func() {
			id := tocsin.DeviceID(fmt.Sprint("dev-", d))
			for b := range 30 {
				ctx, end := context.WithTimeout(t.Context(), time.Duration(b%10)*100*time.Microsecond)
				fresh, err := s.Append(ctx, batch(id, uint64(1+b*5), 5))
				end()
				if err == nil && len(fresh) != 5 || err != nil && (len(fresh) > 0 || !errors.Is(err, context.DeadlineExceeded)) {
					t.Errorf("got %d fresh and %v", len(fresh), err)
				}
				told[d] += len(fresh)
			}
		})
	}
	wg.Wait()
	got := map[tocsin.DeviceID]int{}
	for _, e := range all(t, s.Since(t.Context(), 0)) {
		got[e.Received.ID.Device]++
	}
	for d, want := range told {
		same(t, "events of a device", got[tocsin.DeviceID(fmt.Sprint("dev-", d))], want)
	}
}
