package storetest

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// Clue returns a clue as a hub has received it, in every field.
func Clue(device tocsin.DeviceID, boot, counter uint64) store.Clue {
	return store.Clue{
		Clue: tocsin.Clue{
			ID: tocsin.ID{Device: device, Boot: boot, Counter: counter}, Device: device, At: Noon.Add(-time.Minute),
			Fact: tocsin.AutorunAdded, Subject: "/etc/cron.d/x", Source: netip.MustParsePrefix("203.0.113.7/32"),
			To: netip.MustParseAddrPort("[2001:db8::7]:443"), Digest: [32]byte{1, 2, 31: 3},
		},
		Offset: -90 * time.Second, Owner: "own-1",
	}
}

// Contact returns a contact in every field.
func Contact(device tocsin.DeviceID, to string, first, last time.Time) tocsin.Contact {
	return tocsin.Contact{
		Device: device, To: netip.MustParseAddrPort(to), Protocol: 6, First: first, Last: last,
		Count: 3, Failed: 1, Sent: math.MaxUint64, Received: 7, Longest: time.Minute,
		Starts: []tocsin.Start{{At: first, Sent: 9}, {At: last}},
	}
}

func addClues(t *testing.T, s *subject, batch ...store.Clue) []store.Clue {
	t.Helper()
	fresh, err := s.AddClues(t.Context(), batch)
	must(t, err)
	return fresh
}

func testClues(t *testing.T, s *subject) {
	ctx := t.Context()
	odd := Clue("dev-1", 1, 3)
	odd.Subject, odd.Source, odd.To, odd.Owner = "s\x00\xff", netip.Prefix{}, netip.AddrPort{}, "o\xfe"
	odd.At = time.Now()
	got := addClues(t, s, Clue("dev-1", 1, 1), Clue("dev-1", 1, 1), odd)
	want := []store.Clue{Clue("dev-1", 1, 1), odd}
	want[1].At = odd.At.Round(0).UTC()
	for i := range want {
		want[i].Serial, want[i].Received = uint64(i+1), Noon
	}
	same(t, "returned", got, want)
	same(t, "a repeat", len(addClues(t, s, Clue("dev-1", 1, 1), odd)), 0)
	same(t, "a boot before", len(addClues(t, s, Clue("dev-1", 0, 9))), 0)
	appendAll(t, s, batch("dev-1", 7, 1)) // sightings are numbered apart
	s.clock.Set(Noon.Add(time.Hour))
	want = append(want, addClues(t, s, Clue("dev-2", 1, 1))...)
	want = append(want, addClues(t, s, Clue("dev-1", 2, 1))...)
	s.reopen(t)
	same(t, "all", all(t, s.Clues(ctx, "", time.Time{})), want)
	same(t, "of one device", all(t, s.Clues(ctx, "dev-2", time.Time{})), want[2:3])
	same(t, "since", all(t, s.Clues(ctx, "", Noon.Add(time.Hour))), want[2:])
	same(t, "of one device since", all(t, s.Clues(ctx, "dev-1", Noon.Add(1))), want[3:])
	counts, err := s.CountClues(ctx)
	must(t, err)
	same(t, "counts", counts, map[tocsin.DeviceID]uint64{"dev-1": 3, "dev-2": 1})
	for device, high := range map[tocsin.DeviceID]tocsin.ID{"dev-1": {Device: "dev-1", Boot: 2, Counter: 1}, "nobody": {Device: "nobody"}} {
		id, err := s.HighestClue(ctx, device)
		must(t, err)
		same(t, "highest", id, high)
	}
	for _, bad := range [][]store.Clue{{Clue("dev-3", 1, 1), Clue("dev-4", 1, 1)}, {Clue("", 1, 1)}, {{Clue: tocsin.Clue{ID: want[0].ID}}}} {
		if _, err := s.AddClues(ctx, bad); err == nil {
			t.Errorf("got no error for %v", bad)
		}
	}
	if n, err := s.ForgetClues(ctx, Noon.Add(time.Minute), 1); err != nil || n != 1 {
		t.Errorf("got %d forgotten, %v; want 1", n, err)
	}
	if n, err := s.ForgetClues(ctx, Noon.Add(2*time.Hour), 100); err != nil || n != 3 {
		t.Errorf("got %d forgotten, %v; want 3", n, err)
	}
	same(t, "a repeat of what was forgotten", len(addClues(t, s, Clue("dev-1", 2, 1))), 0)
	same(t, "no serial is given twice", addClues(t, s, Clue("dev-1", 2, 2))[0].Serial, uint64(5))
	must(t, s.Check(ctx))
}

