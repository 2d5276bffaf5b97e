package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/quorum"
)

// FleetConfig returns what the fleet's mind goes by now.
func (h *Hub) FleetConfig() fleet.Config {
	h.adopting.Lock()
	defer h.adopting.Unlock()
	return h.fleet
}

// tail is how many events the loop may read from the log itself while a mind takes the
// place of another: the rest is read beside it.
const tail = 2000

// Adopt has the fleet go by another policy, as if it always had. A new mind is built
// from the log beside the one that decides, takes its place between two events, and
// what differs is published at once. Until then, and after an error, the one before
// decides: there is no moment without one.
func (h *Hub) Adopt(ctx context.Context, p quorum.Policy) error {
	h.adopting.Lock()
	defer h.adopting.Unlock()
	c := h.fleet
	p.Seed = c.Quorum.Seed
	c.Quorum = p
	begun := time.Now()
	next := &successor{decider: h.decider, mind: fleet.New(c)}
	for {
		n, err := next.read(ctx, 0)
		if err != nil {
			return err
		}
		if n < tail {
			break
		}
	}
	var failed error
	err := h.decider.ask(ctx, func(now time.Time) {
		// Who hangs up now must not leave lists that are half of one policy, half of another.
		whole := context.WithoutCancel(ctx)
		failed = next.take(ctx, func(mind *fleet.Fleet) error { return h.publisher.reconcile(whole, mind, now) })
	})
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("another policy: %w", err)
	}
	h.fleet = c
	h.log.Info("another policy is in force", "version", p.Version(), logkey.Took, time.Since(begun).Round(time.Millisecond))
	return nil
}

// A successor is a mind that is to take the place of a decider's.
type successor struct {
	decider *decider
	mind    *fleet.Fleet
	serial  uint64
}

// read applies what the log holds beyond, up to a serial unless that is 0.
func (s *successor) read(ctx context.Context, upTo uint64) (n int, err error) {
	for e, err := range s.decider.events.Since(ctx, s.serial) {
		if err != nil {
			return n, fmt.Errorf("read the log of events: %w", err)
		}
		if upTo > 0 && e.Serial > upTo {
			break
		}
		s.mind.Apply(e)
		s.serial = e.Serial
		if n++; n%forgetEvery == 0 {
			s.mind.Changes()
		}
	}
	return n, nil
}

// take puts the mind in the place of the one that decides, and has what differs
// published. The loop calls it. If that fails the one before stays.
func (s *successor) take(ctx context.Context, publish func(*fleet.Fleet) error) error {
	d := s.decider
	if s.serial > d.serial {
		// The log holds what the loop has not applied yet: let it come by itself.
		if err := d.fill(ctx); err != nil {
			return err
		}
	}
	if _, err := s.read(ctx, d.serial); err != nil {
		return err
	}
	if s.serial != d.serial {
		return fmt.Errorf("the log changed meanwhile, at %d: try again", d.serial)
	}
	s.mind.Changes() // the lists are compared as a whole
	old := d.mind
	d.mind = s.mind
	if err := publish(d.mind); err != nil {
		d.mind = old
		return errors.Join(err, publish(old))
	}
	return nil
}
