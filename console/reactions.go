package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// A scoped block binds everybody's devices, or an owner's.
type scoped struct {
	owner  tocsin.OwnerID
	prefix netip.Prefix
}

// A wait is a block that was published, until every connected device has it in force.
// It began with the decision; how long it takes is measured by the machine's own clock.
type wait struct {
	prefix netip.Prefix
	epoch  uint64
	serial uint64
	since  time.Time
}

// Bounds of what is waited for.
const (
	mostWaiting = 10_000
	waitAtMost  = 10 * time.Minute // a device that lags longer is told as lagging
)

// decide notes new blocks. The caller holds the lock.
func (p *Part) decide(effects []fleet.Effect) {
	if len(p.decided) >= mostWaiting {
		clear(p.decided) // what was decided and never published
	}
	for _, f := range effects {
		if blocks(f) && f.Decision.Origin != tocsin.ByOperator {
			p.decided[scoped{f.Owner, f.Decision.Prefix}] = time.Now()
		}
	}
}

// Published is the hook for [hub.Deps.OnPublished].
func (p *Part) Published(pos ruleset.Position, c tocsin.Change) {
	if !p.running.Load() || len(c.Add) == 0 {
		return
	}
	owner := ownerOf(pos.Ref)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range c.Add {
		key := scoped{owner, r.Prefix}
		since, ok := p.decided[key]
		if r.Action != tocsin.Block || !ok {
			continue
		}
		delete(p.decided, key)
		if list := p.waiting[pos.Ref]; len(list) < mostWaiting {
			p.waiting[pos.Ref] = append(list, wait{r.Prefix, pos.Epoch, pos.Serial, since})
		}
	}
	ring(p.reach)
}

// ownerOf returns whose devices follow a list.
func ownerOf(ref ruleset.Ref) tocsin.OwnerID {
	if ref.Name == ruleset.Fleet {
		return fleet.Everybody
	}
	return tocsin.OwnerID(ref.Name[len(ruleset.Owner("")):])
}

// Looking at all devices costs about a microsecond each: while something is waited
// for, it may take a fiftieth of a processor.
const (
	lookShare = 50
	lookEvery = 5 * time.Millisecond
)

// react notes when published blocks are in force everywhere.
func (p *Part) react(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			p.remember(context.WithoutCancel(ctx))
			return ctx.Err()
		case <-p.reach:
		}
		for p.looking() {
			begun := time.Now()
			p.look()
			select {
			case <-ctx.Done():
			case <-time.After(max(lookEvery, lookShare*time.Since(begun))):
				continue
			}
			break
		}
	}
}

func (p *Part) looking() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) > 0
}

// look finds out which blocks are in force everywhere by now.
func (p *Part) look() {
	followers := p.hub.Connected()
	now := p.deps.Now()
	var done []wait // in the order of their decisions, list by list
	p.mu.Lock()
	for ref, list := range p.waiting {
		have, all := lowest(followers, ref)
		kept := list[:0]
		for _, w := range list {
			switch {
			case all && (have.Epoch > w.epoch || have.Epoch == w.epoch && have.Serial >= w.serial):
				done = append(done, w)
			case time.Since(w.since) < waitAtMost:
				kept = append(kept, w)
			}
		}
		if p.waiting[ref] = kept; len(kept) == 0 {
			delete(p.waiting, ref)
		}
	}
	p.mu.Unlock()
	if len(done) == 0 {
		return
	}
	p.with(func(l *overview.Ledger) {
		for _, w := range done {
			l.Reacted(w.prefix, now, time.Since(w.since))
		}
	})
}

// lowest returns how far the device is that is furthest behind. An owner's list is in
// force everywhere only where every connected device follows it.
func lowest(followers []feed.Follower, ref ruleset.Ref) (least ruleset.Position, all bool) {
	for i, f := range followers {
		found := false
		for _, pos := range f.InForce {
			if pos.Ref != ref {
				continue
			}
			found = true
			if i == 0 || pos.Epoch < least.Epoch || pos.Epoch == least.Epoch && pos.Serial < least.Serial {
				least = pos
			}
		}
		if !found {
			return least, false
		}
	}
	return least, len(followers) > 0
}

// reactionsValue names what is kept of reactions: the log does not tell when devices
// enforced something.
const reactionsValue = "console-reactions"

// remember keeps the reactions for the next start.
func (p *Part) remember(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var list []overview.Reaction
	p.with(func(l *overview.Ledger) { list = l.Reactions(p.deps.Now()) })
	b, err := json.Marshal(list)
	if err == nil {
		err = p.deps.Store.Put(ctx, reactionsValue, b)
	}
	if err != nil {
		p.log.Warn("how fast blocks were in force is not kept for the next start", logkey.Err, err)
	}
}

// recall reads what was kept.
func (p *Part) recall(ctx context.Context) {
	b, err := p.deps.Store.Value(ctx, reactionsValue)
	var list []overview.Reaction
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			p.log.Warn("how fast blocks were in force before the start is not known", logkey.Err, err)
		}
		return
	}
	p.with(func(l *overview.Ledger) {
		for _, r := range list {
			l.React(r)
		}
	})
}