func testManyClues(t *testing.T, s *subject) {
	var wg sync.WaitGroup
	for d := range 4 {
		wg.Go(func() {
			for c := range 300 {
				id := tocsin.DeviceID(fmt.Sprint("dev-", d))
				if fresh, err := s.AddClues(t.Context(), []store.Clue{Clue(id, 1, uint64(c+1))}); err != nil || len(fresh) != 1 {
					t.Errorf("got %d fresh, %v", len(fresh), err)
				}
			}
		})
	}
	wg.Wait()
	last := map[tocsin.DeviceID]uint64{}
	for i, c := range all(t, s.Clues(t.Context(), "", time.Time{})) {
		if c.Serial != uint64(i+1) || c.ID.Counter != last[c.Device]+1 {
			t.Fatalf("clue %d: serial %d, counter %d after %d", i, c.Serial, c.ID.Counter, last[c.Device])
		}
		last[c.Device]++
	}
	same(t, "devices", len(last), 4)
}

func testContacts(t *testing.T, s *subject) {
	ctx := t.Context()
	a := Contact("dev-1", "198.51.100.7:443", Noon, Noon.Add(time.Minute))
	b := Contact("dev-1", "[2001:db8::7]:443", Noon, Noon.Add(time.Hour))
	c := Contact("dev-2", "198.51.100.7:443", Noon.Add(-time.Hour), Noon.Add(2*time.Hour))
	c.Starts = nil
	udp := a
	udp.Protocol = 17
	must(t, s.AddContacts(ctx, []tocsin.Contact{b, udp, a}))
	must(t, s.AddContacts(ctx, []tocsin.Contact{c}))
	a.Last, a.Count = Noon.Add(3*time.Minute), 9
	must(t, s.AddContacts(ctx, []tocsin.Contact{a})) // it grew
	must(t, s.AddContacts(ctx, []tocsin.Contact{a}))
	s.reopen(t)
	// The bytes of an address sort before those of a longer one.
	same(t, "all", all(t, s.Contacts(ctx, "", time.Time{})), []tocsin.Contact{b, a, udp, c})
	same(t, "of one device", all(t, s.Contacts(ctx, "dev-2", time.Time{})), []tocsin.Contact{c})
	same(t, "since", all(t, s.Contacts(ctx, "", Noon.Add(time.Hour))), []tocsin.Contact{b, c})
	same(t, "of one device since", all(t, s.Contacts(ctx, "dev-1", Noon.Add(2*time.Minute))), []tocsin.Contact{b, a})
	for _, bad := range [][]tocsin.Contact{{a, c}, {{To: a.To}}, {{Device: "dev-1"}}} {
		if err := s.AddContacts(ctx, bad); err == nil {
			t.Errorf("got no error for %v", bad)
		}
	}
	must(t, s.AddContacts(ctx, nil))
	for _, want := range []int{1, 1, 0} {
		if n, err := s.ForgetContacts(ctx, Noon.Add(time.Hour), 1); err != nil || n != want {
			t.Errorf("got %d forgotten, %v; want %d", n, err, want)
		}
	}
	same(t, "left", all(t, s.Contacts(ctx, "", time.Time{})), []tocsin.Contact{b, c})
	var many []tocsin.Contact
	for i := range 1200 { // more than a page
		many = append(many, Contact("dev-9", fmt.Sprintf("198.18.0.1:%d", 1+i), Noon, Noon.Add(time.Duration(i))))
	}
	must(t, s.AddContacts(ctx, many))
	same(t, "many", all(t, s.Contacts(ctx, "dev-9", time.Time{})), many)
	must(t, s.Check(ctx))
}

