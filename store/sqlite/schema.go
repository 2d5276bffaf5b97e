package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin/store"
)

// appID marks a SQLite file as a hub's database: "tocs".
const appID = 0x746f6373

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns what brings an empty database to each version, in order:
// the first makes version 1. One that was ever released is never edited.
func migrations() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	slices.Sort(names)
	var all []string
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			panic(name + ": migrations are numbered without a gap")
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			panic(err) // it is part of the program
		}
		all = append(all, string(text))
	}
	return all
}

// inspect makes the file if there is none, and tells what is there without
// changing it: an error for what is not ours, damaged, or newer.
func inspect(ctx context.Context, path string) error {
	// Made here, so that only its owner reads it; what SQLite puts beside it
	// takes over the permissions.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	magic := make([]byte, 16)
	n, err := io.ReadFull(f, magic)
	if err := errors.Join(ignoreEnd(err), f.Close()); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	if !bytes.Equal(magic[:n], []byte("SQLite format 3\x00")) {
		return fmt.Errorf("%w: it does not begin like one", store.ErrDamaged)
	}
	return examine(ctx, path)
}

// ignoreEnd returns err unless it says that a file is short.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// examine reads the version of a database. Read only: even closing would
// otherwise bring a WAL home.
func examine(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(5000)", "query_only(1)")+"&mode=ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var id, version, tables int
	for query, into := range map[string]*int{
		"PRAGMA application_id": &id, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_master": &tables,
	} {
		if err := db.QueryRowContext(ctx, query).Scan(into); err != nil {
			return err
		}
	}
	switch newest := len(migrations()); {
	case id == 0 && version == 0 && tables == 0: // a start that was cut off
		return nil
	case id != appID:
		return errForeign
	case version < 1:
		return fmt.Errorf("%w: schema %d", store.ErrDamaged, version)
	case version > newest:
		return fmt.Errorf("%w (schema %d, this one knows %d)", store.ErrNewer, version, newest)
	}
	return nil
}

// migrate brings the database from its version to that of the last step, each
// step in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn, steps []string) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	for ; version < len(steps); version++ {
		if err := migrateOnce(ctx, conn, steps[version], version+1); err != nil {
			return fmt.Errorf("schema %d: %w", version+1, err)
		}
	}
	return nil
}

func migrateOnce(ctx context.Context, conn *sql.Conn, step string, version int) error {
	t, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, query := range []string{
		step, fmt.Sprintf("PRAGMA application_id = %d", appID), fmt.Sprintf("PRAGMA user_version = %d", version),
	} {
		if _, err := t.ExecContext(ctx, query); err != nil {
			return errors.Join(err, t.Rollback())
		}
	}
	return t.Commit()
}
