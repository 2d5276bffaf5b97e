// Package footprints notices what an intruder leaves behind on this device: keys
// that may log in, accounts, whatever starts by itself, listening ports, logs
// that were switched off or cut. It compares with what it remembers, also across
// restarts, and tells each change as a [tocsin.Clue] with the SHA-256 of what it
// read.
//
// It changes nothing, sends nothing and decides nothing: a change may be the
// owner's. It tells at least once, and never that there was nothing to see:
// [Watch.Blind] names what it could not. At rest it wakes up once in
// [Config.Every], touches no file on a volume, and writes nothing.
package footprints

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/inotify"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// Config is what a [Watch] is told. Zero durations take the value named.
type Config struct {
	Root     string          // "/" but in tests
	State    string          // folder in which the baseline is kept
	Device   tocsin.DeviceID // whose clues they are
	LookBack time.Duration   // how old a change may be that the first start tells; 30 days, negative is none
	Every    time.Duration   // how often ports and logs are looked at although nothing happens; 5 minutes
	Settle   time.Duration   // how long changes are gathered; 1 second
	Poll     time.Duration   // look at everything so often instead of asking the kernel; 0 asks the kernel
	Ready    func()          // called once, when everything was looked at and is watched
	Now      func() time.Time
	Log      *slog.Logger
}

// Bounds of what is kept and told: whoever owns the device can make changes
// without end.
const (
	maxFiles = 8192 // remembered
	maxNames = 1024 // looked at in one folder
	maxHomes = 512  // accounts whose keys are watched
	maxTold  = 100  // clues of one fact in a day; the next one says that there were more
	tellSpan = 24 * time.Hour
)

// A Watch notices changes. Make one with [New], then [Watch.Run] it.
type Watch struct {
	cfg   Config
	base  *baseline
	fresh bool // there was no baseline: this is the first start

	spots  []spot
	eyes   *eyes
	due    time.Time            // when to look around, by the system's own clock
	since  time.Time            // changes of before are the baseline's
	mounts string               // what was mounted when the folders were last watched
	gone   map[string]time.Time // logs and units that are missing, and since when
	told   map[tocsin.Fact]telling
	warned map[string]bool

	mu    sync.Mutex // guards the field below
	blind map[string]string
}

// telling counts the clues of one fact since a time.
type telling struct {
	since time.Time
	count int
}

// New reads the baseline. One that cannot be read is set aside, with a line to
// the log: then this is like the first start.
func New(cfg Config) (*Watch, error) {
	if cfg.Root == "" || cfg.State == "" {
		return nil, fmt.Errorf("footprints: root %q, state %q: name both", cfg.Root, cfg.State)
	}
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&cfg.LookBack, 30*24*time.Hour)
	set(&cfg.Every, 5*time.Minute)
	set(&cfg.Settle, time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	w := &Watch{
		cfg: cfg, gone: map[string]time.Time{}, told: map[tocsin.Fact]telling{}, warned: map[string]bool{}, blind: map[string]string{},
	}
	base, aside, err := load(cfg.State)
	if err != nil {
		return nil, err
	}
	if aside != "" {
		cfg.Log.Warn("what this device looked like cannot be read: comparing with how it looks now", logkey.Path, aside)
	}
	if w.base = base; base == nil {
		w.base, w.fresh = newBaseline(), true
	}
	return w, nil
}

// Run tells changes until ctx ends: first those since the last run, or, where
// there was none, files changed within the look-back. emit is called from this
// goroutine; the time and the digest of a clue that is told again, after a
// crash, are the same. An error of emit ends Run, and what it did not take is
// told again by the next.
func (w *Watch) Run(ctx context.Context, emit func(tocsin.Clue) error) error {
	open := inotify.Open
	if w.cfg.Poll > 0 {
		open = func() (*inotify.Instance, error) { return inotify.Blind(w.cfg.Poll) }
	}
	n, err := open()
	if err != nil {
		return err
	}
	defer n.Close() // nothing was written
	defer context.AfterFunc(ctx, n.Wake)()
	w.eyes = newEyes(n, w.see, w.noSee)
	w.since = w.base.At
	if w.fresh {
		w.since = w.cfg.Now().Add(-max(w.cfg.LookBack, 0))
	}
	if err := w.lookAll(emit); err != nil {
		return err
	}
	w.fresh = false
	w.since, w.due = w.cfg.Now(), time.Now().Add(w.cfg.Every)
	if w.cfg.Ready != nil {
		w.cfg.Ready()
	}
	for ctx.Err() == nil {
		if err := w.await(ctx, n, emit); err != nil {
			return err
		}
	}
	w.save() // how long the logs are by now
	return ctx.Err()
}

