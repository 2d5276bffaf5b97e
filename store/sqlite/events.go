package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// A mark is the highest sighting of a device.
type mark struct {
	known         bool // there is one
	changed       bool
	boot, counter uint64
}

func (m mark) below(id tocsin.ID) bool {
	return !m.known || m.boot < id.Boot || m.boot == id.Boot && m.counter < id.Counter
}

// sum is the checksum that is stored beside m.
func (m mark) sum(device tocsin.DeviceID) int64 {
	b := binary.LittleEndian.AppendUint64([]byte(device), m.boot)
	return int64(crc32.Checksum(binary.LittleEndian.AppendUint64(b, m.counter), castagnoli))
}

// A logEnd is where the log ends within the open transaction: what flush will
// write.
type logEnd struct {
	known      bool // serial and at were read
	serial, at int64
	marks      map[tocsin.DeviceID]*mark
	rows       []any // the columns of the events, one after the other
}

// columns is how many columns an event has.
const columns = 5

// An entry is an event on its way into the log.
type entry struct {
	kind        int
	source, row []byte
	serial, at  int64 // as stamped
}

func newEntry(e tocsin.Event) (entry, error) {
	kind, source, row, err := encodeEvent(e)
	return entry{kind: kind, source: source, row: row}, err
}

// event returns e as reading it from the database would.
func (e *entry) event() (tocsin.Event, error) {
	return decodeEvent(e.serial, e.at, e.kind, e.sealed())
}

// sealed returns the row with its checksum; it may be asked for twice.
func (e *entry) sealed() []byte {
	return seal(e.row[:len(e.row):len(e.row)], stamp(e.serial, e.at, e.kind))
}

// Append implements [store.Ingest].
func (s *Store) Append(ctx context.Context, batch []tocsin.Received) ([]tocsin.Event, error) {
	if len(batch) == 0 {
		return nil, ctx.Err()
	}
	device := batch[0].ID.Device
	entries := make([]entry, len(batch))
	for i := range batch {
		if batch[i].ID.Device != device || device == "" {
			return nil, fmt.Errorf("a batch is of one device: %q and %q", device, batch[i].ID.Device)
		}
		var err error
		if entries[i], err = newEntry(tocsin.Event{Received: &batch[i]}); err != nil {
			return nil, err
		}
	}
	var fresh []int
	err := s.commit(ctx, len(batch), func(t *tx) error {
		fresh = fresh[:0]
		m, err := t.mark(device)
		if err != nil {
			return err
		}
		for i := range entries {
			id := batch[i].ID
			if !m.below(id) {
				continue
			}
			*m = mark{known: true, changed: true, boot: id.Boot, counter: id.Counter}
			if err := t.add(&entries[i], s.now()); err != nil {
				return err
			}
			fresh = append(fresh, i)
		}
		return nil
	})
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	events := make([]tocsin.Event, len(fresh))
	for k, i := range fresh {
		events[k] = received(&entries[i], &batch[i])
	}
	return events, nil
}

// Highest implements [store.Ingest].
func (s *Store) Highest(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error) {
	return s.highest(ctx, "marks", device)
}

// highest reads a mark from a table of them.
func (s *Store) highest(ctx context.Context, table string, device tocsin.DeviceID) (tocsin.ID, error) {
	id := tocsin.ID{Device: device}
	m, err := one(ctx, s, func(rows *sql.Rows) (m mark, err error) {
		var boot, counter, sum int64
		err = rows.Scan(&boot, &counter, &sum)
		m = mark{known: true, boot: uint64(boot), counter: uint64(counter)}
		if err == nil && sum != m.sum(device) {
			err = fmt.Errorf("mark of %s: %w", device, store.ErrDamaged)
		}
		return m, err
	}, "SELECT boot, counter, sum FROM "+table+" WHERE device = ?", string(device))
	if errors.Is(err, store.ErrNotFound) {
		return id, nil
	}
	id.Boot, id.Counter = m.boot, m.counter
	return id, err
}

