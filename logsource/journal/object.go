package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The layout of a journal file, as far as it is read. All numbers are little
// endian, all offsets count from the beginning of the file.
// https://systemd.io/JOURNAL_FILE_FORMAT
const (
	signature = "LPKSHHRH"
	headerLen = 208 // what every version has

	flagCompact    = 1 << 4
	knownFlags     = 1<<5 - 1
	stateArchived  = 2
	objectLen      = 16 // type, flags, size
	entryLen       = 64 // before the items
	arrayLen       = 24
	dataLen        = 64 // before the payload
	dataLenCompact = 72

	typeData       = 1
	typeEntry      = 3
	typeEntryArray = 6

	packedXZ   = 1
	packedLZ4  = 2
	packedZSTD = 4
)

// maxItems bounds the fields of an entry, as journald does.
const maxItems = 1024

// errDamaged says that a file does not hold what its format asks for.
var errDamaged = errors.New("journal file damaged")

var le = binary.LittleEndian

// A window is a part of a file held in memory.
type window struct {
	off uint64
	b   []byte
	buf []byte
}

// Windows are small, because they are resident: one around the entry at hand
// (what is new in an entry stands just before it), one for fields that older
// entries share, one for the array of entries.
const (
	nearSize  = 32 << 10
	nearBack  = 8 << 10
	farSize   = 1 << 10
	arraySize = 4 << 10
)

// A file reads one journal file by pread: pages of a mapping would count as
// resident, and reading one beyond the end of a file that journald shortens
// would kill the process.
type file struct {
	r        io.ReaderAt
	compact  bool
	first    uint64 // where objects begin
	seqnumID uint64 // which series of numbers the entries belong to

	near, far, array window
	known            map[uint64]datum
	offs             []uint64
	text             []byte
	unpack           unpacker
}

// A header is what changes in a file as it is written.
type header struct {
	archived           bool
	entries            uint64 // how many
	headSeq, tailSeq   uint64
	headTime, tailTime uint64 // µs since 1970
	array              uint64 // offset of the first array of entries
}

// newFile reads the header of r. An unknown format is an error that says so.
func newFile(r io.ReaderAt) (*file, error) {
	b := make([]byte, headerLen)
	if _, err := r.ReadAt(b, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: shorter than a header", errDamaged)
		}
		return nil, err
	}
	if string(b[:8]) != signature {
		return nil, fmt.Errorf("%w: not a journal file", errDamaged)
	}
	flags := le.Uint32(b[12:])
	if flags&^knownFlags != 0 {
		return nil, fmt.Errorf("journal file of a newer format (flags %#x): update tocsin", flags)
	}
	first := le.Uint64(b[88:])
	if first < headerLen || first > 1<<16 || first%8 != 0 {
		return nil, fmt.Errorf("%w: header of %d bytes", errDamaged, first)
	}
	f := &file{
		r: r, compact: flags&flagCompact != 0, first: first, seqnumID: le.Uint64(b[72:]),
		known: map[uint64]datum{},
	}
	f.near.buf = make([]byte, nearSize)
	f.far.buf = make([]byte, farSize)
	f.array.buf = make([]byte, arraySize)
	return f, nil
}

// header reads what has changed, and forgets what may be stale: everything
// that was read before its entry was complete.
func (f *file) header() (header, error) {
	b := f.far.buf[:headerLen]
	f.near.b, f.far.b, f.array.b = nil, nil, nil
	if _, err := f.r.ReadAt(b, 0); err != nil {
		return header{}, fmt.Errorf("%w: header: %w", errDamaged, err)
	}
	return header{
		archived: b[16] == stateArchived,
		entries:  le.Uint64(b[152:]),
		tailSeq:  le.Uint64(b[160:]), headSeq: le.Uint64(b[168:]),
		array:    le.Uint64(b[176:]),
		headTime: le.Uint64(b[184:]), tailTime: le.Uint64(b[192:]),
	}, nil
}

