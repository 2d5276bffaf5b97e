package sighting

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tocsin-io/tocsin"
)

var day = time.Date(2023, 10, 14, 6, 0, 0, 0, time.UTC)

var equal = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func failure(account, source string, after time.Duration) tocsin.Attempt {
	return tocsin.Attempt{
		At: day.Add(after), Service: "ssh", Outcome: tocsin.Failure, Account: account,
		Source: netip.AddrPortFrom(netip.MustParseAddr(source), 40000), Provenance: tocsin.Attested,
	}
}

func book(caps Caps) *Book { return New([]byte("key"), "nas", 7, caps) }

func TestAttemptsAddUp(t *testing.T) {
	b := book(Caps{})
	b.Observe(failure("root", "2001:db8::1", 0), 0)
	b.Observe(failure("Root", "2001:db8::2", time.Second), 0)
	b.Observe(failure("margaret", "2001:db8::1", 2*time.Second), 0)
	a := failure("", "2001:db8::1", 3*time.Second)
	a.Outcome, a.Provenance = tocsin.Probe, tocsin.Local
	b.Observe(a, 0)
	a.Outcome = tocsin.Success
	b.Observe(a, 0)
	if due, ok := b.Due(); !ok || !due.Equal(day.Add(10*time.Second)) {
		t.Errorf("due %v %v", due, ok)
	}
	if got := b.Take(day.Add(9 * time.Second)); len(got) != 0 {
		t.Errorf("told before its end: %v", got)
	}
	want := []tocsin.Sighting{{
		ID:     tocsin.ID{Device: "nas", Boot: 7, Counter: 1},
		Source: netip.MustParsePrefix("2001:db8::/64"), Port: 40000, Service: "ssh",
		First: day, Last: day.Add(3 * time.Second), Failures: 3, Successes: 1, Probes: 1,
		Accounts: []tocsin.Tried{{Tag: "root", Failures: 2}, {Tag: Tag([]byte("key"), "margaret"), Failures: 1}}, Provenance: tocsin.Local,
	}}
	if diff := cmp.Diff(want, b.Take(day.Add(10*time.Second)), equal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := b.Due(); ok || b.Open() != 0 {
		t.Error("something is left")
	}
}

func TestDropsAreToldApart(t *testing.T) {
	b := book(Caps{})
	b.Observe(failure("root", "192.0.2.1", 0), 0)
	b.Dropped(netip.MustParsePrefix("192.0.2.1/32"), 5, day)
	b.Dropped(netip.MustParsePrefix("192.0.2.1/32"), 1<<32-1, day.Add(time.Second))
	b.Dropped(netip.Prefix{}, 5, day)
	got := b.Flush()
	if len(got) != 2 || got[0].Dropped+got[1].Dropped != 1<<32-1 || got[0].Failures+got[1].Failures != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestFactsDoNotWait(t *testing.T) {
	b := book(Caps{})
	b.Observe(failure("root", "192.0.2.2", 0), 0)
	b.Observe(failure("root", "192.0.2.1", 0), tocsin.FactSet(0).With(tocsin.Spray))
	if got := b.Take(day); len(got) != 1 || !got[0].Facts.Has(tocsin.Spray) {
		t.Errorf("got %+v", got)
	}
}

func TestHearsay(t *testing.T) {
	for _, change := range []func(*tocsin.Attempt){
		func(a *tocsin.Attempt) { a.Tentative = true },
		func(a *tocsin.Attempt) { a.Provenance = 0 },
		func(a *tocsin.Attempt) { a.Provenance = 77 },
		func(a *tocsin.Attempt) { a.Provenance = tocsin.Network },
	} {
		b, a := book(Caps{}), failure("root", "192.0.2.1", 0)
		change(&a)
		b.Observe(a, 0)
		if got := b.Flush(); len(got) != 1 || got[0].Provenance != tocsin.Network {
			t.Errorf("got %+v", got)
		}
	}
	b, a := book(Caps{}), failure("root", "192.0.2.1", 0)
	a.Outcome = 0
	b.Observe(a, 0)
	b.Observe(tocsin.Attempt{Outcome: tocsin.Failure}, 0)
	if got := b.Flush(); len(got) != 0 {
		t.Errorf("no outcome or no source, and told: %+v", got)
	}
}

// TestTimesOfLinesReadBack: days apart are sightings apart, however fast they
// are read, and a time from the future does not wait for it.
func TestTimesOfLinesReadBack(t *testing.T) {
	b := book(Caps{})
	for i := range 5 {
		b.Observe(failure("root", "192.0.2.1", -time.Duration(i)*24*time.Hour), 0)
	}
	b.Observe(failure("root", "192.0.2.9", 100*365*24*time.Hour), 0)
	got := b.Take(day.Add(time.Minute))
	if len(got) != 6 || b.Open() != 0 {
		t.Fatalf("%d sightings, want 6", len(got))
	}
	for _, s := range got {
		if s.Last.Sub(s.First) > 10*time.Second || s.Failures != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// TestNothingIsLostAndNothingGrows fills every bound.
func TestNothingIsLostAndNothingGrows(t *testing.T) {
	b := book(Caps{Open: 50, Closed: 20_000})
	for i := range 10_000 {
		b.Observe(failure(fmt.Sprintf("user%d", i), fmt.Sprintf("198.18.%d.%d", i%3, i%200), time.Duration(i)*time.Millisecond), 0)
		if b.Open() > 50 || len(b.tags.seen) > maxSeen || len(b.open) != b.Open() {
			t.Fatal("over a bound")
		}
	}
	seen, failures := map[tocsin.ID]bool{}, uint32(0)
	for _, s := range b.Flush() {
		failures += s.Failures
		if seen[s.ID] || len(s.Accounts) > MaxAccounts {
			t.Fatalf("%+v", s)
		}
		seen[s.ID] = true
	}
	if failures != 10_000 || b.Lost() != 0 {
		t.Errorf("%d of 10,000 attempts told, %d lost", failures, b.Lost())
	}
}

func TestOneWindowTellsTheFirstAccounts(t *testing.T) {
	b := book(Caps{})
	for i := range 40 {
		b.Observe(failure(fmt.Sprintf("user%d", i), "192.0.2.1", 0), 0)
	}
	got := b.Flush()
	if len(got) != 1 || len(got[0].Accounts) != MaxAccounts || got[0].Accounts[0].Tag != Tag([]byte("key"), "user0") {
		t.Errorf("got %+v", got)
	}
}

func TestUntakenSightingsAreBounded(t *testing.T) {
	b := book(Caps{Open: 10, Closed: 100})
	for i := range 1000 {
		b.Observe(failure("root", fmt.Sprintf("198.18.%d.%d", i/250, i%250), 0), 0)
	}
	if got := b.Take(day.Add(time.Hour)); len(got) != 100 || got[99].ID.Counter != 1000 || b.Lost() != 900 {
		t.Errorf("%d sightings, %d lost", len(got), b.Lost())
	}
}

func TestTags(t *testing.T) {
	key := []byte("owner")
	if Tag(key, "ROOT") != "root" || Tag(key, "margaret") == "margaret" {
		t.Error("public names travel in clear, others do not")
	}
	if Tag(key, "Margaret") != Tag(key, "margaret") || Tag(key, "margaret") == Tag([]byte("other"), "margaret") {
		t.Error("one owner's tags agree, two owners' do not")
	}
}

func FuzzTag(f *testing.F) {
	f.Add([]byte("key"), "root")
	f.Add([]byte{}, "Ro\xffot\x00")
	f.Add([]byte("k"), "\u212Aafka")
	f.Fuzz(func(t *testing.T, key []byte, name string) {
		tag := string(Tag(key, name))
		if strings.HasPrefix(tag, keyedSign) {
			if len(tag) != 17 || len(name) > 3 && bytes.Contains([]byte(tag), []byte(name)) && len(name) > 16 {
				t.Errorf("%q: tag %q", name, tag)
			}
		} else if !strings.EqualFold(tag, name) || len(tag) > 16 {
			t.Errorf("%q: tag %q in clear", name, tag)
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	book := book(Caps{})
	a := failure("root", "192.0.2.1", 0)
	var sources [1000]netip.AddrPort
	for i := range sources {
		sources[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 40000)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a.Source = sources[i%1000]
		a.At = a.At.Add(time.Millisecond)
		book.Observe(a, 0)
		if i++; i%1000 == 0 {
			book.Take(a.At)
		}
	}
}

func TestANewSourceIsToldAtOnceToAHub(t *testing.T) {
	b := book(Caps{Eager: true})
	b.Observe(failure("root", "192.0.2.1", 0), 0)
	if got := b.Take(day); len(got) != 1 || got[0].Failures != 1 {
		t.Fatalf("got %+v", got)
	}
	for i := 1; i < 5; i++ {
		b.Observe(failure("root", "192.0.2.1", time.Duration(i)*time.Second), 0)
	}
	if got := b.Take(day.Add(5 * time.Second)); len(got) != 0 {
		t.Errorf("told one by one: %+v", got)
	}
	if got := b.Take(day.Add(11 * time.Second)); len(got) != 1 || got[0].Failures != 4 {
		t.Errorf("got %+v", got)
	}
	b.Observe(failure("root", "192.0.2.1", time.Hour), 0)
	if got := b.Take(day.Add(time.Hour)); len(got) != 1 {
		t.Errorf("after an hour of silence: %+v", got)
	}
	for i := range 100_000 {
		a := failure("root", "192.0.2.1", 2*time.Hour)
		a.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)}), 1)
		b.Observe(a, 0)
	}
	if len(b.recent) > DefaultCaps().Open {
		t.Errorf("%d sources remembered", len(b.recent))
	}
}

// TestToldBefore: what was told before a restart is not told again, but everything
// before and after is.
func TestToldBefore(t *testing.T) {
	b := book(Caps{})
	one := func(source string, at time.Duration) tocsin.Sighting {
		return tocsin.Sighting{Source: netip.MustParsePrefix(source), Service: "ssh", First: day.Add(at), Last: day.Add(at + 10*time.Second)}
	}
	b.Told([]tocsin.Sighting{one("192.0.2.1/32", time.Hour), one("192.0.2.1/32", time.Hour+time.Minute)})
	for _, a := range []tocsin.Attempt{
		failure("root", "192.0.2.1", time.Minute),                // long before
		failure("root", "192.0.2.1", time.Hour-time.Second),      // written a little before it was read
		failure("root", "192.0.2.1", time.Hour+30*time.Second),   // between two sightings: told
		failure("root", "192.0.2.1", time.Hour+70*time.Second),   // the last one told
		failure("root", "192.0.2.1", time.Hour+71*time.Second),   // new
		failure("root", "192.0.2.2", time.Hour+30*time.Second),   // somebody else
		failure("root", "2001:db8::1", time.Hour+30*time.Second), // somebody else
	} {
		b.Observe(a, 0)
	}
	failures := uint32(0)
	for _, s := range b.Flush() {
		failures += s.Failures
	}
	if failures != 4 {
		t.Errorf("told %d failures, want 4", failures)
	}
}
