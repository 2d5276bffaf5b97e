// Package sqlite keeps a hub's database in one SQLite file: nothing to install,
// one folder to back up. It holds all that package store promises.
//
// One goroutine writes; callers that come at the same time share its commit,
// and a call returns once the disk has it (WAL, synchronous=FULL). Readers have
// connections of their own and never wait for the writer. Whatever the file
// holds that SQLite does not check itself carries a checksum.
//
// One process at a time: [Open] locks the folder. It does not decide anything,
// and it does not encrypt: the folder belongs to the hub's user alone.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // registers the driver

	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/store"
)

// The names of the files in the folder; SQLite keeps two more beside the
// database while it is open.
const (
	fileName = "tocsin.db"
	lockName = "lock"
)

// readers is how many may read at the same time.
const readers = 4

// A Store is an open database. Its methods may be called by several goroutines.
type Store struct {
	path   string // of the database
	now    func() time.Time
	read   *sql.DB
	write  *sql.DB // the one connection of the writer
	unlock func() error

	requests chan *request
	quit     chan struct{} // closed by Close
	gone     chan struct{} // closed by the writer when it has ended
	closing  sync.Once
	closed   error
}

var (
	_ store.Ingest      = (*Store)(nil)
	_ store.Log         = (*Store)(nil)
	_ store.Devices     = (*Store)(nil)
	_ store.Frames      = (*Store)(nil)
	_ store.Values      = (*Store)(nil)
	_ store.Accesses    = (*Store)(nil)
	_ store.Clues       = (*Store)(nil)
	_ store.Contacts    = (*Store)(nil)
	_ store.Coverage    = (*Store)(nil)
	_ store.Records     = (*Store)(nil)
	_ store.Upkeep      = (*Store)(nil)
	_ store.Users       = (*Store)(nil)
	_ store.Sessions    = (*Store)(nil)
	_ store.Invitations = (*Store)(nil)
	_ store.Ledger      = (*Store)(nil)
)

// Open opens the database in a folder, making both if there are none, and
// brings it to the newest schema. The folder is locked until Close: if another
// process has it the error is a [*durable.LockedError]. now is the clock that
// stamps events. A newer schema is [store.ErrNewer], a damaged file
// [store.ErrDamaged]; then nothing was changed.
func Open(ctx context.Context, folder string, now func() time.Time) (*Store, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(folder, lockName))
	if err != nil {
		return nil, err
	}
	s := &Store{path: filepath.Join(folder, fileName), now: now, unlock: unlock}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(s.explain(err), s.closeFiles())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	if err := inspect(ctx, s.path); err != nil {
		return err
	}
	var err error
	s.write, err = sql.Open("sqlite", dsn(s.path,
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "trusted_schema(0)", "cell_size_check(1)",
		// A checkpoint brings some 16 MiB home at once; a WAL that grew behind a
		// backup is cut back afterwards.
		"wal_autocheckpoint(4000)", "journal_size_limit(67108864)", "cache_size(-16000)", "temp_store(MEMORY)"))
	if err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	if err := migrate(ctx, conn, migrations()); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.read, err = sql.Open("sqlite", dsn(s.path, "busy_timeout(5000)", "query_only(1)", "trusted_schema(0)",
		"cell_size_check(1)", "cache_size(-4000)"))
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	s.requests, s.quit, s.gone = make(chan *request), make(chan struct{}), make(chan struct{})
	go s.writer(&tx{conn: conn, stmts: map[string]*sql.Stmt{}})
	return nil
}

// dsn names the file at path to the driver, with pragmas for each connection.
func dsn(path string, pragmas ...string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return u.String()
}

// Close ends the database: calls under way end first, later ones are
// [os.ErrClosed]. Closing twice is no error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		close(s.quit)
		<-s.gone
		s.closed = s.explain(s.closeFiles())
	})
	return s.closed
}

// closeFiles ends the readers first, so that the writer's connection is the last
// one and brings the WAL home.
func (s *Store) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, s.unlock())...)
}

func (s *Store) errClosed() error { return fmt.Errorf("%s: %w", s.path, os.ErrClosed) }
