package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/logsource"
)

// errNotRegular refuses what cannot be read again from a mark. Opening a pipe
// would also take its bytes away from whom they are for.
var errNotRegular = errors.New("is a folder, a pipe or a device: name a regular file (a stream can be piped into -)")

// A tail is one open file, read to its end whenever it grows.
type tail struct {
	fd     int
	wd     int
	inode  uint64
	dev    uint64
	head   head
	pos    int64 // next byte to read
	mtime  time.Time
	last   time.Time // when it last grew
	prov   tocsin.Provenance
	copied bool // by rotation, of lines told already: read, but not emitted
	lines  logsource.Lines
}

// openTail opens the file at path without waiting for anybody, whatever it is.
func openTail(path string) (*tail, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	t := &tail{fd: fd, wd: -1}
	st, err := t.stat()
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), unix.Close(fd))
	}
	t.inode, t.dev = st.Ino, uint64(st.Dev)
	return t, nil
}

// stat looks at the file and notes when it changed.
func (t *tail) stat() (unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return st, fmt.Errorf("fstat: %w", err)
	}
	t.mtime = time.Unix(st.Mtim.Unix())
	return st, nil
}

func (t *tail) same(o *tail) bool { return t.inode == o.inode && t.dev == o.dev }

func (t *tail) place() place {
	return place{inode: t.inode, off: t.lines.Offset(), head: t.head, at: t.mtime}
}

// seekEnd goes to the end, or rather to the beginning of a last line that has
// no end yet, so that what is read back ends where live lines begin.
func (t *tail) seekEnd(buf []byte) error {
	st, err := t.stat()
	if err != nil {
		return err
	}
	t.head = headOf(readHead(t.fd, buf))
	start, whole, err := lineStart(t.fd, st.Size, buf)
	if err != nil {
		return err
	}
	t.pos = start
	t.lines.Reset(start)
	if !whole {
		t.lines.SkipLine()
	}
	return nil
}

// lineStart returns where the line that holds byte end begins. A line begun
// longer than a buffer is taken up at end, not whole.
func lineStart(fd int, end int64, buf []byte) (start int64, whole bool, err error) {
	from := max(0, end-int64(len(buf)))
	n, err := unix.Pread(fd, buf[:end-from], from)
	if err != nil {
		return 0, false, fmt.Errorf("read: %w", err)
	}
	for i := n - 1; i >= 0; i-- {
		if buf[i] == '\n' {
			return from + int64(i) + 1, true, nil
		}
	}
	if from == 0 {
		return 0, true, nil
	}
	return end, false, nil
}

// A sink takes the lines of a tail.
type sink func(t *tail, line []byte, cut bool) error

// read emits every whole line up to the end of the file. grew says whether
// there was anything.
func (t *tail) read(buf []byte, emit sink) (grew bool, err error) {
	if err := t.checkTruncated(buf, emit); err != nil {
		return false, err
	}
	t.lines.Lend(buf)
	defer t.lines.Park()
	for {
		space := t.lines.Space()
		n, err := unix.Pread(t.fd, space, t.pos)
		if err != nil {
			return grew, fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return grew, nil
		}
		if !grew && t.head.len() < maxHead {
			var first [maxHead]byte
			t.head = headOf(readHead(t.fd, first[:]))
		}
		grew = true
		t.pos += int64(n)
		t.lines.Fill(n)
		if n >= holeBlock && zeros(space[:n]) {
			end := dataAfter(t.fd, t.pos)
			t.lines.Skip(end - t.pos)
			t.pos = end
		}
		if err := t.drain(emit); err != nil {
			return grew, err
		}
	}
}

func (t *tail) drain(emit sink) error {
	for {
		line, cut, ok := t.lines.Next()
		if !ok {
			return nil
		}
		if err := emit(t, line, cut); err != nil {
			return err
		}
	}
}

// holeBlock is how many zeros make it worth to ask for a hole, in bytes.
const holeBlock = 4096

func zeros(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// dataAfter returns where the next bytes stand that were ever written: a hole
// may be terabytes long and take no room.
func dataAfter(fd int, pos int64) int64 {
	next, err := unix.Seek(fd, pos, unix.SEEK_DATA)
	if err != nil || next < pos {
		return pos // nothing but a hole follows, or the file system cannot tell
	}
	return next
}

// checkTruncated begins anew if the file was emptied since, even if it has
// grown beyond the old position by now: then its first bytes are others.
func (t *tail) checkTruncated(buf []byte, emit sink) error {
	st, err := t.stat()
	if err != nil {
		return err
	}
	if st.Size >= t.pos && t.head.matches(readHead(t.fd, buf)) {
		return nil
	}
	if err := t.rest(emit); err != nil {
		return err
	}
	t.pos, t.head = 0, headOf(nil)
	t.lines.Reset(0)
	return nil
}

// rest emits a last line that never got an end: nothing more will come.
func (t *tail) rest(emit sink) error {
	if line, cut, ok := t.lines.Rest(); ok {
		return emit(t, line, cut)
	}
	return nil
}

// gone reports whether the file has no name any more.
func (t *tail) gone() bool {
	st, err := t.stat()
	return err != nil || st.Nlink == 0
}
