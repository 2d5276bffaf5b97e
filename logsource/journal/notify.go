package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A folder tells of files that come and go; a file of what journald appends: it
// writes through a mapping, which has no event, and truncates the file to the
// length it has, up to 250 ms later, so that there is one.
const (
	folderMask = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	fileMask   = unix.IN_MODIFY
	hintMask   = unix.IN_OPEN
)

// notify is one inotify instance.
type notify struct {
	fd  int
	f   *os.File
	buf []byte
}

// newNotify makes an inotify instance.
func newNotify() (*notify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("inotify: %w: raise fs.inotify.max_user_instances by sysctl", err)
	}
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return &notify{fd: fd, f: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 4<<10)}, nil
}

func (n *notify) folder(path string) (wd int, err error) { return n.add(path, folderMask) }

func (n *notify) file(f *os.File) (wd int, err error) {
	return n.add("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), fileMask)
}

func (n *notify) add(path string, mask uint32) (int, error) {
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if errors.Is(err, unix.ENOSPC) {
		return -1, errors.New("inotify: too many watches: raise fs.inotify.max_user_watches by sysctl")
	}
	if err != nil {
		return -1, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	return wd, nil
}

func (n *notify) remove(wd int) {
	_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // only EINVAL is possible: it is gone
}

// What an event is about.
type news struct {
	look bool // files may have come or gone
	hint bool // somebody logs in: lines will follow
}

// wait waits for an event, or until the time if that is not zero. kind tells
// what is watched.
func (n *notify) wait(until time.Time, kind func(wd int) news) (all news, err error) {
	if err := n.f.SetReadDeadline(until); err != nil {
		return all, err
	}
	k, err := n.f.Read(n.buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	for b := n.buf[:k]; len(b) >= unix.SizeofInotifyEvent; {
		wd, mask := int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:])
		size := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size > len(b) {
			break
		}
		name := string(bytes.TrimRight(b[:size], "\x00"))
		b = b[size:]
		what := kind(wd)
		all.look = all.look || mask&unix.IN_Q_OVERFLOW != 0 || what.look && (name == "" || name == activeName)
		all.hint = all.hint || what.hint
		// A file of hints that was replaced (a changed password) is watched anew.
		all.look = all.look || what.hint && mask&unix.IN_IGNORED != 0
	}
	return all, nil
}
