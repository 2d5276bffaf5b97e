package ruleset

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// unit is what ends are counted in: both classes' steps are multiples of it.
const unit = 5 * time.Minute

// moment returns the time that is n units after 1970.
func moment(n uint32) time.Time { return time.Unix(int64(n)*int64(unit/time.Second), 0).UTC() }

// A group is the rules of a list that end together. It is immutable, so lists
// share what a frame does not touch.
type group struct {
	sections
	end    uint32 // in units since 1970
	hash   [32]byte
	totals totals
}

// totals are what limits look at. Of several groups they are upper bounds: a
// prefix may be in more than one list.
type totals struct {
	blocks, passes   int
	cover4           uint64
	widest4, widest6 int // shortest lengths of blocks; 32 and 64 if there are none shorter
	widePass         bool
}

func (t *totals) add(u totals) {
	t.blocks += u.blocks
	t.passes += u.passes
	t.cover4 += u.cover4
	t.widest4 = min(t.widest4, u.widest4)
	t.widest6 = min(t.widest6, u.widest6)
	t.widePass = t.widePass || u.widePass
}

func newGroup(end uint32, s sections) *group {
	return &group{sections: s, end: end, hash: s.sum(end), totals: s.count()}
}

func (s *sections) count() totals {
	t := totals{
		passes:   len(s.v4[passHosts]) + len(s.v4[passPrefixes]) + len(s.v6[passHosts]) + len(s.v6[passPrefixes]),
		cover4:   uint64(len(s.v4[blockHosts])),
		widest4:  32,
		widest6:  64,
		widePass: len(s.v4[passPrefixes])+len(s.v6[passPrefixes]) > 0,
	}
	t.blocks = s.len() - t.passes
	for _, k := range s.v4[blockPrefixes] {
		t.widest4 = min(t.widest4, length4(k))
		t.cover4 += 1 << (32 - length4(k))
	}
	for _, k := range s.v6[blockPrefixes] {
		t.widest6 = min(t.widest6, length6(k))
	}
	return t
}

// sum returns the hash of a group: its end, then each section's length and
// numbers, big endian.
func (s *sections) sum(end uint32) (sum [32]byte) {
	h := sha256.New()
	buf := make([]byte, 0, 8192)
	buf = binary.BigEndian.AppendUint32(buf, end)
	for _, v := range s.v4 {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		for _, k := range v {
			buf = flush(h, binary.BigEndian.AppendUint32(buf, k))
		}
	}
	for _, v := range s.v6 {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(v)))
		for _, k := range v {
			buf = flush(h, binary.BigEndian.AppendUint64(buf, k))
		}
	}
	h.Write(buf)
	h.Sum(sum[:0])
	return sum
}

func flush(w io.Writer, buf []byte) []byte {
	if len(buf) < cap(buf)-64 {
		return buf
	}
	w.Write(buf) // a hash takes everything
	return buf[:0]
}

// rules yields the rules of the group, by section and prefix.
func (g *group) rules(yield func(tocsin.Rule) bool) bool {
	until := moment(g.end)
	for kind, v := range g.v4 {
		for _, k := range v {
			if !yield(tocsin.Rule{Prefix: prefix4(kind, k), Action: action(kind), Until: until}) {
				return false
			}
		}
	}
	for kind, v := range g.v6 {
		for _, k := range v {
			if !yield(tocsin.Rule{Prefix: prefix6(kind, k), Action: action(kind), Until: until}) {
				return false
			}
		}
	}
	return true
}

// A cut is what a frame removes from the group with that end: places in its
// sections.
type cut struct {
	end    uint32
	places [2][kinds][]uint32 // of IPv4, of IPv6
}

func (c *cut) len() (n int) {
	for i := range kinds {
		n += len(c.places[0][i]) + len(c.places[1][i])
	}
	return n
}

// alive returns the groups that end after t; groups are sorted by end.
func alive(groups []*group, t time.Time) []*group {
	i := 0
	for i < len(groups) && !moment(groups[i].end).After(t) {
		i++
	}
	return groups[i:]
}

// change returns the groups that follow from old: cuts first, by places in old,
// then adds. What is added anew leaves the group it was in.
func change(old []*group, cuts []cut, adds []*group) ([]*group, error) {
	all, err := together(adds)
	if err != nil {
		return nil, err
	}
	out := make([]*group, 0, len(old)+len(adds))
	for _, g := range old {
		for len(adds) > 0 && adds[0].end < g.end {
			out, adds = append(out, adds[0]), adds[1:]
		}
		var c cut
		if len(cuts) > 0 && cuts[0].end == g.end {
			c, cuts = cuts[0], cuts[1:]
		}
		var add sections
		if len(adds) > 0 && adds[0].end == g.end {
			add, adds = adds[0].sections, adds[1:]
		}
		g, err := g.change(&c, &all, &add)
		if err != nil {
			return nil, err
		}
		if g.len() > 0 {
			out = append(out, g)
		}
	}
	if len(cuts) > 0 {
		return nil, fmt.Errorf("%w: it removes from what is not there", ErrMalformed)
	}
	return append(out, adds...), nil
}

// change returns g without what is cut and what is added anew anywhere, and with
// what is added to it.
func (g *group) change(c *cut, all, add *sections) (*group, error) {
	var next sections
	var ok4, ok6 bool
	changed := false
	for i := range kinds {
		var d4, d6 []uint32
		d4, ok4 = drops(g.v4[i], c.places[0][i], all.v4[i])
		d6, ok6 = drops(g.v6[i], c.places[1][i], all.v6[i])
		if !ok4 || !ok6 {
			return nil, fmt.Errorf("%w: it removes from what is not there", ErrMalformed)
		}
		next.v4[i] = merge(g.v4[i], d4, add.v4[i])
		next.v6[i] = merge(g.v6[i], d6, add.v6[i])
		changed = changed || len(d4)+len(d6)+len(add.v4[i])+len(add.v6[i]) > 0
	}
	if !changed {
		return g, nil
	}
	return newGroup(g.end, next), nil
}

// drops returns the places in v that go: those cut, and those added anew.
func drops[K number](v []K, cut []uint32, anew []K) ([]uint32, bool) {
	if n := len(cut); n > 0 && int(cut[n-1]) >= len(v) {
		return nil, false
	}
	out := cut[:len(cut):len(cut)]
	match(v, anew, func(i, _ int) { out = append(out, uint32(i)) })
	if len(out) > len(cut) && len(cut) > 0 {
		slices.Sort(out)
		out = slices.Compact(out)
	}
	return out, true
}

// together returns the sections of all groups in one, or an error if a rule is
// there twice.
func together(groups []*group) (sections, error) {
	if len(groups) == 1 {
		return groups[0].sections, nil
	}
	var all sections
	for i := range kinds {
		for _, g := range groups {
			all.v4[i] = append(all.v4[i], g.v4[i]...)
			all.v6[i] = append(all.v6[i], g.v6[i]...)
		}
		slices.Sort(all.v4[i])
		slices.Sort(all.v6[i])
		if !ascending(all.v4[i]) || !ascending(all.v6[i]) {
			return all, fmt.Errorf("%w: a rule is there twice", ErrMalformed)
		}
	}
	return all, nil
}
