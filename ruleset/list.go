package ruleset

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A List is one list at one position. It is immutable: what changes it makes
// another, and both share what is alike.
type List struct {
	pos    Position
	groups []*group // by end; none empty
}

// New returns an empty list at serial 0 of an epoch. A hub takes the Unix time
// for the epoch, or one more than the last if that is higher: devices refuse an
// epoch above the time.
func New(ref Ref, epoch uint64) *List {
	return &List{pos: Position{Ref: ref, Epoch: epoch}}
}

// Position returns how far the list has come.
func (l *List) Position() Position { return l.pos }

// Len returns how many rules are held, those just ended included.
func (l *List) Len() (n int) {
	for _, g := range l.groups {
		n += g.len()
	}
	return n
}

// Hash returns the hash of the list without what has ended at t: equal lists
// have equal hashes, however they came about.
func (l *List) Hash(at time.Time) [32]byte { return sum(alive(l.groups, at)) }

func sum(groups []*group) [32]byte {
	buf := make([]byte, 0, 32*len(groups))
	for _, g := range groups {
		buf = append(buf, g.hash[:]...)
	}
	return sha256.Sum256(buf)
}

// Rules yields what is in force at a time, by end, kind and prefix.
func (l *List) Rules(at time.Time) iter.Seq[tocsin.Rule] {
	return func(yield func(tocsin.Rule) bool) {
		for _, g := range alive(l.groups, at) {
			if !g.rules(yield) {
				return
			}
		}
	}
}

// Next returns the frame that makes c of the list, and the list after it. It
// ignores what changes nothing, what has ended at created, and what a list
// cannot hold (IPv6 longer than /64); if nothing is left, the frame is empty and
// the list is l. An end is rounded up to the step of the class, and is at most
// as far off as the class allows. Of two rules for one prefix and action the
// last counts.
func (l *List) Next(c tocsin.Change, created time.Time) (Frame, *List) {
	created = whole(created)
	old := alive(l.groups, created)
	f := Frame{Header: l.head(Delta, created), Prev: sum(old)}
	f.cuts, f.adds = l.plan(old, c, created)
	if f.Empty() {
		return f, l
	}
	groups, err := change(old, f.cuts, f.adds)
	if err != nil {
		panic(fmt.Sprintf("ruleset: a plan of our own: %v", err)) // cannot happen: plan sorts and compacts
	}
	next := &List{pos: l.pos, groups: groups}
	next.pos.Serial++
	f.Position = next.pos
	f.Result = sum(groups)
	return f, next
}

// Snapshot returns the frame that makes the list out of nothing, at its present
// position. It may be made again whenever one is needed.
func (l *List) Snapshot(created time.Time) Frame {
	created = whole(created)
	f := Frame{Header: l.head(Snapshot, created), adds: alive(l.groups, created)}
	f.Result = sum(f.adds)
	return f
}

// Renumber returns the list in a new epoch at serial 1, for a hub that begins
// again after a restore. Devices take it by a snapshot only.
func (l *List) Renumber(epoch uint64) *List {
	return &List{pos: Position{Ref: l.pos.Ref, Epoch: epoch, Serial: 1}, groups: l.groups}
}

// Heartbeat returns the word that the list stands as it does.
func (l *List) Heartbeat(created time.Time) Heartbeat {
	created = whole(created)
	return Heartbeat{Header: l.head(Beat, created), Hash: l.Hash(created)}
}

func (l *List) head(k Kind, created time.Time) Header {
	life := freshness
	if k != Beat {
		life = l.pos.Ref.Class.Max() + l.pos.Ref.Class.Step()
	}
	return Header{Kind: k, Position: l.pos, Created: created, Expires: created.Add(life)}
}

// whole returns t as it travels: in whole seconds.
func whole(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }

// ending returns the end of a rule in units: rounded up, and bounded.
func (r Ref) ending(until, created time.Time) uint32 {
	if most := created.Add(r.Class.Max()); until.After(most) {
		until = most
	}
	step := int64(r.Class.Step() / time.Second)
	n := until.Unix()
	if until.Nanosecond() > 0 {
		n++
	}
	return uint32((n + step - 1) / step * (step / int64(unit/time.Second)))
}

// A wish is what is wanted of rules in one section: sorted keys, and the end of
// each; 0 is none.
type wish[K number] struct {
	keys []K
	ends []uint32
	raw  []order[K]
}

type order[K number] struct {
	key K
	end uint32
}

func (w *wish[K]) want(k uint64, end uint32) { w.raw = append(w.raw, order[K]{K(k), end}) }

// sort leaves the last order for each key.
func (w *wish[K]) sort() {
	slices.SortStableFunc(w.raw, func(a, b order[K]) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
	for i, o := range w.raw {
		if i+1 < len(w.raw) && w.raw[i+1].key == o.key {
			continue
		}
		w.keys = append(w.keys, o.key)
		w.ends = append(w.ends, o.end)
	}
	w.raw = nil
}

// cut returns the places in v, whose end is given, that must go for good; what
// is there as wanted is wanted no more.
func (w *wish[K]) cut(v []K, end uint32) (places []uint32) {
	match(v, w.keys, func(i, j int) {
		switch w.ends[j] {
		case 0:
			places = append(places, uint32(i))
		case end:
			w.ends[j] = 0
		}
	})
	return places
}

// plan returns the smallest cuts and adds that make c of old.
func (l *List) plan(old []*group, c tocsin.Change, created time.Time) (cuts []cut, adds []*group) {
	var w4 [kinds]wish[uint32]
	var w6 [kinds]wish[uint64]
	want := func(r tocsin.Rule, end uint32) {
		switch kind, v6, k, ok := place(r.Prefix, r.Action); {
		case !ok:
		case v6:
			w6[kind].want(k, end)
		default:
			w4[kind].want(k, end)
		}
	}
	for _, r := range c.Remove {
		want(r, 0)
	}
	for _, r := range c.Add {
		if r.Until.After(created) {
			want(r, l.pos.Ref.ending(r.Until, created))
		}
	}
	for i := range kinds {
		w4[i].sort()
		w6[i].sort()
	}
	for _, g := range old {
		c := cut{end: g.end}
		for i := range kinds {
			c.places[0][i] = w4[i].cut(g.v4[i], g.end)
			c.places[1][i] = w6[i].cut(g.v6[i], g.end)
		}
		if c.len() > 0 {
			cuts = append(cuts, c)
		}
	}
	byEnd := map[uint32]*sections{}
	for i := range kinds {
		for j, k := range w4[i].keys {
			if s := of(byEnd, w4[i].ends[j]); s != nil {
				s.v4[i] = append(s.v4[i], k)
			}
		}
		for j, k := range w6[i].keys {
			if s := of(byEnd, w6[i].ends[j]); s != nil {
				s.v6[i] = append(s.v6[i], k)
			}
		}
	}
	for end, s := range byEnd {
		adds = append(adds, newGroup(end, *s))
	}
	slices.SortFunc(adds, func(a, b *group) int { return int(a.end) - int(b.end) })
	return cuts, adds
}

func of(byEnd map[uint32]*sections, end uint32) *sections {
	if end == 0 {
		return nil
	}
	s := byEnd[end]
	if s == nil {
		s = &sections{}
		byEnd[end] = s
	}
	return s
}
