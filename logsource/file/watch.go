package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// A folder is one that is watched: for these names, or, without any, only for
// being moved itself.
type folder struct {
	path  string
	names []string
	match string // a pattern, or ""
}

func (d *folder) mask() uint32 {
	if len(d.names) == 0 && d.match == "" {
		return selfMask
	}
	return folderMask
}

// watchFolders watches every folder on which it depends what the paths lead to,
// and no other. It reports whether a watch is new: then what it is about may
// have changed just before.
func (f *follower) watchFolders() (moved bool, err error) {
	now := map[int]*folder{}
	for _, want := range f.wanted() {
		wd, path, err := f.watchFolder(want)
		if err != nil {
			return false, err
		}
		if wd < 0 {
			continue
		}
		if now[wd] == nil {
			now[wd] = &folder{path: path}
		}
		// Only a new reason to watch is news: the loop of refresh ends.
		moved = moved || f.folders[wd] == nil || f.folders[wd].mask() != want.mask()
		now[wd].names = append(now[wd].names, want.names...)
		if want.match != "" {
			now[wd].match = want.match
		}
	}
	for wd := range f.folders {
		if now[wd] == nil {
			f.n.Remove(wd)
		}
	}
	f.folders = now
	return moved, nil
}

// wanted returns the folders to watch, each once.
func (f *follower) wanted() map[string]*folder {
	all := map[string]*folder{}
	at := func(path string) *folder {
		if all[path] == nil {
			all[path] = &folder{path: path}
		}
		return all[path]
	}
	note := func(path string, gone bool) {
		for _, s := range trail(path) {
			if s.firm && !gone {
				at(filepath.Join(s.folder, s.name))
				continue
			}
			d := at(s.folder)
			d.names = append(d.names, s.name)
		}
	}
	if f.pattern != "" {
		dir := filepath.Dir(f.path)
		note(dir, f.anyGone())
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			at(real).match = f.pattern
		}
	}
	for path, nm := range f.names {
		note(path, slices.ContainsFunc(nm.tails, (*tail).gone))
	}
	return all
}

// anyGone reports whether a deleted file is still open. It keeps the folder it
// was in alive, so that the kernel does not tell when that is deleted: the
// folders above have to be asked.
func (f *follower) anyGone() bool {
	for _, t := range f.tails {
		if t.gone() {
			return true
		}
	}
	return false
}

// watchFolder watches want, or the nearest folder above it that can be.
func (f *follower) watchFolder(want *folder) (wd int, path string, err error) {
	for path = want.path; ; path = filepath.Dir(path) {
		wd, err = f.n.Add(path, want.mask())
		switch {
		case err == nil:
			return wd, path, nil
		case errors.Is(err, os.ErrPermission):
			f.say(fmt.Sprintf("watch folder %s: %v: %s", path, err, powerHint))
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		default:
			return -1, path, fmt.Errorf("watch folder %s: %w", path, err)
		}
		if path == "/" {
			return -1, path, nil
		}
		want.names = append(want.names, filepath.Base(path))
	}
}
