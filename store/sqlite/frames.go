package sqlite

import (
	"context"
	"database/sql"
	"iter"
	"math"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// pageFrames is fewer than pageRows: one frame may be a megabyte.
const pageFrames = 32

// Publish implements [store.Frames].
func (s *Store) Publish(ctx context.Context, frames []store.Frame) error {
	return s.commit(ctx, 0, func(t *tx) error {
		for _, f := range frames {
			query := "INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?)"
			if f.Snapshot {
				query = `INSERT INTO snapshots VALUES (?, ?, ?, ?, ?) ON CONFLICT (list) DO UPDATE
					SET epoch = excluded.epoch, serial = excluded.serial, made = excluded.made, sealed = excluded.sealed
					WHERE (excluded.epoch, excluded.serial) >= (epoch, serial)`
			}
			if err := isNew(t.exec(query, f.List, int64(f.Epoch), int64(f.Serial), nanos(f.Made), f.Sealed)); err != nil {
				return err
			}
		}
		return nil
	})
}

// scanFrame scans list, epoch, serial, made, sealed, and whether it is a snapshot.
func scanFrame(rows *sql.Rows) (f store.Frame, err error) {
	var epoch, serial, made int64
	err = rows.Scan(&f.List, &epoch, &serial, &made, &f.Sealed, &f.Snapshot)
	f.Epoch, f.Serial, f.Made = uint64(epoch), uint64(serial), fromNanos(made)
	return f, err
}

// FramesSince implements [store.Frames].
func (s *Store) FramesSince(ctx context.Context, list string, epoch, after uint64) iter.Seq2[store.Frame, error] {
	return paged(after, pageFrames, func(after uint64) ([]store.Frame, error) {
		return collect(ctx, s, scanFrame, `SELECT list, epoch, serial, made, sealed, 0 FROM frames
			WHERE list = ? AND epoch = ? AND serial > ? ORDER BY serial LIMIT ?`,
			list, int64(epoch), int64(min(after, math.MaxInt64)), pageFrames)
	}, func(f store.Frame) uint64 { return f.Serial })
}

// Snapshot implements [store.Frames].
func (s *Store) Snapshot(ctx context.Context, list string) (store.Frame, error) {
	return one(ctx, s, scanFrame, "SELECT list, epoch, serial, made, sealed, 1 FROM snapshots WHERE list = ?", list)
}

// Heads implements [store.Frames].
func (s *Store) Heads(ctx context.Context) ([]store.Frame, error) {
	lists, err := collect(ctx, s, func(rows *sql.Rows) (list string, err error) { return list, rows.Scan(&list) },
		// One seek for each list, however many frames it has.
		`WITH RECURSIVE list (name) AS (SELECT min(list) FROM frames UNION ALL
			SELECT (SELECT min(list) FROM frames WHERE list > name) FROM list WHERE name IS NOT NULL)
		SELECT name FROM list WHERE name IS NOT NULL UNION SELECT list FROM snapshots ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var heads []store.Frame
	for _, list := range lists {
		f, err := one(ctx, s, scanFrame, `SELECT * FROM (SELECT list, epoch, serial, made, sealed, 0 AS snapshot
				FROM frames WHERE list = ?1 ORDER BY epoch DESC, serial DESC LIMIT 1)
			UNION ALL SELECT list, epoch, serial, made, sealed, 1 FROM snapshots WHERE list = ?1
			ORDER BY epoch DESC, serial DESC, snapshot LIMIT 1`, list)
		if err != nil {
			return nil, err
		}
		heads = append(heads, f)
	}
	return heads, nil
}

// ForgetFrames implements [store.Frames].
func (s *Store) ForgetFrames(ctx context.Context, before time.Time) (int, error) {
	total := 0
	for {
		var gone int64
		err := s.commit(ctx, 0, func(t *tx) (err error) {
			gone, err = t.exec(`DELETE FROM frames WHERE rowid IN (SELECT f.rowid FROM frames f JOIN snapshots s USING (list)
				WHERE (f.epoch, f.serial) <= (s.epoch, s.serial) AND f.made < ? LIMIT ?)`, nanos(before), forgetRows)
			return err
		})
		total += int(gone)
		if err != nil || gone < forgetRows {
			return total, err
		}
	}
}
