package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/operator"
)

// How long an order lasts when the person does not say.
const (
	blockFor   = 24 * time.Hour
	unblockFor = time.Hour
	allowFor   = 10 * 365 * 24 * time.Hour // for good, in terms of a deadline
)

// The widest prefixes that an order may block: one slip of the pen must not lock
// everybody out.
const (
	widest4 = 8
	widest6 = 16
)

// do has f run by the loop, which owns everything, and waits for it.
func (g *Guard) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	select {
	case g.orders <- func(ctx context.Context) { defer close(done); f(ctx) }:
	case <-ctx.Done():
		return errors.New("the guard is busy or stopping: try again")
	}
	<-done
	return nil
}

// Alive returns once the loop has answered: a guard that takes in nothing more
// does not protect, however well its process is.
func (g *Guard) Alive(ctx context.Context) error { return g.do(ctx, func(context.Context) {}) }

// Order implements [operator.Handler]: it returns once the order is in force in
// the kernel and on the disk.
func (g *Guard) Order(ctx context.Context, o operator.Order) (done operator.Done, err error) {
	if !o.Prefix.IsValid() || o.For < 0 {
		return done, errors.New("the order names no valid prefix and time")
	}
	const longestNote = 200
	if len(o.Note) > longestNote {
		return done, fmt.Errorf("the note has %d bytes: at most %d are kept", len(o.Note), longestNote)
	}
	if e := g.do(ctx, func(ctx context.Context) { done, err = g.carryOut(ctx, o) }); e != nil {
		return done, e
	}
	return done, err
}

func (g *Guard) carryOut(ctx context.Context, o operator.Order) (operator.Done, error) {
	now := g.clock.last
	d := tocsin.Decision{
		Prefix: o.Prefix.Masked(), Action: tocsin.Pass, At: now, Origin: tocsin.ByOperator, Reason: reasonOf(o),
	}
	rec := record{Kind: decide}
	var c tocsin.Change
	var v blocklist.Verdict
	before, _ := g.list.Len()
	switch o.Verb {
	case operator.Block:
		if tooWide(d.Prefix) {
			return operator.Done{}, fmt.Errorf("%v is wider than /%d (IPv6 /%d): nothing that wide is blocked", d.Prefix, widest4, widest6)
		}
		d.Action, d.Until = tocsin.Block, now.Add(orElse(o.For, blockFor))
		c, v = g.list.Decide(d, now)
	case operator.Allow:
		d.Until = now.Add(orElse(o.For, allowFor))
		c, v = g.list.Decide(d, now)
	case operator.Unblock:
		// What was blocked of an IPv6 source is its whole network.
		if source := tocsin.SourcePrefix(d.Prefix.Addr()); source.Bits() < d.Prefix.Bits() {
			d.Prefix = source
		}
		rec.Kind, d.Until = lift, now.Add(orElse(o.For, unblockFor))
		c, v = g.watch.Unblock(d)
	case operator.End:
		return g.takeBack(ctx, o, d)
	default:
		return operator.Done{}, fmt.Errorf("order %q is not known", o.Verb)
	}
	if v != blocklist.Enforced {
		return operator.Done{}, g.refusal(d, v)
	}
	after, _ := g.list.Len()
	rec.Decision = d
	done := operator.Done{Prefix: d.Prefix, Until: d.Until, Note: g.hint(d)}
	if o.Verb == operator.Unblock {
		done.Lifted = before - after
	}
	return done, g.settle(ctx, o, c, rec)
}

// takeBack ends what a person ordered before.
func (g *Guard) takeBack(ctx context.Context, o operator.Order, d tocsin.Decision) (operator.Done, error) {
	d.Action = tocsin.Pass
	if o.Of == operator.Block {
		d.Action = tocsin.Block
	}
	c, ok := g.list.End(d.Prefix, d.Action, tocsin.ByOperator, d.At)
	if !ok {
		return operator.Done{}, fmt.Errorf("no order to %s %v is in force: tocsin rules lists what is", o.Of, d.Prefix)
	}
	return operator.Done{Prefix: d.Prefix, Until: d.At}, g.settle(ctx, o, c, record{Kind: end, Decision: d})
}

// settle enforces and writes down.
func (g *Guard) settle(ctx context.Context, o operator.Order, c tocsin.Change, r record) error {
	failed := g.apply(ctx, c)
	g.log.Info("order carried out", "order", string(o.Verb), logkey.Prefix, r.Decision.Prefix, logkey.Until, r.Decision.Until.Format(time.RFC3339), logkey.User, o.By)
	g.metrics.decision(r.Decision, 0)
	if err := g.write(r, true); err != nil {
		if failed != nil {
			return fmt.Errorf("neither in force nor written down: %w", errors.Join(failed, err))
		}
		return fmt.Errorf("it is in force, but cannot be written down and a restart would forget it: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("it is written down, but not in force yet: the firewall cannot be changed (%w): the guard goes on trying, see its log", failed)
	}
	return nil
}

func (g *Guard) refusal(d tocsin.Decision, v blocklist.Verdict) error {
	switch v {
	case blocklist.Spared:
		return fmt.Errorf("%v is never blocked: this device needs it, or the configuration protects it (tocsin status lists what is protected)", d.Prefix)
	case blocklist.Passed:
		return fmt.Errorf("%v is allowed, and a pass wins: take that back first with tocsin allow --end", d.Prefix)
	case blocklist.Full:
		return errors.New("too many orders are in force: take some back first with --end")
	}
	return fmt.Errorf("%v: %v", d.Prefix, v)
}

// hint says what else bears on d.
func (g *Guard) hint(d tocsin.Decision) string {
	if d.Action == tocsin.Block && g.cfg.DryRun {
		return "The guard runs dry: nothing is really blocked."
	}
	if d.Action == tocsin.Block {
		for e := range g.list.Entries(d.At) {
			if e.Action == tocsin.Pass && e.Prefix.Overlaps(d.Prefix) && e.Prefix != d.Prefix {
				return fmt.Sprintf("%v inside of it stays allowed.", e.Prefix)
			}
		}
	}
	return ""
}

func reasonOf(o operator.Order) tocsin.Reason {
	word := map[operator.Verb]string{operator.Block: "blocked", operator.Unblock: "unblocked", operator.Allow: "allowed"}[o.Verb]
	if word == "" {
		word = string(operator.End)
	}
	r := word + " by " + o.By
	if o.Note != "" {
		r += ": " + printable(o.Note)
	}
	return tocsin.Reason(r)
}

func tooWide(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return p.Bits() < widest4
	}
	return p.Bits() < widest6
}

func orElse(d, usual time.Duration) time.Duration {
	if d == 0 {
		return usual
	}
	return min(d, allowFor)
}

// Rules implements [operator.Handler].
func (g *Guard) Rules(ctx context.Context, yield func(operator.Rule) error) error {
	var all []blocklist.Entry
	if err := g.do(ctx, func(context.Context) { all = slices.Collect(g.list.Entries(g.clock.last)) }); err != nil {
		return err
	}
	for _, e := range all {
		r := operator.Rule{
			Prefix: e.Prefix, Action: e.Action.String(), Since: e.At, Until: e.Until, Reason: e.Reason, Hits: e.Hits,
		}
		for _, o := range e.Origins {
			r.Origins = append(r.Origins, o.String())
		}
		if !e.LastHit.IsZero() {
			r.LastHit = &e.LastHit
		}
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}
