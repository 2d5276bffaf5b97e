package spool_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/spool"
)

func TestCluesSurvive(t *testing.T) {
	dir := t.TempDir()
	want := tocsin.Clue{
		ID: tocsin.ID{Device: "nas", Boot: 1, Counter: 1}, Device: "nas", At: day, Fact: tocsin.KeysChanged, Subject: "/x",
		Source: netip.MustParsePrefix("203.0.113.7/32"), Digest: [32]byte{7},
	}
	bare := tocsin.Clue{ID: tocsin.ID{Device: "nas", Boot: 1, Counter: 2}, Device: "nas", At: day, Fact: tocsin.LoggingOff}
	s, warning, err := spool.OpenClues(dir, spool.Limits{}, day)
	if err != nil || warning != "" {
		t.Fatal(err, warning)
	}
	s.Add([]tocsin.Clue{want}, day)
	s.Add([]tocsin.Clue{bare}, day)
	// Not closed: a guard that was killed does not.
	s, warning, err = spool.OpenClues(dir, spool.Limits{}, day.AddDate(0, 0, 20))
	if err != nil || warning != "" {
		t.Fatal(err, warning)
	}
	got, err := s.After(tocsin.ID{}, 10)
	if diff := cmp.Diff([]tocsin.Clue{want, bare}, got, cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestContactsAreBounded(t *testing.T) {
	dir := t.TempDir()
	s, _, err := spool.OpenContacts(dir, spool.Limits{Bytes: 64 << 10, Recent: 10}, day)
	if err != nil {
		t.Fatal(err)
	}
	const n = 2000
	for i := range uint64(n) {
		s.Add([]spool.Contact{{ID: tocsin.ID{Boot: 1, Counter: i + 1}, Contact: tocsin.Contact{
			Device: "nas", To: netip.MustParseAddrPort("198.51.100.7:443"), Protocol: 6, First: day, Last: day, Count: 1,
		}}}, day.Add(time.Duration(i)*time.Second))
	}
	got, err := s.After(tocsin.ID{}, n)
	if err != nil || len(got) == 0 || got[len(got)-1].ID.Counter != n {
		t.Fatalf("got %d, %v", len(got), err)
	}
	if lost := n - uint64(len(got)); s.Lost() != lost || lost == 0 {
		t.Errorf("got %d lost, want %d", s.Lost(), lost)
	}
	size := int64(0)
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 80<<10 {
		t.Errorf("%d bytes on the disk", size)
	}
}
