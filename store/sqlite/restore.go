package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// replaced is what the database is called that a restored one took the place of.
const replaced = fileName + ".replaced"

// Restore makes a backup the database of a folder that no hub has open. The
// backup is read whole first: one that is damaged ([store.ErrDamaged]) or newer
// than this program ([store.ErrNewer]) changes nothing. A database that is there
// stays beside it as tocsin.db.replaced; if that name is taken, Restore refuses.
//
// Copying the file by hand is not the same: what an old database had not yet
// brought home would be written into the new one.
func Restore(ctx context.Context, backup, folder string) (err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	if backup, err = filepath.Abs(backup); err != nil {
		return err
	}
	unlock, err := durable.Lock(filepath.Join(folder, lockName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	f, err := os.Open(backup)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := verify(ctx, backup); err != nil {
		return explain(backup, err)
	}
	aside := filepath.Join(folder, replaced)
	if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s: is still there from the last time: move it away", aside))
	}
	path := filepath.Join(folder, fileName)
	return durable.WriteFile(path, 0o600, func(w io.Writer) error {
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		return putAside(path, aside)
	})
}

// putAside renames a database, if there is one, with what belongs to it.
func putAside(path, aside string) error {
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