// entries reads only how many entries there are: what is looked at a hundred
// times a second while something happens.
func (f *file) entries() (uint64, error) {
	b := f.far.buf[:8]
	f.far.b = nil
	if _, err := f.r.ReadAt(b, 152); err != nil {
		return 0, fmt.Errorf("%w: header: %w", errDamaged, err)
	}
	return le.Uint64(b), nil
}

// at returns n bytes at off, read through w, which begins back bytes before
// what it does not hold yet. They are valid until w is moved.
func (f *file) at(w *window, off uint64, n int, back uint64) ([]byte, error) {
	if off >= w.off && off-w.off <= uint64(len(w.b)) && uint64(n) <= uint64(len(w.b))-(off-w.off) {
		return w.b[off-w.off:][:n], nil
	}
	if off < f.first || off >= 1<<62 || n > len(w.buf) {
		return nil, fmt.Errorf("%w: offset %d", errDamaged, off)
	}
	back = min(back, off-f.first, uint64(len(w.buf)-n))
	w.off = off - back
	k, err := f.r.ReadAt(w.buf, int64(w.off))
	w.b = w.buf[:k]
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if uint64(k) < back+uint64(n) {
		return nil, fmt.Errorf("%w: ends at %d", errDamaged, w.off+uint64(k))
	}
	return w.b[back:][:n], nil
}

// object returns the first n bytes of the object at off, and how long it is.
func (f *file) object(w *window, off uint64, kind byte, n int, back uint64) (b []byte, size uint64, err error) {
	if off%8 != 0 {
		return nil, 0, fmt.Errorf("%w: offset %d", errDamaged, off)
	}
	if b, err = f.at(w, off, n, back); err != nil {
		return nil, 0, err
	}
	size = le.Uint64(b[8:])
	if b[0] != kind || size < uint64(n) || size >= 1<<40 {
		return nil, 0, fmt.Errorf("%w: object of type %d with %d bytes at %d", errDamaged, b[0], size, off)
	}
	return b, size, nil
}

// An entry is one entry, without its fields.
type entry struct {
	off       uint64
	seqnum    uint64
	realtime  uint64 // µs since 1970
	monotonic uint64 // µs since boot
	boot      uint64 // which boot
}

// entry reads the head of the entry at off.
func (f *file) entry(off uint64) (entry, error) {
	b, _, err := f.object(&f.near, off, typeEntry, entryLen, nearBack)
	if err != nil {
		return entry{}, err
	}
	e := entry{
		off: off, seqnum: le.Uint64(b[16:]), realtime: le.Uint64(b[24:]),
		monotonic: le.Uint64(b[32:]), boot: le.Uint64(b[40:]),
	}
	if e.seqnum == 0 || e.realtime == 0 || e.realtime >= 1<<55 {
		return entry{}, fmt.Errorf("%w: entry at %d", errDamaged, off)
	}
	return e, nil
}

// items reads the offsets of e's fields into f.offs.
func (f *file) items(e entry) error {
	f.offs = f.offs[:0]
	_, size, err := f.object(&f.near, e.off, typeEntry, entryLen, nearBack)
	if err != nil {
		return err
	}
	step := f.itemLen(16)
	n := (size - entryLen) / step
	if n > maxItems {
		return fmt.Errorf("%w: entry with %d fields", errDamaged, n)
	}
	b, err := f.at(&f.near, e.off, int(entryLen+n*step), nearBack)
	if err != nil {
		return err
	}
	for i := uint64(0); i < n; i++ {
		f.offs = append(f.offs, f.item(b[entryLen+i*step:]))
	}
	return nil
}

// itemLen returns the length of an item, which is regular in an ordinary file.
func (f *file) itemLen(regular uint64) uint64 {
	if f.compact {
		return 4
	}
	return regular
}

func (f *file) item(b []byte) uint64 {
	if f.compact {
		return uint64(le.Uint32(b))
	}
	return le.Uint64(b)
}
