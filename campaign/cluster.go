package campaign

import (
	"cmp"
	"slices"
)

const (
	maxEdges = 1 << 20
	maxHints = 1 << 20
	// orderly is how much an order of accounts must say to count without other
	// evidence of the same pair, in thousandths of a nat; agreeing is how many
	// members must say so, and sharing how likely any active source is to belong
	// to a campaign that is known to go on.
	orderly  = 3500
	agreeing = 3
	sharing  = 0.1
	// dense is how many of the pairs of two groups must be connected, to what is
	// connected within them.
	dense = 0.03
	// large is from how many members on a merger takes an edge whose evidence does
	// not come from client or network, whatever share of the sources that is.
	large = 50
)

// groups are disjoint sets of candidates: union-find with sizes.
type groups struct {
	parent []int32
	size   []int32
}

func newGroups(n int) groups {
	g := groups{parent: make([]int32, n), size: make([]int32, n)}
	for i := range g.parent {
		g.parent[i], g.size[i] = int32(i), 1
	}
	return g
}

func (g *groups) find(i int32) int32 {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

// join joins two sets by their roots; the lower root stays, so that the order of
// edges does not matter for the name.
func (g *groups) join(a, b int32) {
	if b < a {
		a, b = b, a
	}
	g.parent[b] = a
	g.size[a] += g.size[b]
}

// edges weighs the candidate pairs and keeps those that join, the strongest
// first, and those that do not by themselves but say something.
func (t *Tracker) edges(x *index) (list, hints []edge) {
	for _, pair := range x.candidatePairs() {
		i, j := int32(pair>>32), int32(pair&(1<<32-1))
		if !x.wanted(i) || !x.wanted(j) {
			continue
		}
		e, ok := t.weigh(x, i, j)
		switch {
		case ok && len(list) < maxEdges:
			list = append(list, e)
		case len(hints) < maxHints && e.ordered():
			hints = append(hints, e)
		}
	}
	slices.SortFunc(list, func(a, b edge) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.a, b.a), cmp.Compare(a.b, b.b))
	})
	return list, hints
}

// ordered reports whether the order of accounts alone says much.
func (e *edge) ordered() bool { return int32(e.by[Sequence]) >= orderly }

// cluster joins candidates along edges, and returns the group of each: -1 is
// none. Two groups that could each be a campaign need more than one edge: half as
// many as the smaller one has members. A source needs two edges into its group.
func (t *Tracker) cluster(n int, edges, hints []edge, active int) []int32 {
	g := newGroups(n)
	limit := int32(max(large, active/20))
	var between []edge
	for _, e := range edges {
		a, b := g.find(e.a), g.find(e.b)
		switch {
		case a == b:
		case int(min(g.size[a], g.size[b])) >= t.policy.Members:
			between = append(between, e)
		case t.allowed(&g, e, a, b, limit):
			g.join(a, b)
		}
	}
	t.bridge(&g, edges, between, hints, limit)
	return t.settle(&g, edges)
}

// allowed guards against merging everything: what grows large needs evidence that
// suffices without client and network.
func (t *Tracker) allowed(g *groups, e edge, a, b, limit int32) bool {
	return g.size[a]+g.size[b] <= limit || t.solid(&e)
}

// solid reports whether an edge joins without client and network.
func (t *Tracker) solid(e *edge) bool {
	return e.total-int32(e.by[Client])-int32(e.by[Network]) >= t.need
}

// bridge joins groups that many edges and hints connect: a third as many as the
// smaller group has members, if one of them joins by itself, otherwise half as
// many; and so many of all pairs that could be connected as a tenth of what is
// connected within the groups. Two large groups have a few in common by chance.
func (t *Tracker) bridge(g *groups, edges, between, hints []edge, limit int32) {
	for range 16 {
		bonds := t.bonds(g, edges, between, hints, limit)
		if len(bonds) == 0 {
			return
		}
		joined := map[int32]bool{} // once a round: the counts are of before
		for _, one := range bonds {
			if !joined[one.a] && !joined[one.b] {
				joined[one.a], joined[one.b] = true, true
				g.join(g.find(one.a), g.find(one.b))
			}
		}
	}
}

// A bond is two groups and what connects them.
type bond struct{ a, b, edges, all int32 }

