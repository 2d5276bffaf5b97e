package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// contactVersion begins the row of a contact; see rowVersion.
const contactVersion = 1

// encodeContact returns the row; device, destination and protocol have columns of
// their own.
func encodeContact(c *tocsin.Contact) []byte {
	w := rowWriter{make([]byte, 0, 64+12*len(c.Starts))}
	w.number(contactVersion)
	w.time(c.First)
	w.time(c.Last)
	w.number(uint64(c.Count))
	w.number(uint64(c.Failed))
	w.number(c.Sent)
	w.number(c.Received)
	w.signed(int64(c.Longest))
	w.number(uint64(len(c.Starts)))
	for _, s := range c.Starts {
		w.time(s.At)
		w.number(s.Sent)
	}
	return w.b
}

func decodeContact(row []byte) (c tocsin.Contact, err error) {
	d := rowReader{b: row}
	if v := d.number(); v != contactVersion {
		return c, fmt.Errorf("row of version %d", v)
	}
	c.First = d.time()
	c.Last = d.time()
	c.Count = uint32(d.number())
	c.Failed = uint32(d.number())
	c.Sent = d.number()
	c.Received = d.number()
	c.Longest = time.Duration(d.signed())
	// Each start takes three bytes at least.
	if n := d.number(); n > 0 && n <= uint64(len(d.b)) {
		c.Starts = make([]tocsin.Start, n)
	} else if n > 0 {
		d.bad = true
	}
	for i := range c.Starts {
		c.Starts[i].At = d.time()
		c.Starts[i].Sent = d.number()
	}
	if d.bad || len(d.b) > 0 {
		return c, errors.New("row of a contact is not whole")
	}
	return c, nil
}

// A contactKey is what tells contacts apart, as the columns hold it.
type contactKey struct {
	device   string
	first    int64
	dest     []byte
	protocol int64
}

func keyOf(c *tocsin.Contact) contactKey {
	// Not MarshalBinary: a length would sort before the address.
	dest := binary.BigEndian.AppendUint16(c.To.Addr().AsSlice(), c.To.Port())
	return contactKey{string(c.Device), nanos(c.First), dest, int64(c.Protocol)}
}

// about is what the checksum of the row covers besides the row.
func (k contactKey) about(last int64) []byte {
	return fmt.Appendf(nil, "contact %d %x %d %d %s", k.first, k.dest, k.protocol, last, k.device)
}

// AddContacts implements [store.Contacts].
func (s *Store) AddContacts(ctx context.Context, batch []tocsin.Contact) error {
	rows := make([][]any, len(batch))
	for i := range batch {
		c := &batch[i]
		if c.Device != batch[0].Device || c.Device == "" || !c.To.IsValid() || c.To.Addr().Zone() != "" {
			return fmt.Errorf("a batch of contacts is of one device, to addresses without a zone: %q to %v", c.Device, c.To)
		}
		k, last := keyOf(c), nanos(c.Last)
		rows[i] = []any{k.device, k.first, k.dest, k.protocol, last, seal(encodeContact(c), k.about(last))}
	}
	if len(batch) == 0 {
		return ctx.Err()
	}
	return s.commit(ctx, 0, func(t *tx) error {
		for _, row := range rows {
			if _, err := t.exec("INSERT OR REPLACE INTO contacts VALUES (?, ?, ?, ?, ?, ?)", row...); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanContact(rows *sql.Rows) (c tocsin.Contact, err error) {
	var k contactKey
	var last int64
	var row []byte
	if err := rows.Scan(&k.device, &k.first, &k.dest, &k.protocol, &last, &row); err != nil {
		return c, err
	}
	row, err = unseal(row, k.about(last))
	if err == nil {
		c, err = decodeContact(row)
	}
	n := len(k.dest) - 2
	if err == nil && n < 0 {
		err = errors.New("a destination is not whole")
	}
	if err != nil {
		return c, fmt.Errorf("contact of %s: %w: %w", k.device, store.ErrDamaged, err)
	}
	a, _ := netip.AddrFromSlice(k.dest[:n])
	c.Device, c.Protocol = tocsin.DeviceID(k.device), uint8(k.protocol)
	c.To = netip.AddrPortFrom(a, binary.BigEndian.Uint16(k.dest[n:]))
	return c, nil
}

// Contacts implements [store.Contacts].
func (s *Store) Contacts(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[tocsin.Contact, error] {
	const columns = "SELECT device, first, dest, protocol, last, row FROM contacts WHERE last >= ? "
	const after = "AND (device, first, dest, protocol) > (?, ?, ?, ?) "
	const order = "ORDER BY device, first, dest, protocol LIMIT ?"
	start := contactKey{device: string(device), first: math.MinInt64, dest: []byte{}, protocol: -1}
	return paged(start, pageRows, func(k contactKey) ([]tocsin.Contact, error) {
		if device == "" {
			return collect(ctx, s, scanContact, columns+after+order, nanos(t), k.device, k.first, k.dest, k.protocol, pageRows)
		}
		return collect(ctx, s, scanContact, columns+after+"AND device = ? "+order,
			nanos(t), k.device, k.first, k.dest, k.protocol, string(device), pageRows)
	}, func(c tocsin.Contact) contactKey { return keyOf(&c) })
}

// ForgetContacts implements [store.Contacts].
func (s *Store) ForgetContacts(ctx context.Context, t time.Time, most int) (int, error) {
	return s.forget(ctx, most, "DELETE FROM contacts WHERE (device, first, dest, protocol) IN "+
		"(SELECT device, first, dest, protocol FROM contacts WHERE last < ? ORDER BY last LIMIT ?)", nanos(t))
}
