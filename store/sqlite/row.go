package sqlite

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/store"
)

// The kinds of event, as stored: never renumber.
const (
	kindSighting = 1
	kindOrder    = 2
	kindLoss     = 3
)

// rowVersion begins the row of a sighting. Rows of earlier versions stay as they
// are for ever; a new field is a new version, and decodeReceived knows both.
const rowVersion = 1

// encodeEvent returns the columns kind, source and row (not yet sealed). Serial
// and At have columns of their own.
func encodeEvent(e tocsin.Event) (kind int, source, row []byte, err error) {
	var about netip.Prefix
	switch {
	case e.Received != nil && e.Order == nil && e.Loss == nil:
		kind, about, row = kindSighting, e.Received.Source, encodeReceived(e.Received)
	case e.Order != nil && e.Received == nil && e.Loss == nil:
		o := *e.Order
		o.Decision.At, o.Decision.Until = o.Decision.At.UTC(), o.Decision.Until.UTC()
		kind, about = kindOrder, o.Decision.Prefix
		row, err = json.Marshal(o)
	case e.Loss != nil && e.Received == nil && e.Order == nil:
		l := *e.Loss
		l.Enrolled = l.Enrolled.UTC()
		kind, about = kindLoss, l.Prefix
		row, err = json.Marshal(l)
	default:
		err = fmt.Errorf("an event is exactly one of sighting, order and loss")
	}
	if err != nil {
		return 0, nil, nil, err
	}
	source, err = about.Masked().MarshalBinary()
	return kind, source, row, err
}

// decodeEvent is the reverse of encodeEvent, for a sealed row.
func decodeEvent(serial, at int64, kind int, row []byte) (tocsin.Event, error) {
	e := tocsin.Event{Serial: uint64(serial), At: fromNanos(at)}
	row, err := unseal(row, stamp(serial, at, kind))
	if err == nil {
		switch kind {
		case kindSighting:
			e.Received, err = decodeReceived(row)
			if err == nil {
				e.Received.At = e.At
			}
		case kindOrder:
			err = json.Unmarshal(row, &e.Order)
		case kindLoss:
			err = json.Unmarshal(row, &e.Loss)
		default:
			err = fmt.Errorf("kind %d is unknown", kind)
		}
	}
	if err != nil {
		return tocsin.Event{}, fmt.Errorf("event %d: %w: %w", serial, store.ErrDamaged, err)
	}
	return e, nil
}

// stamp is what the checksum of an event's row covers besides the row.
func stamp(serial, at int64, kind int) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 17), uint64(serial))
	return append(binary.LittleEndian.AppendUint64(b, uint64(at)), byte(kind))
}

func encodeReceived(r *tocsin.Received) []byte {
	w := rowWriter{make([]byte, 0, 192)}
	w.number(rowVersion)
	w.text(string(r.ID.Device))
	w.number(r.ID.Boot)
	w.number(r.ID.Counter)
	w.prefix(r.Source)
	w.number(uint64(r.Port))
	w.text(string(r.Service))
	w.time(r.First)
	w.time(r.Last)
	for _, n := range []uint32{r.Failures, r.Successes, r.Probes, r.Dropped} {
		w.number(uint64(n))
	}
	w.number(uint64(len(r.Accounts)))
	for _, a := range r.Accounts {
		w.text(string(a.Tag))
		w.number(uint64(a.Failures))
		w.number(uint64(a.Successes))
		w.flag(a.Unknown)
	}
	w.number(uint64(r.Provenance))
	w.number(uint64(r.Facts))
	w.signed(int64(r.Offset))
	w.addr(r.From)
	w.number(uint64(r.Network))
	w.number(uint64(r.Channel))
	w.text(string(r.Owner))
	w.time(r.Enrolled)
	w.flag(r.Suspect)
	return w.b
}

func decodeReceived(row []byte) (*tocsin.Received, error) {
	d := rowReader{b: row}
	if v := d.number(); v != rowVersion {
		return nil, fmt.Errorf("row of version %d", v)
	}
	r := new(tocsin.Received)
	r.ID.Device = tocsin.DeviceID(d.text())
	r.ID.Boot = d.number()
	r.ID.Counter = d.number()
	r.Source = d.prefix()
	r.Port = uint16(d.number())
	r.Service = tocsin.Service(d.text())
	r.First = d.time()
	r.Last = d.time()
	for _, n := range []*uint32{&r.Failures, &r.Successes, &r.Probes, &r.Dropped} {
		*n = uint32(d.number())
	}
	// Each account takes four bytes at least.
	if n := d.number(); n > 0 && n <= uint64(len(d.b)) {
		r.Accounts = make([]tocsin.Tried, n)
	} else if n > 0 {
		d.bad = true
	}
	for i := range r.Accounts {
		a := &r.Accounts[i]
		a.Tag = tocsin.AccountTag(d.text())
		a.Failures = uint32(d.number())
		a.Successes = uint32(d.number())
		a.Unknown = d.flag()
	}
	r.Provenance = tocsin.Provenance(d.number())
	r.Facts = tocsin.FactSet(d.number())
	r.Offset = time.Duration(d.signed())
	r.From = d.addr()
	r.Network = uint32(d.number())
	r.Channel = tocsin.Channel(d.number())
	r.Owner = tocsin.OwnerID(d.text())
	r.Enrolled = d.time()
	r.Suspect = d.flag()
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("row of a sighting is not whole")
	}
	return r, nil
}

// A rowWriter appends fields.
type rowWriter struct{ b []byte }

func (w *rowWriter) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }
func (w *rowWriter) signed(n int64)  { w.b = binary.AppendVarint(w.b, n) }
func (w *rowWriter) text(s string)   { w.number(uint64(len(s))); w.b = append(w.b, s...) }

func (w *rowWriter) flag(f bool) {
	if f {
		w.number(1)
	} else {
		w.number(0)
	}
}

func (w *rowWriter) time(t time.Time) {
	w.signed(t.Unix())
	w.number(uint64(t.Nanosecond()))
}

func (w *rowWriter) addr(a netip.Addr) {
	w.text(string(a.AsSlice()))
	w.text(a.Zone())
}

func (w *rowWriter) prefix(p netip.Prefix) {
	w.text(string(p.Addr().AsSlice()))
	w.number(uint64(p.Bits() + 1))
}

// A rowReader takes fields off the front. After one that is not there it gives
// zeros, and bad says so.
type rowReader struct {
	b   []byte
	bad bool
}

func (r *rowReader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *rowReader) signed() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *rowReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *rowReader) text() string { return string(r.bytes()) }
func (r *rowReader) flag() bool   { return r.number() != 0 }

func (r *rowReader) time() time.Time {
	sec := r.signed()
	return time.Unix(sec, int64(r.number())).UTC()
}

func (r *rowReader) addr() netip.Addr {
	a, ok := netip.AddrFromSlice(r.bytes())
	zone := r.text()
	if ok && zone != "" {
		a = a.WithZone(zone)
	}
	return a
}

func (r *rowReader) prefix() netip.Prefix {
	a, _ := netip.AddrFromSlice(r.bytes())
	return netip.PrefixFrom(a, int(r.number())-1)
}
