package ruleset

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

const (
	skew      = 10 * time.Minute   // how far clocks of hub and device may differ
	freshness = 10 * time.Minute   // after which silence is told
	emptiness = 24 * time.Hour     // after which a list that has run out may begin anew
	anew      = 7 * 24 * time.Hour // but not more often
)

// A Set is the lists that a device follows, and what it needs to remember for
// its limits. It is immutable: Apply returns another. It holds what is in force,
// so whoever persists it loses nothing by a restart.
type Set struct {
	lists  []followed
	growth growth
}

// followed is one list of a set. Times are Unix seconds, 0 is never.
type followed struct {
	list  *List
	begun int64 // when it last began without counting as growth
	last  int64 // latest end that any rule of it ever had
	heard int64 // when the hub last said that this is how it stands
}

// NewSet returns the set of a device that just enrolled: it follows the lists
// named and holds none of them yet.
func NewSet(refs ...Ref) *Set {
	s := &Set{}
	for _, r := range refs {
		s.lists = append(s.lists, followed{list: New(r, 0)})
	}
	return s
}

// Positions returns how far each list has come, in the order of NewSet.
func (s *Set) Positions() []Position {
	out := make([]Position, len(s.lists))
	for i, f := range s.lists {
		out[i] = f.list.pos
	}
	return out
}

// Frozen returns the lists of which nothing was heard for 10 minutes: somebody
// may hold back frames. A clock that was set back freezes all.
func (s *Set) Frozen(now time.Time) (out []Ref) {
	for _, f := range s.lists {
		if silent := now.Sub(time.Unix(f.heard, 0)); silent >= freshness || silent < -skew {
			out = append(out, f.list.pos.Ref)
		}
	}
	return out
}

// Rules yields what is in force at now, each prefix and action once. A pass wins
// over every block that covers it: that is for whoever enforces.
func (s *Set) Rules(now time.Time) iter.Seq[tocsin.Rule] { return s.union(now).rules }

// Apply returns the set with the message applied, and what that changes in
// force. On an error the set is the one before and nothing changes:
// [ErrUnknownList]; [ErrExpired] for what is out of date or from the future;
// [ErrStale] for what is not above the position in force; [ErrGap] if a
// snapshot or frames in between are needed, also after a heartbeat; [ErrMalformed]
// for a frame that contradicts itself; [ErrLimit].
func (s *Set) Apply(m Message, lim Limits, now time.Time) (*Set, tocsin.Change, error) {
	h := m.header()
	i := slices.IndexFunc(s.lists, func(f followed) bool { return f.list.pos.Ref == h.Position.Ref })
	if i < 0 {
		return s, tocsin.Change{}, fmt.Errorf("%w: %s", ErrUnknownList, h.Position.Ref)
	}
	if err := h.inDate(now); err != nil {
		return s, tocsin.Change{}, err
	}
	if h.Position.Epoch > uint64(max(h.Created.Add(skew).Unix(), 0)) {
		// Whoever could reach the last epoch could lock out the hub for ever.
		return s, tocsin.Change{}, fmt.Errorf("%w: %s has an epoch in the future", ErrLimit, h.Position)
	}
	switch m := m.(type) {
	case Heartbeat:
		next, err := s.beat(i, m, now)
		return next, tocsin.Change{}, err
	case Frame:
		return s.frame(i, m, lim, now)
	}
	return s, tocsin.Change{}, fmt.Errorf("%w: a %T", ErrMalformed, m)
}

func (s *Set) beat(i int, h Heartbeat, now time.Time) (*Set, error) {
	at := s.lists[i].list.pos
	switch order := h.Position.Compare(at); {
	case order < 0:
		return s, fmt.Errorf("%w: heartbeat at %s, in force is %s", ErrStale, h.Position, at)
	case order > 0:
		return s, fmt.Errorf("%w: the hub is at %s, in force is %s", ErrGap, h.Position, at)
	case s.lists[i].list.Hash(h.Created) != h.Hash:
		return s, fmt.Errorf("%w: the hub's %s differs", ErrGap, at)
	}
	f := s.lists[i]
	f.hear(h.Created, now)
	return s.with(i, f, s.growth), nil
}

