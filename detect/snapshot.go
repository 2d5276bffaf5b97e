package detect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin/internal/window"
)

// magic opens a snapshot; its last byte is the version.
const magic = "tocsin detect\x00\x01"

// ErrSnapshot says that bytes are no snapshot that this version can read. Start
// with an empty memory instead.
var ErrSnapshot = errors.New("detect: not a snapshot of this version")

// AppendBinary appends to b what is remembered, as far as it is younger than a
// week at now: 27 bytes for a source and 8 for each of its failures. It holds the
// seed, and so is for nobody else's eyes.
func (d *Detector) AppendBinary(b []byte, now time.Time) []byte {
	at := seconds(now)
	live := func(newest uint32) bool { return within(newest, at, weekSeconds) }
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, d.policy.Seed.K0)
	b = binary.LittleEndian.AppendUint64(b, d.policy.Seed.K1)
	for key, s := range d.sources.All() {
		if live(s.newest()) {
			b = s.append(append(b, 'S'), key)
		}
	}
	for key, s := range d.successes.All() {
		if live(s.seen) {
			b = append(b, 'H')
			b = binary.LittleEndian.AppendUint64(b, key)
			b = binary.LittleEndian.AppendUint32(b, s.at)
			b = binary.LittleEndian.AppendUint32(b, s.seen)
			b = binary.LittleEndian.AppendUint16(b, s.excused)
			b = append(b, flag(s.local))
		}
	}
	for key, s := range d.sprayed.All() {
		if live(max(s.start, s.told)) {
			b = s.append(append(b, 'A'), key)
		}
	}
	return append(b, 'E')
}

func (s *source) append(b []byte, key uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, key)
	for _, v := range []uint32{s.blockEnd, s.probeStart, s.runStart} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = binary.LittleEndian.AppendUint16(b, s.runs)
	b = binary.LittleEndian.AppendUint16(b, s.probes)
	list := s.failures.Events()
	b = append(b, s.strikes, byte(len(list)))
	for _, e := range list {
		b = binary.LittleEndian.AppendUint32(b, e.At)
		b = binary.LittleEndian.AppendUint32(b, e.Tag)
	}
	return b
}

func (a *sprayed) append(b []byte, key uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, key)
	b = binary.LittleEndian.AppendUint32(b, a.start)
	b = binary.LittleEndian.AppendUint32(b, a.told)
	b = append(b, flag(a.local))
	for _, q := range a.quarter {
		for _, w := range q {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// UnmarshalBinary replaces what d remembers by a snapshot, and its seed by the
// snapshot's: what was hashed stays comparable. The policy stays d's; of more
// sources than it has room for, those seen last are kept. On error d is
// unchanged.
func (d *Detector) UnmarshalBinary(data []byte) error {
	r := reader{data: data}
	if string(r.take(len(magic))) != magic {
		return ErrSnapshot
	}
	n := New(d.policy)
	n.forgetAll(window.Seed{K0: r.u64(), K1: r.u64()})
	for {
		at := len(data) - len(r.data)
		switch kind := r.u8(); {
		case r.short:
			return fmt.Errorf("%w: ends at byte %d", ErrSnapshot, len(data))
		case kind == 'S':
			n.readSource(&r)
		case kind == 'G', kind == 'H':
			n.readSuccess(&r, kind == 'H')
		case kind == 'A':
			n.readSprayed(&r)
		case kind == 'E' && len(r.data) == 0:
			*d = *n
			return nil
		default:
			return fmt.Errorf("%w: byte %d is %#x", ErrSnapshot, at, kind)
		}
	}
}

func (d *Detector) readSource(r *reader) {
	key := r.u64()
	s := source{blockEnd: r.u32(), probeStart: r.u32(), runStart: r.u32(), runs: r.u16(), probes: r.u16(), strikes: r.u8()}
	var list window.Ring
	for i := range min(r.u8(), window.Keep) {
		list[i] = window.Event{At: r.u32(), Tag: r.u32()}
	}
	// Entered one by one: a ring that is out of order answers nonsense.
	for _, e := range slices.Backward(list[:]) {
		if e.At != 0 {
			all := s.failures.With(e)
			s.failures = all.Ring()
		}
	}
	if !r.short {
		*d.sources.Touch(key) = s
	}
}

// readSuccess reads what got in; those of before did not tell when it was seen.
func (d *Detector) readSuccess(r *reader, seen bool) {
	key := r.u64()
	s := success{at: r.u32()}
	if s.seen = s.at; seen {
		s.seen = r.u32()
	}
	s.excused, s.local = r.u16(), r.u8() == 1
	if !r.short {
		*d.successes.Touch(key) = s
	}
}

func (d *Detector) readSprayed(r *reader) {
	key := r.u64()
	a := sprayed{start: r.u32(), told: r.u32(), local: r.u8() == 1}
	for i := range a.quarter {
		for j := range a.quarter[i] {
			a.quarter[i][j] = r.u64()
		}
	}
	if !r.short {
		*d.sprayed.Touch(key) = a
	}
}

// A reader takes numbers off data. Past its end it gives zeros and is short.
type reader struct {
	data  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if len(r.data) < n {
		r.short, r.data = true, nil
		return make([]byte, n)
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) u8() uint8   { return r.take(1)[0] }
func (r *reader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }
