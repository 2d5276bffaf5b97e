// Package nettable tells which autonomous system, and where known which country,
// an address belongs to, from a packed table. It promises an answer without
// allocating, and that a damaged or hostile table is an error and never more than
// its bounds.
//
// The table that is built in comes from npm's @ip-location-db/asn, whose own
// README calls its data faulty: [Info] says so. It is good enough to tell that
// two reporters are likely to be in different networks. An operator who needs
// more imports a newer one with [Pack]. It reads no file: bytes come and go.
package nettable

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Bounds of a table.
const (
	MaxRanges = 2_000_000 // that a table holds
	MaxPacked = 64 << 20  // bytes of a packed table
	maxPlain  = 128 << 20 // bytes once decompressed
)

// ErrDamaged is what [Open] wraps when the bytes are no packed table.
var ErrDamaged = errors.New("nettable: not a packed table, or a damaged one")

// A Network is what is known of an address.
type Network struct {
	AS      uint32 // autonomous system, 0 is unknown
	Country string // two letters, or "" where the table does not tell
}

// Info says where a table comes from.
type Info struct {
	Date    time.Time `json:"date"` // of the data; zero is unknown
	Source  string    `json:"source"`
	Quality string    `json:"quality"` // what is known to be wrong with it; "" is nothing
	Ranges  int       `json:"ranges"`
}

// A Table is immutable and safe for concurrent use. The zero Table knows
// nothing. Of one range each slice holds an element: where it starts, and what
// is known from there on.
type Table struct {
	info   Info
	start4 []uint32
	known4 []entry
	start6 []uint64 // the upper half: nothing is routed that is longer than a /64
	known6 []entry
}

type entry struct {
	as      uint32
	country [2]byte
}

// Lookup returns what is known of a, which may be IPv4-mapped.
func (t *Table) Lookup(a netip.Addr) Network {
	var e entry
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		e = last(t.start4, t.known4, binary.BigEndian.Uint32(b[:]))
	case a.Is6():
		b := a.As16()
		e = last(t.start6, t.known6, binary.BigEndian.Uint64(b[:8]))
	}
	n := Network{AS: e.as}
	if e.country != [2]byte{} {
		n.Country = string(e.country[:])
	}
	return n
}

func last[K cmp.Ordered](starts []K, known []entry, k K) entry {
	i, found := slices.BinarySearch(starts, k)
	if !found {
		i--
	}
	if i < 0 {
		return entry{}
	}
	return known[i]
}

// Info says where the table comes from.
func (t *Table) Info() Info { return t.info }

// magic starts a packed table once it is decompressed; the last byte is the
// version.
const magic = "tocsin nettable\x01"

// Open reads a table that [Pack] made. Errors wrap [ErrDamaged].
func Open(packed []byte) (*Table, error) {
	if len(packed) > MaxPacked {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrDamaged, len(packed), MaxPacked)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPlain), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("nettable: %w", err)
	}
	defer d.Close()
	plain, err := d.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	r := reader{rest: plain}
	if string(r.bytes(len(magic))) != magic {
		return nil, fmt.Errorf("%w: it starts otherwise", ErrDamaged)
	}
	t := &Table{}
	if date := r.varint(); date != 0 {
		t.info.Date = time.Unix(int64(min(date, 1<<40)), 0).UTC()
	}
	t.info.Source = string(r.bytes(r.count(1 << 12)))
	t.info.Quality = string(r.bytes(r.count(1 << 12)))
	starts, known := r.ranges(32)
	t.start4, t.known4 = make([]uint32, len(starts)), known
	for i, s := range starts {
		t.start4[i] = uint32(s)
	}
	t.start6, t.known6 = r.ranges(64)
	t.info.Ranges = len(t.start4) + len(t.start6)
	if r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: its ranges do not add up", ErrDamaged)
	}
	return t, nil
}

// A reader takes a table apart; once bad, it returns zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) varint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) count(most int) int {
	n := r.varint()
	if n > uint64(most) {
		r.bad = true
		return 0
	}
	return int(n)
}

// ranges reads three columns: the distance of each start from the one before,
// shifted to the right by what all have in common; the number of the known
// entry; and before them the entries themselves.
func (r *reader) ranges(bits int) (starts []uint64, known []entry) {
	shift := r.count(bits - 1)
	entries := make([]entry, r.size())
	as := uint64(0)
	for i := range entries {
		as += r.varint()
		entries[i].as = uint32(as)
		copy(entries[i].country[:], r.bytes(2))
		r.bad = r.bad || as > 1<<32-1
	}
	n := r.size()
	starts, known = make([]uint64, n), make([]entry, n)
	at, most := uint64(0), uint64(1)<<(bits-shift)-1
	for i := range starts {
		step := r.varint()
		if i > 0 && step == 0 || step > most-at {
			r.bad = true
		}
		if r.bad {
			return nil, nil
		}
		at += step
		starts[i] = at << shift
	}
	for i := range known {
		k := r.count(max(len(entries)-1, 0))
		if r.bad || len(entries) == 0 {
			r.bad = true
			return nil, nil
		}
		known[i] = entries[k]
	}
	return starts, known
}

// size reads how many there are of what takes at least a byte each.
func (r *reader) size() int {
	n := r.count(MaxRanges)
	if n > len(r.rest) {
		r.bad = true
		return 0
	}
	return n
}
