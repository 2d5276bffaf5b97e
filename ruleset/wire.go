package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The format is docs/spec/ruleset.md. Whoever changes it changes magic.
const magic = "tcr1"

const (
	maxRaw   = 16 << 20 // bytes of a snapshot unpacked
	maxRules = 1 << 21  // in one frame: bounds memory while decoding
	maxEnds  = 64       // groups in one frame; a day has 25
	maxLife  = 7 * 24 * time.Hour
	keyTail  = len(KeyID{}) + 64 // key ID and signature
)

func appendHeader(b []byte, h Header) []byte {
	b = append(b, magic...)
	b = append(b, byte(h.Kind), byte(h.Position.Ref.Class), h.Ring, byte(len(h.Position.Ref.Name)))
	b = append(b, h.Position.Ref.Name...)
	b = binary.AppendUvarint(b, h.Position.Epoch)
	b = binary.AppendUvarint(b, h.Position.Serial)
	b = binary.AppendUvarint(b, uint64(max(h.Created.Unix(), 0)))
	b = binary.AppendUvarint(b, uint64(max(h.Expires.Unix()-h.Created.Unix(), 0)))
	return binary.AppendUvarint(b, h.Allow)
}

// A reader takes a message apart. After a mistake it returns zeros and keeps
// the mistake.
type reader struct {
	b    []byte
	err  error
	left int // rules that may still be read
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
		r.b = nil
	}
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("too short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// uvarint reads a number in its shortest form: each message has one form.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("a bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bounded reads a number of at most most.
func (r *reader) bounded(most uint64) uint64 {
	v := r.uvarint()
	if v > most {
		r.fail("a number out of bounds")
		return 0
	}
	return v
}

func (r *reader) header() (h Header) {
	if string(r.bytes(len(magic))) != magic {
		r.fail("not of this format")
	}
	h.Kind = Kind(r.byte())
	h.Position.Ref.Class = Class(r.byte())
	h.Ring = r.byte()
	h.Position.Ref.Name = string(r.bytes(int(r.byte())))
	h.Position.Epoch = r.uvarint()
	h.Position.Serial = r.uvarint()
	h.Created = time.Unix(int64(r.bounded(1<<36)), 0).UTC()
	h.Expires = h.Created.Add(time.Duration(r.bounded(uint64(maxLife/time.Second))) * time.Second)
	h.Allow = r.uvarint()
	if h.Kind < Delta || h.Kind > Beat || !h.Position.Ref.valid() {
		r.fail("a kind or a list that there is not")
	}
	return h
}

func (r *reader) hash() (h [32]byte) {
	copy(h[:], r.bytes(len(h)))
	return h
}

// appendRun appends sorted numbers: how many, then each difference to the one
// before.
func appendRun[K number](b []byte, s []K) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	var last K
	for _, k := range s {
		b = binary.AppendUvarint(b, uint64(k-last))
		last = k
	}
	return b
}

// run reads what appendRun wrote.
func run[K number](r *reader) []K {
	n := int(r.bounded(uint64(min(len(r.b), r.left))))
	if n == 0 {
		r.fail("an empty section")
		return nil
	}
	r.left -= n
	s := make([]K, n)
	var last K
	for i := range s {
		gap := r.bounded(uint64(^K(0) - last))
		if i > 0 && gap == 0 {
			r.fail("a number twice")
		}
		if r.err != nil {
			return nil
		}
		last += K(gap)
		s[i] = last
	}
	return s
}

// appendEnd appends an end, which is counted in steps of the class after
// Created, as the difference to the end before.
func (h Header) appendEnd(b []byte, end uint32, last *uint64) []byte {
	n := uint64(h.steps(end))
	b = binary.AppendUvarint(b, n-*last)
	*last = n
	return b
}

// steps returns which step after Created an end is.
func (h Header) steps(end uint32) int64 {
	step := int64(h.Position.Ref.Class.Step() / time.Second)
	return moment(end).Unix()/step - h.Created.Unix()/step
}

func (h Header) end(r *reader, last *uint64) uint32 {
	gap := r.bounded(maxEnds)
	if gap == 0 {
		r.fail("an end twice, or over")
	}
	*last += gap
	if *last > maxEnds {
		r.fail("an end out of bounds")
		return 0
	}
	step := uint64(h.Position.Ref.Class.Step() / time.Second)
	return uint32((uint64(h.Created.Unix())/step + *last) * (step / uint64(unit/time.Second)))
}

