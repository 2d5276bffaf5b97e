package spool_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/spool"
)

var (
	day  = time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)
	same = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
)

func open(t *testing.T, dir string, l spool.Limits, now time.Time) *spool.Spool[tocsin.Sighting] {
	t.Helper()
	s, warning, err := spool.Open(dir, l, now)
	if err != nil || warning != "" {
		t.Fatalf("open: %v %q", err, warning)
	}
	return s
}

func batch(boot, from, n uint64) (list []tocsin.Sighting) {
	for c := from; c < from+n; c++ {
		list = append(list, tocsin.Sighting{
			ID: tocsin.ID{Device: "nas", Boot: boot, Counter: c}, Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(c >> 8), byte(c)}), 32),
			Service: "ssh", First: day, Last: day, Failures: 3, Provenance: tocsin.Attested,
			Accounts: []tocsin.Tried{{Tag: "root", Failures: 3}},
		})
	}
	return list
}

func id(boot, counter uint64) tocsin.ID {
	return tocsin.ID{Device: "nas", Boot: boot, Counter: counter}
}

// all reads everything above an ID in steps, as the sender does.
func all(t *testing.T, s *spool.Spool[tocsin.Sighting], after tocsin.ID, step int) (list []tocsin.Sighting) {
	t.Helper()
	for {
		part, err := s.After(after, step)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) == 0 {
			return list
		}
		if len(part) > step {
			t.Fatalf("%d at once, asked for %d", len(part), step)
		}
		list = append(list, part...)
		after = part[len(part)-1].ID
	}
}

func TestWhatWasAddedComesBackFromAnyPoint(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Limits{Recent: 50}, day)
	s.Add(batch(1, 1, 120), day)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, spool.Limits{Recent: 50}, day) // a restart of the guard
	s.Add(batch(2, 1, 700), day)
	want := append(batch(1, 1, 120), batch(2, 1, 700)...)
	for _, from := range []int{0, 1, 119, 120, 121, 790, 819} {
		after := tocsin.ID{}
		if from > 0 {
			after = want[from-1].ID
		}
		if diff := cmp.Diff(want[from:], all(t, s, after, 97), same); diff != "" {
			t.Errorf("after %d (-want +got):\n%s", from, diff)
		}
	}
	if got := all(t, s, id(9, 0), 10); got != nil {
		t.Errorf("a hub that has more gets %d", len(got))
	}
	if s.Lost() != 0 {
		t.Errorf("lost %d", s.Lost())
	}
}

func TestRoomIsBounded(t *testing.T) {
	dir := t.TempDir()
	const room = 200 << 10
	s := open(t, dir, spool.Limits{Bytes: room, Recent: 10}, day)
	for c := uint64(1); c < 5000; c += 50 {
		s.Add(batch(1, c, 50), day.Add(time.Duration(c)*time.Second))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var size int64
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	left := all(t, s, tocsin.ID{}, 1000)
	if size > room*5/4 || len(left) == 0 || left[len(left)-1].ID != id(1, 5000) {
		t.Errorf("%d bytes of %d, %d left", size, room, len(left))
	}
	if s.Lost() != left[0].ID.Counter-1 {
		t.Errorf("lost %d, the oldest left is %v", s.Lost(), left[0].ID)
	}
}

func TestADayIsKeptAndNoMore(t *testing.T) {
	s := open(t, t.TempDir(), spool.Limits{Recent: 1}, day)
	for h := range 100 {
		s.Add(batch(1, uint64(h)+1, 1), day.Add(time.Duration(h)*time.Hour))
	}
	left := all(t, s, tocsin.ID{}, 1000)
	if oldest := int(left[0].ID.Counter); len(left) < 24 || len(left) > 42 || oldest+len(left) != 101 {
		t.Errorf("%d left, from %d", len(left), oldest)
	}
	if s.Lost() != 0 {
		t.Errorf("what was too old counts as lost: %d", s.Lost())
	}
	if err := s.Trim(day.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if left := all(t, s, tocsin.ID{}, 1000); len(left) > 11 {
		t.Errorf("a year later %d are left", len(left))
	}
}

func TestManyRestartsThrowNothingAway(t *testing.T) {
	dir := t.TempDir()
	for boot := uint64(1); boot <= 30; boot++ {
		s := open(t, dir, spool.Limits{}, day)
		s.Add(batch(boot, 1, 3), day)
		// Killed: no Close.
	}
	s := open(t, dir, spool.Limits{Recent: 5}, day)
	if got := all(t, s, tocsin.ID{}, 7); len(got) != 90 {
		t.Errorf("%d of 90 left", len(got))
	}
}

func TestDamageIsSetAside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Limits{}, day)
	s.Add(batch(1, 1, 3), day)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("spool-%012d.log", 0)), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, warning, err := spool.Open(dir, spool.Limits{}, day)
	if err != nil || warning == "" {
		t.Fatalf("%v %q", err, warning)
	}
	if got := all(t, s, tocsin.ID{}, 10); len(got) != 3 {
		t.Errorf("%d of 3 left", len(got))
	}
	if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("spool-%012d.log.unreadable", 0))); err != nil {
		t.Error(err)
	}
}

func TestAFullDiskKeepsTheNewestInMemory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Limits{Recent: 20}, day)
	if err := os.RemoveAll(dir); err != nil { // writing fails like on a full disk, root or not
		t.Fatal(err)
	}
	s.Add(batch(1, 1, 30), day)
	if s.Broken() == nil {
		t.Fatal("nobody is told")
	}
	if got := all(t, s, tocsin.ID{}, 100); len(got) != 20 || got[19].ID != id(1, 30) {
		t.Errorf("%d in memory", len(got))
	}
}

// TestWhatComesAfterTheEndIsKept adds what a guard tells while it stops, after
// its line has.
func TestWhatComesAfterTheEndIsKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Limits{}, day)
	s.Add(batch(1, 1, 3), day)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Add(batch(1, 4, 2), day)
	if s.Broken() != nil {
		t.Error(s.Broken())
	}
	if got := all(t, open(t, dir, spool.Limits{}, day), tocsin.ID{}, 100); len(got) != 5 {
		t.Errorf("%d of 5 are kept", len(got))
	}
}

// TestSince: what was told last is found again after a restart, by its time.
func TestSince(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Limits{}, day)
	early, late := batch(1, 1, 3), batch(1, 4, 2)
	for i := range late {
		late[i].First, late[i].Last = day.Add(time.Hour), day.Add(time.Hour)
	}
	s.Add(early, day)
	s.Add(late, day.Add(time.Hour))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, spool.Limits{}, day.Add(2*time.Hour))
	for _, tt := range []struct {
		since time.Time
		want  int
	}{{time.Time{}, 5}, {day.Add(time.Minute), 2}, {day.Add(time.Hour), 2}, {day.Add(time.Hour + 1), 0}} {
		got, err := s.Since(tt.since)
		if err != nil || len(got) != tt.want {
			t.Errorf("since %v: got %d, %v, want %d", tt.since, len(got), err, tt.want)
		}
	}
}
