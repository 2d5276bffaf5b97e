// Package memory is a firewall.Filter that only remembers, for dry runs, tests
// and the demo without root. It enforces nothing: [Filter.Blocks] tells what
// would be dropped.
//
// It drops no packets, so it samples none.
package memory

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
)

// A Filter remembers rules until they end. How many is bounded by whoever
// decides (package blocklist), not here.
type Filter struct {
	now func() time.Time

	mu    sync.Mutex // guards the fields below
	rules map[key]time.Time
	sweep int // number of rules at which ended ones are looked for
}

// A Block and a Pass of one prefix are two rules.
type key struct {
	prefix netip.Prefix
	action tocsin.Action
}

// minSweep keeps a small filter from being swept at every change.
const minSweep = 1024

var _ firewall.Filter = (*Filter)(nil)

// New returns an empty Filter that takes the time from now.
func New(now func() time.Time) *Filter {
	return &Filter{now: now, rules: make(map[key]time.Time), sweep: minSweep}
}

// Change implements [firewall.Filter].
func (f *Filter) Change(ctx context.Context, c tocsin.Change) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: change: %w", err)
	}
	for _, rules := range [][]tocsin.Rule{c.Remove, c.Add} {
		for _, r := range rules {
			if _, err := keyOf(r); err != nil {
				return err
			}
		}
	}
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range c.Remove {
		k, _ := keyOf(r) // checked above
		delete(f.rules, k)
	}
	for _, r := range c.Add {
		k, _ := keyOf(r) // checked above
		put(f.rules, k, r.Until, now)
	}
	f.forget(now)
	return nil
}

// Replace implements [firewall.Filter].
func (f *Filter) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	now := f.now()
	rules := make(map[key]time.Time)
	for r := range all {
		k, err := keyOf(r)
		if err != nil {
			return err
		}
		put(rules, k, r.Until, now)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: replace: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.sweep = rules, max(minSweep, 2*len(rules))
	return nil
}

// Holds implements [firewall.Filter].
func (f *Filter) Holds(ctx context.Context, p netip.Prefix) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("memory: holds %v: %w", p, err)
	}
	p, now := normal(p), f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.rules[key{p, tocsin.Block}]) || now.Before(f.rules[key{p, tocsin.Pass}]), nil
}

// Watch implements [firewall.Filter]. Nobody else can change the memory of this
// process, so it only waits for the end of ctx.
func (f *Filter) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

// Blocks reports whether traffic that addr starts would be dropped.
func (f *Filter) Blocks(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	now := f.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	blocked := false
	for bits := range addr.BitLen() + 1 {
		p, err := addr.Prefix(bits)
		if err != nil {
			return false // an invalid address comes from nowhere
		}
		if now.Before(f.rules[key{p, tocsin.Pass}]) {
			return false
		}
		blocked = blocked || now.Before(f.rules[key{p, tocsin.Block}])
	}
	return blocked
}

// put adds a rule; one that has ended already takes its predecessor along.
func put(rules map[key]time.Time, k key, until, now time.Time) {
	if now.Before(until) {
		rules[k] = until
	} else {
		delete(rules, k)
	}
}

// forget sweeps ended rules each time their number has doubled, so that a
// change costs no more than its own size in the long run.
func (f *Filter) forget(now time.Time) {
	if len(f.rules) < f.sweep {
		return
	}
	for k, until := range f.rules {
		if !now.Before(until) {
			delete(f.rules, k)
		}
	}
	f.sweep = max(minSweep, 2*len(f.rules))
}

func keyOf(r tocsin.Rule) (key, error) {
	p := normal(r.Prefix)
	if !p.IsValid() || r.Action != tocsin.Block && r.Action != tocsin.Pass {
		return key{}, fmt.Errorf("memory: rule %v %v: invalid", r.Action, r.Prefix)
	}
	return key{p, r.Action}, nil
}

// normal masks p and makes an IPv4-mapped prefix the IPv4 one that it means.
func normal(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
