package sqlite

import (
	"context"
	"errors"

	"github.com/tocsin-io/tocsin/store"
)

func encodeUser(u store.User) ([]byte, error) {
	if u.Name == "" {
		return nil, errors.New("a user needs a name")
	}
	u.Made, u.Last = u.Made.UTC(), u.Last.UTC()
	return encode(u.Name, u)
}

// AddUser implements [store.Users].
func (s *Store) AddUser(ctx context.Context, u store.User) error {
	row, err := encodeUser(u)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		return isNew(t.exec("INSERT OR IGNORE INTO users VALUES (?, ?)", u.Name, row))
	})
}

// User implements [store.Users].
func (s *Store) User(ctx context.Context, name string) (store.User, error) {
	return one(ctx, s, decoded[store.User], "SELECT name, row FROM users WHERE name = ?", name)
}

// Users implements [store.Users].
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	return collect(ctx, s, decoded[store.User], "SELECT name, row FROM users ORDER BY name")
}

// ChangeUser implements [store.Users].
func (s *Store) ChangeUser(ctx context.Context, u store.User) error {
	row, err := encodeUser(u)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		return must(t.exec("UPDATE users SET row = ? WHERE name = ?", row, u.Name))
	})
}

// DropUser implements [store.Users].
func (s *Store) DropUser(ctx context.Context, name string) error {
	return s.commit(ctx, 0, func(t *tx) error {
		if err := must(t.exec("DELETE FROM users WHERE name = ?", name)); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM sessions WHERE user = ?", name); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM invitations WHERE user = ?", name)
		return err
	})
}

// user reads one within a transaction.
func (t *tx) user(name string) (u store.User, err error) {
	var row []byte
	if err := t.one("SELECT row FROM users WHERE name = ?", []any{name}, &row); err != nil {
		return u, err
	}
	return u, decode(name, row, &u)
}
