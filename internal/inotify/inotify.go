// Package inotify asks the kernel what happens to files and folders. One
// [Instance] is one queue of the kernel, read by one goroutine, in batches and
// without another goroutine in between. Reading promises not to allocate but for
// the names of files in folders.
//
// Not fsnotify: that watches by path, where a file renamed by rotation must be
// followed by what it is, and takes every event through a goroutine and a channel
// more. What to watch for, and what an event means, is the caller's business.
package inotify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Gone are the events after which what was watched may be another thing.
const Gone = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED

// ErrTooMany says that the kernel has no room for another watch.
var ErrTooMany = errors.New("too many watches: raise fs.inotify.max_user_watches by sysctl")

// What Drain reads at most is more than the kernel queues by default.
const (
	bufSize  = 16 << 10
	maxDrain = 64 // reads
)

// An Event is one thing that happened.
type Event struct {
	Watch int    // -1 where events were lost
	Mask  uint32 // what happened: unix.IN_…
	Name  string // of a file in a watched folder, or ""
}

// Lost reports whether events after this one were lost: the queue was full.
func (e Event) Lost() bool { return e.Mask&unix.IN_Q_OVERFLOW != 0 }

// An Instance is one inotify instance.
type Instance struct {
	fd    int
	f     *os.File
	buf   []byte
	woken atomic.Bool
	blind *blind // instead of fd
}

// Open makes an instance that watches nothing yet.
func Open() (*Instance, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("inotify: %w: raise fs.inotify.max_user_instances by sysctl", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &Instance{fd: fd, f: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, bufSize)}, nil
}

// Add watches path for the events in mask. The same file has the same watch,
// whatever its path. The error is that of the kernel, without the path, or
// [ErrTooMany].
func (n *Instance) Add(path string, mask uint32) (watch int, err error) {
	if n.blind != nil {
		return n.blind.add(path, mask)
	}
	watch, err = unix.InotifyAddWatch(n.fd, path, mask)
	if errors.Is(err, unix.ENOSPC) {
		return -1, fmt.Errorf("inotify: %w", ErrTooMany)
	}
	return watch, err
}

// AddOpen watches the open file fd, whatever its name is by now; see [Instance.Add].
func (n *Instance) AddOpen(fd int, mask uint32) (watch int, err error) {
	return n.Add("/proc/self/fd/"+strconv.Itoa(fd), mask)
}

// Remove ends a watch. One that the kernel has ended already is no error.
func (n *Instance) Remove(watch int) {
	if n.blind != nil {
		n.blind.remove(watch)
		return
	}
	_, _ = unix.InotifyRmWatch(n.fd, uint32(watch)) // only EINVAL is possible: it is gone
}

// Read waits for events, until a time if that is not zero, and appends them.
// There are none once the time has come or [Instance.Wake] was called.
func (n *Instance) Read(events []Event, until time.Time) ([]Event, error) {
	end := until
	if n.blind != nil {
		end = n.blind.due(until)
	}
	if err := n.f.SetReadDeadline(end); err != nil {
		return events, fmt.Errorf("inotify: %w", err)
	}
	if n.woken.Load() { // maybe before the deadline was set
		return events, nil
	}
	k, err := n.f.Read(n.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if n.blind != nil && !n.woken.Load() {
			events = append(events, lost)
		}
		return events, nil
	}
	if err != nil {
		return events, fmt.Errorf("inotify: %w", err)
	}
	return parse(events, n.buf[:k]), nil
}

// Drain appends the events that are there by now, without waiting. whole is false
// where there may be more.
func (n *Instance) Drain(events []Event) (all []Event, whole bool) {
	if n.blind != nil {
		return events, false
	}
	for range maxDrain {
		k, err := unix.Read(n.fd, n.buf)
		if err != nil || k <= 0 {
			return events, true
		}
		events = parse(events, n.buf[:k])
	}
	return events, false
}

// Wake ends the Read at hand and makes every later one return at once. It may be
// called from any goroutine.
func (n *Instance) Wake() {
	n.woken.Store(true)
	_ = n.f.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, and then nobody waits
}

// Close ends all watches.
func (n *Instance) Close() error {
	if n.blind != nil {
		_ = n.blind.quiet.Close() // nothing was written
	}
	return n.f.Close()
}

// parse appends the events in b, up to the last whole one.
func parse(events []Event, b []byte) []Event {
	for len(b) >= unix.SizeofInotifyEvent {
		e := Event{Watch: int(int32(binary.NativeEndian.Uint32(b))), Mask: binary.NativeEndian.Uint32(b[4:])}
		size := binary.NativeEndian.Uint32(b[12:])
		b = b[unix.SizeofInotifyEvent:]
		if uint64(size) > uint64(len(b)) {
			break
		}
		e.Name = string(bytes.TrimRight(b[:size], "\x00"))
		events, b = append(events, e), b[size:]
	}
	return events
}
