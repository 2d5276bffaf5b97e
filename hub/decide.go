package hub

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/store"
)

// A decider owns the fleet's mind: one loop applies the events of the log in
// their order, and has what follows published. Events reach it from whoever
// committed them; what does not come is read from the log.
type decider struct {
	log     *slog.Logger
	events  store.Log
	mind    *fleet.Fleet
	publish func(ctx context.Context, now time.Time, changes []fleet.Scoped) error
	pace    func() time.Duration // least time between two publications; nil is none
	toldAt  time.Time            // of the last one, by the wall clock: it is the processor that rests
	clock   *clock.Clock
	now     func() time.Time
	metrics *metrics
	heard   func(tocsin.Event, []fleet.Effect) // of each event applied; nil is nobody

	nudge  chan []tocsin.Event
	behind chan struct{} // the log holds what nobody handed over
	asks   chan func(now time.Time)
	serial uint64 // of the newest event applied
	early  map[uint64]tocsin.Event
}

// Bounds of events that came before those they follow.
const (
	maxEarly = 20_000
	gapWait  = 200 * time.Millisecond

	lookAgain = time.Second // after the log could not be read
)

func newDecider(c fleet.Config, events store.Log, clk *clock.Clock, now func() time.Time, m *metrics, log *slog.Logger) *decider {
	return &decider{
		log: log, events: events, mind: fleet.New(c), clock: clk, now: now, metrics: m,
		nudge: make(chan []tocsin.Event, 256), behind: make(chan struct{}, 1), asks: make(chan func(time.Time)),
		early: make(map[uint64]tocsin.Event),
	}
}

// forgetEvery is after how many events of a replay it is forgotten what they
// changed: a long log changes more than memory holds.
const forgetEvery = 4096

// clockSlack is how far the log may be ahead of the clock: devices refuse frames
// that are further ahead of theirs.
const clockSlack = 10 * time.Minute

// replay applies the log as it is: what a hub that starts must know.
func (d *decider) replay(ctx context.Context) error {
	start := d.now()
	n := 0
	var end time.Time
	for e, err := range d.events.Since(ctx, d.serial) {
		if err != nil {
			return fmt.Errorf("read the log of events: %w", err)
		}
		effects := d.mind.Apply(e)
		if d.heard != nil {
			d.heard(e, effects)
		}
		d.serial, end = e.Serial, e.At
		if n++; n%forgetEvery == 0 {
			d.mind.Changes()
		}
	}
	if ahead := end.Sub(start); ahead > clockSlack {
		return fmt.Errorf("the hub's clock says %s, and its log ends %s later: set the clock, or what is decided from now on would be dated then",
			start.Format(time.RFC3339), ahead.Round(time.Second))
	}
	d.mind.Changes() // whoever publishes compares the lists as a whole
	d.log.Info("log of events read", logkey.Count, n, logkey.Took, d.now().Sub(start))
	return nil
}

// committed hands events over that are in the log. It waits while the loop is
// busy: who reports faster than the hub decides is held up, not forgotten.
func (d *decider) committed(ctx context.Context, events []tocsin.Event) {
	if len(events) == 0 {
		return
	}
	select {
	case d.nudge <- events: // also of who hung up after the commit
		return
	default:
	}
	select {
	case d.nudge <- events:
	case <-ctx.Done():
		d.look()
	}
}

// look has the log read, for what is in it and was handed over by nobody: a
// commit that seemed to fail may be there all the same.
func (d *decider) look() {
	select {
	case d.behind <- struct{}{}:
	default: // it will be already
	}
}

