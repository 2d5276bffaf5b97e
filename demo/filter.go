package demo

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/clock"
)

// A told filter tells which blocks came into force, and when by the wall clock.
type told struct {
	firewall.Filter
	tell func(p netip.Prefix, at time.Time)
}

// Change implements [firewall.Filter].
func (f *told) Change(ctx context.Context, c tocsin.Change) error {
	if err := f.Filter.Change(ctx, c); err != nil {
		return err
	}
	f.report(ctx, c.Add)
	return nil
}

// Replace implements [firewall.Filter].
func (f *told) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	rules := slices.Collect(all)
	if err := f.Filter.Replace(ctx, slices.Values(rules)); err != nil {
		return err
	}
	f.report(ctx, rules)
	return nil
}

// report tells the blocks that the system itself says are there.
func (f *told) report(ctx context.Context, rules []tocsin.Rule) {
	for _, r := range rules {
		if r.Action != tocsin.Block {
			continue
		}
		if held, err := f.Holds(ctx, r.Prefix); err == nil && held {
			f.tell(r.Prefix.Masked(), time.Now())
		}
	}
}

// A paced filter has a kernel, whose time nobody speeds up, end rules when an
// invented clock says that they end. While the clock is paused they last.
type paced struct {
	firewall.Filter
	clk *clock.Clock

	mu    sync.Mutex // guards the field below, and one change at a time
	rules map[pacedKey]tocsin.Rule
}

type pacedKey struct {
	prefix netip.Prefix
	action tocsin.Action
}

// halted is how long rules last while the clock is paused.
const halted = 24 * time.Hour

func newPaced(f firewall.Filter, clk *clock.Clock) *paced {
	return &paced{Filter: f, clk: clk, rules: map[pacedKey]tocsin.Rule{}}
}

// moved returns the rules with their ends by the wall clock.
func (f *paced) moved(rules []tocsin.Rule) []tocsin.Rule {
	s, now := f.clk.State(), time.Now()
	out := slices.Clone(rules)
	for i, r := range out {
		left := r.Until.Sub(s.Shows)
		switch {
		case left > 0 && s.Paused:
			left = halted
		case left > 0:
			left = time.Duration(float64(left) / s.Speed)
		}
		out[i].Until = now.Add(left)
	}
	return out
}

// Change implements [firewall.Filter].
func (f *paced) Change(ctx context.Context, c tocsin.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.Filter.Change(ctx, tocsin.Change{Add: f.moved(c.Add), Remove: c.Remove}); err != nil {
		return err
	}
	for _, r := range c.Remove {
		delete(f.rules, pacedKey{r.Prefix.Masked(), r.Action})
	}
	f.keep(c.Add)
	return nil
}

// keep remembers rules, and forgets those that ended.
func (f *paced) keep(rules []tocsin.Rule) {
	now := f.clk.Now()
	for k, r := range f.rules {
		if !r.Until.After(now) {
			delete(f.rules, k)
		}
	}
	for _, r := range rules {
		f.rules[pacedKey{r.Prefix.Masked(), r.Action}] = r
	}
}

// Replace implements [firewall.Filter].
func (f *paced) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rules := slices.Collect(all)
	clear(f.rules)
	f.keep(rules)
	return f.Filter.Replace(ctx, slices.Values(f.moved(rules)))
}

// again has the kernel end rules as the clock goes now.
func (f *paced) again(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rules []tocsin.Rule
	for _, r := range f.rules {
		rules = append(rules, r)
	}
	return f.Filter.Change(ctx, tocsin.Change{Add: f.moved(rules)})
}
