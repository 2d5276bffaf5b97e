package journal

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/tocsin-io/tocsin/logsource"
)

// A field is one that is read; journald takes those with an underscore from
// the kernel, and drops them from what a client sends.
type field uint8

const (
	other field = iota
	message
	identifier
	syslogPID
	pid
	uid
	exe
	comm
	unit
	fieldCount
)

var fieldNames = map[string]field{
	"MESSAGE": message, "SYSLOG_IDENTIFIER": identifier, "SYSLOG_PID": syslogPID,
	"_PID": pid, "_UID": uid, "_EXE": exe, "_COMM": comm, "_SYSTEMD_UNIT": unit,
}

const (
	// peekLen is enough for the head of a field and the longest name read.
	peekLen = 24
	// maxValue bounds the value of a field other than the message: a path.
	maxValue = 512
	// maxKnown bounds the fields remembered by offset.
	maxKnown = 1024
)

// A datum is a field that several entries share, remembered by its offset.
type datum struct {
	field field
	value string
}

// A record is what is read of an entry.
type record struct {
	values [fieldCount]string
	seen   [fieldCount]bool
	twice  [fieldCount]bool // given twice, differently: which one is true?

	text    uint64 // offset of the payload of the message
	textLen uint64
	packed  [8]uint64 // compressed fields: one may be the message
	nPacked int
}

func (r *record) set(f field, value string) {
	r.twice[f] = r.twice[f] || r.seen[f]
	r.seen[f] = true
	r.values[f] = value
}

// line reads the entry e. ok is false if want does not want it, or if it is
// ambiguous: a daemon names itself and speaks once.
func (f *file) line(e entry, want func(program, comm string) bool) (l logsource.Line, ok bool, err error) {
	var r record
	if err := f.items(e); err != nil {
		return l, false, err
	}
	for _, off := range f.offs {
		if bad := f.field(&r, off); err == nil {
			err = bad
		}
	}
	if err != nil && !r.seen[message] {
		return l, false, err
	}
	damaged := err != nil
	if r.twice[identifier] || r.twice[message] || !want(r.values[identifier], r.values[comm]) {
		return l, false, nil
	}
	if l.Text, l.Cut, err = f.message(&r); err != nil || l.Text == nil {
		return l, false, err
	}
	l.Program = r.values[identifier]
	l.PID = number(r.values[pid], 31)
	if l.PID < 0 {
		l.PID = max(0, number(r.values[syslogPID], 31))
	}
	if !damaged { // or a word that speaks against it might be missing
		l.Writer = r.writer()
	}
	return l, true, nil
}

// writer tells who wrote, by trusted fields alone. One given twice is no word
// to rely on.
func (r *record) writer() logsource.Writer {
	id := number(r.values[uid], 32)
	if id < 0 || r.twice[uid] || r.twice[exe] || r.twice[unit] || r.twice[pid] {
		return logsource.Writer{}
	}
	return logsource.Writer{Known: true, UID: uint32(id), Exe: r.values[exe], Unit: r.values[unit]}
}

// number reads a decimal number of at most so many bits; -1 if s is none.
func number(s string, bits int) int {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		return -1
	}
	return int(n)
}

// field notes the field at off, if it is one that is read.
func (f *file) field(r *record, off uint64) error {
	if d, ok := f.known[off]; ok {
		if d.field != other {
			r.set(d.field, d.value)
		}
		return nil
	}
	w, back := f.windowOf(off)
	head := uint64(dataLen)
	if f.compact {
		head = dataLenCompact
	}
	b, size, err := f.object(w, off, typeData, int(head), back)
	if err != nil {
		return err
	}
	if b[1]&(packedXZ|packedLZ4|packedZSTD) != 0 {
		if r.nPacked < len(r.packed) {
			r.packed[r.nPacked] = off
			r.nPacked++
		}
		return nil
	}
	n := size - head
	if b, err = f.at(w, off+head, int(min(n, peekLen)), back); err != nil {
		return err
	}
	name, _, named := bytes.Cut(b, []byte("="))
	id := other
	if named {
		id = fieldNames[string(name)]
	}
	if id == message {
		r.set(message, "")
		r.text, r.textLen = off+head+8, n-8
		return nil
	}
	var value string
	if start := uint64(len(name)) + 1; id != other && n-start <= maxValue {
		if b, err = f.at(w, off+head+start, int(n-start), back); err != nil {
			return err
		}
		value = string(b)
	}
	if id != other {
		r.set(id, value)
	}
	if w == &f.far {
		f.remember(off, datum{id, value})
	}
	return nil
}

// remember keeps a field that later entries will share.
func (f *file) remember(off uint64, d datum) {
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.known[off] = d
}

// windowOf returns through which window off is read, and how far back that
// begins: what is old must not move the window from what is new.
func (f *file) windowOf(off uint64) (*window, uint64) {
	if off >= f.near.off && off-f.near.off < nearSize {
		return &f.near, nearBack
	}
	return &f.far, 0
}

// messageName begins the payload of the message.
const messageName = "MESSAGE="

// message reads the text; nil if there is none. It is valid until the next
// entry is read.
func (f *file) message(r *record) (text []byte, cut bool, err error) {
	if r.seen[message] {
		n := min(r.textLen, logsource.MaxLine+1)
		f.text = grow(f.text, int(n))
		if k, err := f.r.ReadAt(f.text, int64(r.text)); uint64(k) < n {
			return nil, false, fmt.Errorf("%w: message at %d: %w", errDamaged, r.text, err)
		}
		return trim(f.text)
	}
	for _, off := range r.packed[:r.nPacked] {
		if text, cut, err = f.unpackMessage(off); err != nil || text != nil {
			return text, cut, err
		}
	}
	return nil, false, nil
}

// unpackMessage reads the compressed field at off; nil if it is no message.
func (f *file) unpackMessage(off uint64) ([]byte, bool, error) {
	b, size, err := f.object(&f.far, off, typeData, dataLen, 0)
	if err != nil {
		return nil, false, err
	}
	head := uint64(dataLen)
	if f.compact {
		head = dataLenCompact
	}
	n := int64(size - head)
	if size < head {
		return nil, false, fmt.Errorf("%w: field at %d", errDamaged, off)
	}
	plain, err := f.unpack.open(b[1], io.NewSectionReader(f.r, int64(off+head), n), n)
	if err != nil {
		return nil, false, err
	}
	f.text = grow(f.text, logsource.MaxLine+1)
	if _, err := io.ReadFull(plain, f.text[:len(messageName)]); err != nil || string(f.text[:len(messageName)]) != messageName {
		return nil, false, nil //nolint:nilerr // shorter than the name: some other field
	}
	k, err := io.ReadFull(plain, f.text)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, false, fmt.Errorf("%w: message at %d: %w", errDamaged, off, err)
	}
	return trim(f.text[:k])
}

// trim takes the line end off, and the end off a line too long.
func trim(text []byte) ([]byte, bool, error) {
	if len(text) > logsource.MaxLine {
		return text[:logsource.MaxLine], true, nil
	}
	return bytes.TrimRight(text, "\r\n"), false, nil
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