// ask has f run by the loop, which owns the mind, and waits for it.
func (d *decider) ask(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case d.asks <- func(now time.Time) { defer close(done); f(now) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

// sync returns once everything committed before the call is applied.
func (d *decider) sync(ctx context.Context, serial uint64) error {
	for {
		var have uint64
		if err := d.ask(ctx, func(time.Time) { have = d.serial }); err != nil || have >= serial {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// reconcileEvery is how often lists are compared with the mind as a whole: rules
// that last longer than a list may tell are renewed then.
const (
	reconcileEvery = 10 * time.Minute
	publishAgain   = 5 * time.Second // after rules could not be published
)

func (d *decider) loop(ctx context.Context, reconcile func(context.Context, time.Time) error) error {
	var gap, later, whole alarm
	defer gap.stop()
	defer later.stop()
	defer whole.stop()
	whole.on = d.clock
	whole.set(reconcileEvery)
	// What cannot be published now is found missing when all is compared.
	again := func(err error) {
		if err != nil {
			d.log.Error("rules not published: trying again", logkey.Err, err, logkey.Took, publishAgain)
			whole.stop()
			whole.set(publishAgain)
		}
	}
	// Under an attack on many devices a frame for each event would keep the hub
	// busy with sending: one goes out at once, the next a little later.
	publish := func() {
		if wait := d.rest(); wait > 0 {
			later.set(wait)
			return
		}
		again(d.told(ctx))
	}
	// A database that fails is no reason to end.
	fill := func() {
		if err := d.fill(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("trying again", logkey.Err, err, logkey.Took, lookAgain)
			gap.set(lookAgain)
		}
		publish()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-d.asks:
			f(d.now())
		case events := <-d.nudge:
			d.take(events)
			d.drain()
			publish()
			if len(d.early) > 0 {
				gap.set(gapWait)
			}
		case <-d.behind:
			fill()
		case <-gap.ring():
			gap.stop()
			fill()
		case <-later.ring():
			later.stop()
			publish()
		case <-whole.ring():
			whole.stop()
			whole.set(reconcileEvery)
			again(reconcile(ctx, d.now()))
		}
	}
}

// An alarm rings once; setting one that is set changes nothing, so that it is not
// put off by each further reason for it.
type alarm struct {
	on    *clock.Clock // nil is the wall clock
	timer *clock.Timer
}

func (a *alarm) set(wait time.Duration) {
	if a.timer == nil {
		a.timer = a.on.NewTimer(wait)
	}
}

func (a *alarm) ring() <-chan time.Time {
	if a.timer == nil {
		return nil
	}
	return a.timer.C
}

func (a *alarm) stop() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// drain takes what waits already: one frame for all of it.
func (d *decider) drain() {
	for range cap(d.nudge) {
		select {
		case events := <-d.nudge:
			d.take(events)
		default:
			return
		}
	}
}

// take applies events, as far as they follow.
func (d *decider) take(events []tocsin.Event) {
	for _, e := range events {
		switch {
		case e.Serial == d.serial+1:
			d.apply(e)
		case e.Serial > d.serial && len(d.early) < maxEarly:
			d.early[e.Serial] = e
			continue
		default:
			continue
		}
		for {
			next, ok := d.early[d.serial+1]
			if !ok {
				break
			}
			delete(d.early, next.Serial)
			d.apply(next)
		}
	}
}

// fill reads from the log what did not come.
func (d *decider) fill(ctx context.Context) error {
	for e, err := range d.events.Since(ctx, d.serial) {
		if err != nil {
			return fmt.Errorf("read the log of events: %w", err)
		}
		d.apply(e)
	}
	for serial := range d.early {
		if serial <= d.serial {
			delete(d.early, serial)
		}
	}
	return nil
}

func (d *decider) apply(e tocsin.Event) {
	d.serial = e.Serial
	effects := d.mind.Apply(e)
	if d.heard != nil {
		d.heard(e, effects)
	}
	for _, f := range effects {
		d.metrics.decision(f)
		word := "decided"
		if f.Withdrawn {
			word = "withdrawn"
		}
		if f.Verdict != blocklist.Enforced {
			word = "not decided"
		}
		d.log.Info(word, "owner", f.Owner, logkey.Prefix, f.Decision.Prefix, "action", f.Decision.Action.String(),
			logkey.Until, f.Decision.Until.Format(time.RFC3339), logkey.Reason, f.Decision.Reason, "verdict", f.Verdict.String())
	}
}

// told has the changes published.
func (d *decider) told(ctx context.Context) error {
	changes := d.mind.Changes()
	if len(changes) == 0 {
		return nil
	}
	d.toldAt = time.Now()
	return d.publish(ctx, d.now(), changes)
}

// rest returns how long the next publication has to wait.
func (d *decider) rest() time.Duration {
	if d.pace == nil {
		return 0
	}
	pace := d.pace()
	if passed := time.Since(d.toldAt); passed >= 0 && passed < pace {
		return pace - passed
	}
	return 0
}

// entries returns the rules of a scope by prefix, then action.
func (d *decider) entries(ctx context.Context, owner tocsin.OwnerID) (list []blocklist.Entry, err error) {
	err = d.ask(ctx, func(now time.Time) { list = slices.Collect(d.mind.Entries(owner, now)) })
	slices.SortFunc(list, func(a, b blocklist.Entry) int {
		if c := a.Prefix.Compare(b.Prefix); c != 0 {
			return c
		}
		return int(a.Action) - int(b.Action)
	})
	return list, err
}

// An answer about one address.
type answer struct {
	quorum.Explanation
	entry blocklist.Entry
	by    tocsin.OwnerID
	held  bool
}

func (d *decider) explain(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (x answer, err error) {
	err = d.ask(ctx, func(now time.Time) {
		x.Explanation = d.mind.Explain(owner, a, now)
		x.entry, x.by, x.held = d.mind.Lookup(owner, a, now)
	})
	return x, err
}
