package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/logsource"
)

// maxOld is how many rotated files of one name are still read: a daemon that
// was not told of the rotation writes on into the old one.
const maxOld = 2

// powerHint says what to do about a permission denied.
const powerHint = "run as root, give the program CAP_DAC_READ_SEARCH, or add its user to the group of the log (adm on Debian)"

// A name is one path that is followed, and the files it has led to.
type name struct {
	path    string
	key     uint64
	tails   []*tail        // oldest first
	marked  *tail          // the newest that had lines
	mark    logsource.Mark // how far marked was read
	emptied head           // first bytes before the file was emptied last
	problem string         // what was said about it
	doubt   string         // why it is not Attested, as it was said
	changed time.Time      // the file's last change when it was found
}

// current returns the file that the path led to last, nil if none yet.
func (nm *name) current() *tail {
	if len(nm.tails) == 0 {
		return nil
	}
	return nm.tails[len(nm.tails)-1]
}

// age returns when the name last had lines, as far as is known.
func (nm *name) age() time.Time {
	t := nm.current()
	switch {
	case t == nil:
		return nm.changed
	case t.last.After(t.mtime):
		return t.last
	}
	return t.mtime
}

// reopen looks at what the path of nm leads to now.
func (f *follower) reopen(nm *name) error {
	// A rotated file is read to its end before the one that follows it.
	if err := f.read(nm); err != nil {
		return err
	}
	t, err := openTail(nm.path)
	if err != nil {
		return f.missing(nm, err)
	}
	nm.recovered(f)
	other, old := f.owner(t)
	if old == nil {
		return f.adopt(nm, t)
	}
	_ = unix.Close(t.fd) // read only, and open already
	switch {
	case other == nm:
		i := slices.Index(nm.tails, old)
		nm.tails = append(slices.Delete(nm.tails, i, i+1), old)
	case old != other.current():
		// Rotated to a name that the pattern matches as well: it goes along.
		if err := old.rest(f.sink(other)); err != nil {
			return err
		}
		other.tails = slices.Delete(other.tails, slices.Index(other.tails, old), slices.Index(other.tails, old)+1)
		nm.tails = append(nm.tails, old)
		f.tails[old.wd].of = nm
	}
	f.judge(nm, old)
	return nil
}

// owner returns the name and the tail by which the file of t is read already.
func (f *follower) owner(t *tail) (*name, *tail) {
	for _, to := range f.tails {
		if to.same(t) {
			return to.of, to.tail
		}
	}
	return nil, nil
}

// adopt begins to read t for nm: from its end at the start, later from its
// beginning.
func (f *follower) adopt(nm *name, t *tail) (err error) {
	t.wd, err = f.n.AddOpen(t.fd, fileMask)
	if errors.Is(err, unix.ENOENT) { // no /proc here
		t.wd, err = f.n.Add(nm.path, fileMask)
	}
	// A file given up for others, and found again, was told of before.
	again := f.full && len(nm.tails) == 0 && !f.fresh[filepath.Base(nm.path)]
	if err == nil && (!f.started || again) {
		err = t.seekEnd(f.buf)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", nm.path, err), unix.Close(t.fd))
	}
	if f.started {
		t.last = f.now
	}
	f.tails[t.wd] = &tailOf{t, nm}
	nm.tails = append(nm.tails, t)
	f.judge(nm, t)
	return f.read(nm)
}

// isCopy reports whether t is what logrotate copied before it empties the file
// of another name that the pattern matches: those lines were told already. The
// name alone would not do: clients choose names of Samba's logs.
func (f *follower) isCopy(nm *name, t *tail) bool {
	other := f.names[rotatedFrom(nm.path)]
	if other == nil || other == nm {
		return false
	}
	first := bytes.Clone(readHead(t.fd, f.buf))
	if len(first) < minHead {
		return false
	}
	for _, o := range other.tails {
		if o.head.len() >= minHead && o.head.matches(first) || bytes.HasPrefix(readHead(o.fd, f.buf), first) {
			return true
		}
	}
	return other.emptied.len() >= minHead && other.emptied.matches(first)
}

