package uplink

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// perBatch is how many sightings go at once.
const perBatch = 500

// Waits after a failure: a random part of a window that doubles.
const (
	firstWait = time.Second
	lastWait  = 2 * time.Minute
)

// send hands in what the guard told, in order, one batch at a time, until the
// hub has it.
func (u *Uplink) send(ctx context.Context) error { return u.deliver(ctx, u.more, u.sendOne) }

// deliver calls one until it says that there is no more to do, then waits to be
// woken.
func (u *Uplink) deliver(ctx context.Context, wake <-chan struct{}, one func(context.Context, *api.Client) (more bool, err error)) error {
	window := firstWait
	// One connection serves as long as there is something to send: a hub has few
	// to spare for devices that are silent.
	var client *api.Client
	hangUp := func() {
		if client != nil {
			client.Close()
			client = nil
		}
	}
	defer hangUp()
	for {
		var more bool
		var err error
		if client == nil {
			client, err = u.ask()
		}
		if err == nil {
			more, err = one(ctx, client)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			hangUp()
			u.failed(err)
			u.log.Debug("the hub did not take what was told: trying again", logkey.Err, err)
			if !pause(ctx, waitOf(err, &window)) {
				return ctx.Err()
			}
		case more:
			window = firstWait
		default:
			hangUp()
			window = firstWait
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-wake:
			}
		}
	}
}

// waitOf returns how long to wait after err, and widens the window.
func waitOf(err error, window *time.Duration) time.Duration {
	var refused *api.Error
	wait := rand.N(*window)
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		wait = refused.RetryAfter + wait
	}
	*window = min(2**window, lastWait)
	return wait
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// sendOne hands in one batch, or asks what the hub has, and reports whether there
// is more to do.
func (u *Uplink) sendOne(ctx context.Context, client *api.Client) (more bool, err error) {
	if err := u.sendLost(ctx, client); err != nil {
		return false, err
	}
	u.mu.Lock()
	have, said, asked := u.have, u.said, u.asked
	var batch []tocsin.Sighting
	if asked {
		batch, err = u.spool.After(have, perBatch)
	}
	u.mu.Unlock()
	if err != nil {
		return false, err
	}
	if asked && len(batch) == 0 {
		return false, nil
	}
	err = u.handIn(ctx, client, said, batch)
	var refused *api.Error
	if errors.As(err, &refused) && refused.Index != nil && *refused.Index < len(batch) {
		// One that the hub cannot take must not hold up the others for ever.
		i := *refused.Index
		u.log.Error("the hub refuses a sighting: it is left out", logkey.Source, batch[i].Source, logkey.Err, err)
		err = u.without(ctx, client, said, batch, i)
	}
	if err != nil {
		return false, err
	}
	u.well()
	return true, nil
}

// handIn sends a batch, and notes what the hub has then.
func (u *Uplink) handIn(ctx context.Context, client *api.Client, said tocsin.ID, batch []tocsin.Sighting) error {
	taken, err := client.SendAfter(ctx, u.wall(), said, batch)
	if err == nil {
		u.took(tocsin.ID{Device: u.about.Device, Boot: taken.HaveBoot, Counter: taken.HaveCounter}, batch)
	}
	return err
}

// took notes what the hub has. One that has less than before was restored: it
// took nothing, and is offered all of it again.
func (u *Uplink) took(has tocsin.ID, batch []tocsin.Sighting) {
	u.mu.Lock()
	defer u.mu.Unlock()
	had := u.said
	u.have, u.said, u.asked = has, has, true
	if above(had, has) {
		u.log.Warn("the hub has less than it once acknowledged: offering it again", "has", has.Counter, "had", had.Counter)
	} else if n := len(batch); n > 0 && above(batch[n-1].ID, has) {
		// It has these, whatever it says: going on is better than repeating.
		u.have = batch[n-1].ID
	}
}

// without hands in what is before one that is refused, and goes on after it.
func (u *Uplink) without(ctx context.Context, client *api.Client, said tocsin.ID, batch []tocsin.Sighting, i int) error {
	if i > 0 {
		if err := u.handIn(ctx, client, said, batch[:i]); err != nil {
			return err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if i == 0 || u.have == batch[i-1].ID { // not if the hub was restored meanwhile
		u.have = batch[i].ID
	}
	return nil
}

func above(a, b tocsin.ID) bool {
	return a.Boot > b.Boot || a.Boot == b.Boot && a.Counter > b.Counter
}

// sendLost tells of rules that cut off people who belong here.
func (u *Uplink) sendLost(ctx context.Context, client *api.Client) error {
	u.mu.Lock()
	lost := u.lost
	u.lost = nil
	u.mu.Unlock()
	if len(lost) == 0 {
		return nil
	}
	err := client.Lose(ctx, u.wall(), lost)
	var refused *api.Error
	if err != nil && !(errors.As(err, &refused) && refused.Status < 500 && refused.RetryAfter == 0) {
		u.mu.Lock()
		u.lost = append(append([]netip.Prefix{}, lost...), u.lost...)
		u.lost = u.lost[:min(len(u.lost), maxLost)]
		u.mu.Unlock()
		return err
	}
	return nil
}
