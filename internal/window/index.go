package window

// An index finds a slot by the hash of its key: linear probing in small shards,
// so that growing one moves a few thousand entries at most and no line of a log
// waits for a million. An entry is the low half of the hash and the slot's
// number; zero is empty. Entries are told apart without touching the slots, so a
// look-up costs one cache line here and then the slot itself.
type index struct {
	shards []shard
	shift  uint // from hash to shard
}

type shard struct {
	entries []uint64
	n       int
}

// perShard is how many keys a shard is meant for when the table is full.
const perShard = 4096

func newIndex(limit int) index {
	bits := uint(0)
	for limit>>bits > perShard && bits < 12 {
		bits++
	}
	return index{shards: make([]shard, 1<<bits), shift: 64 - bits}
}

func (x *index) shard(hash uint64) *shard { return &x.shards[hash>>x.shift] }

func entry(hash uint64, ref uint32) uint64 { return hash<<32 | uint64(ref) }

// home is where the search for an entry starts. The length is no power of two:
// a large shard grows by a quarter, not by doubling.
func (s *shard) home(e uint64) int {
	return int((e >> 32) * uint64(len(s.entries)) >> 32)
}

func (s *shard) next(i int) int {
	if i++; i == len(s.entries) {
		return 0
	}
	return i
}

// add enters e, which must not be there yet.
func (s *shard) add(e uint64) {
	if (s.n+1)*5 > len(s.entries)*4 {
		s.grow()
	}
	i := s.home(e)
	for s.entries[i] != 0 {
		i = s.next(i)
	}
	s.entries[i] = e
	s.n++
}

func (s *shard) grow() {
	old := s.entries
	more := len(old) + 8
	if len(old) >= perShard/4 {
		more = len(old) / 4 // most of the memory is here: keep it tight
	}
	s.entries = make([]uint64, len(old)+more)
	s.n = 0
	for _, e := range old {
		if e != 0 {
			s.add(e)
		}
	}
}

// remove takes e out and closes the gap, so that no grave slows later searches.
func (s *shard) remove(e uint64) {
	i := s.home(e)
	for s.entries[i] != e {
		if s.entries[i] == 0 {
			return
		}
		i = s.next(i)
	}
	s.n--
	for j := s.next(i); s.entries[j] != 0; j = s.next(j) {
		if s.distance(s.home(s.entries[j]), j) >= s.distance(i, j) {
			s.entries[i] = s.entries[j]
			i = j
		}
	}
	s.entries[i] = 0
}

func (s *shard) distance(from, to int) int {
	if to -= from; to < 0 {
		to += len(s.entries)
	}
	return to
}

func (x *index) bytes() (n int) {
	for i := range x.shards {
		n += 8 * len(x.shards[i].entries)
	}
	return n + 32*len(x.shards)
}