// judge decides what t is good for, and says once why it is less than hoped.
func (f *follower) judge(nm *name, t *tail) {
	t.prov = f.src.opt.Provenance
	if t.prov != tocsin.Attested {
		return
	}
	why := distrust(nm.path, t.fd, f.src.opt.Owners)
	if why != "" {
		t.prov = tocsin.Local
	}
	if why != "" && why != nm.doubt {
		f.src.log.Warn("log counts as written by any local user: let only its daemon write file and folder",
			logkey.Log, nm.path, logkey.Reason, why)
	}
	nm.doubt = why
}

// read emits what the files of nm have got, older ones first.
func (f *follower) read(nm *name) error {
	for _, t := range nm.tails {
		if err := f.readTail(nm, t); err != nil {
			return err
		}
	}
	return f.prune(nm)
}

func (f *follower) readTail(nm *name, t *tail) error {
	if f.pattern != "" && f.started && t.pos == 0 {
		t.copied = f.isCopy(nm, t)
	}
	if h := t.head; h.len() > 0 {
		defer func() {
			if t.head != h && t.head.len() <= h.len() {
				nm.emptied = h
			}
		}()
	}
	grew, err := t.read(f.buf, f.sink(nm))
	if grew {
		t.last = f.now
	}
	if err != nil && f.failed == nil {
		// The disk, not the reader: the next change tries again.
		nm.say(f, fmt.Sprintf("%s: %v", nm.path, err))
		return nil
	}
	return f.failed
}

// prune lets go of rotated files: when there are too many, and when a deleted
// one has a successor that is written.
func (f *follower) prune(nm *name) error {
	for len(nm.tails) > 1 {
		old := nm.tails[0]
		if len(nm.tails)-1 <= maxOld && (nm.current().pos == 0 || !old.gone()) {
			return nil
		}
		if err := old.rest(f.sink(nm)); err != nil {
			return err
		}
		f.drop(old)
		nm.tails = nm.tails[1:]
	}
	return nil
}

func (f *follower) drop(t *tail) {
	f.n.Remove(t.wd)
	delete(f.tails, t.wd)
	_ = unix.Close(t.fd) // read only: nothing to lose
}

// sink emits the lines of nm. The mark never goes back to an older file. A last
// line without an end in an older file has ended once a newer file has lines.
func (f *follower) sink(nm *name) sink {
	return func(t *tail, line []byte, cut bool) error {
		for _, old := range nm.tails {
			if old == t {
				break
			}
			if err := old.rest(f.sink(nm)); err != nil {
				return err
			}
		}
		if nm.marked == nil || slices.Index(nm.tails, t) >= slices.Index(nm.tails, nm.marked) {
			nm.marked, nm.mark = t, liveMark(nm.key, t.place())
		}
		if len(line) == 0 || t.copied {
			return nil
		}
		f.failed = f.emit(logsource.Line{
			Text: line, Received: f.now, Provenance: t.prov, Live: true, Cut: cut, Mark: nm.mark,
		})
		return f.failed
	}
}

// missing says, once, why there is nothing to read at nm's path.
func (f *follower) missing(nm *name, err error) error {
	t := nm.current()
	switch {
	case errors.Is(err, fs.ErrNotExist) && t != nil && !t.gone():
		return nil // renamed by rotation: the new file comes in a moment
	case errors.Is(err, fs.ErrNotExist) && f.pattern != "":
		f.deleted = append(f.deleted, nm)
		return nil
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: raise the limit of open files", err)
	case errors.Is(err, os.ErrPermission):
		err = fmt.Errorf("%w: %s", err, powerHint)
	}
	nm.say(f, err.Error())
	return nil
}

// forget drops a name of the pattern whose file was deleted.
func (f *follower) forget(nm *name) error {
	for _, t := range nm.tails {
		if err := t.rest(f.sink(nm)); err != nil {
			return err
		}
		f.drop(t)
	}
	delete(f.names, nm.path)
	return nil
}

func (nm *name) say(f *follower, text string) {
	if nm.problem != text {
		nm.problem = text
		f.src.log.Warn("log cannot be read: waiting for it", logkey.Log, nm.path, logkey.Err, text)
	}
}

func (nm *name) recovered(f *follower) {
	if nm.problem != "" {
		nm.problem = ""
		f.src.log.Info("log can be read", logkey.Log, nm.path)
	}
}
