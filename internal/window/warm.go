package window

import "unsafe"

// warmth is how many keys are fetched at a time: their slots fit into the
// nearest cache.
const warmth = 64

// Warm fetches what is remembered of keys into the processor's caches, and
// changes nothing. In a table larger than the caches each look-up waits for
// memory; the waits of a batch that is warmed before it is seen overlap.
func (t *Table[V]) Warm(keys []uint64) {
	for len(keys) > warmth {
		t.warm(keys[:warmth])
		keys = keys[warmth:]
	}
	t.warm(keys)
}

// warm goes over the keys in short rounds, so that the loads of one round wait
// neither for one another nor for much computing: the index, the slot found
// there, its neighbours in the order of sight.
func (t *Table[V]) warm(keys []uint64) {
	var hashes, entries [warmth]uint64
	for i, key := range keys {
		hashes[i&(warmth-1)] = t.hash(key)
	}
	for i, hash := range hashes[:len(keys)] {
		if s := t.index.shard(hash); len(s.entries) > 0 {
			entries[i] = s.entries[s.home(hash<<32)]
		}
	}
	var refs [warmth]uint32
	for i := range keys {
		if entries[i] != 0 {
			refs[i] = t.guess(hashes[i])
		}
	}
	var sum uint64
	var links [warmth]link
	for i, ref := range refs[:len(keys)] {
		if ref != 0 {
			links[i] = *t.link(ref)
			sum += touch(t.at(ref))
		}
	}
	for _, l := range links[:len(keys)] {
		if l.older != 0 && l.newer != 0 {
			sum += uint64(t.link(l.older).older + t.link(l.newer).newer)
		}
	}
	t.warmed = sum
}

// line is how much memory a processor fetches at a time.
const line = 64

// touch loads something of each line that s lies in. A slot holds no pointers,
// so any byte of it may be read as a number.
func touch[V any](s *slot[V]) (sum uint64) {
	for off := uintptr(0); off < unsafe.Sizeof(*s); off += line {
		sum += uint64(*(*byte)(unsafe.Add(unsafe.Pointer(s), off)))
	}
	return sum + uint64(*(*byte)(unsafe.Add(unsafe.Pointer(s), unsafe.Sizeof(*s)-1)))
}

// guess returns the slot that most likely holds the key of hash, without
// looking at it, or 0.
func (t *Table[V]) guess(hash uint64) uint32 {
	s := t.index.shard(hash)
	half := uint32(hash)
	for i := s.home(hash << 32); ; i = s.next(i) {
		if e := s.entries[i]; e == 0 || uint32(e>>32) == half {
			return uint32(e)
		}
	}
}
