package ruleset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// setMagic begins a set as stored. It is a format of one device only, so there
// is no need to read older ones: a device without a set asks for snapshots.
const setMagic = "tcs1"

// AppendBinary appends the set as it is stored on the device: lists, positions
// and the history that limits need. A checksum at the end finds damage.
func (s *Set) AppendBinary(b []byte) ([]byte, error) {
	from := len(b)
	b = append(b, setMagic...)
	b = binary.AppendVarint(b, s.growth.at)
	for _, n := range s.growth.slots {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(len(s.lists)))
	for _, f := range s.lists {
		p := f.list.pos
		b = append(b, byte(p.Ref.Class), byte(len(p.Ref.Name)))
		b = append(b, p.Ref.Name...)
		b = binary.AppendUvarint(b, p.Epoch)
		b = binary.AppendUvarint(b, p.Serial)
		for _, t := range []int64{f.begun, f.last, f.heard} {
			b = binary.AppendVarint(b, t)
		}
		b = binary.AppendUvarint(b, uint64(len(f.list.groups)))
		for _, g := range f.list.groups {
			b = binary.BigEndian.AppendUint32(b, g.end)
			b = appendSections(b, g.v4, g.v6)
		}
	}
	sum := sha256.Sum256(b[from:])
	return append(b, sum[:]...), nil
}

// UnmarshalBinary replaces the set by what AppendBinary wrote. Damage is
// [ErrMalformed], and leaves the set as it was.
func (s *Set) UnmarshalBinary(b []byte) error {
	n := len(b) - sha256.Size
	if n < 0 {
		return fmt.Errorf("%w: a stored set of %d bytes", ErrMalformed, len(b))
	}
	if sum := sha256.Sum256(b[:n]); !bytes.Equal(sum[:], b[n:]) {
		return fmt.Errorf("%w: a stored set is damaged", ErrMalformed)
	}
	r := reader{b: b[:n], left: 4 * maxRules}
	if string(r.bytes(len(setMagic))) != setMagic {
		r.fail("not a stored set of this version")
	}
	var next Set
	next.growth.at = r.varint()
	for i := range next.growth.slots {
		next.growth.slots[i] = uint32(r.bounded(1<<32 - 1))
	}
	for range r.bounded(uint64(len(r.b))) {
		next.lists = append(next.lists, r.followed())
		if r.err != nil {
			return r.err
		}
	}
	if len(r.b) > 0 {
		r.fail("more than a stored set")
	}
	if r.err != nil {
		return r.err
	}
	*s = next
	return nil
}

func (r *reader) followed() followed {
	l := &List{}
	l.pos.Ref.Class = Class(r.byte())
	l.pos.Ref.Name = string(r.bytes(int(r.byte())))
	l.pos.Epoch = r.uvarint()
	l.pos.Serial = r.uvarint()
	f := followed{list: l, begun: r.varint(), last: r.varint(), heard: r.varint()}
	if !l.pos.Ref.valid() {
		r.fail("a list that there is not")
	}
	var last uint32
	for range r.bounded(uint64(len(r.b))) {
		var end uint32
		if b := r.bytes(4); b != nil {
			end = binary.BigEndian.Uint32(b)
		}
		var s sections
		s.v4, s.v6 = readSections[uint64](r)
		if r.err == nil && end <= last {
			r.fail("ends out of order")
		}
		if r.err != nil {
			return f
		}
		last = end
		l.groups = append(l.groups, newGroup(end, s))
	}
	return f
}

// varint reads a signed number.
func (r *reader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}
