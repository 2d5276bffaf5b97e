package file

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// maxRotated bounds the rotated siblings that are looked at, newest first.
const maxRotated = 128

// rotatedName matches what rotation adds to a name: auth.log.1, auth.log.2.gz,
// auth.log-20260101.xz, log.smbd.old.
var rotatedName = regexp.MustCompile(`^(.+?)(?:\.(\d{1,4})|[.-](\d{8,14})|\.old)(?:\.(?:gz|bz2|xz|zst))?$`)

// rotatedFrom returns the path that the file at path seems to have been rotated
// from, "" if it does not look like that.
func rotatedFrom(path string) string {
	m := rotatedName.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return ""
	}
	return filepath.Join(filepath.Dir(path), m[1])
}

// compressed reports whether the name says that the file is.
func compressed(name string) bool {
	switch filepath.Ext(name) {
	case ".gz", ".bz2", ".xz", ".zst":
		return true
	}
	return false
}

// A sibling is a file that holds older lines of a path, or the path's own.
type sibling struct {
	path    string
	inode   uint64
	changed time.Time
	number  int // of auth.log.2; the higher the older
}

// siblings returns what stands beside path, oldest first, and path itself last
// if it is there. A path that is a link has them beside what it leads to.
func siblings(path string) ([]sibling, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path // gone: its siblings may still be there
	}
	entries, err := os.ReadDir(filepath.Dir(real))
	if err != nil {
		return nil, err
	}
	var all []sibling
	for _, e := range entries {
		full := filepath.Join(filepath.Dir(real), e.Name())
		if full != real && rotatedFrom(full) != real {
			continue
		}
		st, err := e.Info()
		if err != nil || !st.Mode().IsRegular() {
			continue // deleted meanwhile, or nothing that rotation makes
		}
		var inode uint64
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			inode = sys.Ino
		}
		all = append(all, sibling{path: full, inode: inode, changed: st.ModTime(), number: numberOf(full)})
	}
	slices.SortFunc(all, func(a, b sibling) int {
		switch {
		case a.path == real:
			return 1
		case b.path == real:
			return -1
		}
		if c := a.changed.Compare(b.changed); c != 0 {
			return c
		}
		return b.number - a.number
	})
	return all[max(0, len(all)-maxRotated):], nil
}

func numberOf(path string) int {
	m := rotatedName.FindStringSubmatch(filepath.Base(path))
	if m == nil || m[2] == "" {
		return 0
	}
	n, err := strconv.Atoi(m[2])
	if err != nil {
		return 0
	}
	return n
}
