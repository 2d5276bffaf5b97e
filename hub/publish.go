package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// A Feed carries signed messages to devices.
type Feed interface {
	// Publish sends s to the devices that follow its list. Bulk goes by rings.
	Publish(ref ruleset.Ref, s ruleset.Sealed, bulk bool)
}

// A publisher turns what the fleet decided into signed frames: stored first, then
// sent. It owns the lists as devices know them.
type publisher struct {
	log    *slog.Logger
	frames store.Frames
	signer func() (ruleset.Signer, error)
	now    func() time.Time
	feed   Feed
	told   func(ruleset.Position, tocsin.Change) // of each frame that went out; nil is nobody

	mu     sync.Mutex // guards the fields below
	lists  map[ruleset.Ref]*published
	epoch  uint64
	budget map[tocsin.OwnerID]*budget
	begun  bool // the lists were compared with the mind once: devices may have them
}

// published is a list as it was last published.
type published struct {
	list   *ruleset.List
	since  int       // frames since the last snapshot
	stored time.Time // of the last snapshot

	whole    ruleset.Sealed // a snapshot for those who ask, of wholePos
	wholePos ruleset.Position
	wholeAt  time.Time
}

func newPublisher(frames store.Frames, signer func() (ruleset.Signer, error), now func() time.Time, log *slog.Logger) *publisher {
	return &publisher{
		log: log, frames: frames, signer: signer, now: now,
		lists: make(map[ruleset.Ref]*published), budget: make(map[tocsin.OwnerID]*budget),
	}
}

// load continues the lists where the database left them. A new epoch, as after
// a restore, takes their rules along.
func (p *publisher) load(ctx context.Context, now time.Time, restored bool) error {
	heads, err := p.frames.Heads(ctx)
	if err != nil {
		return fmt.Errorf("read the published lists: %w", err)
	}
	for _, head := range heads {
		p.epoch = max(p.epoch, head.Epoch)
	}
	if p.epoch == 0 || restored {
		p.epoch = max(p.epoch+1, uint64(now.Unix()))
	}
	for _, head := range heads {
		ref, err := ruleset.ParseRef(head.List)
		if err != nil {
			return fmt.Errorf("published list: %w", err)
		}
		list, err := p.rebuild(ctx, ref)
		if err != nil {
			p.log.Warn("a published list cannot be continued: starting it anew in the next epoch", "list", head.List, logkey.Err, err)
			list, restored = ruleset.New(ref, p.epoch), true
			p.epoch = max(p.epoch, head.Epoch+1)
		}
		p.lists[ref] = &published{list: list}
	}
	if !restored {
		return nil
	}
	for ref, one := range p.lists {
		one.list = one.list.Renumber(p.epoch)
		if err := p.snapshot(ctx, ref, one, now); err != nil {
			return err
		}
	}
	return nil
}

// rebuild applies the stored frames of a list to its stored snapshot.
func (p *publisher) rebuild(ctx context.Context, ref ruleset.Ref) (*ruleset.List, error) {
	snap, err := p.frames.Snapshot(ctx, ref.String())
	if err != nil {
		return nil, err
	}
	list, err := ruleset.New(ref, 0).Follow(snap.Sealed)
	if err != nil {
		return nil, err
	}
	for f, err := range p.frames.FramesSince(ctx, ref.String(), snap.Epoch, snap.Serial) {
		if err != nil {
			return nil, err
		}
		if list, err = list.Follow(f.Sealed); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// ensure makes the lists of an owner, so that its devices hear that they are
// empty rather than nothing.
func (p *publisher) ensure(ctx context.Context, owner tocsin.OwnerID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ref := range bothOf(owner) {
		if p.lists[ref] != nil {
			continue
		}
		if err := p.add(ctx, ref, p.now()); err != nil {
			return err
		}
		sealed, err := p.seal(p.lists[ref].list.Heartbeat(p.now()))
		if err != nil {
			return err
		}
		p.feed.Publish(ref, sealed, false)
	}
	return nil
}

// add makes an empty list. The caller holds the lock.
func (p *publisher) add(ctx context.Context, ref ruleset.Ref, now time.Time) error {
	one := &published{list: ruleset.New(ref, p.epoch).Renumber(p.epoch)}
	if err := p.snapshot(ctx, ref, one, now); err != nil {
		return err
	}
	p.lists[ref] = one
	return nil
}

// refOf returns the list that a rule belongs to.
func refOf(owner tocsin.OwnerID, r tocsin.Rule, now time.Time) ruleset.Ref {
	ref := ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Long}
	if owner != fleet.Everybody {
		ref.Name = ruleset.Owner(owner)
	}
	if r.Until.Sub(now) <= ruleset.Short.Max() {
		ref.Class = ruleset.Short
	}
	return ref
}

// bothOf returns the two lists of a scope.
func bothOf(owner tocsin.OwnerID) [2]ruleset.Ref {
	name := ruleset.Fleet
	if owner != fleet.Everybody {
		name = ruleset.Owner(owner)
	}
	return [2]ruleset.Ref{{Name: name, Class: ruleset.Short}, {Name: name, Class: ruleset.Long}}
}

// change publishes what the fleet changed, urgent things first.
func (p *publisher) change(ctx context.Context, now time.Time, changes []fleet.Scoped) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(changes, func(a, b fleet.Scoped) int {
		switch {
		case a.Bulk == b.Bulk:
			return 0
		case b.Bulk:
			return -1
		}
		return 1
	})
	var errs []error
	for _, c := range changes {
		errs = append(errs, p.changeOf(ctx, now, c))
	}
	return errors.Join(errs...)
}

