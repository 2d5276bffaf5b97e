package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"github.com/tocsin-io/tocsin/ledger"
)

// A LedgerReader reads the log of what operators did and nothing else: it writes
// nothing, and does not mind whether a hub runs.
type LedgerReader struct{ s *Store }

// ReadLedger opens the database in a folder, only to read the log in it.
func ReadLedger(ctx context.Context, folder string) (*LedgerReader, error) {
	path, err := filepath.Abs(filepath.Join(folder, fileName))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	if err := examine(ctx, path); err != nil {
		return nil, explain(path, err)
	}
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(5000)", "query_only(1)", "trusted_schema(0)", "cell_size_check(1)")+"&mode=ro")
	if err != nil {
		return nil, explain(path, err)
	}
	r := &LedgerReader{&Store{path: path, read: db}}
	tables, err := one(ctx, r.s, func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) },
		"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'ledger'")
	if err == nil && tables == 0 {
		err = fmt.Errorf("%s: it was written before there was a log of what operators did", path)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return r, nil
}

// Entries yields those with a serial above after; see [store.Ledger].
func (r *LedgerReader) Entries(ctx context.Context, after uint64) iter.Seq2[ledger.Entry, error] {
	return r.s.Entries(ctx, after)
}

// LastEntries returns the newest; see [store.Ledger].
func (r *LedgerReader) LastEntries(ctx context.Context, before uint64, most int) ([]ledger.Entry, error) {
	return r.s.LastEntries(ctx, before, most)
}

// Close ends it.
func (r *LedgerReader) Close() error { return r.s.read.Close() }
