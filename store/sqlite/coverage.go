package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// coverageKey is what the checksum of a row covers besides the row.
func coverageKey(device tocsin.DeviceID, stream tocsin.Stream) string {
	return string(device) + "\x00" + string(stream)
}

// Cover implements [store.Coverage].
func (s *Store) Cover(ctx context.Context, device tocsin.DeviceID, c tocsin.Coverage) error {
	if device == "" || c.Stream == "" {
		return errors.New("coverage is of a stream of a device: one of them is missing")
	}
	return s.commit(ctx, 0, func(t *tx) error {
		key := coverageKey(device, c.Stream)
		kept := store.Covered{Device: device, Stream: c.Stream}
		var row []byte
		err := t.one("SELECT row FROM coverage WHERE device = ? AND stream = ?", []any{string(device), string(c.Stream)}, &row)
		if err == nil {
			err = decode(key, row, &kept)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		kept.Cover(c)
		if row, err = encode(key, kept); err != nil {
			return err
		}
		_, err = t.exec("INSERT OR REPLACE INTO coverage VALUES (?, ?, ?)", string(device), string(c.Stream), row)
		return err
	})
}

func scanCovered(rows *sql.Rows) (c store.Covered, err error) {
	var device, stream string
	var row []byte
	if err := rows.Scan(&device, &stream, &row); err != nil {
		return c, err
	}
	return c, decode(coverageKey(tocsin.DeviceID(device), tocsin.Stream(stream)), row, &c)
}

// Gaps implements [store.Coverage].
func (s *Store) Gaps(ctx context.Context, device tocsin.DeviceID, stream tocsin.Stream, within tocsin.Span) ([]tocsin.Gap, error) {
	within.From, within.To = within.From.Round(0).UTC(), within.To.Round(0).UTC()
	c, err := one(ctx, s, scanCovered, "SELECT device, stream, row FROM coverage WHERE device = ? AND stream = ?", string(device), string(stream))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return c.Missing(within), nil
}

// Covered implements [store.Coverage].
func (s *Store) Covered(ctx context.Context) iter.Seq2[store.Covered, error] {
	type key struct{ device, stream string }
	return paged(key{}, pageRows, func(after key) ([]store.Covered, error) {
		return collect(ctx, s, scanCovered, "SELECT device, stream, row FROM coverage WHERE (device, stream) > (?, ?) "+
			"ORDER BY device, stream LIMIT ?", after.device, after.stream, pageRows)
	}, func(c store.Covered) key { return key{string(c.Device), string(c.Stream)} })
}
