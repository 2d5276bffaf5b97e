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
func (s Seed) start() (v0, v1, v2, v3 uint64) {
	return s.K0 ^ 0x736f6d6570736575, s.K1 ^ 0x646f72616e646f6d, s.K0 ^ 0x6c7967656e657261, s.K1 ^ 0x7465646279746573
}

func round(v0, v1, v2, v3 uint64) (_, _, _, _ uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// end takes the last word, which holds the length, and returns the hash.
func end(v0, v1, v2, v3, last uint64) uint64 {
	v0, v1, v2, v3 = round(v0, v1, v2, v3^last)
	v0 ^= last
	v0, v1, v2, v3 = round(v0, v1, v2^0xff, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

// Hash returns the keyed hash of one number.
func (s Seed) Hash(v uint64) uint64 {
	v0, v1, v2, v3 := s.start()
	v0, v1, v2, v3 = round(v0, v1, v2, v3^v)
	return end(v0^v, v1, v2, v3, 8<<56)
}

// Hash2 returns the keyed hash of two numbers.
func (s Seed) Hash2(a, b uint64) uint64 {
	v0, v1, v2, v3 := s.start()
	v0, v1, v2, v3 = round(v0, v1, v2, v3^a)
	v0, v1, v2, v3 = round(v0^a, v1, v2, v3^b)
	return end(v0^b, v1, v2, v3, 16<<56)
}

// HashBytes returns the keyed hash of b.
func (s Seed) HashBytes(b []byte) uint64 {
	v0, v1, v2, v3 := s.start()
	last := uint64(len(b)) << 56
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		v0, v1, v2, v3 = round(v0, v1, v2, v3^w)
		v0 ^= w
		b = b[8:]
	}
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return end(v0, v1, v2, v3, last)
}
