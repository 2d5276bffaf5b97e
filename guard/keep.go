package guard

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/sighting"
	"github.com/tocsin-io/tocsin/watch"
)

// maxKept bounds the sightings kept until a hub asks for them.
const maxKept = 10_000

// keep holds closed sightings, the newest, and tells them the hub.
func (g *Guard) keep(sightings []tocsin.Sighting) {
	if g.deps.Hub != nil && len(sightings) > 0 {
		g.deps.Hub.Tell(sightings)
	}
	g.kept = append(g.kept, sightings...)
	if over := len(g.kept) - maxKept; over > 0 {
		g.kept = slices.Delete(g.kept, 0, over)
	}
}

// save replaces the snapshot. A disk that is full is told, and tried again
// later: what is in force stays in force.
func (g *Guard) save() {
	marks := make(map[string][]logsource.Mark)
	for _, s := range g.reading() {
		marks[s.input.Name] = s.kept()
	}
	now := g.clock.now()
	// Room at once: growing would hold a large memory twice more while it copies.
	detector := g.detector.AppendBinary(make([]byte, 0, g.detector.Bytes()/2), now)
	h := header{Boot: g.boot, Saved: now, Marks: marks, Welcome: g.watch.Welcome(), Read: g.read.coverage(now, g.reading())}
	err := g.state.save(h, g.own(now), detector)
	if err != nil {
		g.log.Error("what is remembered cannot be written down: make room, or a restart forgets it", logkey.Path, g.cfg.State, logkey.Err, err)
		g.saveAt = now.Add(time.Minute)
		return
	}
	g.dirty = false
}

// own returns the decisions that are not the fleet's: those are in its lists.
func (g *Guard) own(now time.Time) iter.Seq[tocsin.Decision] {
	return func(yield func(tocsin.Decision) bool) {
		for d := range g.list.Decisions(now) {
			if d.Origin != tocsin.ByFleet && !yield(d) {
				return
			}
		}
	}
}

const keyBytes = 32

// ownerKey reads the key for account names, or makes it at the first start.
func ownerKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(path)
	if err == nil && len(key) == keyBytes {
		return key, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%s: %d bytes, want %d: remove it, and account names get new pseudonyms", path, len(key), keyBytes)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key for account names: %w", err)
	}
	key = make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	err = durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := w.Write(key); return err })
	return key, err
}

// randomSeed keys the detector's hashes, so that no attacker can choose sources
// or names that fall on one another.
func randomSeed() (s window.Seed, err error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return s, err
	}
	return window.Seed{K0: binary.LittleEndian.Uint64(b[:]), K1: binary.LittleEndian.Uint64(b[8:])}, nil
}

// readAgain is how much older than a snapshot a line may be that was not yet
// digested when that was written.
const readAgain = time.Minute

// leaveOut has no attempt told twice: the lines read since the last snapshot are
// read again after a kill.
func (g *Guard) leaveOut(saved time.Time) {
	if g.deps.Hub == nil || g.deps.Hub.Told == nil {
		return
	}
	told, err := g.deps.Hub.Told(saved.Add(-readAgain)) // all of it, without a snapshot
	if err != nil {
		g.warn(fmt.Sprintf("what the hub was told last cannot be read, so it may hear some of it twice: %v", err))
		return
	}
	for i := range told { // whatever comes now is new, also where the clock was ahead then
		if told[i].Last.After(g.since) {
			told[i].Last = g.since
		}
	}
	g.book.Told(told)
}

// newBook sums up what the hub is told: a device that belongs to one tells of a
// new source at once, because the hub counts what each device sees too little of.
func newBook(key []byte, device tocsin.DeviceID, boot uint64, eager bool) *sighting.Book {
	return sighting.New(key, device, boot, sighting.Caps{Eager: eager})
}

// reloading is a configuration on its way to the loop.
type reloading struct {
	cfg    Config
	inputs []Input
	done   chan error
}

// Reload takes a changed configuration: policy, protected prefixes, proxies and
// logs. Everything remembered stays.
func (g *Guard) Reload(ctx context.Context, cfg Config, inputs []Input) error {
	if inputs == nil {
		inputs = []Input{}
	}
	r := reloading{cfg, inputs, make(chan error, 1)}
	select {
	case g.reload <- r:
		return <-r.done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take puts a changed configuration into force.
func (g *Guard) take(ctx context.Context, r reloading) {
	g.tick(ctx)
	now := g.clock.last
	next := detect.New(r.cfg.Policy)
	if err := next.UnmarshalBinary(g.detector.AppendBinary(nil, now)); err != nil {
		r.done <- fmt.Errorf("carry the memory over: %w", err)
		return
	}
	welcome := g.watch.Welcome()
	g.detector = next
	g.cfg.Policy, g.cfg.Protect, g.cfg.Proxies = r.cfg.Policy, r.cfg.Protect, r.cfg.Proxies
	g.watch = watch.New(g.detector, g.list, g.book, g.cfg.Proxies)
	g.watch.SetWelcome(welcome)
	g.apply(ctx, g.list.Protect(g.protected(), now))
	select { // a restart that waits is overtaken by this one
	case <-g.restart:
	default:
	}
	g.restart <- r.inputs
	g.touch(now)
	r.done <- nil
}

// replaceStreams opens other inputs; those that stay resume at their marks. The
// old ones have stopped: what they told is digested first, or it would be read
// and counted again.
func (g *Guard) replaceStreams(ctx context.Context, inputs []Input) error {
	if err := g.do(ctx, g.drain); err != nil {
		return ctx.Err() // it fails only at the end
	}
	marks := make(map[string][]logsource.Mark)
	for _, s := range g.reading() {
		marks[s.input.Name] = s.kept()
	}
	streams := g.newStreams(inputs, marks)
	g.mu.Lock()
	g.streams = streams
	g.mu.Unlock()
	return nil
}

// drain takes everything that was told so far.
func (g *Guard) drain(ctx context.Context) {
	for {
		select {
		case s := <-g.seen:
			g.observe(ctx, s)
		default:
			return
		}
	}
}

// Protect sets what the machine depends on: see package hostfacts.
func (g *Guard) Protect(ctx context.Context, facts []netip.Prefix) error {
	return g.do(ctx, func(ctx context.Context) {
		if slices.Equal(g.facts, facts) {
			return
		}
		g.facts = facts
		g.apply(ctx, g.list.Protect(g.protected(), g.clock.last))
		g.log.Info("never blocked: what this device depends on", logkey.Count, len(facts))
	})
}
