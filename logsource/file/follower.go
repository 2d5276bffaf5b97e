package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/inotify"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/logsource"
)

// A follower reads live lines. It belongs to the goroutine of Run.
type follower struct {
	src     *Source
	path    string // absolute
	pattern string // of names in path's folder, "" for a single path
	n       *inotify.Instance
	emit    func(logsource.Line) error
	buf     []byte // shared by all tails
	now     time.Time
	started bool

	names   map[string]*name
	tails   map[int]*tailOf // by watch
	folders map[int]*folder // by watch
	fresh   map[string]bool // names that came with the events at hand
	deleted []*name         // names whose file is gone, to be forgotten
	full    bool            // MaxFiles was reached, and said
	problem string          // what was said about the folder
	failed  error           // what emit returned: it ends Run
}

// A tailOf is a tail and the name it is read for.
type tailOf struct {
	*tail
	of *name
}

func newFollower(s *Source, path string, n *inotify.Instance, emit func(logsource.Line) error) *follower {
	f := &follower{
		src: s, path: path, n: n, emit: emit,
		buf:     make([]byte, 2*logsource.MaxLine),
		names:   map[string]*name{},
		tails:   map[int]*tailOf{},
		folders: map[int]*folder{},
		fresh:   map[string]bool{},
	}
	if isPattern(filepath.Base(path)) {
		f.pattern = filepath.Base(path)
	}
	return f
}

// start opens what is there and goes to its end. It returns what is to be read
// back, and has emitted the marks of it all.
func (f *follower) start() ([]gap, error) {
	f.now = f.src.opt.Now()
	if err := f.refresh(); err != nil {
		return nil, err
	}
	if f.pattern != "" {
		// There may be no file yet: this mark says that the next start is not
		// the first one.
		if err := f.emit(logsource.Line{Mark: liveMark(pathKey(f.path), place{}), Live: true}); err != nil {
			return nil, err
		}
	}
	var gaps []gap
	for _, path := range f.sortedNames() {
		g, err := f.begin(f.names[path])
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, g...)
	}
	f.started = true
	return gaps, nil
}

func (f *follower) sortedNames() []string {
	paths := make([]string, 0, len(f.names))
	for path := range f.names {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// begin finds the gaps of one path and emits the marks of all its streams: the
// gaps first, or a crash between the two would lose them.
func (f *follower) begin(nm *name) ([]gap, error) {
	h := historyOf(nm.path, f.src.opt.Marks)
	end := place{at: f.now}
	same, begins := false, false
	if t := nm.current(); t != nil {
		end = t.place()
		same = t.inode == h.live.inode && h.live.head.matches(readHead(t.fd, f.buf))
		begins = end.off > 0
	}
	rotated := f.names[rotatedFrom(nm.path)] != nil // read back as such
	switch {
	case h.known && same && h.live.off == end.off, rotated && !(h.known && same):
	case h.known:
		h.addGap(gap{path: nm.path, from: h.live, to: end})
	case len(f.src.opt.Marks) > 0 && begins: // came while nobody looked
		h.addGap(gap{path: nm.path, from: place{inode: end.inode, head: end.head}, to: end})
	case len(f.src.opt.Marks) == 0 && !f.src.opt.Since.IsZero():
		h.addGap(gap{path: nm.path, from: place{at: f.src.opt.Since}, to: end})
	}
	for _, g := range h.gaps {
		if err := f.emit(logsource.Line{Mark: g.mark(g.from)}); err != nil {
			return nil, err
		}
	}
	nm.mark = liveMark(nm.key, end)
	return h.gaps, f.emit(logsource.Line{Mark: nm.mark, Live: true})
}

// run takes events until ctx ends.
func (f *follower) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, f.n.Wake)()
	// What came between the first look and the watches has no event.
	err := f.readAll()
	var events []inotify.Event
	for err == nil {
		events, err = f.n.Read(events[:0], time.Time{})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			err = f.handle(events)
		}
	}
	return err
}

