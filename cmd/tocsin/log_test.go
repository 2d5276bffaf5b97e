//go:build !small

package main

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// TestVerifyTellsWhere: a log that was changed ends with status 1 and the first
// entry that does not hold.
func TestVerifyTellsWhere(t *testing.T) {
	folder := t.TempDir()
	db, err := sqlite.Open(t.Context(), folder, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, did := range []string{"one", "two\x1b[2J", "three"} {
		if _, err := db.Enter(t.Context(), ledger.Entry{By: "ada", How: ledger.Console, Did: did, Outcome: "done"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := Main(t.Context(), append(args, "--folder", folder), strings.NewReader(""), &out, &errs); got != want {
			t.Errorf("%q: status %d, want %d: %s", args, got, want, errs.String())
		}
		return out.String(), errs.String()
	}
	if out, _ := run(0, "log", "show"); !strings.Contains(out, "two?[2J") {
		t.Errorf("got %q", out)
	}
	run(0, "log", "verify")
	raw, err := sql.Open("sqlite", filepath.Join(folder, "tocsin.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ExecContext(t.Context(), "DELETE FROM ledger WHERE serial = 2"); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, errs := run(1, "log", "verify"); !strings.Contains(errs, "the log was changed: entry 2 is missing: 3 follows 1; 1 before it hold") {
		t.Errorf("got %q", errs)
	}
	if out, _ := run(1, "log", "verify", "--json"); !strings.Contains(out, `"good":false,"broken_at":2`) {
		t.Errorf("got %q", out)
	}
}
