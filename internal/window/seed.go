package window

import (
	"encoding/binary"
	"math/bits"
)

// A Seed keys the hash. Whoever does not know it can neither choose keys that
// fall on one another nor tell which name stands behind a hash. The zero Seed is
// fit for replays and tests only.
type Seed struct{ K0, K1 uint64 }

// The hash is SipHash-1-3: made for short inputs and for tables that an attacker
// fills. The function is part of the snapshots that detect writes: a change of
// it is a new version of them.
type sip struct{ v0, v1, v2, v3 uint64 }

func (s Seed) start() sip {
	return sip{s.K0 ^ 0x736f6d6570736575, s.K1 ^ 0x646f72616e646f6d, s.K0 ^ 0x6c7967656e657261, s.K1 ^ 0x7465646279746573}
}

func (h *sip) round() {
	h.v0 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 13) ^ h.v0
	h.v0 = bits.RotateLeft64(h.v0, 32)
	h.v2 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 16) ^ h.v2
	h.v0 += h.v3
	h.v3 = bits.RotateLeft64(h.v3, 21) ^ h.v0
	h.v2 += h.v1
	h.v1 = bits.RotateLeft64(h.v1, 17) ^ h.v2
	h.v2 = bits.RotateLeft64(h.v2, 32)
}

func (h *sip) word(m uint64) {
	h.v3 ^= m
	h.round()
	h.v0 ^= m
}

func (h *sip) sum() uint64 {
	h.v2 ^= 0xff
	h.round()
	h.round()
	h.round()
	return h.v0 ^ h.v1 ^ h.v2 ^ h.v3
}

// Hash returns the keyed hash of one number.
func (s Seed) Hash(v uint64) uint64 {
	h := s.start()
	h.word(v)
	h.word(8 << 56)
	return h.sum()
}

// Hash2 returns the keyed hash of two numbers.
func (s Seed) Hash2(a, b uint64) uint64 {
	h := s.start()
	h.word(a)
	h.word(b)
	h.word(16 << 56)
	return h.sum()
}

// HashBytes returns the keyed hash of b.
func (s Seed) HashBytes(b []byte) uint64 {
	h := s.start()
	last := uint64(len(b)) << 56
	for len(b) >= 8 {
		h.word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	h.word(last)
	return h.sum()
}
