package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxRecord bounds one record of a [Log], in bytes: a damaged length must not
// make the reader allocate gigabytes.
const MaxRecord = 1 << 20

// Why a log cannot be opened or written; callers tell them apart with errors.Is.
var (
	// ErrForeign says that the file is not a log of ours. It is left as it is.
	ErrForeign = errors.New("not a tocsin log: move it away, or name another file")
	// ErrTooLong says that a record is longer than [MaxRecord].
	ErrTooLong = errors.New("record too long")
	// ErrBroken says that an earlier write left the log in an unknown state:
	// only [Log.Rewrite] makes it usable again.
	ErrBroken = errors.New("log broken by an earlier error: rewrite it")
)

// A Log is a file of records, appended in order. It belongs to one goroutine.
type Log struct {
	path   string
	f      *os.File
	size   int64 // end of the last whole record: the next one goes there
	cut    int64
	buf    []byte
	broken error // why nothing may be appended; nil while all is well
}

// OpenLog opens the log at path, or makes an empty one, and calls replay for
// each record in order; the record is valid only until replay returns, and an
// error of replay ends OpenLog. What follows the last whole record is the trace
// of a crash and is cut off: see [Log.Cut].
func OpenLog(path string, replay func(record []byte) error) (*Log, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Log{path: path, f: f}
	if err := l.load(replay); err != nil {
		return nil, errors.Join(fmt.Errorf("log %s: %w", path, err), f.Close())
	}
	return l, nil
}

func (l *Log) load(replay func([]byte) error) error {
	st, err := l.f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return ErrForeign
	}
	l.size, err = scan(io.NewSectionReader(l.f, 0, st.Size()), replay)
	if err != nil {
		return err
	}
	if l.size == 0 { // new, or torn within its first bytes
		if err := l.begin(); err != nil {
			return err
		}
	} else if st.Size() == l.size {
		return nil // nothing to mend, so nothing is written
	} else if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	l.cut = max(0, st.Size()-l.size)
	return l.f.Sync()
}

func (l *Log) begin() error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	if _, err := l.f.WriteAt([]byte(magic), 0); err != nil {
		return err
	}
	l.size = int64(len(magic))
	return syncFolder(filepath.Dir(l.path))
}

// Append adds a record. With sync it returns only when the record, and every
// one before it, is on the disk; without, a power cut may lose it, but nothing
// before the last synced one. After an error the record is not in the log.
func (l *Log) Append(record []byte, sync bool) error {
	if l.broken != nil {
		return fmt.Errorf("log %s: %w (%v)", l.path, ErrBroken, l.broken)
	}
	if len(record) > MaxRecord {
		return fmt.Errorf("log %s: %d bytes, limit %d: %w", l.path, len(record), MaxRecord, ErrTooLong)
	}
	l.buf = appendRecord(l.buf[:0], record)
	if _, err := l.f.WriteAt(l.buf, l.size); err != nil {
		l.undo()
		return err
	}
	if sync {
		if err := l.f.Sync(); err != nil {
			// The kernel may have dropped the pages and will not say so again:
			// a second try that succeeds would prove nothing.
			l.undo()
			l.broken = err
			return err
		}
	}
	l.size += int64(len(l.buf))
	return nil
}

// undo takes away what a failed write may have left behind the last record: a
// shorter record written over it would leave bytes that an attacker had chosen
// where the next record is looked for.
func (l *Log) undo() {
	if err := l.f.Truncate(l.size); err != nil {
		l.broken = err
	}
}

// Sync brings all records to the disk.
func (l *Log) Sync() error {
	if l.broken != nil {
		return fmt.Errorf("log %s: %w (%v)", l.path, ErrBroken, l.broken)
	}
	l.broken = l.f.Sync()
	return l.broken
}

// Rewrite replaces all records by those that write adds, at once or not at all:
// an empty write empties the log once a snapshot has taken over. An error of
// write, and a full disk, leave the log as it was.
func (l *Log) Rewrite(write func(add func(record []byte) error) error) error {
	err := WriteFile(l.path, 0o600, func(w io.Writer) error {
		if _, err := io.WriteString(w, magic); err != nil {
			return err
		}
		return write(func(record []byte) error {
			if len(record) > MaxRecord {
				return fmt.Errorf("log %s: %d bytes, limit %d: %w", l.path, len(record), MaxRecord, ErrTooLong)
			}
			l.buf = appendRecord(l.buf[:0], record)
			_, err := w.Write(l.buf)
			return err
		})
	})
	// Even after an error the file may be the new one (the rename worked, the
	// folder could not be synced): go on with whatever the path now names.
	return errors.Join(err, l.reopen())
}

func (l *Log) reopen() error {
	f, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if err != nil {
		l.broken = err
		return err
	}
	st, err := f.Stat()
	if err != nil {
		l.broken = err
		return errors.Join(err, f.Close())
	}
	if old, err := l.f.Stat(); err == nil && os.SameFile(old, st) {
		return f.Close() // nothing was replaced
	}
	err = l.f.Close()
	l.f, l.size, l.broken = f, st.Size(), nil
	return err
}

// Empty reports whether the log holds no record.
func (l *Log) Empty() bool { return l.size <= int64(len(magic)) }

// Size returns the length of the log, in bytes.
func (l *Log) Size() int64 { return l.size }

// Cut returns how many bytes were cut off at the end when the log was opened:
// the trace of a crash, or of damage worth a message.
func (l *Log) Cut() int64 { return l.cut }

// Close closes the log without bringing it to the disk: see [Log.Sync].
func (l *Log) Close() error {
	if err := l.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// appendRecord appends to b the record as it stands in the file: its length,
// the checksum of length and bytes, and the bytes.
func appendRecord(b, record []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(record)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b[len(b)-4:], record))
	return append(b, record...)
}
