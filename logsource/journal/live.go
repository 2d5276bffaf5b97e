package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/inotify"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/logsource"
)

// While lines of interest come, the journal is looked at each look, until none
// came for linger: an attacker tries again within seconds. At rest nothing wakes
// the reader but journald's own events.
const (
	look   = 10 * time.Millisecond
	linger = 20 * time.Second
	alert  = 5 * time.Second // after a hint: a person needs longer to type, but then hints again
)

// patience is how often an entry that was counted but cannot be read yet is
// looked at again before it is given up as damaged.
const patience = 100

// A live reader follows the files that journald appends to. It belongs to the
// goroutine of Run.
type live struct {
	src     *Source
	n       *inotify.Instance
	events  []inotify.Event // of the last wait
	emit    func(logsource.Line) error
	folders map[int]string     // by watch
	hints   map[int]bool       // by watch
	files   map[string]*active // by folder
	at      place              // the last entry
	from    string             // the folder it came from
	lively  time.Time          // until when to look often
	early   int                // how often a file had no header yet
	problem string             // what was said
}

// An active is a file that journald appends to.
type active struct {
	*file
	f      *os.File
	wd     int
	c      cursor
	tries  int
	fresh  bool // read from its beginning
	broken bool // nothing more can be found in it
}

// start opens the journal at its end.
func (v *live) start() {
	v.refresh()
	for folder, a := range v.files {
		h, err := a.header()
		if err != nil {
			v.say(err)
			continue
		}
		a.toEnd(&a.c, h)
		a.fresh = false
		if end := a.end(h); end.realtime > v.at.realtime {
			v.at, v.from = end, folder
		}
	}
	if v.at.realtime == 0 {
		v.at.realtime = micros(time.Now())
	}
}

// end returns the entry that the cursor passed last: the header alone may be a
// step ahead of what its count says.
func (a *active) end(h header) place {
	if a.c.i > 0 {
		if off, err := a.arrayItem(&a.c, a.c.i-1); err == nil {
			if e, err := a.entry(off); err == nil {
				a.c.last = off
				return a.place(e)
			}
		}
	}
	return place{series: a.seqnumID, seqnum: h.tailSeq, realtime: h.tailTime}
}

// run emits entries until ctx ends.
func (v *live) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, v.n.Wake)()
	for {
		if err := v.drainAll(ctx); err != nil {
			return err
		}
		var until time.Time
		if now := time.Now(); now.Before(v.lively) {
			until = now.Add(look)
		}
		got, err := v.wait(until)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		if got.hint {
			v.lively = later(v.lively, time.Now().Add(alert))
		}
		if got.look || v.early > 0 {
			// What was written just before the rotation comes first.
			if err := v.drainAll(ctx); err != nil {
				return err
			}
			v.refresh()
		}
	}
}

// refresh watches the folders and opens the files that journald now writes.
func (v *live) refresh() {
	v.watchFolders()
	for _, folder := range v.src.folders {
		f, err := os.Open(filepath.Join(folder, activeName))
		if errors.Is(err, fs.ErrNotExist) {
			continue // journald makes it in a moment, or keeps it elsewhere
		}
		if err == nil {
			err = v.adopt(folder, f)
		}
		if err == nil {
			continue
		}
		// journald may have made the file this moment and write its header next.
		if errors.Is(err, errDamaged) && v.early < patience {
			v.early++
			v.lively = time.Now().Add(look * patience)
			return
		}
		v.say(err)
	}
	v.early = 0
}

// watchFolders watches the folders; one that is missing is waited for in the
// folder above it.
func (v *live) watchFolders() {
	now := map[int]string{}
	for _, folder := range v.src.folders {
		for path := folder; ; path = filepath.Dir(path) {
			wd, err := v.watchFolder(path)
			if err == nil {
				now[wd] = path
				break
			}
			if !errors.Is(err, fs.ErrNotExist) {
				v.say(err)
				break
			}
		}
	}
	v.hints = map[int]bool{}
	for _, path := range v.src.opt.Hints {
		if wd, err := v.n.Add(path, hintMask); err == nil {
			v.hints[wd] = true
		}
	}
	for wd := range v.folders {
		if now[wd] == "" {
			v.n.Remove(wd)
		}
	}
	v.folders = now
}