// received is event for a sighting that is still at hand, at less cost.
func received(e *entry, r *tocsin.Received) tocsin.Event {
	own := *r
	own.At = fromNanos(e.at)
	own.First, own.Last, own.Enrolled = own.First.Round(0).UTC(), own.Last.Round(0).UTC(), own.Enrolled.Round(0).UTC()
	if own.Accounts = slices.Clone(own.Accounts); len(own.Accounts) == 0 {
		own.Accounts = nil
	}
	return tocsin.Event{Serial: uint64(e.serial), At: own.At, Received: &own}
}

// Add implements [store.Log].
func (s *Store) Add(ctx context.Context, e tocsin.Event) (tocsin.Event, error) {
	if e.Received != nil {
		return tocsin.Event{}, errors.New("a sighting is appended, not added: it may be a repeat")
	}
	en, err := newEntry(e)
	if err != nil {
		return tocsin.Event{}, err
	}
	if err := s.commit(ctx, 1, func(t *tx) error { return t.add(&en, s.now()) }); err != nil {
		return tocsin.Event{}, err
	}
	return en.event()
}

// mark returns the mark of a device within the transaction.
func (t *tx) mark(device tocsin.DeviceID) (*mark, error) {
	if m, ok := t.log.marks[device]; ok {
		return m, nil
	}
	var boot, counter, sum int64
	err := t.one("SELECT boot, counter, sum FROM marks WHERE device = ?", []any{string(device)}, &boot, &counter, &sum)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	m := &mark{known: err == nil, boot: uint64(boot), counter: uint64(counter)}
	if m.known && sum != m.sum(device) {
		return nil, fmt.Errorf("mark of %s: %w", device, store.ErrDamaged)
	}
	if t.log.marks == nil {
		t.log.marks = map[tocsin.DeviceID]*mark{}
	}
	t.log.marks[device] = m
	return m, nil
}

// add stamps an event and puts it at the end of the log.
func (t *tx) add(e *entry, now time.Time) error {
	l := &t.log
	if !l.known {
		if err := t.one("SELECT serial, at FROM head", nil, &l.serial, &l.at); err != nil {
			return fmt.Errorf("head of the log: %w", errors.Join(store.ErrDamaged, err))
		}
		l.known = true
	}
	l.serial++
	l.at = max(l.at, nanos(now))
	e.serial, e.at = l.serial, l.at
	l.rows = append(l.rows, e.serial, e.at, e.kind, e.source, e.sealed())
	return nil
}

