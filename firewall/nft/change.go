package nft

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"github.com/tocsin-io/tocsin"
)

// Ends as the kernel is given them. It counts in ticks of up to 10 ms and takes
// a time of no tick at all for "for ever", so a rule lives at least a little.
const (
	shortest = 100 * time.Millisecond
	longest  = 10 * 365 * 24 * time.Hour
)

// A key is what makes two rules the same one.
type key struct {
	prefix netip.Prefix
	action tocsin.Action
}

func keyOf(r tocsin.Rule) (key, error) {
	p := normal(r.Prefix)
	if !p.IsValid() || r.Action != tocsin.Block && r.Action != tocsin.Pass {
		return key{}, fmt.Errorf("nft: rule %v %v: invalid", r.Action, r.Prefix)
	}
	return key{p, r.Action}, nil
}

// normal masks p, or its element would never match, and makes an IPv4-mapped
// prefix the IPv4 one that it means.
func normal(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Change implements [firewall.Filter]. Up to 20,000 rules are one transaction.
func (f *Filter) Change(ctx context.Context, c tocsin.Change) error {
	order, until, err := wanted(c)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for part := range slices.Chunk(order, f.most) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("nft: change: %w", err)
		}
		if err := f.apply(part, until); err != nil {
			return explain(fmt.Sprintf("change %d rules", len(part)), err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nft: change: %w", err)
	}
	f.cut(order, until)
	return nil
}

// wanted returns each key of c once, in order, and the end of those that are to
// be in force: a removal has none, and what is added wins over what is removed.
func wanted(c tocsin.Change) (order []key, until map[key]time.Time, err error) {
	until = make(map[key]time.Time, len(c.Add))
	seen := make(map[key]bool, len(c.Add)+len(c.Remove))
	for i, rules := range [][]tocsin.Rule{c.Remove, c.Add} {
		for _, r := range rules {
			k, err := keyOf(r)
			if err != nil {
				return nil, nil, err
			}
			if !seen[k] {
				seen[k] = true
				order = append(order, k)
			}
			if i == 1 {
				until[k] = r.Until
			}
		}
	}
	return order, until, nil
}

// apply makes keys true in one transaction.
func (f *Filter) apply(keys []key, until map[key]time.Time) error {
	now := time.Now()
	gone := make(map[setID][]nftables.SetElement)
	fresh := make(map[setID][]nftables.SetElement)
	current := f.state.current()
	for _, k := range keys {
		e := nftables.SetElement{Key: k.prefix.Addr().AsSlice(), Timeout: time.Hour}
		left, live := life(until[k], now)
		for _, g := range f.state.gens {
			if live && f.renews && g == current {
				continue
			}
			if id := setOf(k.prefix, k.action, g); f.state.sets[id] {
				gone[id] = append(gone[id], e)
			}
		}
		if live {
			id := setOf(k.prefix, k.action, current)
			e.Timeout = left
			fresh[id] = append(fresh[id], e)
		}
	}
	if err := f.queue(gone, fresh); err != nil {
		return err
	}
	if err := f.flush(); err != nil {
		return err
	}
	for id := range fresh {
		f.state.sets[id] = true
	}
	return nil
}

// queue removes elements and adds others. Each one is added before it is
// removed: removing one that is not there is an error, even if it ended by
// itself a moment ago. Where adding does not renew, an element is removed and
// added again in the same transaction.
func (f *Filter) queue(gone, fresh map[setID][]nftables.SetElement) error {
	for id, es := range gone {
		s := f.set(id)
		for part := range slices.Chunk(es, perCall) {
			if err := f.conn.SetAddElements(s, part); err != nil {
				return err
			}
			if err := f.conn.SetDeleteElements(s, part); err != nil {
				return err
			}
		}
	}
	for id, es := range fresh {
		if !f.state.sets[id] {
			if err := f.addSet(id); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(es, perCall) {
			if err := f.conn.SetAddElements(f.set(id), part); err != nil {
				return err
			}
		}
	}
	return nil
}

// life returns how long a rule has left, as the kernel is told; false if it has
// ended.
func life(until, now time.Time) (time.Duration, bool) {
	left := until.Sub(now)
	if until.IsZero() || left <= 0 {
		return 0, false
	}
	return min(max(left, shortest), longest), true
}

// cut closes the connections of sources that are blocked now.
func (f *Filter) cut(keys []key, until map[key]time.Time) {
	if f.cutter == nil {
		return
	}
	var blocked []netip.Prefix
	for _, k := range keys {
		if _, add := until[k]; add && k.action == tocsin.Block {
			blocked = append(blocked, k.prefix)
		}
	}
	f.cutter.Cut(blocked...)
}
