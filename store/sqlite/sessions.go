package sqlite

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

func encodeSession(s store.Session) ([]byte, error) {
	s.Made, s.Seen = s.Made.UTC(), s.Seen.UTC()
	return encode(string(s.Hash[:]), s)
}

// AddSession implements [store.Sessions].
func (s *Store) AddSession(ctx context.Context, a store.Session, stale time.Time, most int) error {
	row, err := encodeSession(a)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		if _, err := t.user(a.User); err != nil {
			return err
		}
		if _, err := t.exec("DELETE FROM sessions WHERE seen < ?", nanos(stale)); err != nil {
			return err
		}
		if err := isNew(t.exec("INSERT OR IGNORE INTO sessions VALUES (?, ?, ?, ?, ?)", a.Hash[:], a.User, nanos(a.Made), nanos(a.Seen), row)); err != nil {
			return err
		}
		_, err := t.exec("DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE user = ? ORDER BY made DESC LIMIT -1 OFFSET ?)",
			a.User, most)
		return err
	})
}

// Session implements [store.Sessions].
func (s *Store) Session(ctx context.Context, hash [32]byte) (store.Session, error) {
	return one(ctx, s, decoded[store.Session], "SELECT hash, row FROM sessions WHERE hash = ?", hash[:])
}

// Sessions implements [store.Sessions].
func (s *Store) Sessions(ctx context.Context, user string) ([]store.Session, error) {
	if user == "" {
		return collect(ctx, s, decoded[store.Session], "SELECT hash, row FROM sessions ORDER BY user, made")
	}
	return collect(ctx, s, decoded[store.Session], "SELECT hash, row FROM sessions WHERE user = ? ORDER BY made", user)
}

// SeeSession implements [store.Sessions].
func (s *Store) SeeSession(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.commit(ctx, 0, func(t *tx) error {
		var row []byte
		if err := t.one("SELECT row FROM sessions WHERE hash = ?", []any{hash[:]}, &row); err != nil {
			return err
		}
		var a store.Session
		if err := decode(string(hash[:]), row, &a); err != nil {
			return err
		}
		a.Seen = at
		row, err := encodeSession(a)
		if err != nil {
			return err
		}
		return must(t.exec("UPDATE sessions SET seen = ?, row = ? WHERE hash = ?", nanos(at), row, hash[:]))
	})
}

// DropSession implements [store.Sessions].
func (s *Store) DropSession(ctx context.Context, hash [32]byte) error {
	return s.commit(ctx, 0, func(t *tx) error {
		_, err := t.exec("DELETE FROM sessions WHERE hash = ?", hash[:])
		return err
	})
}

// DropSessions implements [store.Sessions].
func (s *Store) DropSessions(ctx context.Context, user string, but [32]byte) (int, error) {
	var gone int64
	err := s.commit(ctx, 0, func(t *tx) (err error) {
		gone, err = t.exec("DELETE FROM sessions WHERE user = ? AND hash <> ?", user, but[:])
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(gone), nil
}
