package sqlite

import (
	"context"
	"database/sql"
)

// Value implements [store.Values].
func (s *Store) Value(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, s, func(rows *sql.Rows) ([]byte, error) {
		var row []byte
		if err := rows.Scan(&row); err != nil {
			return nil, err
		}
		return unseal(row, []byte(name))
	}, "SELECT row FROM named WHERE name = ?", name)
}

// Put implements [store.Values].
func (s *Store) Put(ctx context.Context, name string, value []byte) error {
	row := sealValue(name, value)
	return s.commit(ctx, 0, func(t *tx) error {
		_, err := t.exec("INSERT OR REPLACE INTO named VALUES (?, ?)", name, row)
		return err
	})
}

func sealValue(name string, value []byte) []byte {
	return seal(value[:len(value):len(value)], []byte(name))
}

// PutNew implements [store.Values].
func (s *Store) PutNew(ctx context.Context, name string, value []byte) ([]byte, error) {
	row := sealValue(name, value)
	var stored []byte
	err := s.commit(ctx, 0, func(t *tx) error {
		if _, err := t.exec("INSERT OR IGNORE INTO named VALUES (?, ?)", name, row); err != nil {
			return err
		}
		var there []byte
		if err := t.one("SELECT row FROM named WHERE name = ?", []any{name}, &there); err != nil {
			return err
		}
		var err error
		stored, err = unseal(there, []byte(name))
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// Drop implements [store.Values].
func (s *Store) Drop(ctx context.Context, name string) error {
	return s.commit(ctx, 0, func(t *tx) error {
		_, err := t.exec("DELETE FROM named WHERE name = ?", name)
		return err
	})
}

// Names implements [store.Values].
func (s *Store) Names(ctx context.Context, prefix string) ([]string, error) {
	return collect(ctx, s, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
		"SELECT name FROM named WHERE substr(CAST(name AS BLOB), 1, ?) = ? ORDER BY name", len(prefix), []byte(prefix))
}
