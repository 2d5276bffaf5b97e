package window

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

// warm goes over the keys three times, so that no load waits for another of the
// same round: the index, the number found there, the slot.
func (t *Table[V]) warm(keys []uint64) {
	var hashes, entries [warmth]uint64
	for i, key := range keys {
		hash := t.hash(key)
		hashes[i] = hash
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
	for i := range keys {
		if ref := refs[i]; ref != 0 {
			t.warmed ^= t.at(ref).key
			t.warmed ^= uint64(t.link(ref).older)
		}
	}
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