func (s *Set) frame(i int, f Frame, lim Limits, now time.Time) (*Set, tocsin.Change, error) {
	was := s.lists[i]
	list, err := was.list.apply(f)
	if err != nil {
		return s, tocsin.Change{}, err
	}
	is := was
	is.list = list
	is.hear(f.Created, now)
	for _, g := range f.adds {
		is.last = max(is.last, moment(g.end).Unix())
	}
	next := s.with(i, is, s.growth)
	before, after := s.union(now), next.union(now)
	latest := now
	if f.Created.After(now) {
		latest = f.Created // by at most skew
	}
	if broken := within(before, after, f.adds, lim, f.Position.Ref, latest); broken != "" {
		return s, tocsin.Change{}, fmt.Errorf("%w: %s: %s", ErrLimit, f.Position, broken)
	}
	d := differing(before, after, alive(was.list.groups, now), alive(list.groups, now))
	if f.Kind == Snapshot && was.fresh(now) {
		next.lists[i].begun = max(now.Unix(), 1)
	} else {
		var ok bool
		if next.growth, ok = s.growth.add(d.grown, lim.Growth, now); !ok {
			return s, tocsin.Change{}, fmt.Errorf("%w: %s: %d new rules besides the %d of the hour before",
				ErrLimit, f.Position, d.grown, s.growth.since(now).sum())
		}
	}
	return next, d.change, nil
}

// apply returns the list after a frame, if it follows.
func (l *List) apply(f Frame) (*List, error) {
	to, at := f.Position, l.pos
	switch {
	case to.Compare(at) <= 0:
		return nil, fmt.Errorf("%w: %s, in force is %s", ErrStale, to, at)
	case f.Kind == Delta && (to.Epoch != at.Epoch || to.Serial != at.Serial+1):
		return nil, fmt.Errorf("%w: %s, in force is %s", ErrGap, to, at)
	case f.Kind != Delta && f.Kind != Snapshot, f.Kind == Snapshot && len(f.cuts) > 0:
		return nil, fmt.Errorf("%w: %s", ErrMalformed, to)
	}
	var old []*group
	if f.Kind == Delta {
		old = alive(l.groups, f.Created)
		if sum(old) != f.Prev {
			return nil, fmt.Errorf("%w: %s is about another list", ErrGap, to)
		}
	}
	groups, err := change(old, f.cuts, f.adds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", to, err)
	}
	if sum(groups) != f.Result {
		return nil, fmt.Errorf("%w: %s makes another list than it says", ErrGap, to)
	}
	return &List{pos: to, groups: groups}, nil
}

// hear notes that the hub said so, and mends what a wrong clock left behind.
func (f *followed) hear(created, now time.Time) {
	t := min(created.Unix(), now.Unix())
	if f.heard > now.Add(skew).Unix() {
		f.heard = 0
	}
	f.heard = max(f.heard, t)
	if f.begun > now.Unix() {
		f.begun = max(now.Unix(), 1)
	}
	f.last = min(f.last, now.Add(skew+Long.Max()+Long.Step()).Unix())
}

// fresh reports whether a snapshot is the first list: after enrolment, or, once
// a week, when everything ended more than a day ago.
func (f *followed) fresh(now time.Time) bool {
	if f.begun == 0 {
		return true
	}
	ended := time.Unix(max(f.begun, f.last), 0)
	return now.Sub(time.Unix(f.begun, 0)) > anew && now.Sub(ended) > emptiness
}

// with returns s with one list replaced.
func (s *Set) with(i int, f followed, g growth) *Set {
	next := &Set{lists: slices.Clone(s.lists), growth: g}
	next.lists[i] = f
	return next
}

func (s *Set) union(now time.Time) (u union) {
	for _, f := range s.lists {
		u = append(u, alive(f.list.groups, now)...)
	}
	return u
}