// changeOf publishes what changed for one owner. The caller holds the lock.
func (p *publisher) changeOf(ctx context.Context, now time.Time, c fleet.Scoped) error {
	lists := bothOf(c.Owner)
	byList := make(map[ruleset.Ref]tocsin.Change)
	for _, ref := range lists {
		byList[ref] = tocsin.Change{Remove: slices.Clone(c.Remove)}
	}
	for _, r := range p.afford(c.Owner, c.Add, now) {
		ref := refOf(c.Owner, r, now)
		r.Until = capped(r, ref, now)
		one := byList[ref]
		one.Add = append(one.Add, r)
		byList[ref] = one
		if long := lists[1]; ref != long && p.lists[long] != nil && p.lists[long].list.Has(r.Prefix, r.Action, now) {
			one = byList[long] // devices go by the latest end: what ends sooner now must not stay there
			one.Remove = append(one.Remove, r)
			byList[long] = one
		}
	}
	var errs []error
	for _, ref := range lists {
		for _, f := range inFrames(byList[ref]) {
			errs = append(errs, p.step(ctx, ref, f.Change, now, f.bulk))
		}
	}
	return errors.Join(errs...)
}

// capped returns the end that a list may tell; what lasts longer is renewed.
func capped(r tocsin.Rule, ref ruleset.Ref, now time.Time) time.Time {
	if end := now.Add(ref.Class.Max()); r.Until.After(end) {
		return end
	}
	return r.Until
}

// step publishes the next frame of a list.
func (p *publisher) step(ctx context.Context, ref ruleset.Ref, c tocsin.Change, now time.Time, bulk bool) error {
	one := p.lists[ref]
	if one == nil {
		if len(c.Add) == 0 {
			return nil
		}
		if err := p.add(ctx, ref, now); err != nil {
			return err
		}
		one = p.lists[ref]
	}
	frame, next := one.list.Next(c, now)
	if frame.Empty() {
		return nil
	}
	sealed, err := p.seal(frame)
	if err != nil {
		return fmt.Errorf("sign %v: %w", next.Position(), err)
	}
	pos := next.Position()
	err = p.frames.Publish(ctx, []store.Frame{{List: ref.String(), Epoch: pos.Epoch, Serial: pos.Serial, Made: now, Sealed: sealed}})
	if errors.Is(err, store.ErrExists) {
		// A commit that failed, as far as we were told, did not: go on from there.
		if stored, e := p.rebuild(ctx, ref); e == nil {
			one.list = stored
		}
	}
	if err != nil {
		return fmt.Errorf("store %v: %w", pos, err)
	}
	one.list = next
	one.since++
	p.log.Debug("published", "list", ref.String(), "serial", pos.Serial, "added", len(c.Add), "removed", len(c.Remove), "bytes", len(sealed))
	p.feed.Publish(ref, sealed, bulk)
	if p.told != nil {
		p.told(pos, c)
	}
	if p.snapshotDue(one, now) {
		return p.snapshot(ctx, ref, one, now)
	}
	return nil
}

func (p *publisher) seal(m ruleset.Message) (ruleset.Sealed, error) {
	signer, err := p.signer()
	if err != nil {
		return nil, err
	}
	return ruleset.Seal(m, signer)
}

// A new snapshot is stored after so many frames, or so long: whoever joins
// fetches it and what came after.
const (
	snapshotFrames = 256
	snapshotEvery  = 10 * time.Minute
)

