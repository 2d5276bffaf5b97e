package footprints

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What is watched: a folder for what happens in it, and one above a folder that
// is not there only for its coming.
const (
	spotMask = unix.IN_CREATE | unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	aboveMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	goneMask  = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED
)

// maxDrain bounds what is read after a settling: more than the kernel queues by
// default.
const maxDrain = 64

// notify is one inotify instance.
type notify struct {
	fd  int
	f   *os.File
	buf []byte
}

type event struct {
	wd   int
	mask uint32
	name string
}

func newNotify() (*notify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("inotify: %w: raise fs.inotify.max_user_instances by sysctl", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &notify{fd: fd, f: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 16<<10)}, nil
}

// add watches a folder besides what it is watched for already.
func (n *notify) add(path string, mask uint32) (wd int, err error) {
	return unix.InotifyAddWatch(n.fd, path, mask|unix.IN_ONLYDIR|unix.IN_MASK_ADD)
}

// remove ends a watch. One that the kernel has ended already is no error.
func (n *notify) remove(wd int) {
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // only EINVAL is possible: it is gone
}

// wait waits for events until a time: then there are none.
func (n *notify) wait(ctx context.Context, until time.Time) ([]event, error) {
	if err := n.f.SetReadDeadline(until); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // wake may have come before the deadline was set
		return nil, nil
	}
	k, err := n.f.Read(n.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return parse(nil, n.buf[:k]), nil
}

// drain returns the events that are there by now, without waiting, and whether
// some were lost.
func (n *notify) drain() (events []event, overflow bool) {
	for range maxDrain {
		k, err := unix.Read(n.fd, n.buf)
		if err != nil || k <= 0 {
			return events, overflow
		}
		events = parse(events, n.buf[:k])
	}
	return events, true
}

// parse appends the events in b.
func parse(events []event, b []byte) []event {
	for len(b) >= unix.SizeofInotifyEvent {
		e := event{wd: int(int32(binary.NativeEndian.Uint32(b))), mask: binary.NativeEndian.Uint32(b[4:])}
		size := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size > len(b) {
			break
		}
		e.name = string(bytes.TrimRight(b[:size], "\x00"))
		events, b = append(events, e), b[size:]
	}
	return events
}

// wake ends a wait.
func (n *notify) wake() {
	_ = n.f.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed, and then nobody waits
}

func (n *notify) close() { _ = n.f.Close() } // nothing was written
