package iptables

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// ErrFull says that a change would bring the filter beyond its bound.
var ErrFull = errors.New("too many rules")

// Change implements [firewall.Filter]. All of c for one family takes effect at
// one moment.
func (f *Filter) Change(ctx context.Context, c tocsin.Change) error {
	if err := valid(c); err != nil {
		return err
	}
	if err := f.take(ctx); err != nil {
		return fmt.Errorf("iptables: change: %w", err)
	}
	defer f.give()
	defer f.lookAgain()
	now := time.Now()
	var fresh []netip.Prefix
	for i, s := range f.sides {
		if s == nil {
			continue
		}
		e := edit{side: s, batch: newBatch(s.table), now: now}
		before := s.count()
		for _, r := range c.Remove {
			e.remove(r, i)
		}
		for _, r := range c.Add {
			e.add(r, i)
		}
		if n := s.count(); n > f.opt.Most && n > before {
			e.undo()
			return fmt.Errorf("iptables: change: %d rules, limit %d: %w", n, f.opt.Most, ErrFull)
		}
		if err := f.apply(ctx, s, &e); err != nil {
			return fmt.Errorf("iptables: change: %s: %w", s.family.name, err)
		}
		fresh = append(fresh, e.fresh...)
	}
	f.close(fresh...)
	return nil
}

func (s *side) count() int { return len(s.blocks.rules) + len(s.passes.rules) }

// close cuts what sources that are blocked now have open.
func (f *Filter) close(ps ...netip.Prefix) {
	if f.cut != nil {
		f.cut.Cut(ps...)
	}
}

// apply hands an edit to the kernel. Where the kernel is not as the filter left
// it, everything is written anew.
func (f *Filter) apply(ctx context.Context, s *side, e *edit) error {
	if len(e.before) == 0 {
		return nil
	}
	err := errLine
	if !s.stale {
		if err = s.commit(ctx, e.batch); errors.Is(err, errLine) {
			f.noteDrift()
		}
	}
	if errors.Is(err, errLine) {
		err = f.rewrite(ctx, s)
	}
	if err != nil {
		e.undo()
	}
	return err
}

// An edit is a change to the trees of one side that can be taken back.
type edit struct {
	*side
	batch  *batch
	now    time.Time
	before []former
	fresh  []netip.Prefix // blocked now, and not before
}

type former struct {
	tree  *tree
	p     netip.Prefix
	until time.Time
	had   bool
}

func (e *edit) remove(r tocsin.Rule, family int) {
	p := normal(r.Prefix)
	if familyOf(p.Addr()) != family {
		return
	}
	t := e.of(r.Action)
	if _, had := t.rules[p]; had {
		e.unset(t, p)
	}
}

// set and unset leave the chains alone where they will be written anew.
func (e *edit) set(t *tree, p netip.Prefix, until time.Time) {
	e.keep(t, p)
	if e.stale {
		t.rules[p] = until
	} else {
		t.set(p, until, e.batch)
	}
}

func (e *edit) unset(t *tree, p netip.Prefix) {
	e.keep(t, p)
	if e.stale {
		delete(t.rules, p)
	} else {
		t.unset(p, e.batch)
	}
}

func (e *edit) add(r tocsin.Rule, family int) {
	p := normal(r.Prefix)
	if familyOf(p.Addr()) != family {
		return
	}
	if !e.now.Before(r.Until) {
		e.remove(r, family)
		return
	}
	t := e.of(r.Action)
	if _, had := t.rules[p]; !had && r.Action == tocsin.Block {
		e.fresh = append(e.fresh, p)
	}
	e.set(t, p, r.Until.Round(0))
}

func (e *edit) of(a tocsin.Action) *tree {
	if a == tocsin.Pass {
		return &e.passes
	}
	return &e.blocks
}

func (e *edit) keep(t *tree, p netip.Prefix) {
	until, had := t.rules[p]
	e.before = append(e.before, former{t, p, until, had})
}

// undo restores the rules of the trees. Their chains may no longer be those of
// the kernel, so the next change writes them anew.
func (e *edit) undo() {
	for i := len(e.before) - 1; i >= 0; i-- {
		o := e.before[i]
		if o.had {
			o.tree.rules[o.p] = o.until
		} else {
			delete(o.tree.rules, o.p)
		}
	}
	e.stale = true
}

// Replace implements [firewall.Filter]. One commit for each family swaps the
// whole table, so that old and new rules never both lack what both hold. Beyond
// Options.Most, the last rules of all are left out, which the log says.
func (f *Filter) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("iptables: replace: %w", err)
	}
	w, err := f.gather(all)
	if err != nil {
		return err
	}
	if err := f.take(ctx); err != nil {
		return fmt.Errorf("iptables: replace: %w", err)
	}
	defer f.give()
	defer f.lookAgain()
	if w.left > 0 {
		f.log.Warn("more rules than this kernel is given: the last ones are left out", logkey.Rules, w.left)
	}
	for i, s := range f.sides {
		if s == nil {
			continue
		}
		blocks, passes := s.blocks.rules, s.passes.rules
		s.blocks.rules, s.passes.rules = w.blocks[i], w.passes[i]
		if err := f.rewrite(ctx, s); err != nil {
			s.blocks.rules, s.passes.rules, s.stale = blocks, passes, true
			return fmt.Errorf("iptables: replace: %s: %w", s.family.name, err)
		}
		for p := range s.blocks.rules {
			if _, had := blocks[p]; !had {
				f.close(p)
			}
		}
	}
	return nil
}

