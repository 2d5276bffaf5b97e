package sqlite

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// keepTokens is how long a token out of date is kept: so long whoever comes too
// late is told so.
const keepTokens = 30 * 24 * time.Hour

// AddToken implements [store.Devices].
func (s *Store) AddToken(ctx context.Context, k store.Token) error {
	k.Made, k.Until = k.Made.UTC(), k.Until.UTC()
	row, err := encode(string(k.Hash[:]), k)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		if _, err := t.exec("DELETE FROM tokens WHERE until < ?", k.Made.Add(-keepTokens).Unix()); err != nil {
			return err
		}
		return isNew(t.exec("INSERT OR IGNORE INTO tokens (hash, until, row) VALUES (?, ?, ?)", k.Hash[:], k.Until.Unix(), row))
	})
}

// Redeem implements [store.Devices].
func (s *Store) Redeem(ctx context.Context, hash [32]byte, now time.Time, d tocsin.Device) (tocsin.Device, error) {
	if d.ID == "" {
		return tocsin.Device{}, errors.New("a device needs an ID")
	}
	var stored tocsin.Device
	err := s.commit(ctx, 0, func(t *tx) error {
		var spent bool
		var row []byte
		if err := t.one("SELECT spent, row FROM tokens WHERE hash = ?", []any{hash[:]}, &spent, &row); err != nil {
			return err
		}
		var k store.Token
		if err := decode(string(hash[:]), row, &k); err != nil {
			return err
		}
		if spent || !now.Before(k.Until) {
			return store.ErrSpent
		}
		own := d
		own.Owner, own.Groups, own.Honeypot, own.Enrolled = k.Owner, k.Groups, k.Honeypot, now
		row, err := encodeDevice(own)
		if err != nil {
			return err
		}
		if err := isNew(t.exec("INSERT OR IGNORE INTO devices VALUES (?, ?)", string(d.ID), row)); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE tokens SET spent = 1 WHERE hash = ?", hash[:]); err != nil {
			return err
		}
		stored = tocsin.Device{}
		return decode(string(d.ID), row, &stored)
	})
	if err != nil {
		return tocsin.Device{}, err
	}
	return stored, nil
}

func encodeDevice(d tocsin.Device) ([]byte, error) {
	d.Enrolled, d.Revoked = d.Enrolled.UTC(), d.Revoked.UTC()
	return encode(string(d.ID), d)
}

// Device implements [store.Devices].
func (s *Store) Device(ctx context.Context, id tocsin.DeviceID) (tocsin.Device, error) {
	return one(ctx, s, decoded[tocsin.Device], "SELECT id, row FROM devices WHERE id = ?", string(id))
}

// Devices implements [store.Devices].
func (s *Store) Devices(ctx context.Context) iter.Seq2[tocsin.Device, error] {
	return byID(ctx, s, "SELECT id, row FROM devices WHERE id > ? ORDER BY id LIMIT ?",
		func(d tocsin.Device) tocsin.DeviceID { return d.ID })
}

func byID[T any](ctx context.Context, s *Store, query string, id func(T) tocsin.DeviceID) iter.Seq2[T, error] {
	return paged("", pageRows, func(after tocsin.DeviceID) ([]T, error) {
		return collect(ctx, s, decoded[T], query, string(after), pageRows)
	}, id)
}

// Change implements [store.Devices].
func (s *Store) Change(ctx context.Context, d tocsin.Device) error {
	row, err := encodeDevice(d)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		return must(t.exec("UPDATE devices SET row = ? WHERE id = ?", row, string(d.ID)))
	})
}

// Reported implements [store.Devices].
func (s *Store) Reported(ctx context.Context, id tocsin.DeviceID, state store.DeviceState) error {
	state.Device, state.At = id, state.At.UTC()
	row, err := encode(string(id), state)
	if err != nil {
		return err
	}
	return s.commit(ctx, 0, func(t *tx) error {
		return must(t.exec("INSERT OR REPLACE INTO states SELECT id, ? FROM devices WHERE id = ?", row, string(id)))
	})
}

// States implements [store.Devices].
func (s *Store) States(ctx context.Context) iter.Seq2[store.DeviceState, error] {
	return byID(ctx, s, "SELECT id, row FROM states WHERE id > ? ORDER BY id LIMIT ?",
		func(d store.DeviceState) tocsin.DeviceID { return d.Device })
}
