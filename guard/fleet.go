package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A Hub is what a guard tells the hub it belongs to. Its functions return at
// once; what they are handed is theirs to keep.
type Hub struct {
	Owner  tocsin.OwnerID
	Limits func() ruleset.Limits
	// Tell takes sightings, in the order of their IDs.
	Tell func([]tocsin.Sighting)
	// Told returns what was told and ends at that time or later; nil is nothing.
	Told func(since time.Time) ([]tocsin.Sighting, error)
	// Lost takes prefixes that the fleet blocks although somebody who belongs here
	// logged in from there: they are not blocked here.
	Lost func([]netip.Prefix)
	// TellClues takes clues, in the order of their IDs; nil is that nobody wants
	// them.
	TellClues func([]tocsin.Clue)
	// TellContacts takes contacts; nil is that nobody wants them.
	TellContacts func([]tocsin.Contact)
	// Now is the time by which the hub's frames are judged, for a wall clock that
	// may stand at 1970; nil is the wall clock.
	Now func(wall time.Time) time.Time
}

// A fleet is what the hub's lists told this device.
type fleet struct {
	set     *ruleset.Set
	saved   time.Time // when the lists were last written down
	size    int       // and how many bytes they took
	unsaved bool
}

const listsFile = "lists"

// Writing the lists down costs their size: small ones are written with each
// frame, large ones now and then. What a crash forgets the hub sends again.
const (
	smallLists = 256 << 10
	listsEvery = time.Minute
)

// loadLists reads the hub's lists as they were last written down.
func (g *Guard) loadLists() error {
	if g.deps.Hub == nil {
		return nil
	}
	g.fleet.set = ruleset.NewSet(ruleset.Refs(g.deps.Hub.Owner)...)
	path := filepath.Join(g.cfg.State, listsFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the hub's lists: %w", err)
	}
	if err := g.fleet.set.UnmarshalBinary(b); err != nil {
		g.fleet.set = ruleset.NewSet(ruleset.Refs(g.deps.Hub.Owner)...)
		aside := path + ".unreadable"
		g.warn(fmt.Sprintf("the hub's lists cannot be read (%v): asking for them anew, the file is kept as %s", err, aside))
		return os.Rename(path, aside)
	}
	g.watch.Enforce(g.local(tocsin.Change{Add: slices.Collect(g.fleet.set.Rules(g.hubTime(g.since)))}, g.since), g.since)
	return nil
}

// hubTime returns the time by which frames are judged.
func (g *Guard) hubTime(wall time.Time) time.Time {
	if g.deps.Hub.Now == nil {
		return wall
	}
	return g.deps.Hub.Now(wall)
}

// local moves the ends of the hub's rules to this device's clock, where that is
// far behind: a rule of an hour must not last for decades at a device that
// believes in 1970.
func (g *Guard) local(c tocsin.Change, wall time.Time) tocsin.Change {
	behind := g.hubTime(wall).Sub(wall)
	if behind < jump {
		return c
	}
	for _, rules := range [][]tocsin.Rule{c.Add, c.Remove} {
		for i := range rules {
			rules[i].Until = rules[i].Until.Add(-behind)
		}
	}
	return c
}

// Frame takes a message of the hub whose signature was proved, and returns once
// the kernel enforces it. An error says why it does not take effect: see package
// ruleset. What was in force stays.
func (g *Guard) Frame(ctx context.Context, m ruleset.Message) (err error) {
	if g.deps.Hub == nil {
		return errors.New("this device belongs to no hub")
	}
	if e := g.do(ctx, func(ctx context.Context) { err = g.takeFrame(ctx, m) }); e != nil {
		return e
	}
	return err
}