// A wanted state, by family.
type wanted struct {
	blocks, passes [2]map[netip.Prefix]time.Time
	left           int
}

func (f *Filter) gather(all iter.Seq[tocsin.Rule]) (wanted, error) {
	var w wanted
	for i := range w.blocks {
		w.blocks[i], w.passes[i] = map[netip.Prefix]time.Time{}, map[netip.Prefix]time.Time{}
	}
	now := time.Now()
	for r := range all {
		if err := validRule(r); err != nil {
			return w, err
		}
		p := normal(r.Prefix)
		i := familyOf(p.Addr())
		rules := w.blocks[i]
		if r.Action == tocsin.Pass {
			rules = w.passes[i]
		}
		_, had := rules[p]
		switch {
		case !now.Before(r.Until):
			delete(rules, p)
		case !had && len(w.blocks[i])+len(w.passes[i]) >= f.opt.Most:
			w.left++
		default:
			rules[p] = r.Until.Round(0)
		}
	}
	return w, nil
}

// rewrite writes the trees of one side anew, in one commit. It looks first, for
// what is there must be emptied and removed; a change by others between the two
// fails the commit, and is looked at once more.
func (f *Filter) rewrite(ctx context.Context, s *side) error {
	var err error
	for range 3 {
		var is snapshot
		if is, err = f.look(ctx, s, nil); err != nil {
			break
		}
		if err = s.commit(ctx, f.whole(s, is)); !errors.Is(err, errLine) {
			break
		}
	}
	s.stale = err != nil
	return err
}

// whole is the batch that makes the kernel, which is as given, hold the trees.
func (f *Filter) whole(s *side, is snapshot) *batch {
	b, n := newBatch(s.table), f.names
	for chain := range is.chains {
		b.chain(chain)
	}
	for _, chain := range []string{n.marker(), n.base, n.caught(), n.drop()} {
		b.chain(chain)
	}
	for _, rule := range f.ending(s, s.have) {
		b.line("-A", n.drop(), rule)
	}
	s.passes.build(b)
	s.blocks.build(b)
	for _, hook := range s.hooksIn(is) {
		for range is.jumps[hook] {
			b.line("-D", hook, n.jump())
		}
		b.line("-I", hook, n.jump())
	}
	f.dropChains(s, is, b)
	return b
}

// dropChains removes the chains that are there and no longer needed.
func (f *Filter) dropChains(s *side, is snapshot, b *batch) {
	n := f.names
	need := map[string]bool{n.marker(): true, n.base: true, n.caught(): true, n.drop(): true}
	for _, t := range []*tree{&s.blocks, &s.passes} {
		for at := range t.nodes {
			need[t.name(at)] = true
		}
	}
	for chain := range is.chains {
		if !need[chain] {
			b.line("-X", chain, "")
		}
	}
}

// hooksIn returns the chains of others that must jump to ours. Docker puts its
// own first in FORWARD, and lets packets go there; DOCKER-USER is before that.
func (s *side) hooksIn(is snapshot) []string {
	if s.table == "filter" && is.docker {
		return append(s.hooks[:len(s.hooks):len(s.hooks)], dockerUser)
	}
	return s.hooks
}

// Clear takes everything of ours out of the kernel: the way back.
func (f *Filter) Clear(ctx context.Context) error {
	if err := f.take(ctx); err != nil {
		return fmt.Errorf("iptables: clear: %w", err)
	}
	defer f.give()
	for _, s := range f.sides {
		if s == nil {
			continue
		}
		is, err := f.look(ctx, s, nil)
		if err != nil {
			return fmt.Errorf("iptables: clear: %w", err)
		}
		b := newBatch(s.table)
		for hook, copies := range is.jumps {
			for range copies {
				b.line("-D", hook, f.names.jump())
			}
		}
		for chain := range is.chains {
			b.chain(chain)
		}
		for chain := range is.chains {
			b.line("-X", chain, "")
		}
		if err := s.commit(ctx, b); err != nil {
			return fmt.Errorf("iptables: clear: %w", err)
		}
		s.blocks.clear()
		s.passes.clear()
		s.stale = true
	}
	return nil
}

// Holds implements [firewall.Filter].
func (f *Filter) Holds(ctx context.Context, p netip.Prefix) (bool, error) {
	p = normal(p)
	if !p.IsValid() {
		return false, fmt.Errorf("iptables: holds: prefix %v: invalid", p)
	}
	s := f.sides[familyOf(p.Addr())]
	if s == nil {
		return false, nil
	}
	held, now := false, time.Now()
	_, err := f.look(ctx, s, func(r found) {
		held = held || r.prefix == p && (r.until.IsZero() || now.Before(r.until))
	})
	if err != nil {
		return false, fmt.Errorf("iptables: holds %v: %w", p, err)
	}
	return held, nil
}

func valid(c tocsin.Change) error {
	for _, rules := range [][]tocsin.Rule{c.Remove, c.Add} {
		for _, r := range rules {
			if err := validRule(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func validRule(r tocsin.Rule) error {
	if !normal(r.Prefix).IsValid() || r.Action != tocsin.Block && r.Action != tocsin.Pass {
		return fmt.Errorf("iptables: rule %v %v: invalid", r.Action, r.Prefix)
	}
	return nil
}
