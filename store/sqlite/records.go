package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/tocsin-io/tocsin/store"
)

// sealRecord returns the row of a record: when it was changed, and the document.
func sealRecord(r store.Record) []byte {
	row := binary.LittleEndian.AppendUint64(make([]byte, 0, len(r.Body)+12), uint64(nanos(r.Changed)))
	return seal(append(row, r.Body...), recordAbout(r))
}

func recordAbout(r store.Record) []byte {
	return fmt.Appendf(nil, "record %d %q %q", r.Version, r.Kind, r.ID)
}

// PutRecord implements [store.Records].
func (s *Store) PutRecord(ctx context.Context, r store.Record) (store.Record, error) {
	if r.Kind == "" || r.ID == "" || r.Version >= math.MaxInt64 {
		return store.Record{}, errors.New("a record needs a kind and an ID")
	}
	before := r.Version
	r.Version++
	err := s.commit(ctx, 0, func(t *tx) (err error) {
		r.Changed = fromNanos(nanos(s.now()))
		var changed int64
		if before == 0 {
			changed, err = t.exec("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", r.Kind, r.ID, int64(r.Version), sealRecord(r))
		} else {
			changed, err = t.exec("UPDATE records SET version = ?, row = ? WHERE kind = ? AND id = ? AND version = ?",
				int64(r.Version), sealRecord(r), r.Kind, r.ID, int64(before))
		}
		return asRead(changed, err)
	})
	if err != nil {
		return store.Record{}, err
	}
	if len(r.Body) == 0 {
		r.Body = nil
	}
	return r, nil
}

// asRead returns [store.ErrChanged] if a statement found another version.
func asRead(changed int64, err error) error {
	if err == nil && changed == 0 {
		return store.ErrChanged
	}
	return err
}

func scanRecord(rows *sql.Rows) (r store.Record, err error) {
	var version int64
	var row []byte
	if err := rows.Scan(&r.Kind, &r.ID, &version, &row); err != nil {
		return r, err
	}
	r.Version = uint64(version)
	row, err = unseal(row, recordAbout(r))
	if err == nil && len(row) < 8 {
		err = store.ErrDamaged
	}
	if err != nil {
		return r, fmt.Errorf("%s %s: %w", r.Kind, r.ID, err)
	}
	r.Changed = fromNanos(int64(binary.LittleEndian.Uint64(row)))
	if len(row) > 8 {
		r.Body = row[8:]
	}
	return r, nil
}

// Record implements [store.Records].
func (s *Store) Record(ctx context.Context, kind, id string) (store.Record, error) {
	return one(ctx, s, scanRecord, "SELECT kind, id, version, row FROM records WHERE kind = ? AND id = ?", kind, id)
}

// recordPage is how many documents a reader takes into memory at once: they may
// be large.
const recordPage = 50

// Records implements [store.Records].
func (s *Store) Records(ctx context.Context, kind string) iter.Seq2[store.Record, error] {
	return paged("", recordPage, func(after string) ([]store.Record, error) {
		return collect(ctx, s, scanRecord, "SELECT kind, id, version, row FROM records WHERE kind = ? AND id > ? ORDER BY id LIMIT ?",
			kind, after, recordPage)
	}, func(r store.Record) string { return r.ID })
}

// DropRecord implements [store.Records].
func (s *Store) DropRecord(ctx context.Context, kind, id string, version uint64) error {
	return s.commit(ctx, 0, func(t *tx) error {
		return asRead(t.exec("DELETE FROM records WHERE kind = ? AND id = ? AND version = ?", kind, id, int64(min(version, math.MaxInt64))))
	})
}