func (g *Guard) takeFrame(ctx context.Context, m ruleset.Message) error {
	g.tick(ctx)
	now := g.clock.last
	next, c, err := g.fleet.set.Apply(m, g.deps.Hub.Limits(), g.hubTime(now))
	if err != nil {
		return err
	}
	g.fleet.set, g.fleet.unsaved = next, true
	if c.Empty() {
		return nil
	}
	kernel, lost := g.watch.Enforce(g.local(c, now), now)
	if len(lost) > 0 {
		g.log.Warn("not blocked although the fleet says so: somebody logged in from there", logkey.Prefix, lost)
		g.deps.Hub.Lost(lost)
	}
	failed := g.applyFleet(ctx, kernel)
	g.log.Info("rules of the fleet", "added", len(c.Add), "removed", len(c.Remove), logkey.Took, g.deps.Now().Sub(now))
	g.metrics.fleet.Add(float64(len(c.Add)))
	g.saveLists(now, false)
	return failed
}

// proved is how many of many additions are looked up in the kernel.
const proved = 64

// applyFleet makes the filter enforce c and proves some of it there.
func (g *Guard) applyFleet(ctx context.Context, c tocsin.Change) error {
	if len(c.Add) <= proved {
		return g.apply(ctx, c)
	}
	if err := g.deps.Filter.Change(ctx, c); err != nil {
		g.log.Error("firewall not changed: trying again as a whole", logkey.Err, err)
		return g.mend(ctx)
	}
	step := len(c.Add) / proved
	for i := 0; i < len(c.Add); i += step {
		held, err := g.deps.Filter.Holds(ctx, c.Add[i].Prefix)
		if err != nil || !held {
			g.log.Error("the kernel does not hold a rule that it took: putting all there anew", logkey.Prefix, c.Add[i].Prefix, logkey.Err, err)
			return g.mend(ctx)
		}
	}
	return nil
}

// saveLists writes the lists down, if it is time or if it must be.
func (g *Guard) saveLists(now time.Time, must bool) {
	if g.fleet.set == nil || !g.fleet.unsaved {
		return
	}
	if !must && g.fleet.size > smallLists && now.Sub(g.fleet.saved).Abs() < listsEvery {
		g.touch(now) // with the next snapshot, then
		return
	}
	b, err := g.fleet.set.AppendBinary(nil)
	if err == nil {
		err = durable.WriteFile(filepath.Join(g.cfg.State, listsFile), 0o600, func(w io.Writer) error {
			_, err := io.Copy(w, bytes.NewReader(b))
			return err
		})
	}
	if err != nil {
		g.log.Error("the hub's lists cannot be written down: they are in force, and asked for again after a restart", logkey.Err, err)
		return
	}
	g.fleet.saved, g.fleet.size, g.fleet.unsaved = now, len(b), false
}

// Positions returns how far the hub's lists are in force.
func (g *Guard) Positions(ctx context.Context) (list []ruleset.Position, err error) {
	err = g.do(ctx, func(context.Context) {
		if g.fleet.set != nil {
			list = g.fleet.set.Positions()
		}
	})
	return list, err
}

// frozen names the lists of which nothing was heard for too long.
func (g *Guard) frozen() (names []string) {
	if g.fleet.set == nil {
		return nil
	}
	for _, ref := range g.fleet.set.Frozen(g.hubTime(g.clock.last)) {
		names = append(names, ref.String())
	}
	return names
}

// Rekey takes the owner's key for account names: what is told from now on can be
// compared with what the owner's other devices tell.
func (g *Guard) Rekey(ctx context.Context, key []byte) (err error) {
	if len(key) != keyBytes {
		return fmt.Errorf("key for account names: %d bytes, want %d", len(key), keyBytes)
	}
	if e := g.do(ctx, func(context.Context) {
		path := filepath.Join(g.cfg.State, keyFile)
		if err = durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := w.Write(key); return err }); err != nil {
			return
		}
		g.keep(g.book.Flush())
		g.book.Rekey(key)
	}); e != nil {
		return e
	}
	return err
}

// Key returns the key for account names: of the owner's first device it is the
// owner's.
func (g *Guard) Key() ([]byte, error) { return ownerKey(g.cfg.State) }