// bonds returns the groups that are connected well enough, the best first.
func (t *Tracker) bonds(g *groups, edges, between, hints []edge, limit int32) (list []bond) {
	count := map[uint64]*bond{}
	inside := g.inside(edges, hints)
	add := func(e *edge, n int32) {
		a, b := g.find(e.a), g.find(e.b)
		if a == b || int(min(g.size[a], g.size[b])) < t.policy.Members {
			return
		}
		k := uint64(min(a, b))<<32 | uint64(max(a, b))
		if count[k] == nil {
			count[k] = &bond{a: min(a, b), b: max(a, b)}
		}
		count[k].edges += n
		count[k].all++
	}
	for i := range between {
		if a, b := g.find(between[i].a), g.find(between[i].b); t.allowed(g, between[i], a, b, limit) {
			add(&between[i], 1)
		}
	}
	for i := range hints {
		add(&hints[i], 0)
	}
	for _, one := range count {
		small := min(g.size[one.a], g.size[one.b])
		many := one.edges > 0 && one.all >= max(5, small/3) || one.all >= max(10, small/2)
		if many && float64(one.all) >= dense*min(inside[one.a], inside[one.b])*float64(g.size[one.a])*float64(g.size[one.b]) {
			list = append(list, *one)
		}
	}
	slices.SortFunc(list, func(x, y bond) int {
		return cmp.Or(cmp.Compare(y.all, x.all), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	return list
}

// inside returns which share of the pairs within each group edges and hints
// connect.
func (g *groups) inside(edges, hints []edge) map[int32]float64 {
	share := map[int32]float64{}
	for _, list := range [][]edge{edges, hints} {
		for i := range list {
			if a := g.find(list[i].a); a == g.find(list[i].b) {
				share[a]++
			}
		}
	}
	for r := range share {
		n := float64(g.size[r])
		share[r] /= n * (n - 1) / 2
	}
	return share
}

// settle moves every candidate to the group that it has most edges into, and
// leaves out those with less than two.
func (t *Tracker) settle(g *groups, edges []edge) []int32 {
	n := len(g.parent)
	group := make([]int32, n)
	for i := range group {
		group[i] = -1
		if r := g.find(int32(i)); int(g.size[r]) >= t.policy.Members {
			group[i] = r
		}
	}
	for range 2 {
		group = t.vote(group, edges)
	}
	sizes := map[int32]int{}
	for _, r := range group {
		sizes[r]++
	}
	for i, r := range group {
		if r >= 0 && sizes[r] < t.policy.Members {
			group[i] = -1
		}
	}
	return group
}

// vote returns, for each candidate, the group that most of its edges lead into.
func (t *Tracker) vote(group []int32, edges []edge) []int32 {
	type ballot struct{ candidate, group int32 }
	votes := make([]ballot, 0, 2*len(edges))
	for _, e := range edges {
		if group[e.a] != group[e.b] && !t.solid(&e) {
			continue
		}
		if r := group[e.b]; r >= 0 {
			votes = append(votes, ballot{e.a, r})
		}
		if r := group[e.a]; r >= 0 {
			votes = append(votes, ballot{e.b, r})
		}
	}
	slices.SortFunc(votes, func(a, b ballot) int {
		return cmp.Or(cmp.Compare(a.candidate, b.candidate), cmp.Compare(a.group, b.group))
	})
	next := make([]int32, len(group))
	for i := range next {
		next[i] = -1
	}
	best := make([]int, len(group))
	for i := 0; i < len(votes); {
		j := i
		for j < len(votes) && votes[j] == votes[i] {
			j++
		}
		v := votes[i]
		if n := j - i; n >= 2 && (n > best[v.candidate] || n == best[v.candidate] && v.group == group[v.candidate]) {
			best[v.candidate], next[v.candidate] = n, v.group
		}
		i = j
	}
	return next
}

// grow takes into a group whoever tries accounts in the order that three of its
// members do, if any member agrees with it in something else. It returns the ties
// that follow.
func (t *Tracker) grow(x *index, group []int32, hints []edge) (ties []edge) {
	type ballot struct {
		candidate, group int32
		hint             *edge
	}
	for range 2 {
		var votes []ballot
		for i := range hints {
			e := &hints[i]
			if a, b := group[e.a], group[e.b]; a < 0 && b >= 0 {
				votes = append(votes, ballot{e.a, b, e})
			} else if b < 0 && a >= 0 {
				votes = append(votes, ballot{e.b, a, e})
			}
		}
		slices.SortStableFunc(votes, func(a, b ballot) int {
			return cmp.Or(cmp.Compare(a.candidate, b.candidate), cmp.Compare(a.group, b.group))
		})
		members := membersOf(group)
		most, joined := 0, int32(-1)
		for i := 0; i < len(votes); {
			first := votes[i]
			best, agree := first.hint, 0
			for ; i < len(votes) && votes[i].candidate == first.candidate && votes[i].group == first.group; i++ {
				if agree++; votes[i].hint.by[Sequence] > best.by[Sequence] {
					best = votes[i].hint
				}
			}
			if first.candidate != joined {
				most = 0
			}
			if agree < agreeing || agree <= most {
				continue
			}
			if tie, ok := t.tie(x, first.candidate, members[first.group], best); ok {
				most, joined = agree, first.candidate
				group[first.candidate] = first.group
				ties = append(ties, tie)
			}
		}
	}
	return ties
}

func membersOf(group []int32) map[int32]map[int32]bool {
	members := map[int32]map[int32]bool{}
	for i, r := range group {
		if r < 0 {
			continue
		}
		if members[r] == nil {
			members[r] = map[int32]bool{}
		}
		members[r][int32(i)] = true
	}
	return members
}

// tie adds to the order of accounts what else candidate i has in common with any
// member of a group, and reports whether both are enough to belong to what is
// known to go on.
func (t *Tracker) tie(x *index, i int32, members map[int32]bool, order *edge) (edge, bool) {
	e := edge{a: order.a, b: order.b}
	e.by[Sequence] = order.by[Sequence]
	others := int32(0)
	for _, n := range x.candidates[i].runs {
		r := &x.runs[n]
		if r.class == Sequence || !r.rare || int32(e.by[r.class]) >= min(r.llr, t.caps[r.class]) {
			continue
		}
		if slices.ContainsFunc(r.sources, func(s int32) bool { return s != i && members[s] }) {
			e.by[r.class] = int16(min(r.llr, t.caps[r.class]))
		}
	}
	if together(x.candidates[order.a].profile, x.candidates[order.b].profile) {
		e.by[Timing] = int16(t.caps[Timing])
	}
	for c := Client; c < classes; c++ {
		others = max(others, int32(e.by[c]))
	}
	for c := range e.by {
		e.total += int32(e.by[c])
	}
	e.total += milli(logit(sharing) - logit(t.policy.Prior))
	return e, others >= telling && e.total >= t.need
}