// inserts are the statements that add events, those with many rows first: a
// statement for each row costs twice the time. OR ROLLBACK spares SQLite the
// copies of pages by which it undoes one statement alone.
var inserts = func() (all []struct {
	rows  int
	query string
}) {
	for _, n := range []int{50, 10, 1} {
		all = append(all, struct {
			rows  int
			query string
		}{n, "INSERT OR ROLLBACK INTO events (serial, at, kind, source, row) VALUES " +
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?), ", n), ", ")})
	}
	return all
}()

// flush writes what the transaction has added to the log.
func (t *tx) flush() error {
	l := &t.log
	if len(l.rows) == 0 {
		return nil
	}
	rest := l.rows
	for _, insert := range inserts {
		for n := insert.rows * columns; len(rest) >= n; rest = rest[n:] {
			if _, err := t.exec(insert.query, rest[:n]...); err != nil {
				return err
			}
		}
	}
	for device, m := range l.marks {
		if !m.changed {
			continue
		}
		if _, err := t.exec("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?)",
			string(device), int64(m.boot), int64(m.counter), m.sum(device)); err != nil {
			return err
		}
	}
	_, err := t.exec("UPDATE head SET serial = ?, at = ?, events = events + ?", l.serial, l.at, len(l.rows)/columns)
	return err
}

const eventColumns = "SELECT serial, at, kind, row FROM events "

func scanEvent(rows *sql.Rows) (tocsin.Event, error) {
	var serial, at int64
	var kind int
	var row sql.RawBytes
	if err := rows.Scan(&serial, &at, &kind, &row); err != nil {
		return tocsin.Event{}, err
	}
	return decodeEvent(serial, at, kind, row)
}

// Since implements [store.Log].
func (s *Store) Since(ctx context.Context, after uint64) iter.Seq2[tocsin.Event, error] {
	return paged(after, pageRows, func(after uint64) ([]tocsin.Event, error) {
		return collect(ctx, s, scanEvent, eventColumns+"WHERE serial > ? ORDER BY serial LIMIT ?",
			int64(min(after, math.MaxInt64)), pageRows)
	}, func(e tocsin.Event) uint64 { return e.Serial })
}

// From implements [store.Log].
func (s *Store) From(ctx context.Context, t time.Time) iter.Seq2[tocsin.Event, error] {
	return func(yield func(tocsin.Event, error) bool) {
		first, err := s.firstAt(ctx, t)
		if err != nil {
			yield(tocsin.Event{}, err)
			return
		}
		s.Since(ctx, uint64(first-1))(yield)
	}
}

// firstAt returns the lowest serial whose event, if there is one, was received
// at or after t. Times grow with serials, so it halves the log until it is found.
func (s *Store) firstAt(ctx context.Context, t time.Time) (int64, error) {
	type point struct{ serial, at int64 }
	scan := func(rows *sql.Rows) (p point, err error) { return p, rows.Scan(&p.serial, &p.at) }
	head, err := one(ctx, s, scan, "SELECT serial, at FROM head")
	if err != nil {
		return 0, err
	}
	low, high := int64(1), head.serial+1 // what is sought lies in [low, high]
	for low < high {
		middle := low + (high-low)/2
		// The events of some serials were forgotten: look at the next there is.
		p, err := one(ctx, s, scan, "SELECT serial, at FROM events WHERE serial >= ? ORDER BY serial LIMIT 1", middle)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && p.at >= nanos(t):
			high = middle
		case err != nil:
			return 0, err
		default:
			low = p.serial + 1
		}
	}
	return low, nil
}

// About implements [store.Log].
func (s *Store) About(ctx context.Context, source string, before uint64, most int) ([]tocsin.Event, error) {
	p, err := netip.ParsePrefix(source)
	if a, aerr := netip.ParseAddr(source); aerr == nil {
		p, err = tocsin.SourcePrefix(a), nil
	}
	if err != nil {
		return nil, err
	}
	key, err := p.Masked().MarshalBinary()
	if err != nil {
		return nil, err
	}
	type span struct{ first, last sql.Null[int64] }
	log, err := one(ctx, s, func(rows *sql.Rows) (b span, err error) { return b, rows.Scan(&b.first, &b.last) },
		"SELECT (SELECT min(serial) FROM events), (SELECT max(serial) FROM events)")
	if err != nil {
		return nil, err
	}
	if before > 0 && before <= math.MaxInt64 {
		log.last.V = min(log.last.V, int64(before)-1)
	}
	var found []tocsin.Event
	for block := log.last.V >> blockBits; block >= log.first.V>>blockBits && len(found) < most; block-- {
		more, err := collect(ctx, s, scanEvent, eventColumns+"WHERE serial >> 14 = ? AND source = ? AND serial <= ? ORDER BY serial DESC LIMIT ?",
			block, key, log.last.V, most-len(found))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// blockBits says how many events a block of the index by source has: 1 << blockBits.
const blockBits = 14

// forgetRows is how many rows go in one commit: others wait no longer for that.
const forgetRows = 250

// Forget implements [store.Log].
func (s *Store) Forget(ctx context.Context, before time.Time, most int) (int, error) {
	end, err := s.firstAt(ctx, before)
	if err != nil {
		return 0, err
	}
	total := 0
	for total < most {
		want := min(most-total, forgetRows)
		var gone int64
		err := s.commit(ctx, 0, func(t *tx) (err error) {
			gone, err = t.exec("DELETE FROM events WHERE serial IN (SELECT serial FROM events WHERE kind = ? AND serial < ? ORDER BY serial LIMIT ?)",
				kindSighting, end, want)
			if err != nil {
				return err
			}
			_, err = t.exec("UPDATE head SET events = events - ?", gone)
			return err
		})
		total += int(gone)
		if err != nil || int(gone) < want {
			return total, err
		}
	}
	return total, nil
}