func (p *publisher) snapshotDue(one *published, now time.Time) bool {
	return one.since >= snapshotFrames || one.since > 0 && now.Sub(one.stored) >= snapshotEvery
}

// snapshot stores the whole list as it stands. It is not sent: devices that need
// one ask.
func (p *publisher) snapshot(ctx context.Context, ref ruleset.Ref, one *published, now time.Time) error {
	sealed, err := p.seal(one.list.Snapshot(now))
	if err != nil {
		return fmt.Errorf("sign the snapshot of %v: %w", one.list.Position(), err)
	}
	pos := one.list.Position()
	err = p.frames.Publish(ctx, []store.Frame{{List: ref.String(), Epoch: pos.Epoch, Serial: pos.Serial, Snapshot: true, Made: now, Sealed: sealed}})
	if err != nil {
		return fmt.Errorf("store the snapshot of %v: %w", pos, err)
	}
	one.since, one.stored = 0, now
	return nil
}

// renewBefore is how long before its end in a list a rule that goes on is told
// again.
const renewBefore = 12 * time.Hour

// reconcile makes the lists of every owner what the fleet's mind wants.
func (p *publisher) reconcile(ctx context.Context, mind *fleet.Fleet, now time.Time) error {
	owners := mind.Owners()
	p.mu.Lock()
	for ref := range p.lists {
		owner := fleet.Everybody
		if id, ok := strings.CutPrefix(ref.Name, ruleset.Owner("")); ok {
			owner = tocsin.OwnerID(id)
		}
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	p.mu.Unlock()
	var errs []error
	for _, owner := range owners {
		c := p.compare(owner, mind, now)
		if !c.Empty() {
			errs = append(errs, p.change(ctx, now, []fleet.Scoped{c}))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = true
	for ref, one := range p.lists {
		if p.snapshotDue(one, now) { // before the frames after the last one are forgotten
			errs = append(errs, p.snapshot(ctx, ref, one, now))
		}
	}
	return errors.Join(errs...)
}

type place struct {
	prefix netip.Prefix
	action tocsin.Action
}

// compare returns what the lists of an owner lack and what they have too much.
func (p *publisher) compare(owner tocsin.OwnerID, mind *fleet.Fleet, now time.Time) fleet.Scoped {
	p.mu.Lock()
	defer p.mu.Unlock()
	have := make(map[place]tocsin.Rule)
	for _, ref := range bothOf(owner) {
		one := p.lists[ref]
		if one == nil {
			continue
		}
		for r := range one.list.Rules(now) {
			k := place{r.Prefix, r.Action}
			if old, ok := have[k]; !ok || old.Until.Before(r.Until) {
				have[k] = r
			}
		}
	}
	c := fleet.Scoped{Owner: owner}
	for r := range mind.Rules(owner, now) {
		k := place{r.Prefix, r.Action}
		old, ok := have[k]
		delete(have, k)
		long := old.Until.Sub(r.Until) > ruleset.Long.Step() // the rule ends sooner than it did
		if !ok || long || old.Until.Before(r.Until) && old.Until.Sub(now) < renewBefore {
			c.Add = append(c.Add, r)
		}
	}
	for _, r := range have {
		c.Remove = append(c.Remove, r)
	}
	c.Bulk = len(c.Add) > 100
	return c
}

// beat signs a heartbeat for each list. What is urgent need not wait for all.
func (p *publisher) beat(ctx context.Context) error {
	for pos := range p.heads() {
		sealed, err := p.Beat(ctx, pos.Ref)
		if err != nil {
			return fmt.Errorf("sign the heartbeat of %v: %w", pos.Ref, err)
		}
		p.feed.Publish(pos.Ref, sealed, false)
	}
	return nil
}

// beatEvery is how often devices hear of every list; without for ten minutes
// they show that something holds it back.
const beatEvery = time.Minute

func (p *publisher) heartbeats(ctx context.Context, clk *clock.Clock) error {
	t := clk.NewTicker(beatEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if err := p.beat(ctx); err != nil {
				p.log.Error("no heartbeat: devices will show that they hear nothing", logkey.Err, err)
			}
		}
	}
}

// heads returns how far each list is, and how many rules it holds.
func (p *publisher) heads() map[ruleset.Position]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[ruleset.Position]int, len(p.lists))
	for _, one := range p.lists {
		all[one.list.Position()] = one.list.Len()
	}
	return all
}
