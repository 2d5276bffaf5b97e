package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

// A group of requests that share a commit ends at so many events, or after so
// long, or when nobody else waits, whichever is first.
const (
	groupRows = 500
	groupTime = 20 * time.Millisecond
)

// A request is one call that writes. What do does is kept only if it returns
// nil; it may run twice, so it sets whatever it returns anew.
type request struct {
	do     func(*tx) error
	events int // how many it adds; it adds nothing else then, and refuses nothing
	err    error
	done   chan struct{}
}

// commit has the writer do something and returns after its commit. The context
// counts until the writer takes it up: from then on the answer is known within
// the time of one commit, and the caller waits for it.
func (s *Store) commit(ctx context.Context, events int, do func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{do: do, events: events, done: make(chan struct{})}
	select {
	case s.requests <- r:
		<-r.done
		return s.explain(r.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-s.quit:
		return s.errClosed()
	}
}

// writer is the only goroutine that writes.
func (s *Store) writer(t *tx) {
	defer close(s.gone)
	defer t.close()
	for {
		select {
		case r := <-s.requests:
			s.group(t, r)
		case <-s.quit:
			return
		}
	}
}

// group answers first and whoever else waits by then. While it commits more
// callers gather: the slower the disk, the more share the next commit.
func (s *Store) group(t *tx, first *request) {
	var members []*request
	err := t.all(func(yield func(*request) bool) {
		rows, begun := 0, time.Now()
		for r := first; r != nil; r = s.waiting(rows, begun) {
			members = append(members, r)
			rows += r.events
			if !yield(r) {
				return
			}
		}
	})
	for _, r := range members {
		if err != nil {
			// One that the database cannot take must not fail the others.
			r.err = err
			if len(members) > 1 {
				r.err = nil
				if alone := t.all(func(yield func(*request) bool) { yield(r) }); alone != nil {
					r.err = alone
				}
			}
		}
		close(r.done)
	}
}

// waiting returns a request that waits, or nil if the group is full or nobody does.
func (s *Store) waiting(rows int, begun time.Time) *request {
	if rows >= groupRows || time.Since(begun) >= groupTime {
		return nil
	}
	select {
	case r := <-s.requests:
		return r
	default:
		return nil
	}
}

// A tx is the writer's connection and the transaction that is open on it.
type tx struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by their text: there are few
	log   logEnd
}

// all does requests in one transaction. One that is refused changes nothing and
// keeps its error; if the error is the database's own nothing at all is done.
func (t *tx) all(requests iter.Seq[*request]) error {
	t.log = logEnd{}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		for range requests { // take up the first, who is to be answered
			break
		}
		return err
	}
	err := t.each(requests)
	if err == nil {
		err = t.flush()
	}
	if err == nil {
		_, err = t.exec("COMMIT")
	}
	if err != nil {
		// SQLite has done it already after some errors, and says so by another;
		// if it failed the next BEGIN will.
		_, _ = t.exec("ROLLBACK")
	}
	return err
}

func (t *tx) each(requests iter.Seq[*request]) error {
	for r := range requests {
		var err error
		if r.events > 0 {
			err = r.do(t)
		} else {
			r.err, err = t.try(r.do)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// try does something that may be refused half-way.
func (t *tx) try(do func(*tx) error) (refused, err error) {
	if _, err := t.exec("SAVEPOINT one"); err != nil {
		return nil, err
	}
	err = do(t)
	if isRefusal(err) {
		refused = err
		_, err = t.exec("ROLLBACK TO one")
	}
	if err == nil {
		_, err = t.exec("RELEASE one")
	}
	return refused, err
}

func isRefusal(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrSpent) || errors.Is(err, store.ErrChanged)
}

// exec runs one statement and returns how many rows it changed. No context: a
// transaction is not left half-way.
func (t *tx) exec(query string, args ...any) (int64, error) {
	st, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	r, err := st.Exec(args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// one scans the one row that a query gives; none is [store.ErrNotFound].
func (t *tx) one(query string, args []any, into ...any) error {
	st, err := t.prepare(query)
	if err != nil {
		return err
	}
	err = st.QueryRow(args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return unreadable(err)
}

// must returns [store.ErrNotFound] if a statement that names one row changed none.
func must(changed int64, err error) error {
	if err == nil && changed == 0 {
		return store.ErrNotFound
	}
	return err
}

// isNew returns [store.ErrExists] if an INSERT OR IGNORE added nothing.
func isNew(changed int64, err error) error {
	if err == nil && changed == 0 {
		return store.ErrExists
	}
	return err
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if st, ok := t.stmts[query]; ok {
		return st, nil
	}
	st, err := t.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.stmts[query] = st
	}
	return st, err
}

// close gives the connection back. An error would say nothing about what was
// committed, and closing the database tells what is wrong with it.
func (t *tx) close() {
	for _, st := range t.stmts {
		_ = st.Close()
	}
	_ = t.conn.Close()
}
