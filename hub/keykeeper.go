package hub

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A Keykeeper changes a hub's signing keys, and who decides about them, as people
// ask for it.
type Keykeeper struct {
	Repository *keys.Repository
	Now        func() time.Time
	Log        *slog.Logger
	Changed    func() // called after each change that is in force; nil is nobody
}

var _ api.Keykeeper = (*Keykeeper)(nil)

// Keys implements [api.Keykeeper].
func (k *Keykeeper) Keys(context.Context) (s api.KeyStatus, err error) {
	s.Status = k.Repository.Status(k.Now())
	if p := k.Repository.Pending(); p != nil {
		s.Request, err = p.Text()
	}
	return s, err
}

// ChangeKeys implements [api.Keykeeper].
func (k *Keykeeper) ChangeKeys(ctx context.Context, c api.KeyChange, by string) (api.KeyStatus, error) {
	waits, err := k.change(c, k.Now())
	if err != nil {
		return api.KeyStatus{}, refused(err)
	}
	if waits {
		k.Log.Warn("change of the keys waits for signatures", "change", c.Do, logkey.User, by)
		return k.Keys(ctx)
	}
	k.Log.Warn("keys changed", "change", c.Do, logkey.User, by)
	if k.Changed != nil {
		k.Changed()
	}
	return k.Keys(ctx)
}

// change reports whether signatures have to come first.
func (k *Keykeeper) change(c api.KeyChange, now time.Time) (waits bool, err error) {
	var request *keys.Request
	switch c.Do {
	case api.RotateKey:
		request, err = k.Repository.Rotate(now)
	case api.RevokeKey:
		request, err = k.revoke(c.Key, now)
	case api.RecoverKeys:
		request, err = k.Repository.Recover(now)
	case api.MoveRoot:
		publics := make([]keys.PublicKey, len(c.Root))
		for i, text := range c.Root {
			if publics[i], err = keys.ParsePublicKey(text); err != nil {
				return false, err
			}
		}
		request, err = k.Repository.SetRoot(publics, c.Threshold, now)
	case api.ApplyKeys:
		err = k.Repository.Apply(now, c.Signed...)
	default:
		err = api.Refuse(http.StatusBadRequest, "this hub cannot %q keys: is it older than the program?", c.Do)
	}
	return request != nil, err
}

func (k *Keykeeper) revoke(id ruleset.KeyID, now time.Time) (*keys.Request, error) {
	r, err := k.Repository.Revoke(id, now)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Refuse(http.StatusNotFound, "there is no signing key %s: tocsin keys lists them", id)
	}
	return r, err
}

// refused tells the asker what he can mend, and leaves what the disk refuses to
// the hub's log.
func refused(err error) error {
	var path *fs.PathError
	var known *api.Error
	if errors.As(err, &path) || errors.As(err, &known) {
		return err
	}
	return api.Refuse(http.StatusConflict, "%v", err)
}