func testCoverage(t *testing.T, s *subject) {
	ctx := t.Context()
	at := func(h int) time.Time { return Noon.Add(time.Duration(h) * time.Hour) }
	span := func(from, to int) tocsin.Span { return tocsin.Span{From: at(from), To: at(to)} }
	tell := func(from, to int, gaps ...tocsin.Gap) {
		t.Helper()
		must(t, s.Cover(ctx, "dev-1", tocsin.Coverage{Stream: tocsin.LogStream, From: at(from), Until: at(to), Gaps: gaps}))
	}
	want := func(what string, within tocsin.Span, gaps ...tocsin.Gap) {
		t.Helper()
		got, err := s.Gaps(ctx, "dev-1", tocsin.LogStream, within)
		must(t, err)
		same(t, what, got, gaps)
	}
	gap := func(from, to int, reason tocsin.Reason) tocsin.Gap {
		return tocsin.Gap{Span: span(from, to), Reason: reason}
	}
	want("nothing told", span(0, 9), gap(0, 9, ""))
	tell(1, 3)
	tell(5, 6)
	want("two spans", span(0, 9), gap(0, 1, ""), gap(3, 5, ""), gap(6, 9, ""))
	tell(3, 5) // touches both
	want("one span", span(0, 9), gap(0, 1, ""), gap(6, 9, ""))
	want("within", span(2, 4))
	tell(1, 8, gap(2, 3, "truncated"), gap(6, 6, "empty"))
	tell(0, 8) // nobody takes a gap back
	tell(8, 2) // reversed
	s.reopen(t)
	want("a gap told", span(0, 9), gap(2, 3, "truncated"), gap(8, 9, ""))
	must(t, s.Cover(ctx, "dev-1", tocsin.Coverage{Stream: tocsin.FlowStream, From: at(0), Until: at(1)}))
	must(t, s.Cover(ctx, "dev-0", tocsin.Coverage{Stream: tocsin.LogStream, From: at(0), Until: at(1)}))
	if s.Cover(ctx, "", tocsin.Coverage{Stream: tocsin.LogStream}) == nil {
		t.Error("coverage of nobody: got no error")
	}
	same(t, "all", all(t, s.Covered(ctx)), []store.Covered{
		{Device: "dev-0", Stream: tocsin.LogStream, Read: []tocsin.Span{span(0, 1)}},
		{Device: "dev-1", Stream: tocsin.FlowStream, Read: []tocsin.Span{span(0, 1)}},
		{Device: "dev-1", Stream: tocsin.LogStream, Read: []tocsin.Span{span(0, 8)}, Gaps: []tocsin.Gap{gap(2, 3, "truncated")}},
	})
	must(t, s.Check(ctx))
}

func testRecords(t *testing.T, s *subject) {
	ctx := t.Context()
	r, err := s.PutRecord(ctx, store.Record{Kind: "case", ID: "c-1", Body: []byte("one")})
	must(t, err)
	same(t, "first", r, store.Record{Kind: "case", ID: "c-1", Version: 1, Changed: Noon, Body: []byte("one")})
	_, err = s.PutRecord(ctx, store.Record{Kind: "case", ID: "c-1", Body: []byte("two")})
	refused(t, "another first", err, store.ErrChanged)
	r.Body = bytes.Repeat([]byte{0, 255}, 1<<11)
	s.clock.Set(Noon.Add(time.Second))
	r, err = s.PutRecord(ctx, r)
	must(t, err)
	same(t, "version", r.Version, uint64(2))
	r.Version = 1
	_, err = s.PutRecord(ctx, r)
	refused(t, "of an older version", err, store.ErrChanged)
	r.Version = 2
	_, err = s.PutRecord(ctx, store.Record{Kind: "case", ID: "c-9", Version: 1})
	refused(t, "of none", err, store.ErrChanged)
	for _, id := range []string{"c-2", "c-0"} {
		_, err := s.PutRecord(ctx, store.Record{Kind: "case", ID: id})
		must(t, err)
	}
	_, err = s.PutRecord(ctx, store.Record{Kind: "campaign", ID: "c-1"})
	must(t, err)
	if _, err := s.PutRecord(ctx, store.Record{Kind: "case"}); err == nil {
		t.Error("without an ID: got no error")
	}
	s.reopen(t)
	got, err := s.Record(ctx, "case", "c-1")
	must(t, err)
	same(t, "stored", got, r)
	_, err = s.Record(ctx, "case", "c-9")
	refused(t, "none", err, store.ErrNotFound)
	var ids []string
	for _, r := range all(t, s.Records(ctx, "case")) {
		ids = append(ids, r.ID)
	}
	same(t, "of a kind", ids, []string{"c-0", "c-1", "c-2"})
	refused(t, "drop of another version", s.DropRecord(ctx, "case", "c-1", 1), store.ErrChanged)
	must(t, s.DropRecord(ctx, "case", "c-1", 2))
	refused(t, "drop of none", s.DropRecord(ctx, "case", "c-1", 2), store.ErrChanged)
	must(t, s.Check(ctx))
}

// testRecordRace has many change one document by what they read of it.
func testRecordRace(t *testing.T, s *subject) {
	var wg sync.WaitGroup
	won := make([]int, 8)
	for i := range won {
		wg.Go(func() {
			for range 20 {
				_, err := s.PutRecord(t.Context(), store.Record{Kind: "case", ID: "c", Version: uint64(won[i])})
				if err == nil {
					won[i]++
				} else {
					refused(t, "a loser", err, store.ErrChanged)
				}
			}
		})
	}
	wg.Wait()
	r, err := s.Record(t.Context(), "case", "c")
	must(t, err)
	sum := 0
	for _, n := range won {
		sum += n
	}
	same(t, "changes", r.Version, uint64(sum))
}
