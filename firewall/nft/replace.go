package nft

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"github.com/tocsin-io/tocsin"
)

// Replace implements [firewall.Filter]. The new rules are a generation of their
// own, put into force beside the old one by the first transaction, with the
// first 20,000 of them; the last transaction removes the old generation. In
// between both block, and both pass.
//
// A rule that comes twice in all, in different transactions, keeps its first
// end on kernels before 6.12.
func (f *Filter) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nft: replace: %w", err)
	}
	old, err := f.read()
	if err != nil {
		return err
	}
	r := &replacing{f: f, old: old, gen: old.next(), made: make(map[setID]bool)}
	if err := r.run(ctx, all); err != nil {
		r.undo()
		return err
	}
	f.state = state{exists: true, gens: []int{r.gen}, sets: r.made}
	return nil
}

// replacing is a Replace under way.
type replacing struct {
	f       *Filter
	old     state
	gen     int
	made    map[setID]bool // sets of the new generation, in the kernel or queued
	begun   bool           // the first transaction is in force
	pending int            // elements queued, in part
	part    map[setID]*elements
}

// elements are queued for one set.
type elements struct{ list []nftables.SetElement }

func (r *replacing) of(id setID) *elements {
	es := r.part[id]
	if es == nil {
		es = &elements{}
		r.part[id] = es
	}
	return es
}

func (r *replacing) run(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	r.part = make(map[setID]*elements)
	now := time.Now()
	var last setID // rules of one length mostly come together
	var into *elements
	for rule := range all {
		k, err := keyOf(rule)
		if err != nil {
			return err
		}
		left, live := life(rule.Until, now)
		if !live {
			continue
		}
		if r.pending == r.f.most { // only now, so that the last transaction is not empty
			if err := r.send(ctx, false); err != nil {
				return err
			}
			now = time.Now()
		}
		id := setOf(k.prefix, k.action, r.gen)
		if into == nil || id != last {
			last, into = id, r.of(id)
		}
		into.list = append(into.list, nftables.SetElement{Key: k.prefix.Addr().AsSlice(), Timeout: left})
		r.pending++
	}
	return r.send(ctx, true)
}

// send is one transaction of Replace. Where the first does not fit to what is
// there, somebody has changed our chains beyond mending: a second one makes the
// table anew.
func (r *replacing) send(ctx context.Context, last bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nft: replace: %w", err)
	}
	err := r.transact(last)
	if err != nil && !r.begun && r.old.exists {
		r.old, r.gen = state{}, 1
		r.renumber()
		r.f.conn.DelTable(r.f.table)
		err = r.transact(last)
	}
	if err != nil {
		return explain("replace", err)
	}
	if !r.begun {
		r.cut()
	}
	r.begun = true
	for _, es := range r.part {
		es.list = es.list[:0] // the next part needs as much room
	}
	r.pending = 0
	return nil
}

// cut closes the connections of the most urgent sources; those further down are
// silenced only. Most are old acquaintances without a connection.
func (r *replacing) cut() {
	if r.f.cutter == nil {
		return
	}
	for id, es := range r.part {
		if id.pass {
			continue
		}
		ps := make([]netip.Prefix, 0, len(es.list))
		for _, e := range es.list {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				ps = append(ps, netip.PrefixFrom(a, id.bits))
			}
		}
		r.f.cutter.Cut(ps...)
	}
}

func (r *replacing) transact(last bool) error {
	f := r.f
	if !r.begun {
		f.skeleton(true)
		f.generation(r.gen)
		if !last {
			f.dispatch(append(slices.Clone(r.old.gens), r.gen)...)
		}
	}
	if err := r.queue(); err != nil {
		return err
	}
	if last {
		f.dispatch(r.gen)
		for _, g := range r.old.gens {
			f.dropGeneration(g, r.old)
		}
	}
	return f.flush()
}

// renumber moves what is queued into generation r.gen of a new table.
func (r *replacing) renumber() {
	part := make(map[setID]*elements, len(r.part))
	for id, es := range r.part {
		id.gen = r.gen
		part[id] = es
	}
	r.part, r.made = part, make(map[setID]bool)
}

func (r *replacing) queue() error {
	for id, es := range r.part {
		if len(es.list) > 0 && !r.made[id] {
			if err := r.f.addSet(id); err != nil {
				return err
			}
			r.made[id] = true
		}
		for part := range slices.Chunk(es.list, perCall) {
			if err := r.f.conn.SetAddElements(r.f.set(id), part); err != nil {
				return err
			}
		}
	}
	return nil
}

// undo takes back a Replace that stopped half-way, if there was something in
// force before; otherwise half of the rules is better than none. Where even
// that fails, the next Replace finds both generations and removes them.
func (r *replacing) undo() {
	f := r.f
	if r.begun && r.old.exists {
		f.dispatch(r.old.gens...)
		f.dropGeneration(r.gen, state{sets: r.made})
		if f.flush() == nil {
			f.state = r.old
			return
		}
	}
	if now, err := f.read(); err == nil && now.exists {
		f.state = now
	}
}
