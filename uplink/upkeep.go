package uplink

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/store"
)

// How often certificate and keys are looked after. Without the owner's key it is
// asked for more often.
const (
	upkeepEvery = 10 * time.Minute
	keylessWait = 20 * time.Second
	keysEvery   = 12 * time.Hour
)

// upkeep renews the certificate, the hub's keys, and the owner's key.
func (u *Uplink) upkeep(ctx context.Context, d Device) error {
	renewed := u.clock.Now()
	for {
		now := u.clock.Now()
		if u.id.Due(now) {
			if err := u.renew(ctx); err != nil && ctx.Err() == nil {
				u.log.Warn("certificate not renewed: trying again", logkey.Until, u.id.Until().Format(time.RFC3339), logkey.Err, err)
			}
		}
		if now.Sub(renewed) > keysEvery {
			renewed = now
			if err := u.renewKeys(ctx); err != nil && ctx.Err() == nil {
				u.log.Warn("the hub's keys could not be asked for: those known go on", logkey.Err, err)
			}
		}
		has, err := u.ownerKey(ctx, d)
		if err != nil && ctx.Err() == nil {
			u.log.Debug("owner's key", logkey.Err, err)
		}
		if err := u.report(ctx, d); err != nil && ctx.Err() == nil {
			u.log.Debug("state not reported", logkey.Err, err)
		}
		wait := upkeepEvery/2 + rand.N(upkeepEvery)
		if !has {
			wait = keylessWait/2 + rand.N(keylessWait)
		}
		if !u.cfg.Clock.Sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// A Coverer is a [Device] that knows what of its telemetry was read.
type Coverer interface {
	Coverage() []tocsin.Coverage
}

// report tells the hub what this device is and has in force: the feed tells it
// sooner, but not to a hub that is reached by a mirror only.
func (u *Uplink) report(ctx context.Context, d Device) error {
	client, err := u.ask()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := d.Positions(ctx)
	if err != nil {
		return err
	}
	s := api.State{Sent: u.clock.Now(), Version: u.cfg.Version, Lists: []store.ListState{}}
	for _, p := range list {
		s.Lists = append(s.Lists, store.ListState{List: p.Ref.String(), Epoch: p.Epoch, Serial: p.Serial})
	}
	if c, ok := d.(Coverer); ok {
		s.Coverage = c.Coverage()
	}
	return client.Report(ctx, s)
}

// renew asks for the next certificate of the same key.
func (u *Uplink) renew(ctx context.Context) error {
	client, err := u.ask()
	if err != nil {
		return err
	}
	defer client.Close()
	request, err := u.id.Request()
	if err != nil {
		return err
	}
	r, err := client.Renew(ctx, string(request))
	if err != nil {
		u.failed(err)
		return err
	}
	if err := u.id.Install([]byte(r.Certificates), u.id.Authority()); err != nil {
		return err
	}
	u.log.Info("certificate renewed", logkey.Until, u.id.Until().Format(time.RFC3339))
	return nil
}

// renewKeys asks what the hub signs with.
func (u *Uplink) renewKeys(ctx context.Context) error {
	client, err := u.ask()
	if err != nil {
		return err
	}
	defer client.Close()
	return u.trust.Update(func(name string) ([]byte, error) {
		b, err := client.TUF(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fs.ErrNotExist
		}
		return b, err
	}, u.clock.Now())
}

// ownerKey gets or makes the owner's key, hands it to devices that wait for it,
// and reports whether this device has it.
func (u *Uplink) ownerKey(ctx context.Context, d Device) (has bool, err error) {
	client, err := u.ask()
	if err != nil {
		return false, err
	}
	defer client.Close()
	told, err := client.OwnerKey(ctx)
	if err != nil {
		return false, err
	}
	b, err := d.Key()
	if err != nil {
		return false, err
	}
	var key keys.OwnerKey
	copy(key[:], b)
	switch {
	case told.Fingerprint == "" || told.Fingerprint == key.Fingerprint():
		return true, u.share(ctx, client, key, told)
	case len(told.Sealed) == 0:
		return false, nil
	}
	if key, err = u.sealing.Unseal(told.Sealed, u.about.Owner, u.about.Device, told.Fingerprint); err != nil {
		return false, err
	}
	u.log.Info("the owner's key has come: account names can be compared with the owner's other devices", "fingerprint", key.Fingerprint())
	return true, d.Rekey(ctx, key[:])
}

// share claims the key as the owner's, and seals it to who waits.
func (u *Uplink) share(ctx context.Context, client *api.Client, key keys.OwnerKey, told api.OwnerKey) error {
	offer := api.OwnerKeyOffer{Fingerprint: key.Fingerprint()}
	for _, w := range told.Waiting {
		sealed, err := key.Seal(u.about.Owner, w.Device, w.SealingKey)
		if err != nil {
			u.log.Warn("the owner's key cannot be sealed to a device", logkey.Device, w.Device, logkey.Err, err)
			continue
		}
		offer.Sealed = append(offer.Sealed, api.SealedKey{Device: w.Device, Sealed: sealed})
	}
	if told.Fingerprint != "" && len(offer.Sealed) == 0 {
		return nil
	}
	return client.OfferOwnerKey(ctx, offer)
}
