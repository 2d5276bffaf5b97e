package main

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/guard"
	"github.com/tocsin-io/tocsin/hostfacts"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// facts keeps the guard told of what this machine depends on.
type facts struct {
	log      *slog.Logger
	networks bool
	targets  []string                              // that the configuration names
	look     func(string) (hostfacts.Facts, error) // hostfacts.Read
	settings chan config.Config                    // taken anew
	last     []netip.Prefix                        // what was found before
	names    []string                              // of time servers
	resolved []netip.Prefix
	silent   bool // names do not resolve, and that was told
}

func newFacts(cfg config.Config, log *slog.Logger) *facts {
	return &facts{
		log: log, networks: cfg.OwnNetworks, targets: cfg.Targets, look: hostfacts.Read, settings: make(chan config.Config, 1),
	}
}

// take has run go by a changed configuration.
func (f *facts) take(cfg config.Config) {
	select { // one that waits is overtaken by this one
	case <-f.settings:
	default:
	}
	f.settings <- cfg
}

// maxResolved bounds the addresses kept of names whose answers rotate.
const maxResolved = 256

// maxKeptFacts bounds what is kept of earlier looks while each new one fails.
const maxKeptFacts = 4096

// resolveEvery is how often names are looked up again.
const resolveEvery = 24 * time.Hour

// resolveAgain is how soon after a failure: the network may not be up yet.
const resolveAgain = time.Minute

// read asks the kernel and the usual files. What cannot be looked at now stays
// as it was: an interrupted answer of the kernel must not leave the gateway
// without protection.
func (f *facts) read() []netip.Prefix {
	facts, err := f.look("/")
	if err != nil {
		f.log.Warn("what this device depends on is not known completely: allow what is missing by hand", logkey.Err, err)
	}
	f.names = facts.TimeServers
	all := append(facts.Prefixes(f.networks), f.resolved...)
	if err != nil && len(f.last) < maxKeptFacts {
		all = append(all, f.last...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	f.last = slices.Compact(all)
	return slices.Clone(f.last)
}

// run tells g of every change until ctx ends.
func (f *facts) run(ctx context.Context, g *guard.Guard) error {
	changed := make(chan struct{}, 1)
	watching := make(chan error, 1)
	watch := func() {
		watching <- hostfacts.Watch(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}
	go watch()
	again := time.NewTimer(0)
	again.Stop()
	defer again.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	answers := make(chan answer)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-watching:
			if ctx.Err() == nil {
				f.log.Warn("changes of own addresses are not seen for a minute", logkey.Err, err)
			}
			again.Reset(resolveAgain)
			continue
		case <-again.C:
			go watch() // what changed meanwhile is read below
		case <-changed:
		case <-timer.C:
			go lookUp(ctx, slices.Concat(f.targets, f.names), answers)
			timer.Reset(resolveEvery)
			continue
		case a := <-answers:
			timer.Reset(f.resolve(ctx, a))
		case cfg := <-f.settings:
			f.networks, f.targets = cfg.OwnNetworks, cfg.Targets
			timer.Reset(0)
		}
		if err := g.Protect(ctx, f.read()); err != nil && ctx.Err() == nil {
			f.log.Warn("what this device depends on was not taken", logkey.Err, err)
		}
	}
}

// An answer is what names stand for now.
type answer struct {
	found []netip.Prefix
	err   error
}

// lookUp resolves names, which may take long, and hands the answer over.
func lookUp(ctx context.Context, names []string, answers chan<- answer) {
	found, err := hostfacts.Resolve(ctx, names)
	select {
	case answers <- answer{found, err}:
	case <-ctx.Done():
	}
}

// resolve takes an answer and returns when to ask again. Addresses found before
// stay protected: a name may rotate through several.
func (f *facts) resolve(ctx context.Context, a answer) time.Duration {
	found, err := a.found, a.err
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
