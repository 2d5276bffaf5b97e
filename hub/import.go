package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

// Bounds of one import: how many orders wait for the same commits, and how many are
// looked up at once while the loop waits.
const (
	importing  = 256
	lookedUp   = 2000
	noEffect   = "no effect: the allowlist or a pass covers it, or too many rules are in force"
	noEffectOf = "no effect: too many passes are in force"
)

// Import implements [api.Fleet]. An import that breaks off may be repeated: an order
// given twice only renews itself.
func (o *orders) Import(ctx context.Context, list []api.Order, dry bool) (map[int]string, error) {
	refused := map[int]string{}
	now := o.now()
	good := make(map[int]tocsin.Order, len(list))
	for i, a := range list {
		order, err := o.made(a, now)
		if e := (*api.Error)(nil); errors.As(err, &e) {
			refused[i] = e.Text
		} else if err != nil {
			return nil, err
		} else {
			good[i] = order
		}
	}
	if dry {
		return refused, nil
	}
	if err := o.commitAll(ctx, good); err != nil {
		return nil, err
	}
	return refused, o.ineffective(ctx, good, refused)
}

// commitAll commits orders, many at a time, and returns once all are published.
func (o *orders) commitAll(ctx context.Context, orders map[int]tocsin.Order) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards the fields below
		failed error
		newest uint64
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	turns := make(chan tocsin.Order)
	for range min(importing, len(orders)) {
		wg.Go(func() {
			for order := range turns {
				e, err := o.log.Add(ctx, tocsin.Event{Order: &order})
				if err == nil {
					o.decider.committed(ctx, []tocsin.Event{e})
				}
				mu.Lock()
				if newest = max(newest, e.Serial); err != nil && failed == nil {
					failed = err
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	for _, order := range orders {
		turns <- order
	}
	close(turns)
	wg.Wait()
	if failed != nil {
		o.decider.look()
		return failed
	}
	return o.decider.sync(ctx, newest)
}

// ineffective adds the orders that something else wins over.
func (o *orders) ineffective(ctx context.Context, orders map[int]tocsin.Order, refused map[int]string) error {
	indexes := make([]int, 0, len(orders))
	for i := range orders {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	for piece := range slices.Chunk(indexes, lookedUp) {
		err := o.decider.ask(ctx, func(now time.Time) {
			for _, i := range piece {
				order := orders[i]
				e, _, held := o.decider.mind.Lookup(order.Owner, order.Decision.Prefix.Addr(), now)
				if held && e.Action == order.Decision.Action {
					continue
				}
				if refused[i] = noEffect; order.Decision.Action == tocsin.Pass {
					refused[i] = noEffectOf
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