// adopt follows f in place of the file read before in folder, if it is another.
func (v *live) adopt(folder string, f *os.File) error {
	old := v.files[folder]
	if old != nil && sameFile(old.f, f) {
		return f.Close()
	}
	r, err := newFile(f)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", f.Name(), err), f.Close())
	}
	a := &active{file: r, f: f, fresh: true}
	if a.wd, err = v.n.AddOpen(int(f.Fd()), fileMask); err != nil {
		return errors.Join(fmt.Errorf("watch %s: %w", f.Name(), err), f.Close())
	}
	if old != nil {
		v.drop(old)
	}
	v.files[folder] = a
	return nil
}

func sameFile(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func (v *live) drop(a *active) {
	v.n.Remove(a.wd)
	a.unpack.rest()
	_ = a.f.Close() // read only
}

func (v *live) drainAll(ctx context.Context) error {
	for folder, a := range v.files {
		if err := v.drain(ctx, folder, a); err != nil {
			return err
		}
	}
	return nil
}

// drain emits what was appended to a.
func (v *live) drain(ctx context.Context, folder string, a *active) error {
	if a.broken {
		return nil
	}
	if n, err := a.entries(); err != nil || n == a.c.done {
		if err != nil {
			v.say(err)
		}
		return nil
	}
	h, err := a.header()
	if err != nil {
		v.say(err)
		return nil
	}
	for ctx.Err() == nil {
		off, ok, err := a.step(&a.c, h)
		if err == nil && ok {
			var told bool
			if told, err = v.tell(folder, a, off); told || err == nil {
				a.c.pass(off)
				a.tries = 0
				if err != nil {
					return err
				}
				continue
			}
		}
		if err == nil && a.c.done >= h.entries || !v.stuck(a, h, off, err) {
			return nil
		}
	}
	return ctx.Err()
}

// stuck waits for the last entry if it is counted but not readable yet: the
// writer may be in the middle of it. Any other, and in the end this one too, is
// passed over; a file whose entries cannot be found is given up until journald
// begins another.
func (v *live) stuck(a *active, h header, off uint64, err error) (again bool) {
	last := a.c.done+1 >= h.entries
	if a.tries++; last && a.tries < patience {
		v.lively = later(v.lively, time.Now().Add(patience*look))
		return false
	}
	a.tries = 0
	a.broken = off == 0 && err != nil
	v.say(cmp.Or(err, errDamaged))
	a.c.pass(off)
	return !a.broken
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tell emits the entry at off. told says that err is that of emit.
func (v *live) tell(folder string, a *active, off uint64) (told bool, err error) {
	e, err := a.entry(off)
	if err != nil {
		return false, err
	}
	p := a.place(e)
	if a.fresh && folder != v.from && p.boot == v.at.boot && p.monotonic <= v.at.monotonic {
		return false, nil // copied from memory to the disk: told already
	}
	l, ok, err := a.line(e, v.src.want)
	if err != nil {
		return false, err
	}
	v.at, v.from = p, folder
	if !ok {
		return false, nil
	}
	l.Live = true
	fill(&l, e, p.mark())
	if v.src.interesting(l) {
		v.lively = l.Received.Add(linger)
	}
	return true, v.emit(l)
}

// fill completes a line by what its entry tells.
func fill(l *logsource.Line, e entry, m logsource.Mark) {
	l.At = time.UnixMicro(int64(e.realtime))
	l.Received = time.Now()
	l.Provenance = tocsin.Local // the Writer may make it more
	l.Mark = m
}

// say tells a person once of each problem.
func (v *live) say(err error) {
	if text := err.Error(); text != v.problem {
		v.problem = text
		v.src.log.Warn("journal cannot be read, or not all of it", logkey.Err, text)
	}
}

func (v *live) close() {
	for _, a := range v.files {
		v.drop(a)
	}
	_ = v.n.Close() // nothing was written
}
