package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store"
)

// TestTamperedLedger: who has the file and changes the log in it is found, and
// told apart from a bad disk.
func TestTamperedLedger(t *testing.T) {
	forge := func(e ledger.Entry) string { // as somebody would who knows the checksum, but not what is chained
		return fmt.Sprintf("UPDATE ledger SET row = x'%x' WHERE serial = %d", seal(e.Encode(), entryAbout(int64(e.Serial), e.Hash[:])), e.Serial)
	}
	for name, tt := range map[string]struct {
		query   func(third ledger.Entry) string
		broken  uint64
		damaged bool
	}{
		"nothing":         {func(ledger.Entry) string { return "SELECT 1" }, 0, false},
		"another text":    {func(e ledger.Entry) string { e.Did = "nothing much"; return forge(e) }, 3, false},
		"another time":    {func(e ledger.Entry) string { e.At = e.At.Add(-time.Hour); return forge(e) }, 3, false},
		"removed":         {func(ledger.Entry) string { return "DELETE FROM ledger WHERE serial = 3" }, 3, false},
		"the first":       {func(ledger.Entry) string { return "DELETE FROM ledger WHERE serial = 1" }, 1, false},
		"renumbered":      {func(ledger.Entry) string { return "UPDATE ledger SET serial = 30 WHERE serial = 3" }, 3, true},
		"the end":         {func(ledger.Entry) string { return "DELETE FROM ledger WHERE serial > 3" }, 0, false},
		"a bad disk":      {func(ledger.Entry) string { return "UPDATE ledger SET row = x'00' WHERE serial = 3" }, 3, true},
		"a bad hash":      {func(ledger.Entry) string { return "UPDATE ledger SET hash = x'00' WHERE serial = 3" }, 3, true},
		"all, made anew?": {func(ledger.Entry) string { return "DELETE FROM ledger" }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			var all []ledger.Entry
			for i := range 5 {
				e, err := s.Enter(t.Context(), ledger.Entry{By: "ada", Did: fmt.Sprint("did ", i), Outcome: "done"})
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, e)
			}
			if _, err := connect(t, s.path).ExecContext(t.Context(), tt.query(all[2])); err != nil {
				t.Fatal(err)
			}
			r, err := ReadLedger(t.Context(), strings.TrimSuffix(s.path, fileName))
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			report, err := ledger.Verify(r.Entries(t.Context(), 0), all[4].Hash)
			if err != nil || report.Broken != tt.broken {
				t.Errorf("got %+v, %v", report, err)
			}
			if whole := name == "nothing"; (report.Noted == 5) != whole {
				t.Errorf("the head that was noted: %+v", report)
			}
			if err := s.Check(t.Context()); errors.Is(err, store.ErrDamaged) != tt.damaged {
				t.Errorf("check: got %v", err)
			}
			// What comes after is written down all the same.
			if _, err := s.Enter(t.Context(), ledger.Entry{By: "eve"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadLedgerOfOld: a database from before there was a log says so.
func TestReadLedgerOfOld(t *testing.T) {
	folder := t.TempDir()
	if err := migrate(t.Context(), connect(t, folder+"/"+fileName), migrations()[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLedger(t.Context(), folder); err == nil || !strings.Contains(err.Error(), "before there was a log") {
		t.Errorf("got %v", err)
	}
}
