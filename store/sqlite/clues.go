package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// clueVersion begins the row of a clue; see rowVersion.
const clueVersion = 1

func encodeClue(c *store.Clue) []byte {
	w := rowWriter{make([]byte, 0, 160)}
	w.number(clueVersion)
	w.number(c.ID.Boot)
	w.number(c.ID.Counter)
	w.time(c.At)
	w.number(uint64(c.Fact))
	w.text(c.Subject)
	w.prefix(c.Source)
	w.addrPort(c.To)
	w.b = append(w.b, c.Digest[:]...)
	w.signed(int64(c.Offset))
	w.text(string(c.Owner))
	return w.b
}

func decodeClue(device tocsin.DeviceID, row []byte) (c store.Clue, err error) {
	d := rowReader{b: row}
	if v := d.number(); v != clueVersion {
		return c, fmt.Errorf("row of version %d", v)
	}
	c.Device, c.ID.Device = device, device
	c.ID.Boot = d.number()
	c.ID.Counter = d.number()
	c.At = d.time()
	c.Fact = tocsin.Fact(d.number())
	c.Subject = d.text()
	c.Source = d.prefix()
	c.To = d.addrPort()
	copy(c.Digest[:], d.take(len(c.Digest)))
	c.Offset = time.Duration(d.signed())
	c.Owner = tocsin.OwnerID(d.text())
	if d.bad || len(d.b) > 0 {
		return c, errors.New("row of a clue is not whole")
	}
	return c, nil
}

func (w *rowWriter) addrPort(a netip.AddrPort) {
	w.addr(a.Addr())
	w.number(uint64(a.Port()))
}

func (r *rowReader) addrPort() netip.AddrPort {
	a := r.addr()
	return netip.AddrPortFrom(a, uint16(r.number()))
}

// take takes so many bytes off the front.
func (r *rowReader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// clueAbout is what the checksum of a clue's row covers besides the row.
func clueAbout(device string, received int64) []byte {
	return fmt.Appendf(nil, "clue %d %s", received, device)
}

// AddClues implements [store.Clues].
func (s *Store) AddClues(ctx context.Context, batch []store.Clue) ([]store.Clue, error) {
	if len(batch) == 0 {
		return nil, ctx.Err()
	}
	device := batch[0].ID.Device
	for _, c := range batch {
		if c.ID.Device != device || c.Device != device || device == "" {
			return nil, fmt.Errorf("a batch of clues is of one device: %q and %q", device, c.ID.Device)
		}
	}
	var fresh []store.Clue
	err := s.commit(ctx, 0, func(t *tx) error {
		fresh = fresh[:0]
		m, err := t.clueMark(device)
		if err != nil {
			return err
		}
		received := nanos(s.now())
		for _, c := range batch {
			if !m.below(c.ID) {
				continue
			}
			m = mark{known: true, changed: true, boot: c.ID.Boot, counter: c.ID.Counter}
			row := encodeClue(&c)
			var serial int64
			if err := t.one("INSERT INTO clues (device, received, row) VALUES (?, ?, ?) RETURNING serial",
				[]any{string(device), received, seal(row[:len(row):len(row)], clueAbout(string(device), received))}, &serial); err != nil {
				return err
			}
			// As reading it would give it.
			if c, err = decodeClue(device, row); err != nil {
				return err
			}
			c.Serial, c.Received = uint64(serial), fromNanos(received)
			fresh = append(fresh, c)
		}
		if !m.changed {
			return nil
		}
		_, err = t.exec("INSERT OR REPLACE INTO clue_marks VALUES (?, ?, ?, ?)", string(device), int64(m.boot), int64(m.counter), m.sum(device))
		return err
	})
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	return fresh, nil
}

func (t *tx) clueMark(device tocsin.DeviceID) (mark, error) {
	var boot, counter, sum int64
	err := t.one("SELECT boot, counter, sum FROM clue_marks WHERE device = ?", []any{string(device)}, &boot, &counter, &sum)
	if errors.Is(err, store.ErrNotFound) {
		return mark{}, nil
	}
	m := mark{known: err == nil, boot: uint64(boot), counter: uint64(counter)}
	if err == nil && sum != m.sum(device) {
		err = fmt.Errorf("mark of the clues of %s: %w", device, store.ErrDamaged)
	}
	return m, err
}

// HighestClue implements [store.Clues].
func (s *Store) HighestClue(ctx context.Context, device tocsin.DeviceID) (tocsin.ID, error) {
	return s.highest(ctx, "clue_marks", device)
}

func scanClue(rows *sql.Rows) (c store.Clue, err error) {
	var serial, received int64
	var device string
	var row []byte
	if err := rows.Scan(&serial, &device, &received, &row); err != nil {
		return c, err
	}
	row, err = unseal(row, clueAbout(device, received))
	if err == nil {
		c, err = decodeClue(tocsin.DeviceID(device), row)
	}
	if err != nil {
		return c, fmt.Errorf("clue %d: %w: %w", serial, store.ErrDamaged, err)
	}
	c.Serial, c.Received = uint64(serial), fromNanos(received)
	return c, nil
}

// Clues implements [store.Clues].
func (s *Store) Clues(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[store.Clue, error] {
	const columns = "SELECT serial, device, received, row FROM clues "
	from := nanos(t)
	return paged(0, pageRows, func(after uint64) ([]store.Clue, error) {
		serial := int64(min(after, math.MaxInt64))
		if device == "" {
			return collect(ctx, s, scanClue, columns+"WHERE serial > ? AND received >= ? ORDER BY serial LIMIT ?", serial, from, pageRows)
		}
		return collect(ctx, s, scanClue, columns+"WHERE device = ? AND serial > ? AND received >= ? ORDER BY serial LIMIT ?",
			string(device), serial, from, pageRows)
	}, func(c store.Clue) uint64 { return c.Serial })
}

// CountClues implements [store.Clues].
func (s *Store) CountClues(ctx context.Context) (map[tocsin.DeviceID]uint64, error) {
	counts := map[tocsin.DeviceID]uint64{}
	_, err := collect(ctx, s, func(rows *sql.Rows) (none struct{}, err error) {
		var device string
		var n uint64
		err = rows.Scan(&device, &n)
		counts[tocsin.DeviceID(device)] = n
		return none, err
	}, "SELECT device, count(*) FROM clues GROUP BY device")
	return counts, err
}

// ForgetClues implements [store.Clues].
func (s *Store) ForgetClues(ctx context.Context, t time.Time, most int) (int, error) {
	return s.forget(ctx, most, "DELETE FROM clues WHERE serial IN (SELECT serial FROM clues WHERE received < ? ORDER BY received LIMIT ?)", nanos(t))
}

// forget removes rows by a statement that takes a time and a number, a few in
// each commit, so that others wait no longer for that.
func (s *Store) forget(ctx context.Context, most int, query string, before int64) (int, error) {
	total := 0
	for total < most {
		want := min(most-total, forgetRows)
		var gone int64
		err := s.commit(ctx, 0, func(t *tx) (err error) {
			gone, err = t.exec(query, before, want)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += int(gone); int(gone) < want {
			break
		}
	}
	return total, nil
}
