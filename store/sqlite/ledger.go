package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store"
)

// Enter implements [store.Ledger].
func (s *Store) Enter(ctx context.Context, e ledger.Entry) (ledger.Entry, error) {
	var linked ledger.Entry
	err := s.commit(ctx, 0, func(t *tx) error {
		var serial int64
		var hash, row []byte
		err := t.one("SELECT serial, hash, row FROM ledger ORDER BY serial DESC LIMIT 1", nil, &serial, &hash, &row)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		var before ledger.Hash
		copy(before[:], hash)
		e.At = fromNanos(nanos(s.now()))
		// One that cannot be read says nothing of its time, and is found by whoever
		// verifies: what comes after must be written down all the same.
		if last, err := openEntry(serial, hash, row); err == nil && e.At.Before(last.At) {
			e.At = last.At
		}
		linked = ledger.Link(uint64(serial), before, e)
		serial, hash = int64(linked.Serial), linked.Hash[:]
		_, err = t.exec("INSERT INTO ledger VALUES (?, ?, ?)", serial, hash, seal(linked.Encode(), entryAbout(serial, hash)))
		return err
	})
	if err != nil {
		return ledger.Entry{}, err
	}
	return linked, nil
}

func entryAbout(serial int64, hash []byte) []byte {
	return fmt.Appendf(nil, "ledger %d %x", serial, hash)
}

// openEntry reads an entry without asking whether it follows from another.
func openEntry(serial int64, hash, row []byte) (ledger.Entry, error) {
	row, err := unseal(row, entryAbout(serial, hash))
	if err != nil {
		return ledger.Entry{}, err
	}
	e, err := ledger.Decode(row)
	if err == nil && (e.Serial != uint64(serial) || len(hash) != len(e.Hash)) {
		err = store.ErrDamaged
	}
	copy(e.Hash[:], hash)
	return e, err
}

// scanEntry reads an entry, or what is left of it.
func scanEntry(rows *sql.Rows) (ledger.Entry, error) {
	var serial int64
	var hash, row []byte
	if err := rows.Scan(&serial, &hash, &row); err != nil {
		return ledger.Entry{}, err
	}
	e, err := openEntry(serial, hash, row)
	if err != nil {
		e = ledger.Entry{Serial: uint64(serial)}
		copy(e.Hash[:], hash)
	}
	return e, nil
}

// Entries implements [store.Ledger].
func (s *Store) Entries(ctx context.Context, after uint64) iter.Seq2[ledger.Entry, error] {
	return paged(after, pageRows, func(after uint64) ([]ledger.Entry, error) {
		return collect(ctx, s, scanEntry, "SELECT serial, hash, row FROM ledger WHERE serial > ? ORDER BY serial LIMIT ?",
			int64(min(after, math.MaxInt64)), pageRows)
	}, func(e ledger.Entry) uint64 { return e.Serial })
}

// LastEntries implements [store.Ledger].
func (s *Store) LastEntries(ctx context.Context, before uint64, most int) ([]ledger.Entry, error) {
	if before == 0 || before > math.MaxInt64 {
		before = math.MaxInt64
	}
	return collect(ctx, s, scanEntry, "SELECT serial, hash, row FROM ledger WHERE serial < ? ORDER BY serial DESC LIMIT ?", int64(before), most)
}

// checkLedger looks for damage. Whether somebody changed the log is another
// question: a backup in which somebody did must still be one that can be restored.
func (s *Store) checkLedger(ctx context.Context) error {
	_, err := collect(ctx, s, func(rows *sql.Rows) (none struct{}, err error) {
		var serial int64
		var hash, row []byte
		if err := rows.Scan(&serial, &hash, &row); err != nil {
			return none, err
		}
		if _, err := unseal(row, entryAbout(serial, hash)); err != nil {
			return none, fmt.Errorf("entry %d of the log of what operators did: %w", serial, err)
		}
		return none, nil
	}, "SELECT serial, hash, row FROM ledger")
	return err
}
