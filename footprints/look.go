package footprints

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// maxRead bounds what is read of one file; of a longer one the length counts,
// too.
const maxRead = 1 << 20

// A mark is what a file system tells of a file without reading it. Nobody but
// the kernel sets the time of change.
type mark struct {
	Inode   uint64 `json:"i"`
	Size    int64  `json:"s"`
	Changed int64  `json:"c"` // nanoseconds since 1970
}

// A file is what is remembered of one file.
type file struct {
	Mark   mark   `json:"m"`
	Behind mark   `json:"b,omitzero"` // of what a symbolic link leads to
	Digest digest `json:"d"`
	Empty  bool   `json:"e,omitempty"`
}

// digest is a SHA-256 that is written in hexadecimal.
type digest [sha256.Size]byte

func (d digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

func (d *digest) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(d) {
		return fmt.Errorf("digest %q: not %d hexadecimal digits", b, 2*len(d))
	}
	copy(d[:], raw)
	return nil
}

// errFolder says that a path is a folder where a file was expected.
var errFolder = errors.New("is a folder")

// stat tells of a file what the system knows without reading it.
func stat(path string, follow bool) (m mark, st unix.Stat_t, err error) {
	call := unix.Lstat
	if follow {
		call = unix.Stat
	}
	for {
		if err = call(path, &st); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return m, st, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return mark{Inode: uint64(st.Ino), Size: int64(st.Size), Changed: unixTime(st.Ctim).UnixNano()}, st, nil
}

func unixTime(t unix.Timespec) time.Time { return time.Unix(int64(t.Sec), int64(t.Nsec)) }

// look reads the file at path, unless it is as it was. It returns when the
// content was last written, as the file says itself. A link is itself and what
// it leads to; what is no file is not opened: a pipe would wait for a writer.
func look(path string, old file) (f file, written time.Time, err error) {
	var st unix.Stat_t
	if f.Mark, st, err = stat(path, false); err != nil {
		return f, written, err
	}
	written = unixTime(st.Mtim)
	h := sha256.New()
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		to, err := os.Readlink(path)
		if err != nil {
			return f, written, err
		}
		fmt.Fprintf(h, "link to %s\n", to) // a hash takes everything
		if f.Behind, st, err = stat(path, true); err != nil {
			f.Digest = digest(h.Sum(nil)) // it leads nowhere: the link is all there is
			return f, written, nil
		}
		if t := unixTime(st.Mtim); t.After(written) {
			written = t
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return f, written, errFolder
	default:
		fmt.Fprintf(h, "no file: mode %o\n", st.Mode&unix.S_IFMT)
		f.Digest = digest(h.Sum(nil))
		return f, written, nil
	}
	if old.Digest != (digest{}) && f.Mark == old.Mark && f.Behind == old.Behind {
		return old, written, nil
	}
	if err := read(path, func(r io.Reader) error { _, err := io.Copy(h, r); return err }); err != nil {
		return f, written, err
	}
	if st.Size > maxRead {
		fmt.Fprintf(h, "\n%d bytes\n", st.Size)
	}
	f.Digest, f.Empty = digest(h.Sum(nil)), st.Size == 0
	return f, written, nil
}

// read hands the first bytes of a file to use. It opens without waiting, and
// reads nothing that is no file: path may have become something else.
func read(path string, use func(io.Reader) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &os.PathError{Op: "read", Path: path, Err: errors.New("no regular file")}
	}
	return use(io.LimitReader(f, maxRead))
}

// compareSpot tells which files of a spot are new or changed, and notes them in
// next.
func (w *Watch) compareSpot(s spot, next *baseline, now time.Time) (clues []tocsin.Clue) {
	if s.fact == 0 {
		return nil
	}
	paths, ok := w.files(s)
	if !ok {
		return nil
	}
	there := make(map[string]bool, len(paths))
	for _, path := range paths {
		old, had := next.Files[path]
		f, written, err := look(path, old)
		switch {
		case err == nil:
		case errors.Is(err, errFolder), missing(err):
			w.see(path)
			continue
		default:
			w.noSee(path, reason(err))
			there[path] = true // it may still be what it was
			continue
		}
		there[path] = true
		if !had && len(next.Files) >= maxFiles {
			w.noSee(path, "too many files: this one is not looked at")
			continue
		}
		w.see(path)
		next.Files[path] = f
		if had && f.Digest == old.Digest || f.Empty || !had && !w.recent(f, written, now) {
			continue
		}
		clues = append(clues, tocsin.Clue{
			At: w.when(written, now), Fact: s.fact, Subject: w.shown(path), Digest: [sha256.Size]byte(f.Digest),
		})
	}
	for _, path := range s.under(next.Files) {
		if !there[path] {
			delete(next.Files, path)
		}
	}
	return clues
}

// slack is how far the time of a file may lag behind the clock.
const slack = 2 * time.Second

// recent reports whether a file that was not known before is news: not one of a
// volume that was only now mounted, nor, at the first start, one that is old.
func (w *Watch) recent(f file, written, now time.Time) bool {
	since := w.since.Add(-slack)
	if w.fresh {
		return w.cfg.LookBack > 0 && !written.Before(since)
	}
	if w.since.After(now) { // the clock was set back: nothing is known about time
		return true
	}
	changed := time.Unix(0, max(f.Mark.Changed, f.Behind.Changed))
	return !changed.Before(since) || !written.Before(since)
}
