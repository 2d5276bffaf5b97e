package hub

import (
	"context"
	"errors"
	"time"

	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/ruleset"
)

var (
	_ feed.Library = (*publisher)(nil)
	_ feed.Beater  = (*publisher)(nil)
)

// mostDeltas is how many frames a device is sent to catch up: with more, the
// whole list is smaller.
const mostDeltas = 300

// Since implements [feed.Library].
func (p *publisher) Since(ctx context.Context, from ruleset.Position) ([]ruleset.Sealed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.lists[from.Ref]
	if one == nil || from.Compare(one.list.Position()) == 0 {
		return nil, nil
	}
	head := one.list.Position()
	if from.Epoch == head.Epoch && from.Serial < head.Serial && head.Serial-from.Serial <= mostDeltas {
		deltas, err := p.deltas(ctx, from)
		if err != nil || deltas != nil {
			return deltas, err
		}
	}
	whole, err := p.whole(one)
	return []ruleset.Sealed{whole}, err
}

// deltas returns the frames after from, or nil where one of them is gone or too
// old for a device to take.
func (p *publisher) deltas(ctx context.Context, from ruleset.Position) (list []ruleset.Sealed, err error) {
	signer, err := p.signer()
	if err != nil {
		return nil, err
	}
	next := from.Serial + 1
	for f, err := range p.frames.FramesSince(ctx, from.Ref.String(), from.Epoch, from.Serial) {
		if err != nil {
			return nil, err
		}
		h, err := ruleset.Peek(f.Sealed)
		if err != nil {
			return nil, err
		}
		// What another key signed may be revoked by now: the whole list, signed anew.
		if f.Serial != next || p.now().Sub(f.Made) > from.Ref.Class.Max() || h.Key != signer.ID() {
			return nil, nil
		}
		list = append(list, f.Sealed)
		next++
	}
	return list, nil
}

// wholeLives is how long a signed snapshot serves those who ask: a storm of
// devices costs one signature.
const wholeLives = 10 * time.Second

// whole returns a snapshot of a list as it stands. The caller holds the lock.
func (p *publisher) whole(one *published) (ruleset.Sealed, error) {
	now := p.now()
	if one.whole != nil && one.wholePos == one.list.Position() && now.Sub(one.wholeAt).Abs() < wholeLives {
		return one.whole, nil
	}
	sealed, err := p.seal(one.list.Snapshot(now))
	if err == nil {
		one.whole, one.wholePos, one.wholeAt = sealed, one.list.Position(), now
	}
	return sealed, err
}

// Heads implements [feed.Library].
func (p *publisher) Heads(context.Context) (list []ruleset.Position, err error) {
	for pos := range p.heads() {
		list = append(list, pos)
	}
	return list, nil
}

// Beat implements [feed.Beater].
func (p *publisher) Beat(_ context.Context, ref ruleset.Ref) (ruleset.Sealed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.lists[ref]
	if one == nil {
		return nil, errors.New("there is no such list")
	}
	return p.seal(one.list.Heartbeat(p.now()))
}
