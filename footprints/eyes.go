package footprints

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/inotify"
)

// eyes watch the folders of the spots, and the nearest folder above one that is
// not there.
type eyes struct {
	n       *inotify.Instance
	watched map[int]*watched
	blind   map[string]bool // folders that could not be watched
	see     func(path string)
	noSee   func(path, why string)
}

// watched is one folder that the kernel watches.
type watched struct {
	folders []string        // of spots: the same folder may have several names
	names   map[string]bool // what is of interest in it; nil is everything
	above   map[string]bool // what would lead to a folder that is not there
}

func newEyes(n *inotify.Instance, see func(string), noSee func(string, string)) *eyes {
	return &eyes{n: n, watched: map[int]*watched{}, blind: map[string]bool{}, see: see, noSee: noSee}
}

// follow watches the folders of the spots and no other, and returns those whose
// watch is new: what is in them may have changed just before.
func (y *eyes) follow(spots []spot) (fresh []string) {
	next := map[int]*watched{}
	clear(y.blind)
	for _, s := range spots {
		// A folder may come while the one above it is about to be watched.
		for try := 0; try < maxTries && y.place(next, s, &fresh); try++ {
		}
	}
	for wd := range y.watched {
		if next[wd] == nil {
			y.n.Remove(wd)
		}
	}
	y.watched = next
	return fresh
}

// maxTries bounds how often a folder that comes and goes is run after.
const maxTries = 16

// place watches the folder of one spot, or what is above it. It reports whether
// the folder came meanwhile, so that it has to be tried again.
func (y *eyes) place(next map[int]*watched, s spot, fresh *[]string) (again bool) {
	wd, err := y.n.Add(s.folder, spotMask)
	switch {
	case err == nil:
		at(next, wd).wants(s)
		if y.watched[wd] == nil || !slices.Contains(y.watched[wd].folders, s.folder) {
			*fresh = append(*fresh, s.folder)
		}
		y.see(s.folder)
		if isLink(s.folder) {
			y.above(next, s.folder) // where it leads may change without the folder
		}
		return false
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		y.see(s.folder) // nothing there is nothing to see
		return y.above(next, s.folder)
	}
	y.fail(s.folder, err)
	return false
}

// above watches the nearest folder above one, for what leads to it. It reports
// whether that is there by now.
func (y *eyes) above(next map[int]*watched, folder string) (there bool) {
	for path := folder; path != filepath.Dir(path); {
		below := path
		path = filepath.Dir(path)
		wd, err := y.n.Add(path, aboveMask)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			y.fail(folder, err)
			return false
		}
		at(next, wd).above[filepath.Base(below)] = true
		_, err = os.Stat(below)
		return err == nil
	}
	return false
}

// fail notes that a folder cannot be watched: it is looked at now and then.
func (y *eyes) fail(folder string, err error) {
	y.blind[folder] = true
	switch {
	case errors.Is(err, inotify.ErrTooMany):
		y.noSee(folder, inotify.ErrTooMany.Error())
	case errors.Is(err, fs.ErrPermission):
		y.noSee(folder, "no permission: give the guard CAP_DAC_READ_SEARCH")
	default:
		y.noSee(folder, fmt.Sprint(err))
	}
}

func at(all map[int]*watched, wd int) *watched {
	if all[wd] == nil {
		all[wd] = &watched{names: map[string]bool{}, above: map[string]bool{}}
	}
	return all[wd]
}

func (f *watched) wants(s spot) {
	f.folders = append(f.folders, s.folder)
	if s.names == nil {
		f.names = nil
	}
	for _, name := range s.names {
		if f.names != nil {
			f.names[name] = true
		}
	}
}

// about reports whether an event is about something of interest, and whether
// folders have to be watched anew.
func (y *eyes) about(e inotify.Event) (concerns, whole bool) {
	f := y.watched[e.Watch]
	if e.Lost() {
		return true, true
	}
	if f == nil {
		return false, false // of a watch that was ended
	}
	if e.Mask&inotify.Gone != 0 {
		return true, true
	}
	if f.above[e.Name] {
		return true, true
	}
	if len(f.folders) > 0 && f.names == nil {
		return true, e.Mask&unix.IN_ISDIR != 0
	}
	return f.names[e.Name], false
}

// dirty returns the folders in which something of interest happened; whole says
// that everything has to be looked at.
func (y *eyes) dirty(events []inotify.Event) (folders []string, whole bool) {
	for _, e := range events {
		concerns, all := y.about(e)
		whole = whole || all
		if concerns && y.watched[e.Watch] != nil {
			folders = append(folders, y.watched[e.Watch].folders...)
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders), whole
}

// polled returns the folders that nobody watches: an empty list, never nil.
func (y *eyes) polled() []string {
	list := make([]string, 0, len(y.blind))
	for folder := range y.blind {
		list = append(list, folder)
	}
	slices.Sort(list)
	return list
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
