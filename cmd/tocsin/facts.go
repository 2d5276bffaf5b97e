package main

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/hostfacts"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// facts keeps the guard told of what this machine depends on.
type facts struct {
	log      *slog.Logger
	networks bool
	names    []string // of time servers
	resolved []netip.Prefix
	silent   bool // names do not resolve, and that was told
}

// maxResolved bounds the addresses kept of names whose answers rotate.
const maxResolved = 256

// resolveEvery is how often names are looked up again.
const resolveEvery = 24 * time.Hour

// resolveAgain is how soon after a failure: the network may not be up yet.
const resolveAgain = time.Minute

// read asks the kernel and the usual files.
func (f *facts) read() []netip.Prefix {
	facts, err := hostfacts.Read("/")
	if err != nil {
		f.log.Warn("what this device depends on is not known completely: allow what is missing by hand", logkey.Err, err)
	}
	f.names = facts.TimeServers
	all := append(facts.Prefixes(f.networks), f.resolved...)
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// run tells g of every change until ctx ends.
func (f *facts) run(ctx context.Context, g *guard.Guard, targets []string) error {
	changed := make(chan struct{}, 1)
	watching := make(chan error, 1)
	go func() {
		watching <- hostfacts.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-watching:
			if ctx.Err() == nil {
				f.log.Warn("changes of own addresses are not seen: they are looked up once a day", logkey.Err, err)
			}
			watching = nil
			continue
		case <-changed:
		case <-timer.C:
			timer.Reset(f.resolve(ctx, targets))
		}
		if err := g.Protect(ctx, f.read()); err != nil {
			f.log.Warn("what this device depends on was not taken", logkey.Err, err)
		}
	}
}

// resolve looks names up and returns when to do so again. Addresses found before
// stay protected: a name may rotate through several.
func (f *facts) resolve(ctx context.Context, targets []string) time.Duration {
	found, err := hostfacts.Resolve(ctx, slices.Concat(targets, f.names))
	if len(f.resolved)+len(found) > maxResolved {
		f.resolved = nil
	}
	f.resolved = append(f.resolved, found...)
	slices.SortFunc(f.resolved, netip.Prefix.Compare)
	f.resolved = slices.Compact(f.resolved)
	if err == nil {
		f.silent = false
		return resolveEvery
	}
	if !f.silent && ctx.Err() == nil {
		f.silent = true
		f.log.Warn("names that this device depends on do not resolve: trying again each minute", logkey.Err, err)
	}
	return resolveAgain
}
