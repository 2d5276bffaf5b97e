package journal

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/inotify"
)

// A folder tells of files that come and go; a file of what journald appends: it
// writes through a mapping, which has no event, and truncates the file to the
// length it has, up to 250 ms later, so that there is one.
const (
	folderMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	fileMask   = unix.IN_MODIFY
	hintMask   = unix.IN_OPEN
)

// watchFolder watches a folder, and names it where that fails.
func (v *live) watchFolder(path string) (wd int, err error) {
	wd, err = v.n.Add(path, folderMask)
	if err != nil && !errors.Is(err, inotify.ErrTooMany) {
		err = &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return wd, err
}

// news is what happened, as far as it matters.
type news struct {
	look bool // files may have come or gone
	hint bool // somebody logs in: lines will follow
}

// wait waits for an event, or until the time if that is not zero.
func (v *live) wait(until time.Time) (all news, err error) {
	v.events, err = v.n.Read(v.events[:0], until)
	for _, e := range v.events {
		look, hint := v.folders[e.Watch] != "", v.hints[e.Watch]
		all.look = all.look || e.Lost() || look && (e.Name == "" || e.Name == activeName)
		all.hint = all.hint || hint
		// A file of hints that was replaced (a changed password) is watched anew.
		all.look = all.look || hint && e.Mask&unix.IN_IGNORED != 0
	}
	return all, err
}
