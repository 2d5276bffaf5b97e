package iptables

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// How often the table is read to see whether others have changed it.
const (
	checkSlowly = time.Minute      // where the lock tells at once
	checkBlind  = 30 * time.Second // where it does not
	settle      = 50 * time.Millisecond
	// checkShare bounds what a busy neighbour makes us spend: a check that took
	// d is followed by checkShare × d of rest.
	checkShare = 20
)

// noteDrift tells Watch, if somebody watches.
func (f *Filter) noteDrift() {
	select {
	case f.drifted <- struct{}{}:
	default:
	}
}

// Watch implements [firewall.Filter]. Every program of legacy iptables opens
// one lock file, so the filter learns at once that others have been at work,
// looks whether its chains and the jump to them are still there, and otherwise
// once a minute.
func (f *Filter) Watch(ctx context.Context, drifted func()) error {
	touched := f.watchLock(ctx)
	timer := time.NewTimer(pause(touched))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.drifted:
			drifted()
			continue
		case _, ok := <-touched:
			if !ok {
				touched = nil // the file was removed
			}
			if !sleep(ctx, settle) { // one script runs many programs
				return nil
			}
		case <-timer.C:
			if touched == nil {
				touched = f.watchLock(ctx)
			}
		}
		began := time.Now()
		if f.check(ctx) && ctx.Err() == nil {
			drifted()
		}
		timer.Reset(pause(touched))
		if !sleep(ctx, checkShare*time.Since(began)) {
			return nil
		}
	}
}

// watchLock returns a channel that tells when the lock was used, nil where it
// cannot be watched.
func (f *Filter) watchLock(ctx context.Context) <-chan struct{} {
	touched, err := watchFile(ctx, f.opt.Lock)
	if err != nil {
		f.log.Debug("the lock of iptables cannot be watched: changes by others are seen within half a minute",
			logkey.Path, f.opt.Lock, logkey.Err, err)
		return nil
	}
	return touched
}

func pause(touched <-chan struct{}) time.Duration {
	if touched == nil {
		return checkBlind
	}
	return checkSlowly
}

// sleep waits for d, and reports whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// check reports whether the kernel holds something else than the filter left.
func (f *Filter) check(ctx context.Context) bool {
	if err := f.take(ctx); err != nil {
		return false
	}
	defer f.give()
	drift := false
	for _, s := range f.sides {
		if s == nil {
			continue
		}
		why, err := f.compare(ctx, s)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, firewall.ErrForeign) {
				f.log.Warn("the rules in the kernel could not be checked", logkey.Err, err)
				continue
			}
			why = fmt.Sprint(err)
		}
		if why != "" {
			f.log.Warn("somebody else has changed the rules", logkey.Backend, s.family.name, logkey.Reason, why)
			s.stale, drift = true, true
		}
	}
	return drift
}

// compare says in what the kernel differs from the trees, "" for in nothing. A
// filter that has never written is not compared.
func (f *Filter) compare(ctx context.Context, s *side) (string, error) {
	if s.stale {
		return "", nil
	}
	is, err := f.look(ctx, s, nil)
	if err != nil {
		return "", err
	}
	for _, hook := range s.hooksIn(is) {
		switch {
		case is.jumps[hook] == 0:
			return "the jump from " + hook + " is gone", nil
		case is.behind[hook]:
			return "a rule before ours in " + hook + " lets packets go", nil
		}
	}
	chains, rules := s.size(f)
	if len(is.chains) != chains || is.rules != rules {
		return fmt.Sprintf("%d chains and %d rules, want %d and %d", len(is.chains), is.rules, chains, rules), nil
	}
	return "", nil
}

// size is how many chains and rules the trees make in the kernel.
func (s *side) size(f *Filter) (chains, rules int) {
	chains = len(s.blocks.nodes) + len(s.passes.nodes) + 2 // the marker and the ending
	rules = len(f.ending(s, s.have))
	for _, t := range []*tree{&s.blocks, &s.passes} {
		rules += len(t.rules) + len(t.nodes) - 1 // each node but the root has a way to it
	}
	return chains, rules + len(s.passes.nodes) // with their tails
}
