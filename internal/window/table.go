package window

import (
	"iter"
	"unsafe"
)

// A Table remembers one V for each key, at most its cap of them: a new key makes
// it forget the one seen longest ago. V must not hold pointers, or the garbage
// collector has to walk all of it. Make one with [New].
type Table[V any] struct {
	seed   Seed
	hashed bool // the keys are keyed hashes themselves
	limit  int
	n      int
	index  index
	chunks [][]slot[V]
	links  [][]link
	made   uint32 // slots handed out so far
	free   uint32 // slots given back by Delete, linked by older
	oldest uint32
	newest uint32
	warmed uint64 // keeps the loads of Warm from being left out
}

// A slot is found by its number, which starts at 1; 0 is none.
type slot[V any] struct {
	key uint64
	val V
}

// A link is a slot's place in the order of sight. The links lie apart from the
// slots: moving one to the end touches its neighbours, and eight bytes of each
// stay in the cache where whole slots would not.
type link struct{ older, newer uint32 }

// chunk is how many slots are allocated at a time: memory follows what is
// remembered, and never doubles.
const chunk = 1024

// MaxCap is the largest cap a [Table] can have.
const MaxCap = 1 << 28

// New returns an empty Table of at most limit keys, which is cut to between 1
// and [MaxCap].
func New[V any](limit int, seed Seed) *Table[V] {
	limit = min(max(limit, 1), MaxCap)
	return &Table[V]{seed: seed, limit: limit, index: newIndex(limit)}
}

// NewHashed is [New] for keys that are keyed hashes already.
func NewHashed[V any](limit int) *Table[V] {
	t := New[V](limit, Seed{})
	t.hashed = true
	return t
}

func (t *Table[V]) hash(key uint64) uint64 {
	if t.hashed {
		return key
	}
	return t.seed.Hash(key)
}

// Get returns what is remembered of key, or nil. It is no sight of key: it
// keeps nothing from being forgotten. The pointer is valid until the next Touch
// or Delete.
func (t *Table[V]) Get(key uint64) *V {
	if ref := t.find(key, t.hash(key)); ref != 0 {
		return &t.at(ref).val
	}
	return nil
}

// See returns what is remembered of key and makes it the key seen last, or
// returns nil. The pointer is valid until the next Touch or Delete.
func (t *Table[V]) See(key uint64) *V { return t.see(key, t.hash(key)) }

// Touch is See, but what is not remembered is made new: zero, in the place of
// the key seen longest ago if the table is full.
func (t *Table[V]) Touch(key uint64) *V {
	hash := t.hash(key)
	if v := t.see(key, hash); v != nil {
		return v
	}
	ref := t.take()
	s := t.at(ref)
	s.key = key
	t.index.shard(hash).add(entry(hash, ref))
	t.append(ref)
	t.n++
	return &s.val
}

func (t *Table[V]) see(key, hash uint64) *V {
	ref := t.find(key, hash)
	if ref == 0 {
		return nil
	}
	if ref != t.newest {
		t.unlink(ref)
		t.append(ref)
	}
	return &t.at(ref).val
}

// Delete forgets key.
func (t *Table[V]) Delete(key uint64) {
	hash := t.hash(key)
	ref := t.find(key, hash)
	if ref == 0 {
		return
	}
	t.forget(ref, hash)
	t.link(ref).older = t.free
	t.free = ref
}

// All yields every key and what is remembered of it, the one seen longest ago
// first. The values may be changed; the table must not be meanwhile.
func (t *Table[V]) All() iter.Seq2[uint64, *V] {
	return func(yield func(uint64, *V) bool) {
		for ref := t.oldest; ref != 0; {
			s := t.at(ref)
			if !yield(s.key, &s.val) {
				return
			}
			ref = t.link(ref).newer
		}
	}
}

// Len returns how many keys are remembered.
func (t *Table[V]) Len() int { return t.n }

// Cap returns how many keys can be remembered.
func (t *Table[V]) Cap() int { return t.limit }

// Bytes returns the memory held, index included.
func (t *Table[V]) Bytes() int {
	n := t.index.bytes() + 24*(cap(t.chunks)+cap(t.links))
	for _, c := range t.chunks {
		n += len(c) * int(unsafe.Sizeof(slot[V]{})+unsafe.Sizeof(link{}))
	}
	return n
}

func (t *Table[V]) at(ref uint32) *slot[V] {
	return &t.chunks[(ref-1)/chunk][(ref-1)%chunk]
}

func (t *Table[V]) link(ref uint32) *link {
	return &t.links[(ref-1)/chunk][(ref-1)%chunk]
}

func (t *Table[V]) find(key, hash uint64) uint32 {
	s := t.index.shard(hash)
	if len(s.entries) == 0 {
		return 0
	}
	half := uint32(hash)
	for i := s.home(hash << 32); ; i = s.next(i) {
		e := s.entries[i]
		if e == 0 {
			return 0
		}
		if ref := uint32(e); uint32(e>>32) == half && t.at(ref).key == key {
			return ref
		}
	}
}

// take returns a slot for a new key, forgetting an old one when full.
func (t *Table[V]) take() uint32 {
	if t.n == t.limit {
		ref := t.oldest
		t.forget(ref, t.hash(t.at(ref).key))
		return ref
	}
	if ref := t.free; ref != 0 {
		t.free = t.link(ref).older
		return ref
	}
	if t.made%chunk == 0 {
		n := min(chunk, t.limit-int(t.made))
		t.chunks = append(t.chunks, make([]slot[V], n))
		t.links = append(t.links, make([]link, n))
	}
	t.made++
	return t.made
}

func (t *Table[V]) forget(ref uint32, hash uint64) {
	t.index.shard(hash).remove(entry(hash, ref))
	t.unlink(ref)
	*t.at(ref) = slot[V]{}
	t.n--
}

func (t *Table[V]) unlink(ref uint32) {
	l := *t.link(ref)
	if l.older != 0 {
		t.link(l.older).newer = l.newer
	} else {
		t.oldest = l.newer
	}
	if l.newer != 0 {
		t.link(l.newer).older = l.older
	} else {
		t.newest = l.older
	}
}

// append makes ref the slot seen last.
func (t *Table[V]) append(ref uint32) {
	*t.link(ref) = link{older: t.newest}
	if t.newest != 0 {
		t.link(t.newest).newer = ref
	} else {
		t.oldest = ref
	}
	t.newest = ref
}
