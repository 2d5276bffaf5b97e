package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// AddInvitation implements [store.Invitations].
func (s *Store) AddInvitation(ctx context.Context, i store.Invitation) error {
	i.Made, i.Until = i.Made.UTC(), i.Until.UTC()
	row, err := encode(string(i.Hash[:]), i)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		if i.Name != "" {
			if _, err := t.user(i.Name); err != nil {
				return err
			}
		}
		if _, err := t.exec("DELETE FROM invitations WHERE user = ? AND spent = 0 OR until < ?", i.Name, i.Made.Add(-keepTokens).Unix()); err != nil {
			return err
		}
		return isNew(t.exec("INSERT OR IGNORE INTO invitations (hash, user, until, row) VALUES (?, ?, ?, ?)", i.Hash[:], i.Name, i.Until.Unix(), row))
	})
}

// An invited is an invitation and whether it was used.
type invited struct {
	store.Invitation
	spent bool
}

func scanInvited(rows *sql.Rows) (i invited, err error) {
	var key string
	var row []byte
	if err := rows.Scan(&key, &row, &i.spent); err != nil {
		return i, err
	}
	return i, decode(key, row, &i.Invitation)
}

// Invitation implements [store.Invitations].
func (s *Store) Invitation(ctx context.Context, hash [32]byte, now time.Time) (store.Invitation, error) {
	i, err := one(ctx, s, scanInvited, "SELECT hash, row, spent FROM invitations WHERE hash = ?", hash[:])
	if err != nil {
		return store.Invitation{}, err
	}
	settled := false
	if i.Name == "" {
		users, err := s.Users(ctx)
		if err != nil {
			return store.Invitation{}, err
		}
		settled = hasPassword(users)
	}
	if i.spent || settled || !now.Before(i.Until) {
		return store.Invitation{}, store.ErrSpent
	}
	return i.Invitation, nil
}

func hasPassword(users []store.User) bool {
	for _, u := range users {
		if u.Password != "" {
			return true
		}
	}
	return false
}

// DropInvitations implements [store.Invitations].
func (s *Store) DropInvitations(ctx context.Context) error {
	return s.commit(ctx, 0, func(t *tx) error {
		_, err := t.exec("DELETE FROM invitations WHERE spent = 0")
		return err
	})
}

// Accept implements [store.Invitations].
func (s *Store) Accept(ctx context.Context, hash [32]byte, now time.Time, name, password string) (store.User, error) {
	var stored store.User
	err := s.commit(ctx, 0, func(t *tx) (err error) {
		stored, err = t.accept(hash, now, name, password)
		return err
	})
	if err != nil {
		return store.User{}, err
	}
	return stored, nil
}

func (t *tx) accept(hash [32]byte, now time.Time, name, password string) (store.User, error) {
	var i invited
	var row []byte
	if err := t.one("SELECT row, spent FROM invitations WHERE hash = ?", []any{hash[:]}, &row, &i.spent); err != nil {
		return store.User{}, err
	}
	if err := decode(string(hash[:]), row, &i.Invitation); err != nil {
		return store.User{}, err
	}
	if i.spent || !now.Before(i.Until) {
		return store.User{}, store.ErrSpent
	}
	if i.Name != "" {
		name = i.Name
	} else if err := t.first(name); err != nil {
		return store.User{}, err
	}
	u, err := t.user(name)
	if errors.Is(err, store.ErrNotFound) && i.Name == "" {
		u, err = store.User{Name: name, Role: i.Role, Made: now}, nil
	}
	if err != nil {
		return store.User{}, err
	}
	u.Password = password
	if row, err = encodeUser(u); err != nil {
		return store.User{}, err
	}
	if _, err := t.exec("INSERT OR REPLACE INTO users VALUES (?, ?)", u.Name, row); err != nil {
		return store.User{}, err
	}
	if _, err := t.exec("DELETE FROM sessions WHERE user = ?", u.Name); err != nil {
		return store.User{}, err
	}
	if _, err := t.exec("UPDATE invitations SET spent = 1 WHERE hash = ?", hash[:]); err != nil {
		return store.User{}, err
	}
	stored := store.User{}
	return stored, decode(u.Name, row, &stored)
}

// first refuses the invitation of the first of all once somebody has a password,
// and a name that is taken.
func (t *tx) first(name string) error {
	names, err := t.names()
	if err != nil {
		return err
	}
	var users []store.User
	for _, n := range names {
		u, err := t.user(n)
		if err != nil {
			return err
		}
		users = append(users, u)
		if n == name {
			return store.ErrExists
		}
	}
	if hasPassword(users) {
		return store.ErrSpent
	}
	return nil
}

// names returns the names of all users.
func (t *tx) names() (names []string, err error) {
	st, err := t.prepare("SELECT name FROM users")
	if err != nil {
		return nil, err
	}
	rows, err := st.Query()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}
