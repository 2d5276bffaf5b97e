package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// mostFindings bounds what Check lists.
const mostFindings = 20

// Backup implements [store.Upkeep].
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s: %w", path, fs.ErrExist))
	}
	// Under another name until it is whole; made here, so that only its owner
	// reads it.
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := s.copyTo(ctx, part); err != nil {
		return fmt.Errorf("backup: %w", explain(path, err))
	}
	if err := verify(ctx, part); err != nil {
		return fmt.Errorf("backup: what was written is not what was read: %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// copyTo copies what is committed now. It reads in one transaction, so nobody
// waits; the WAL grows meanwhile and is cut back after.
func (s *Store) copyTo(ctx context.Context, path string) (err error) {
	select {
	case <-s.quit:
		return s.errClosed()
	default:
	}
	// A connection of its own: those of the readers may only query.
	db, err := sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)")+"&mode=ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	return err
}

// verify reads the whole of a database that nobody has open.
func verify(ctx context.Context, path string) (err error) {
	if err := examine(ctx, path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "query_only(1)")+"&mode=ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := &Store{path: path, read: db}
	return s.Check(ctx)
}

// Check implements [store.Upkeep].
func (s *Store) Check(ctx context.Context) error {
	found, err := collect(ctx, s, func(rows *sql.Rows) (line string, err error) { return line, rows.Scan(&line) },
		fmt.Sprintf("PRAGMA integrity_check(%d)", mostFindings))
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("%s: %w: %s", s.path, store.ErrDamaged, strings.Join(found, "; "))
	}
	return s.checkRows(ctx)
}

// checkRows reads whatever carries a checksum.
func (s *Store) checkRows(ctx context.Context) error {
	var errs []error
	note := func(err error) bool {
		if err != nil {
			errs = append(errs, err)
		}
		return errors.Is(err, store.ErrDamaged) || err == nil
	}
	note(s.checkLog(ctx))
	for _, err := range s.Devices(ctx) {
		note(err)
	}
	for _, err := range s.States(ctx) {
		note(err)
	}
	noteAll(note, s.Clues(ctx, "", earliest))
	noteAll(note, s.Contacts(ctx, "", earliest))
	noteAll(note, s.Covered(ctx))
	note(s.checkMarks(ctx, "clue_marks"))
	_, err := collect(ctx, s, scanRecord, "SELECT kind, id, version, row FROM records")
	note(err)
	_, err = s.Accesses(ctx)
	note(err)
	_, err = collect(ctx, s, decoded[store.Token], "SELECT hash, row FROM tokens")
	note(err)
	_, err = s.Users(ctx)
	note(err)
	_, err = s.Sessions(ctx, "")
	note(err)
	_, err = collect(ctx, s, scanInvited, "SELECT hash, row, spent FROM invitations")
	note(err)
	note(s.checkLedger(ctx))
	names, err := s.Names(ctx, "")
	note(err)
	for _, name := range names {
		if _, err := s.Value(ctx, name); !note(err) {
			break
		}
	}
	return errors.Join(errs...)
}

// noteAll notes the errors of a sequence.
func noteAll[T any](note func(error) bool, seq iter.Seq2[T, error]) {
	for _, err := range seq {
		note(err)
	}
}

// checkLog reads all events and marks, and compares the head with them.
func (s *Store) checkLog(ctx context.Context) error {
	type end struct{ serial, at, events int64 }
	scan := func(rows *sql.Rows) (e end, err error) { return e, rows.Scan(&e.serial, &e.at, &e.events) }
	before, err := one(ctx, s, scan, "SELECT serial, at, events FROM head")
	if err != nil {
		return err
	}
	var last tocsin.Event
	n := int64(0)
	for e, err := range s.Since(ctx, 0) {
		switch {
		case err != nil:
			return err
		case e.At.Before(last.At):
			return fmt.Errorf("%s: %w: event %d is older than the one before", s.path, store.ErrDamaged, e.Serial)
		case e.Serial <= uint64(before.serial): // later ones came meanwhile
			last = e
		}
		n++
	}
	after, err := one(ctx, s, scan, "SELECT serial, at, events FROM head")
	if err != nil {
		return err
	}
	if uint64(before.serial) < last.Serial || n > 0 && before.at < nanos(last.At) || before == after && n != after.events {
		return fmt.Errorf("%s: %w: the log does not end where it says", s.path, store.ErrDamaged)
	}
	return s.checkMarks(ctx, "marks")
}

// checkMarks reads what repeats are recognised by.
func (s *Store) checkMarks(ctx context.Context, table string) error {
	_, err := collect(ctx, s, func(rows *sql.Rows) (none struct{}, err error) {
		var device string
		var boot, counter, sum int64
		if err := rows.Scan(&device, &boot, &counter, &sum); err != nil {
			return none, err
		}
		if (mark{boot: uint64(boot), counter: uint64(counter)}).sum(tocsin.DeviceID(device)) != sum {
			err = fmt.Errorf("mark of %s: %w", device, store.ErrDamaged)
		}
		return none, err
	}, "SELECT device, boot, counter, sum FROM "+table)
	return err
}

// Size implements [store.Upkeep].
func (s *Store) Size(ctx context.Context) (bytes int64, events uint64, err error) {
	events, err = one(ctx, s, func(rows *sql.Rows) (n uint64, err error) { return n, rows.Scan(&n) }, "SELECT events FROM head")
	if err != nil {
		return 0, 0, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		fi, err := os.Stat(s.path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, 0, err
		}
		if err == nil {
			bytes += fi.Size()
		}
	}
	return bytes, events, nil
}
