package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// What is watched. A folder tells of names that come, go and change their
// attributes, not of writes: /var/log is written all day.
const (
	folderMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	selfMask = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	fileMask = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_MOVE_SELF
)

// goneMask are the events after which what was watched may be another thing.
const goneMask = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED

// notify is one inotify instance. Not fsnotify: that watches by path, where a
// file renamed by rotation must be followed by what it is, and takes every
// event through a goroutine and a channel more.
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

// file watches the open file fd, whatever its name is by now.
func (n *notify) file(fd int) (wd int, err error) {
	return n.add("/proc/self/fd/"+strconv.Itoa(fd), fileMask)
}

func (n *notify) add(path string, mask uint32) (int, error) {
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if errors.Is(err, unix.ENOSPC) {
		return -1, fmt.Errorf("inotify: too many watches: raise fs.inotify.max_user_watches by sysctl")
	}
	return wd, err
}

// remove ends a watch. One that the kernel has ended already is no error.
func (n *notify) remove(wd int) {
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // only EINVAL is possible: it is gone
}

// read waits for events. It ends when close is called.
func (n *notify) read(events []event) ([]event, error) {
	k, err := n.f.Read(n.buf)
	if err != nil {
		return nil, err
	}
	for b := n.buf[:k]; len(b) >= unix.SizeofInotifyEvent; {
		e := event{wd: int(int32(binary.NativeEndian.Uint32(b))), mask: binary.NativeEndian.Uint32(b[4:])}
		size := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size > len(b) {
			break
		}
		e.name = string(bytes.TrimRight(b[:size], "\x00"))
		events, b = append(events, e), b[size:]
	}
	return events, nil
}

func (n *notify) close() error { return n.f.Close() }
