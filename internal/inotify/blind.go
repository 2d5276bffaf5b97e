package inotify

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A blind instance has no queue in the kernel, of which a user may have few: it
// knows what is watched, and says every so often that events were lost, so that
// whoever reads it looks at everything.
type blind struct {
	every   time.Duration
	quiet   *os.File // nothing is ever written to it
	watches map[place]int
	next    int
}

// A place is a file, whatever its name.
type place struct{ dev, inode uint64 }

// Blind makes an instance that says so often that events were lost.
func Blind(every time.Duration) (*Instance, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Instance{fd: -1, f: r, buf: make([]byte, 1), blind: &blind{every: every, quiet: w, watches: map[place]int{}}}, nil
}

// add does what [Instance.Add] does.
func (b *blind) add(path string, mask uint32) (int, error) {
	var st unix.Stat_t
	look := unix.Stat
	if mask&unix.IN_DONT_FOLLOW != 0 {
		look = unix.Lstat
	}
	if err := look(path, &st); err != nil {
		return -1, err
	}
	if mask&unix.IN_ONLYDIR != 0 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return -1, syscall.ENOTDIR
	}
	p := place{uint64(st.Dev), st.Ino} //nolint:unconvert // narrower on some machines
	watch, known := b.watches[p]
	if !known {
		b.next++
		watch = b.next
		b.watches[p] = watch
	}
	return watch, nil
}

func (b *blind) remove(watch int) {
	for p, w := range b.watches {
		if w == watch {
			delete(b.watches, p)
		}
	}
}

// due returns when the next look is, at most at that time.
func (b *blind) due(until time.Time) time.Time {
	if at := time.Now().Add(b.every); until.IsZero() || at.Before(until) {
		return at
	}
	return until
}

// lost is what a blind instance says.
var lost = Event{Watch: -1, Mask: unix.IN_Q_OVERFLOW}