// await waits for what happens next, and looks.
func (w *Watch) await(ctx context.Context, n *inotify.Instance, emit func(tocsin.Clue) error) error {
	events, err := n.Read(nil, w.due)
	if err != nil || ctx.Err() != nil {
		return err
	}
	// Also where events that are of no interest never end.
	if now := time.Now(); !now.Before(w.due) {
		w.due = now.Add(w.cfg.Every)
		if err := w.lookAround(emit); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		return nil
	}
	settle := time.NewTimer(w.cfg.Settle)
	defer settle.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-settle.C:
	}
	events, whole := n.Drain(events)
	dirty, anew := w.eyes.dirty(events)
	switch {
	case !whole || anew:
		return w.lookAll(emit)
	case len(dirty) > 0:
		return w.look(dirty, emit)
	}
	return nil // others use these folders, too
}

// lookAll looks at everything.
func (w *Watch) lookAll(emit func(tocsin.Clue) error) error {
	w.mounts = w.mounted()
	w.rewatch()
	return w.look(nil, emit)
}

// lookAround is for when nothing happened for a while: it looks at what tells
// nobody of its changes, and at no file on a volume.
func (w *Watch) lookAround(emit func(tocsin.Clue) error) error {
	if w.mounted() != w.mounts { // a volume came or went: paths lead elsewhere
		return w.lookAll(emit)
	}
	return w.look(w.eyes.polled(), emit)
}

// rewatch follows the folders there are now, and returns those that are new.
func (w *Watch) rewatch() []string {
	w.spots = w.expand()
	return w.eyes.follow(w.spots)
}

// look compares the folders given, or all if nil, and ports and logs, with the
// baseline. It tells what is new, and then remembers it.
func (w *Watch) look(folders []string, emit func(tocsin.Clue) error) error {
	if len(folders) > 0 {
		folders = append(slices.Clone(folders), w.rewatch()...)
	}
	now := w.cfg.Now()
	next := w.base.clone()
	var clues []tocsin.Clue
	for _, s := range w.spots {
		if folders == nil || slices.Contains(folders, s.folder) {
			clues = append(clues, w.compareSpot(s, next, now)...)
		}
	}
	if folders == nil || slices.Contains(folders, w.path("etc")) {
		clues = append(clues, w.compareAccounts(next, now)...)
	}
	clues = append(clues, w.comparePorts(next, now)...)
	clues = append(clues, w.compareLogs(next, now)...)
	clues = append(clues, w.compareBoot(next, now)...)
	for _, c := range clues {
		c, ok := w.bounded(c, now)
		if !ok {
			continue
		}
		if err := emit(c); err != nil {
			return fmt.Errorf("tell a change: %w", err)
		}
	}
	news := w.fresh || !next.same(w.base)
	w.base = next
	if news {
		w.save()
	}
	return nil
}

// bounded makes c fit to be told, and reports whether it may be.
func (w *Watch) bounded(c tocsin.Clue, now time.Time) (tocsin.Clue, bool) {
	t := w.told[c.Fact]
	if now.Sub(t.since).Abs() >= tellSpan {
		t = telling{since: now}
	}
	t.count++
	w.told[c.Fact] = t
	c.Device = w.cfg.Device
	c.Subject = cut(strings.ToValidUTF8(c.Subject, "�"), tocsin.MaxSubject)
	switch {
	case t.count == maxTold:
		c.Subject = cut("more than can be told, also "+c.Subject, tocsin.MaxSubject)
	case t.count > maxTold:
		return c, false
	}
	return c, true
}

// cut shortens s to at most n bytes, by whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// path returns where a path of the device lies.
func (w *Watch) path(name string) string { return filepath.Join(w.cfg.Root, name) }

// shown returns a path as the device knows it.
func (w *Watch) shown(path string) string {
	rel, err := filepath.Rel(w.cfg.Root, path)
	if err != nil {
		return path
	}
	return "/" + rel
}

// when returns the time of a change by what the file says of itself, if that can
// be: whoever may write a file may also set its time.
func (w *Watch) when(changed, now time.Time) time.Time {
	if changed.After(now) || changed.Before(w.since) {
		return now
	}
	return changed
}

// see and noSee note what can and cannot be looked at.
func (w *Watch) see(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.blind, path)
}

func (w *Watch) noSee(path string, why string) {
	w.mu.Lock()
	if len(w.blind) < maxNames {
		w.blind[path] = why
	}
	w.mu.Unlock()
	if !w.warned[path] && len(w.warned) < maxNames {
		w.warned[path] = true
		w.cfg.Log.Warn("changes here go unnoticed, or are noticed late", logkey.Path, w.shown(path), logkey.Reason, why)
	}
}

// Blind returns what cannot be looked at, and why, sorted: what is not covered.
func (w *Watch) Blind() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]string, 0, len(w.blind))
	for path, why := range w.blind {
		list = append(list, w.shown(path)+": "+why)
	}
	slices.Sort(list)
	return list
}