// handle acts on one batch of events.
func (f *follower) handle(events []inotify.Event) error {
	f.now = f.src.opt.Now()
	look := false
	clear(f.fresh)
	for _, e := range events {
		if d := f.folders[e.Watch]; d != nil && e.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 && d.match != "" {
			f.fresh[e.Name] = true
		}
		if t := f.tails[e.Watch]; t != nil && e.Mask&unix.IN_MODIFY != 0 {
			if err := f.read(t.of); err != nil {
				return err
			}
		}
		if e.Lost() {
			if err := f.readAll(); err != nil {
				return err
			}
			look = true
		}
		look = look || f.matters(e)
	}
	if look {
		return f.refresh()
	}
	return nil
}

// matters reports whether e may change what a path leads to.
func (f *follower) matters(e inotify.Event) bool {
	if t := f.tails[e.Watch]; t != nil {
		return e.Mask&(unix.IN_ATTRIB|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0
	}
	d := f.folders[e.Watch]
	if d == nil {
		return false
	}
	if e.Mask&inotify.Gone != 0 || slices.Contains(d.names, e.Name) {
		return true
	}
	if d.match == "" {
		return false
	}
	ok, err := filepath.Match(d.match, e.Name)
	return ok && err == nil
}

func (f *follower) readAll() error {
	for _, path := range f.sortedNames() {
		if err := f.read(f.names[path]); err != nil {
			return err
		}
	}
	return nil
}

// refresh looks again at what the paths lead to, once watches stand on all that
// decides it, so that a change after the look has an event.
func (f *follower) refresh() error {
	for range maxHops {
		moved, err := f.watchFolders()
		if err != nil {
			return err
		}
		more, err := f.list()
		if err != nil {
			return err
		}
		if !moved && !more {
			break
		}
	}
	for _, path := range f.sortedNames() {
		if err := f.reopen(f.names[path]); err != nil {
			return err
		}
	}
	// Only now: what was copied from a deleted file before is known by it.
	for _, nm := range f.deleted {
		if err := f.forget(nm); err != nil {
			return err
		}
	}
	f.deleted = f.deleted[:0]
	return nil
}

// list finds the names to follow: the path itself, or those that match. It
// reports whether there are new ones.
func (f *follower) list() (more bool, err error) {
	if f.pattern == "" {
		return f.follow(f.path, f.now), nil
	}
	dir := filepath.Dir(f.path)
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrPermission):
		f.say(fmt.Sprintf("%v: %s", err, powerHint))
		return false, nil
	case err != nil:
		f.say(err.Error())
		return false, nil
	}
	f.problem = ""
	var added []string
	for _, e := range entries {
		ok, err := filepath.Match(f.pattern, e.Name())
		if err != nil {
			return false, fmt.Errorf("%s: %w", f.path, err)
		}
		st, err := e.Info()
		if !ok || err != nil || st.IsDir() || compressed(e.Name()) {
			continue
		}
		if path := filepath.Join(dir, e.Name()); f.follow(path, st.ModTime()) {
			added = append(added, path)
		}
	}
	f.limit()
	return slices.ContainsFunc(added, func(path string) bool { return f.names[path] != nil }), nil
}

func (f *follower) follow(path string, changed time.Time) (more bool) {
	if f.names[path] != nil {
		return false
	}
	f.names[path] = &name{path: path, key: pathKey(path), changed: changed}
	return true
}

// limit gives up the names quiet for longest.
func (f *follower) limit() {
	over := len(f.names) - MaxFiles
	if over <= 0 {
		return
	}
	if !f.full {
		f.full = true
		f.src.log.Warn("pattern matches more files than are followed: name fewer", logkey.Log, f.src.path, logkey.Count, MaxFiles)
	}
	paths := f.sortedNames()
	slices.SortStableFunc(paths, func(a, b string) int { return f.names[a].age().Compare(f.names[b].age()) })
	for _, path := range paths[:over] {
		for _, t := range f.names[path].tails {
			f.drop(t)
		}
		delete(f.names, path)
	}
}

// say tells a person once what is wrong with the folder.
func (f *follower) say(text string) {
	if f.problem != text {
		f.problem = text
		f.src.log.Warn("log cannot be read: waiting for it", logkey.Log, f.src.path, logkey.Err, text)
	}
}

func (f *follower) close() {
	for _, nm := range f.names {
		for _, t := range nm.tails {
			_ = unix.Close(t.fd) // read only: nothing to lose
		}
	}
	_ = f.n.Close() // nothing was written
}
