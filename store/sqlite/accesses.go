package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// AddAccess implements [store.Accesses].
func (s *Store) AddAccess(ctx context.Context, a store.Access) error {
	row, err := encodeAccess(a)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		return isNew(t.exec("INSERT OR IGNORE INTO accesses VALUES (?, ?, ?)", a.Hash[:], a.Name, row))
	})
}

func encodeAccess(a store.Access) ([]byte, error) {
	a.Made, a.Until, a.Used = a.Made.UTC(), a.Until.UTC(), a.Used.UTC()
	return encode(string(a.Hash[:]), a)
}

// Access implements [store.Accesses].
func (s *Store) Access(ctx context.Context, hash [32]byte) (store.Access, error) {
	return one(ctx, s, decoded[store.Access], "SELECT hash, row FROM accesses WHERE hash = ?", hash[:])
}

// UseAccess implements [store.Accesses].
func (s *Store) UseAccess(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.commit(ctx, 0, func(t *tx) error {
		var row []byte
		if err := t.one("SELECT row FROM accesses WHERE hash = ?", []any{hash[:]}, &row); err != nil {
			return err
		}
		var a store.Access
		if err := decode(string(hash[:]), row, &a); err != nil {
			return err
		}
		a.Used = at
		row, err := encodeAccess(a)
		if err != nil {
			return err
		}
		return must(t.exec("UPDATE accesses SET row = ? WHERE hash = ?", row, hash[:]))
	})
}

// Accesses implements [store.Accesses].
func (s *Store) Accesses(ctx context.Context) ([]store.Access, error) {
	return collect(ctx, s, decoded[store.Access], "SELECT hash, row FROM accesses ORDER BY name")
}

// DropAccess implements [store.Accesses].
func (s *Store) DropAccess(ctx context.Context, name string) error {
	return s.commit(ctx, 0, func(t *tx) error {
		return must(t.exec("DELETE FROM accesses WHERE name = ?", name))
	})
}
