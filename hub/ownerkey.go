package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// A keyring keeps what devices of one owner seal to each other: the hub passes
// the owner's key on and cannot read it.
type keyring struct {
	values  store.Values
	devices *registry
	tuf     func(name string) ([]byte, error)
}

var _ api.Keyring = (*keyring)(nil)

// Names of values.
const (
	fingerprintOf = "owner-key/"   // + owner: the fingerprint claimed
	sealingKeyOf  = "sealing-key/" // + device: what the owner's key is sealed to
	sealedTo      = "sealed-key/"  // + device: the owner's key, sealed
)

// TUF implements [api.Keyring].
func (k *keyring) TUF(_ context.Context, name string) ([]byte, error) {
	b, err := k.tuf(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, store.ErrNotFound
	}
	return b, err
}

// enrolled notes what the owner's key is sealed to for a new device.
func (k *keyring) enrolled(ctx context.Context, id tocsin.DeviceID, sealing []byte) error {
	return k.values.Put(ctx, sealingKeyOf+string(id), sealing)
}

// OwnerKey implements [api.Keyring].
func (k *keyring) OwnerKey(ctx context.Context, p api.Peer) (out api.OwnerKey, err error) {
	d, err := k.devices.live(p.Device)
	if err != nil {
		return out, err
	}
	fingerprint, err := k.values.Value(ctx, fingerprintOf+string(d.Owner))
	if err != nil {
		return out, ignoreNotFound(err)
	}
	out.Fingerprint = string(fingerprint)
	if out.Sealed, err = k.values.Value(ctx, sealedTo+string(d.ID)); ignoreNotFound(err) != nil {
		return out, err
	}
	out.Waiting, err = k.waiting(ctx, d)
	return out, err
}

// mostWaiting bounds one answer: the rest is told when these are served.
const mostWaiting = 100

// waiting lists the other devices of d's owner that have no sealed key.
func (k *keyring) waiting(ctx context.Context, d tocsin.Device) (list []api.Waiting, err error) {
	for _, id := range k.devices.of(d.Owner) {
		if id == d.ID || len(list) >= mostWaiting {
			continue
		}
		_, err := k.values.Value(ctx, sealedTo+string(id))
		if err == nil {
			continue
		}
		if ignoreNotFound(err) != nil {
			return nil, err
		}
		key, err := k.values.Value(ctx, sealingKeyOf+string(id))
		if ignoreNotFound(err) != nil {
			return nil, err
		}
		if len(key) > 0 {
			list = append(list, api.Waiting{Device: id, SealingKey: key})
		}
	}
	return list, nil
}

// ownKey marks a device that has the key because it made it.
var ownKey = []byte("made here")

// OfferOwnerKey implements [api.Keyring].
func (k *keyring) OfferOwnerKey(ctx context.Context, p api.Peer, o api.OwnerKeyOffer) error {
	d, err := k.devices.live(p.Device)
	if err != nil {
		return err
	}
	claimed, err := k.values.PutNew(ctx, fingerprintOf+string(d.Owner), []byte(o.Fingerprint))
	if err != nil {
		return err
	}
	if string(claimed) != o.Fingerprint {
		return api.Refuse(http.StatusConflict, "another device of this owner made the key first: wait until it is sealed to this one")
	}
	if _, err := k.values.PutNew(ctx, sealedTo+string(d.ID), ownKey); err != nil {
		return err
	}
	for _, s := range o.Sealed {
		to, err := k.devices.live(s.Device)
		if err != nil || to.Owner != d.Owner {
			return store.ErrNotFound
		}
		if _, err := k.values.PutNew(ctx, sealedTo+string(to.ID), s.Sealed); err != nil {
			return err
		}
	}
	return nil
}

// ignoreNotFound returns nil for what is not there.
func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// getJSON reads a value as JSON; one that is not there leaves v as it is.
func getJSON(ctx context.Context, values store.Values, name string, v any) error {
	b, err := values.Value(ctx, name)
	if err != nil {
		return ignoreNotFound(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("value %s: %w", name, err)
	}
	return nil
}

func putJSON(ctx context.Context, values store.Values, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return values.Put(ctx, name, b)
}
