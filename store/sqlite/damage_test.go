package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
	"github.com/tocsin-io/tocsin/store/storetest"
)

// filled returns the bytes of a database with something in it.
func filled(t *testing.T) []byte {
	t.Helper()
	folder := t.TempDir()
	s := open(t, folder, time.Now)
	for d := range uint64(5) {
		if _, err := s.Append(t.Context(), sightings(d, 1, 100)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		if err := s.Put(t.Context(), fmt.Sprint("name ", i), []byte(strings.Repeat("value", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := evidence(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(folder, "tocsin.db"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// evidence adds what devices tell besides sightings, and a document of each kind.
func evidence(s storetest.Store) error {
	noon := storetest.Noon
	for i := range 20 {
		device := tocsin.DeviceID(fmt.Sprint("dev-", i))
		_, err := s.AddClues(context.Background(), []store.Clue{storetest.Clue(device, 1, 1)})
		contact := storetest.Contact(device, "198.51.100.7:443", noon, noon.Add(time.Hour))
		coverage := tocsin.Coverage{Stream: tocsin.LogStream, From: noon, Until: noon.Add(time.Hour)}
		err = errors.Join(err, s.AddContacts(context.Background(), []tocsin.Contact{contact}), s.Cover(context.Background(), device, coverage))
		_, e := s.PutRecord(context.Background(), store.Record{Kind: "case", ID: fmt.Sprint(i), Body: []byte("body")})
		if err = errors.Join(err, e); err != nil {
			return err
		}
	}
	return nil
}

// told reads what evidence added.
func told(s storetest.Store) (lines []string, err error) {
	err = errors.Join(list(&lines, s.Clues(context.Background(), "", time.Time{})), list(&lines, s.Contacts(context.Background(), "", time.Time{})),
		list(&lines, s.Covered(context.Background())), list(&lines, s.Records(context.Background(), "case")))
	return lines, err
}

func list[T any](lines *[]string, seq iter.Seq2[T, error]) error {
	for v, err := range seq {
		if err != nil {
			return err
		}
		*lines = append(*lines, fmt.Sprint(v))
	}
	return nil
}

// contents reads what a database holds, and checks it.
func contents(t *testing.T, db []byte) (lines []string, err error) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "tocsin.db"), db, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), folder, time.Now)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrDamaged) {
			t.Errorf("close: %v", err)
		}
	}()
	if err := s.Check(t.Context()); err != nil {
		return nil, err
	}
	for e, err := range s.Since(t.Context(), 0) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprint(e.Serial, e.At, *e.Received))
	}
	more, err := told(s)
	if err != nil {
		return nil, err
	}
	lines = append(lines, more...)
	names, err := s.Names(t.Context(), "")
	for _, name := range names {
		v, err := s.Value(t.Context(), name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprint(name, v))
	}
	return lines, err
}

// wantSentence wants an error that says which file, and what to do.
func wantSentence(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), "tocsin.db: ") {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestFlippedBytes(t *testing.T) {
	whole := filled(t)
	want, err := contents(t, whole)
	if err != nil || len(want) != 600 {
		t.Fatalf("got %d lines, %v", len(want), err)
	}
	found := 0
	for i := range 150 {
		at, bit := rand.IntN(len(whole)), byte(1)<<rand.IntN(8)
		if i < 100 { // the header says most
			at = i
		}
		broken := append([]byte(nil), whole...)
		broken[at] ^= bit
		got, err := contents(t, broken)
		what := fmt.Sprintf("byte %d, bit %08b", at, bit)
		switch {
		case err == nil && !cmp.Equal(got, want):
			t.Errorf("%s: reads as something else", what)
		case errors.Is(err, store.ErrNewer), err != nil && strings.Contains(err.Error(), "another program"):
			found++
		case err != nil:
			found++
			wantSentence(t, what, err, store.ErrDamaged)
		}
	}
	if found < 20 {
		t.Errorf("damage was found %d times", found)
	}
}

func TestTruncated(t *testing.T) {
	whole := filled(t)
	for _, n := range []int{1, 15, 16, 99, 100, 4095, 4096, len(whole) / 2, len(whole) - 4096, len(whole) - 1} {
		_, err := contents(t, whole[:n])
		wantSentence(t, fmt.Sprint(n, " bytes"), err, store.ErrDamaged)
	}
}

func TestNotOurs(t *testing.T) {
	_, err := contents(t, []byte("this is a letter to my aunt, and not a database at all"))
	wantSentence(t, "a letter", err, store.ErrDamaged)

	folder := t.TempDir()
	path := filepath.Join(folder, "tocsin.db")
	run(t, path, "CREATE TABLE aunts (name TEXT)", "INSERT INTO aunts VALUES ('Agatha')")
	before := read(t, path)
	if _, err := sqlite.Open(t.Context(), folder, time.Now); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("another program's database: got %v", err)
	}
	if string(read(t, path)) != string(before) {
		t.Error("another program's database was changed")
	}

	folder = t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "tocsin.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), folder, time.Now); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a folder: got %v", err)
	}
}

func TestNewer(t *testing.T) {
	folder := t.TempDir()
	if err := open(t, folder, time.Now).Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "tocsin.db")
	run(t, path, "PRAGMA user_version = 99")
	before := read(t, path)
	_, err := sqlite.Open(t.Context(), folder, time.Now)
	wantSentence(t, "newer", err, store.ErrNewer)
	if string(read(t, path)) != string(before) {
		t.Error("a newer database was changed")
	}
	other := t.TempDir()
	if err := sqlite.Restore(t.Context(), path, other); !errors.Is(err, store.ErrNewer) {
		t.Errorf("restore: got %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, "tocsin.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("restore left something: %v", err)
	}
}

// run runs statements as another program would.
func run(t *testing.T, path string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackupWhileWriting(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder, time.Now)
	defer s.Close()
	if _, err := s.Append(t.Context(), sightings(0, 1, 2000)); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for i := uint64(0); ; i++ {
			if _, err := s.Append(t.Context(), sightings(1, 1+i*10, 10)); err != nil {
				stopped <- err
				return
			}
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
		}
	}()
	copied := filepath.Join(t.TempDir(), "copy")
	for i := range 3 {
		if err := s.Backup(t.Context(), fmt.Sprint(copied, i)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := sqlite.Restore(t.Context(), copied+"0", other); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(t.Context(), copied+"1", other); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Restore(t.Context(), copied+"2", other); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("over what was replaced: got %v", err)
	}
	if err := sqlite.Restore(t.Context(), copied+"2", folder); err == nil || !strings.Contains(err.Error(), "in use by") {
		t.Errorf("under an open hub: got %v", err)
	}
	if b := read(t, copied+"2"); os.WriteFile(copied+"2", b[:len(b)-4096], 0o600) != nil ||
		!errors.Is(sqlite.Restore(t.Context(), copied+"2", t.TempDir()), store.ErrDamaged) {
		t.Error("a truncated backup was restored")
	}
	restored := open(t, other, time.Now)
	defer restored.Close()
	n := uint64(0)
	for e, err := range restored.Since(t.Context(), 0) {
		if n++; err != nil || e.Serial != n {
			t.Fatalf("event %d has serial %d: %v", n, e.Serial, err)
		}
	}
	if n < 2000 {
		t.Errorf("got %d events, want those committed before the backup", n)
	}
	fresh, err := restored.Append(t.Context(), sightings(0, 1990, 20))
	if err != nil || len(fresh) != 9 || fresh[0].Serial != n+1 {
		t.Errorf("repeats after a restore: got %d fresh, %v", len(fresh), err)
	}
}
