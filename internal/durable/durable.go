// Package durable writes files that survive a crash at any moment: a whole file
// is replaced at once or not at all, a log keeps every record it acknowledged,
// and a lock tells a second process who holds it.
//
// It promises order and wholeness, not meaning: what a record says, and when a
// snapshot makes the log superfluous, is the business of its caller. It never
// writes unless it is asked to, so a disk may sleep.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// newSuffix names the file that is being written. It is always the same, so
// that what a crash leaves behind is one file, and the next write removes it.
const newSuffix = ".new"

// WriteFile replaces the file at path by what write writes. After a nil error
// the new content is on the disk; after any error, and after a crash at any
// moment, path holds the old content whole or the new content whole. Two
// writers of one path must keep each other out, for instance by [Lock].
func WriteFile(path string, perm fs.FileMode, write func(io.Writer) error) error {
	if err := writeNew(path+newSuffix, perm, write); err != nil {
		// What is half written would only fill a disk that may be full already.
		return errors.Join(err, removeIfThere(path+newSuffix))
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return errors.Join(err, removeIfThere(path+newSuffix))
	}
	return syncFolder(filepath.Dir(path))
}

// writeNew writes a new file at path and brings it to the disk. O_EXCL after
// the removal, so that nobody's symbolic link is followed.
func writeNew(path string, perm fs.FileMode, write func(io.Writer) error) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	return errors.Join(fill(f, perm, write), f.Close())
}

func fill(f *os.File, perm fs.FileMode, write func(io.Writer) error) error {
	// The umask may have taken bits away that the caller asked for.
	if err := f.Chmod(perm); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder brings a folder's entries to the disk: without it a file renamed
// just before a power cut may be gone again.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder %s: %w", path, err)
	}
	return nil
}