// appendBody appends cuts, then adds.
func (f Frame) appendBody(b []byte) []byte {
	var last uint64
	b = binary.AppendUvarint(b, uint64(len(f.cuts)))
	for _, c := range f.cuts {
		b = f.appendEnd(b, c.end, &last)
		b = appendSections(b, c.places[0], c.places[1])
	}
	last = 0
	b = binary.AppendUvarint(b, uint64(len(f.adds)))
	for _, g := range f.adds {
		b = f.appendEnd(b, g.end, &last)
		b = appendSections(b, g.v4, g.v6)
	}
	return b
}

// appendSections appends which of the eight sections there are, and those.
func appendSections[K number](b []byte, v4 [kinds][]uint32, v6 [kinds][]K) []byte {
	at := len(b)
	b = append(b, 0)
	for i, s := range v4 {
		if len(s) > 0 {
			b[at] |= 1 << i
			b = appendRun(b, s)
		}
	}
	for i, s := range v6 {
		if len(s) > 0 {
			b[at] |= 1 << (kinds + i)
			b = appendRun(b, s)
		}
	}
	return b
}

func readSections[K number](r *reader) (v4 [kinds][]uint32, v6 [kinds][]K) {
	mask := r.byte()
	if mask == 0 {
		r.fail("an empty group")
	}
	for i := range kinds {
		if mask&(1<<i) != 0 {
			v4[i] = run[uint32](r)
		}
	}
	for i := range kinds {
		if mask&(1<<(kinds+i)) != 0 {
			v6[i] = run[K](r)
		}
	}
	return v4, v6
}

// body reads what appendBody wrote.
func (r *reader) body(h Header) (cuts []cut, adds []*group) {
	var last uint64
	for range r.bounded(maxEnds) {
		c := cut{end: h.end(r, &last)}
		c.places[0], c.places[1] = readSections[uint32](r)
		cuts = append(cuts, c)
		if r.err != nil {
			return nil, nil
		}
	}
	last = 0
	for range r.bounded(maxEnds) {
		end := h.end(r, &last)
		var s sections
		s.v4, s.v6 = readSections[uint64](r)
		for _, i := range []int{blockPrefixes, passPrefixes} {
			if len(s.v4[i]) > 0 && s.v4[i][0] == 0 || len(s.v6[i]) > 0 && s.v6[i][0] == 0 {
				r.fail("a prefix without a length")
			}
		}
		if r.err != nil {
			return nil, nil
		}
		adds = append(adds, newGroup(end, s))
	}
	if len(r.b) > 0 {
		r.fail("more than a frame")
	}
	return cuts, adds
}

var errTooLarge = errors.New("too large for one frame: use a snapshot, or fewer rules at once")

// encode returns the message without key ID and signature.
func encode(m Message) ([]byte, error) {
	h := m.header()
	if !h.Position.Ref.valid() {
		return nil, fmt.Errorf("seal: %q is not a list", h.Position.Ref)
	}
	b := appendHeader(nil, h)
	switch m := m.(type) {
	case Heartbeat:
		return append(b, m.Hash[:]...), nil
	case Frame:
		if m.Kind == Delta {
			b = append(b, m.Prev[:]...)
			b = append(b, m.Result[:]...)
			b = m.appendBody(b)
			if len(b)+keyTail > MaxDelta {
				return nil, errTooLarge
			}
			return b, nil
		}
		b = append(b, m.Result[:]...)
		b = pack(b, m.appendBody(nil))
		if len(b)+keyTail > MaxSnapshot {
			return nil, errTooLarge
		}
		return b, nil
	}
	return nil, fmt.Errorf("seal: a %T is not a message", m)
}

// decode is the reverse of encode.
func decode(b []byte) (Message, error) {
	r := reader{b: b, left: maxRules}
	h := r.header()
	var m Message
	switch h.Kind {
	case Beat:
		m = Heartbeat{Header: h, Hash: r.hash()}
		if len(r.b) > 0 {
			r.fail("more than a heartbeat")
		}
	case Delta:
		f := Frame{Header: h, Prev: r.hash(), Result: r.hash()}
		f.cuts, f.adds = r.body(h)
		m = f
	case Snapshot:
		f := Frame{Header: h, Result: r.hash()}
		if r.err != nil {
			break
		}
		raw, err := unpack(r.b)
		if err != nil {
			r.fail(err.Error())
		}
		r.b = raw
		f.cuts, f.adds = r.body(h)
		if len(f.cuts) > 0 {
			r.fail("a snapshot that removes")
		}
		m = f
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}
