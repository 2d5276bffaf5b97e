package overview_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/overview"
)

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

func source(n uint32) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 198<<24|18<<16+n)
	return netip.PrefixFrom(netip.AddrFrom4(b), 32)
}

// told is a sighting that reached the hub at a moment.
func told(p netip.Prefix, device string, at time.Time, failures uint32, tune ...func(*tocsin.Received)) tocsin.Event {
	r := &tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: tocsin.DeviceID(device)}, Source: p, Service: "ssh", First: at.Add(-10 * time.Second), Last: at, Failures: failures,
		},
		At: at, Owner: tocsin.OwnerID("owner of " + device),
	}
	for _, f := range tune {
		f(r)
	}
	return tocsin.Event{At: at, Received: r}
}

func TestSeries(t *testing.T) {
	l := overview.New()
	l.Event(told(source(1), "nas", noon.Add(-50*time.Minute), 3))
	l.Event(told(source(1), "box", noon.Add(-49*time.Minute), 2, func(r *tocsin.Received) { r.Dropped, r.Successes = 7, 9 }))
	l.Event(told(source(2), "nas", noon.Add(-49*time.Minute), 1, func(r *tocsin.Received) { r.Probes, r.Service = 4, "ftp" }))
	l.Event(tocsin.Event{At: noon, Order: &tocsin.Order{}})
	l.Blocked(noon.Add(-49 * time.Minute))
	l.Covered(noon.Add(-3*time.Minute), 0.5)
	s := l.Series(noon, time.Hour)
	if len(s.At) != 60 || s.Step != 60 || s.At[59] != noon.Unix() {
		t.Fatalf("%d steps of %d, the last at %d", len(s.At), s.Step, s.At[len(s.At)-1])
	}
	if i := 59 - 50; s.Attempts[i] != 3 || s.Sources[i] != 1 {
		t.Errorf("50 minutes ago: %d attempts of %d sources", s.Attempts[i], s.Sources[i])
	}
	if i := 59 - 49; s.Attempts[i] != 7 || s.Sources[i] != 2 || s.Dropped[i] != 7 || s.Blocks[i] != 1 {
		t.Errorf("49 minutes ago: %d attempts of %d sources, %d dropped, %d blocks", s.Attempts[i], s.Sources[i], s.Dropped[i], s.Blocks[i])
	}
	if s.Coverage[56] == nil || *s.Coverage[56] != 0.5 || s.Coverage[0] != nil {
		t.Error("coverage is told where nobody knows it, or not where it is known")
	}
	for _, span := range []time.Duration{6 * time.Hour, 24 * time.Hour, overview.Week} {
		s := l.Series(noon, span)
		attempts := uint64(0)
		for _, n := range s.Attempts {
			attempts += n
		}
		if attempts != 10 || slices.Max(s.Sources) > 2 || len(s.At) > 170 {
			t.Errorf("%v: %d attempts, %v", span, attempts, s.Sources)
		}
	}
	if sum := l.Sum(noon, 24*time.Hour); sum.Attempts != 10 || sum.Sources != 2 || sum.Blocks != 1 {
		t.Errorf("the day: %+v", sum)
	}
	if sum := l.Sum(noon, time.Minute); sum.Attempts != 0 || sum.Sources != 0 {
		t.Errorf("the last minute: %+v", sum)
	}
	later := noon.Add(overview.Week)
	l.Event(told(source(3), "nas", later, 1))
	if sum := l.Sum(later, overview.Week); sum.Attempts != 1 || sum.Sources != 1 {
		t.Errorf("a week later: %+v", sum)
	}
}

// TestWhatIsToldLate counts when it happened, whatever a device's clock says.
func TestWhatIsToldLate(t *testing.T) {
	l := overview.New()
	l.Event(told(source(1), "away", noon, 5, func(r *tocsin.Received) { r.Last = noon.Add(-2 * time.Hour) }))
	l.Event(told(source(2), "ahead", noon, 5, func(r *tocsin.Received) { r.Last = noon.Add(3 * time.Hour) }))
	l.Event(told(source(3), "fast", noon, 5, func(r *tocsin.Received) { r.Last, r.Offset = noon.Add(59*time.Minute), time.Hour }))
	l.Event(told(source(4), "old", noon, 5, func(r *tocsin.Received) { r.Last = noon.Add(-300 * 24 * time.Hour) }))
	if sum := l.Sum(noon, time.Hour); sum.Attempts != 10 {
		t.Errorf("the hour: %+v", sum)
	}
	if sum := l.Sum(noon, overview.Week); sum.Attempts != 20 || sum.Sources != 4 {
		t.Errorf("the week: %+v", sum)
	}
}

func TestWhatASourceDid(t *testing.T) {
	l := overview.New()
	for i := range 5 {
		l.Event(told(source(1), "nas", noon.Add(time.Duration(i)*time.Hour), 2))
	}
	l.Event(told(source(1), "box", noon.Add(time.Hour), 3, func(r *tocsin.Received) {
		r.Service, r.Dropped, r.Accounts = "ftp", 4, []tocsin.Tried{{Tag: "root"}, {Tag: "admin"}}
	}))
	s, ok := l.Source(source(1))
	if !ok || s.Attempts != 13 || s.Devices != 2 || len(s.Owners) != 2 || !slices.Equal(s.Services, []tocsin.Service{"ftp", "ssh"}) ||
		!slices.Equal(s.Accounts, []tocsin.AccountTag{"root", "admin"}) || s.First != noon.Add(-10*time.Second) {
		t.Errorf("got %+v", s)
	}
	if n, last := l.Hits(source(1)); n != 4 || last != noon.Add(time.Hour) {
		t.Errorf("hit %d times, last %v", n, last)
	}
	list := l.Sources(noon.Add(4*time.Hour), 90*time.Minute)
	if len(list) != 1 || list[0].Attempts != 4 || list[0].Shared != 2 {
		t.Errorf("of the last 90 minutes: %+v", list)
	}
	touches := l.Touches([]netip.Prefix{source(1), source(2)})
	if len(touches) != 2 || touches[0].Attempts != 10 || touches[1].Device != "box" || touches[1].Attempts != 3 {
		t.Errorf("touches: %+v", touches)
	}
	l.Event(told(source(3), "box", noon.Add(-time.Hour), 7))
	tried := l.Tried([]netip.Prefix{source(1), source(2), source(3)})
	if len(tried) != 2 || tried[0].Attempts != 10 || tried[0].Sources != 1 || tried[1].Device != "box" || tried[1].Attempts != 10 || tried[1].Sources != 2 ||
		!slices.Equal(tried[1].Services, []tocsin.Service{"ftp", "ssh"}) || !tried[1].First.Before(noon) || !tried[1].Last.After(noon.Add(50*time.Minute)) {
		t.Errorf("summed up: %+v", tried)
	}
	c := l.Course([]netip.Prefix{source(1), source(2)}, noon, noon.Add(4*time.Hour))
	if c.Step != 300 || c.Attempts[0] != 2 || c.Attempts[12] != 5 || c.Dropped[12] != 4 || c.Sources[12] != 1 || len(c.At) != 49 {
		t.Errorf("course: %+v", c)
	}
}

// TestBounds fills what an attacker chooses.
func TestBounds(t *testing.T) {
	l := overview.New()
	for i := range uint32(overview.MaxSources + 5) {
		l.Event(told(source(i), "nas", noon.Add(time.Duration(i)*time.Millisecond), 1))
	}
	now := noon.Add(time.Hour)
	if n := len(l.Sources(now, 24*time.Hour)); n > overview.MaxSources || n < overview.MaxSources*8/10 {
		t.Errorf("%d sources are remembered", n)
	}
	if _, ok := l.Source(source(overview.MaxSources + 4)); !ok {
		t.Error("the newest is forgotten")
	}
	few := overview.New()
	for i := range 5000 {
		few.Event(told(source(1), "d"+string(rune('a'+i%400)), noon.Add(time.Duration(i)*time.Minute), 1, func(r *tocsin.Received) {
			r.Service = tocsin.Service("s" + string(rune('a'+i%100)))
		}))
	}
	s, _ := few.Source(source(1))
	if s.Attempts != 5000 || s.Devices > 256 || len(s.Services) > 32 {
		t.Errorf("%d attempts at %d devices, services %v", s.Attempts, s.Devices, s.Services)
	}
}

func TestReactions(t *testing.T) {
	l := overview.New()
	l.Event(told(source(1), "nas", noon, 5))
	r, ok := l.Reacted(source(1), noon.Add(5*time.Second), time.Second)
	if !ok || r.Took() != 15*time.Second {
		t.Errorf("took %v", r.Took())
	}
	if _, again := l.Reacted(source(1), noon.Add(time.Hour), time.Second); again {
		t.Error("a renewed block counts as a reaction")
	}
	if _, unseen := l.Reacted(source(2), noon, time.Second); unseen {
		t.Error("who was never seen was reacted to")
	}
	for i := range uint32(1100) {
		l.React(overview.Reaction{Prefix: source(100 + i), First: noon, Everywhere: noon})
	}
	if n := len(l.Reactions(noon)); n != 1000 {
		t.Errorf("%d are remembered", n)
	}
	if n := len(l.Reactions(noon.Add(overview.Week))); n != 0 {
		t.Errorf("%d after a week", n)
	}
}

func BenchmarkEvent(b *testing.B) {
	l := overview.New()
	i := uint32(0)
	for b.Loop() {
		l.Event(told(source(i%50_000), "nas", noon.Add(time.Duration(i)*time.Millisecond), 1))
		i++
	}
}
