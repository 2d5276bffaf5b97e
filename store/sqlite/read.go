package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// A page is what a reader takes into memory at once: between pages it holds
// nothing, so that a slow reader never keeps the WAL from being brought home.
const pageRows = 500

// collect returns what a query gives, each row as scan makes it.
func collect[T any](ctx context.Context, s *Store, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	select {
	case <-s.quit:
		return nil, s.errClosed()
	default:
	}
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.explain(err)
	}
	defer func() { err = s.explain(errors.Join(err, rows.Close())) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, unreadable(err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// one returns what a query for one row gives, or [store.ErrNotFound].
func one[T any](ctx context.Context, s *Store, scan func(*sql.Rows) (T, error), query string, args ...any) (T, error) {
	all, err := collect(ctx, s, scan, query, args...)
	if err == nil && len(all) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return all[0], nil
}

// paged yields page after page: fetch returns what comes after a key, and key
// that of the last one yielded. A page that is not full is the last.
func paged[K, T any](after K, size int, fetch func(after K) ([]T, error), key func(T) K) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := after; ; {
			page, err := fetch(at)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < size {
				return
			}
			at = key(page[len(page)-1])
		}
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns bytes with their checksum behind; about is what else must be
// right beside them.
func seal(b, about []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Update(crc32.Checksum(about, castagnoli), castagnoli, b))
}

// unseal returns the bytes that seal was given, or [store.ErrDamaged].
func unseal(b, about []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 0 || crc32.Update(crc32.Checksum(about, castagnoli), castagnoli, b[:n]) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, fmt.Errorf("%w: a row has another checksum", store.ErrDamaged)
	}
	return b[:n], nil
}

// encode returns a value as a row that is found by key.
func encode(key string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return seal(b, []byte(key)), nil
}

func decode(key string, row []byte, v any) error {
	b, err := unseal(row, []byte(key))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return nil
}

// decoded scans a key and its row into a value.
func decoded[T any](rows *sql.Rows) (v T, err error) {
	var key string
	var row []byte
	if err := rows.Scan(&key, &row); err != nil {
		return v, err
	}
	return v, decode(key, row, &v)
}

// The times that Unix nanoseconds can tell.
var (
	earliest = time.Unix(0, math.MinInt64)
	latest   = time.Unix(0, math.MaxInt64)
)

// nanos returns t as a column holds it: what lies outside of the years 1678 to
// 2262 becomes the end of them.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time { return time.Unix(0, n).UTC() }
