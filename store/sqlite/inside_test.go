package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

func connect(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func number(t *testing.T, conn *sql.Conn, query string) (n int) {
	t.Helper()
	if err := conn.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// samples puts something into a database of each version.
var samples = map[int]string{
	1: "INSERT INTO marks VALUES ('dev-1', 1, 7, 0)",
	2: "INSERT INTO marks VALUES ('dev-1', 1, 7, 0); INSERT INTO clue_marks VALUES ('dev-1', 1, 7, 0)",
	3: "INSERT INTO marks VALUES ('dev-1', 1, 7, 0); INSERT INTO clue_marks VALUES ('dev-1', 1, 7, 0)",
}

func TestMigrateFromEveryVersion(t *testing.T) {
	steps := migrations()
	for version := range len(steps) + 1 {
		folder := t.TempDir()
		conn := connect(t, filepath.Join(folder, fileName))
		if err := migrate(t.Context(), conn, steps[:version]); err != nil {
			t.Fatal(err)
		}
		if version > 0 && samples[version] == "" {
			t.Errorf("version %d has no sample", version)
		}
		if _, err := conn.ExecContext(t.Context(), samples[version]); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), folder, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if got := number(t, conn, "PRAGMA user_version"); got != len(steps) {
			t.Errorf("from %d: got version %d", version, got)
		}
		if got := number(t, conn, "SELECT count(*) FROM marks"); got != min(version, 1) {
			t.Errorf("from %d: got %d marks", version, got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMigrationIsWholeOrNothing(t *testing.T) {
	conn := connect(t, filepath.Join(t.TempDir(), fileName))
	steps := append(migrations(), "CREATE TABLE good (a)", "CREATE TABLE bad (a); INSERT INTO nowhere VALUES (1)", "CREATE TABLE later (a)")
	good := len(steps) - 2
	for range 2 {
		if err := migrate(t.Context(), conn, steps); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("schema %d: ", good+1)) {
			t.Errorf("got %v", err)
		}
		if got := number(t, conn, "PRAGMA user_version"); got != good {
			t.Errorf("got version %d, want %d", got, good)
		}
		if got := number(t, conn, "SELECT count(*) FROM sqlite_master WHERE name IN ('good', 'bad', 'later')"); got != 1 {
			t.Errorf("got %d of the tables, want one", got)
		}
	}
	steps[good] = "CREATE TABLE bad (a)"
	if err := migrate(t.Context(), conn, steps); err != nil {
		t.Error(err)
	}
	if got := number(t, conn, "PRAGMA user_version"); got != len(steps) {
		t.Errorf("got version %d, want %d", got, len(steps))
	}
}

func sighting(device string, counter uint64) tocsin.Received {
	return tocsin.Received{Sighting: tocsin.Sighting{
		ID:     tocsin.ID{Device: tocsin.DeviceID(device), Boot: 1, Counter: counter},
		Source: netip.MustParsePrefix("203.0.113.7/32"),
	}}
}

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// pragma sets something on the writer's connection.
func pragma(t *testing.T, s *Store, text string) {
	t.Helper()
	if err := s.commit(t.Context(), 0, func(tx *tx) error { _, err := tx.exec("PRAGMA " + text); return err }); err != nil {
		t.Fatal(err)
	}
}

// One value is too large for the room that is left; what others ask for at the
// same time is not.
func TestOneTooLarge(t *testing.T) {
	s := openStore(t)
	pragma(t, s, "max_page_count = 60")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if i%2 == 0 {
				if err := s.Put(t.Context(), "large", make([]byte, 1<<20)); !errors.Is(err, store.ErrFull) {
					t.Errorf("large: got %v", err)
				}
				return
			}
			fresh, err := s.Append(t.Context(), []tocsin.Received{sighting(fmt.Sprint("dev-", i), 1)})
			if err != nil || len(fresh) != 1 {
				t.Errorf("small: got %d fresh, %v", len(fresh), err)
			}
		})
	}
	wg.Wait()
	if _, n, err := s.Size(t.Context()); err != nil || n != 10 {
		t.Errorf("got %d events, %v", n, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	var err error
	counter := uint64(2)
	for ; err == nil; counter++ {
		_, err = s.Append(t.Context(), []tocsin.Received{sighting("dev-1", counter)})
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want a full disk", err)
	}
	if _, err := s.Forget(t.Context(), time.Now().Add(time.Hour), 1000); err != nil {
		t.Errorf("making room: %v", err)
	}
	if _, err := s.Append(t.Context(), []tocsin.Received{sighting("dev-1", counter)}); err != nil {
		t.Errorf("after making room: %v", err)
	}
}

func TestHeldByAnotherProgram(t *testing.T) {
	s := openStore(t)
	pragma(t, s, "busy_timeout = 1")
	other := connect(t, s.path)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(t.Context(), []tocsin.Received{sighting("dev-1", 1)})
	if !errors.Is(err, store.ErrBusy) || !strings.Contains(err.Error(), fileName+": ") {
		t.Errorf("got %v, want busy", err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if fresh, err := s.Append(t.Context(), []tocsin.Received{sighting("dev-1", 1)}); err != nil || len(fresh) != 1 {
		t.Errorf("afterwards: got %d fresh, %v", len(fresh), err)
	}
}

// FuzzRow: a row that is read is a row that would be written.
func FuzzRow(f *testing.F) {
	r := sighting("dev-1", 7)
	r.Accounts = []tocsin.Tried{{Tag: "admin", Failures: 3, Unknown: true}}
	r.From = netip.MustParseAddr("fe80::1%eth0")
	f.Add(encodeReceived(&r))
	f.Add([]byte{rowVersion})
	f.Fuzz(func(t *testing.T, row []byte) {
		r, err := decodeReceived(row)
		if err != nil {
			return
		}
		again, err := decodeReceived(encodeReceived(r))
		if err != nil {
			t.Fatal(err)
		}
		if string(encodeReceived(again)) != string(encodeReceived(r)) {
			t.Errorf("got %+v, want %+v", again, r)
		}
	})
}

// FuzzEvidenceRow: rows of clues and contacts that are read are rows that would
// be written.
func FuzzEvidenceRow(f *testing.F) {
	now := time.Unix(1, 0).UTC()
	c := store.Clue{Clue: tocsin.Clue{At: now, Subject: "x", To: netip.MustParseAddrPort("[2001:db8::1]:1")}}
	f.Add(encodeClue(&c), encodeContact(&tocsin.Contact{First: now, Last: now, Starts: []tocsin.Start{{At: now, Sent: 1}}}))
	f.Add([]byte{clueVersion}, []byte{contactVersion})
	f.Fuzz(func(t *testing.T, clue, contact []byte) {
		if c, err := decodeClue("dev-1", clue); err == nil {
			again, err := decodeClue("dev-1", encodeClue(&c))
			if err != nil || string(encodeClue(&again)) != string(encodeClue(&c)) {
				t.Errorf("got %+v, %v; want %+v", again, err, c)
			}
		}
		if c, err := decodeContact(contact); err == nil {
			again, err := decodeContact(encodeContact(&c))
			if err != nil || string(encodeContact(&again)) != string(encodeContact(&c)) {
				t.Errorf("got %+v, %v; want %+v", again, err, c)
			}
		}
	})
}
