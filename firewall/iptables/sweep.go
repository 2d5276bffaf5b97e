package iptables

import (
	"context"
	"time"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// How long the sweeper waits for more rules to end, since each sweep hands the
// whole table to the kernel; and how often it looks at least, for the clock may
// jump.
const (
	gatherTimed   = 10 * time.Second // the kernel has ended them already
	gatherUntimed = time.Second
	lookAtLeast   = time.Minute
	afterFailure  = 5 * time.Second
)

// lookAgain tells the sweeper that deadlines have changed.
func (f *Filter) lookAgain() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// sweepUp removes rules that have ended, until the filter is closed. It sleeps
// while there is nothing to end.
func (f *Filter) sweepUp() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f.stopped.Go(func() { <-f.stop; cancel() })
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	var failed time.Time
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		case <-timer.C:
		}
		next, ok, err := f.sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			if time.Since(failed) > lookAtLeast {
				f.log.Warn("rules that have ended could not be removed; trying again", logkey.Err, err)
			}
			failed = time.Now()
			next, ok = failed.Add(afterFailure), true
		}
		if ok {
			timer.Reset(min(max(time.Until(next), 0), lookAtLeast))
		}
	}
}

// sweep removes what has ended, if it is time to, and tells when to come back.
func (f *Filter) sweep(ctx context.Context, now time.Time) (next time.Time, ok bool, err error) {
	if err := f.take(ctx); err != nil {
		return next, false, err
	}
	defer f.give()
	for _, s := range f.sides {
		if s == nil {
			continue
		}
		if at, some := s.nextSweep(); some && !now.Before(at) {
			if err := f.sweepSide(ctx, s, now); err != nil {
				return next, false, err
			}
		}
		if at, some := s.nextSweep(); some && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	return next, ok, nil
}

func (f *Filter) sweepSide(ctx context.Context, s *side, now time.Time) error {
	e := edit{side: s, batch: newBatch(s.table), now: now}
	for _, t := range []*tree{&s.blocks, &s.passes} {
		for p, until := range t.rules {
			if !now.Before(until) {
				e.unset(t, p)
			}
		}
	}
	return f.apply(ctx, s, &e)
}

// nextSweep returns when the first rule to end has ended and some more may
// have joined it.
func (s *side) nextSweep() (at time.Time, ok bool) {
	for _, t := range []*tree{&s.blocks, &s.passes} {
		for _, until := range t.rules {
			if !ok || until.Before(at) {
				at, ok = until, true
			}
		}
	}
	if s.have.time {
		return at.Add(gatherTimed), ok
	}
	return at.Truncate(gatherUntimed).Add(gatherUntimed), ok
}
