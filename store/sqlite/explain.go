package sqlite

import (
	"context"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/tocsin-io/tocsin/store"
)

func (s *Store) explain(err error) error { return explain(s.path, err) }

// explain turns what SQLite says of the file at path into what a person, and a
// caller, can act on. Other errors come back as they are.
func explain(path string, err error) error {
	var e *driver.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		if why := meaning(e.Code()); why != nil {
			return fmt.Errorf("%s: %w (%w)", path, why, err)
		}
		return fmt.Errorf("%s: %w", path, err)
	case errors.Is(err, store.ErrDamaged), errors.Is(err, store.ErrNewer), errors.Is(err, errForeign):
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// unreadable returns what an error of a scan means: columns have the types that
// we gave them, so one that cannot be converted is damaged.
func unreadable(err error) error {
	var e *driver.Error
	if err == nil || errors.As(err, &e) || errors.Is(err, store.ErrDamaged) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

var (
	errForeign   = errors.New("a database of another program: move it away, or use another folder")
	errDisk      = errors.New("the disk failed: look at the kernel's log; nothing acknowledged is lost")
	errReadOnly  = errors.New("may not be written: look at owner, permissions, and whether the disk is mounted read-only")
	errNotOpened = errors.New("cannot be opened: look at owner and permissions of the folder, and whether its disk is full")
)

// meaning returns what a code of SQLite says, or nil.
func meaning(code int) error {
	if code == codes.SQLITE_IOERR_SHORT_READ {
		return store.ErrDamaged
	}
	if code == codes.SQLITE_ERROR {
		// Our statements are right, so it is what the file's header says of them.
		return store.ErrDamaged
	}
	switch code & 0xff {
	case codes.SQLITE_FULL:
		return store.ErrFull
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return store.ErrDamaged
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL:
		return store.ErrBusy
	case codes.SQLITE_IOERR:
		return errDisk
	case codes.SQLITE_READONLY, codes.SQLITE_PERM:
		return errReadOnly
	case codes.SQLITE_CANTOPEN:
		return errNotOpened
	}
	return nil
}
