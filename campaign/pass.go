package campaign

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

const (
	// lead is how long before failures rose a source may have been active and
	// still belong: what is slow rises late.
	lead = daySeconds
	// fresh is how long after an epoch began what comes new is no background yet.
	fresh = 3 * daySeconds
	// share of what is known must be new: one in so many.
	share = 6
	// seldom is how often evidence is weighed if little is new, in seconds.
	seldom = 6 * 3600
	// soon is how long after a pass an alarm makes another one, in seconds.
	soon = 60
)

// due reports whether evidence is to be weighed anew: once enough is new, and each
// six hours.
func (t *Tracker) due(alarm bool) bool {
	since := t.now - t.passed
	if alarm && since >= soon {
		return true
	}
	return since >= span(t.policy.Pass) && (t.news*share >= t.size || since >= seldom)
}

// bracket returns when what goes on now began: the earliest start of an epoch or
// a campaign that has not ended.
func (t *Tracker) bracket() (start uint32, on bool) {
	start = t.now
	for _, c := range t.changes {
		if c.epoch {
			start, on = min(start, c.start), true
		}
	}
	for _, c := range t.campaigns {
		if c.live() {
			start, on = min(start, c.since), true
		}
	}
	return max(start, t.now-min(t.now, weekSeconds)), on
}

// pass weighs all evidence anew: who joins whom, and which campaign that is.
func (t *Tracker) pass() {
	t.passed, t.news = t.now, 0
	t.reviewAll()
	start, on := t.bracket()
	if !on {
		t.size = 0
		return
	}
	x := &t.scratch
	x.since = start - min(start, lead)
	t.collect(x, max(start, t.now-min(t.now, fresh)))
	t.size = len(x.candidates)
	t.build(x)
	edges, hints := t.edges(x)
	active := 0
	for i := range x.candidates {
		if x.wanted(int32(i)) {
			active++
		}
	}
	group := t.cluster(len(x.candidates), edges, hints, active)
	edges = append(edges, t.grow(x, group, hints)...)
	t.match(x, edges, group)
}

// bests returns each candidate's strongest edge within its group, and how many it
// has there.
func bests(n int, edges []edge, group []int32) (best []*edge, partners []int32) {
	best, partners = make([]*edge, n), make([]int32, n)
	for i := range edges {
		e := &edges[i]
		if group[e.a] < 0 || group[e.a] != group[e.b] {
			continue
		}
		for _, end := range []int32{e.a, e.b} {
			if partners[end]++; best[end] == nil {
				best[end] = e // the edges are in order of strength
			}
		}
	}
	return best, partners
}

// match finds out which campaign each group is, the largest group first.
func (t *Tracker) match(x *index, edges []edge, group []int32) {
	best, partners := bests(len(x.candidates), edges, group)
	taken := map[*campaign]bool{}
	for _, c := range t.campaigns {
		c.moved = 0
	}
	for _, list := range clusters(x, group) {
		c := t.campaignOf(x, list, taken)
		if c == nil {
			continue
		}
		taken[c] = true
		if c.status == tocsin.Ended {
			c.status, c.ended = tocsin.Open, 0
			t.tell(c, Reopened, "its sources are back")
		}
		for _, i := range list {
			t.attach(c, x, i, best[i], partners[i])
		}
		t.absorb(c, x, list, taken)
		c.shared = c.shared || shared(x, list)
		t.grown(c)
	}
	t.missed(x, group)
}

// clusters returns the members of each group, the largest group first.
func clusters(x *index, group []int32) [][]int32 {
	place := map[int32]int{}
	var list [][]int32
	for i, r := range group {
		if r < 0 {
			continue
		}
		at, ok := place[r]
		if !ok {
			at = len(list)
			place[r], list = at, append(list, nil)
		}
		list[at] = append(list[at], int32(i))
	}
	for _, l := range list {
		slices.SortFunc(l, func(a, b int32) int { return cmp.Compare(x.candidates[a].key, x.candidates[b].key) })
	}
	slices.SortFunc(list, func(a, b []int32) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(x.candidates[a[0]].key, x.candidates[b[0]].key))
	})
	return list
}

// campaignOf returns the campaign that most of a group belong to already, or
// opens one: if a larger group has taken that, this is a part that split off.
func (t *Tracker) campaignOf(x *index, list []int32, taken map[*campaign]bool) *campaign {
	count := map[*campaign]int{}
	for _, i := range list {
		if c := t.members[x.candidates[i].key]; c != nil {
			count[c]++
		}
	}
	var owner *campaign
	for _, c := range t.campaigns { // in the order of opening: the older one wins
		if count[c] > 0 && (owner == nil || count[c] > count[owner]) {
			owner = c
		}
	}
	if owner != nil && !taken[owner] {
		return owner
	}
	first := t.now
	for _, i := range list {
		first = min(first, x.candidates[i].profile.first)
	}
	if owner == nil {
		if c := t.unexplained(x, list, taken); c != nil {
			c.explained()
			c.first = min(c.first, first)
			return c
		}
	}
	c := t.open(t.name(x.candidates[list[0]].key, uint64(t.now)), first)
	if c == nil {
		return nil
	}
	if owner != nil {
		c.into = owner.id
		t.tell(c, Split, fmt.Sprintf("split from %s: %d of its sources act apart", owner.id, count[owner]))
		owner.mark(t.now, tocsin.Reason("a part of it split off as "+string(c.id)))
		return c
	}
	t.tell(c, Opened, fmt.Sprintf("%d sources act together, since %s", len(list), clock(first).Format(time.RFC3339)))
	return c
}

// unexplained returns a campaign that an alarm opened and nobody was attributed
// to yet, at a service of the group.
func (t *Tracker) unexplained(x *index, list []int32, taken map[*campaign]bool) *campaign {
	for _, c := range t.campaigns {
		if c.live() && c.alarm > 0 && c.found == 0 && !taken[c] && tried(x, list, uint8(c.alarm-1)) {
			return c
		}
	}
	return nil
}

// tried reports whether most of a group tried a service.
func tried(x *index, list []int32, service uint8) bool {
	n := 0
	for _, i := range list {
		p := x.candidates[i].profile
		if slices.ContainsFunc(p.steps[:p.nSteps], func(s step) bool { return s.service == service }) {
			n++
		}
	}
	return 2*n > len(list)
}

// absorb joins to c the campaigns that the group holds half of, and those that an
// alarm opened and the group explains.
func (t *Tracker) absorb(c *campaign, x *index, list []int32, taken map[*campaign]bool) {
	for _, other := range slices.Clone(t.campaigns) {
		if other == c || !other.live() || taken[other] {
			continue
		}
		switch {
		case other.moved > 0 && other.moved >= len(other.members):
			t.merge(c, other, "the same sources")
		case other.alarm > 0 && other.found == 0 && tried(x, list, uint8(other.alarm-1)):
			t.merge(c, other, "it explains that failures rose")
		}
	}
}

// attach makes candidate i a member of c, or renews that.
func (t *Tracker) attach(c *campaign, x *index, i int32, best *edge, partners int32) {
	key, p := x.candidates[i].key, x.candidates[i].profile
	m := c.members[key]
	if m == nil {
		if len(t.members) >= t.policy.Listed && t.members[key] == nil && !t.forgetOne() {
			return
		}
		if before := t.members[key]; before != nil {
			before.lose(key)
			before.moved++
		}
		m = &member{found: t.now}
		c.members[key], t.members[key] = m, c
		c.take(p)
	}
	m.first, m.last, m.attempts, m.devices, m.misses = p.first, p.last, p.attempts, p.devices(), 0
	if best == nil {
		return
	}
	other := best.a
	if other == i {
		other = best.b
	}
	m.total, m.by, m.partners = best.total, best.by, partners
	if partner := x.candidates[other]; m.partner != partner.key || m.chain == (chain{}) {
		m.partner, m.chain = partner.key, common(p, partner.profile)
	}
}

// take counts what a new member tried before.
func (c *campaign) take(p *profile) {
	for _, s := range p.steps[:p.nSteps] {
		c.count(s, 1)
	}
	for _, d := range p.targets[:p.nTargets] {
		bump(c.targets, d, 0)
	}
	c.attempts += uint64(p.attempts)
	c.dropped += uint64(p.dropped)
	c.first, c.attempt, c.drop = min(c.first, p.first), max(c.attempt, p.last), max(c.drop, p.lastDrop)
	c.since = min(c.since, p.first)
}

// common returns a chain that both tried, or none.
func common(p, q *profile) (found chain) {
	type at struct {
		service uint8
		chain
	}
	set := map[at]bool{}
	p.chains(func(service uint8, c chain) { set[at{service, c}] = true })
	q.chains(func(service uint8, c chain) {
		if found == (chain{}) && set[at{service, c}] {
			found = c
		}
	})
	return found
}

// grown tells that a campaign has doubled.
func (t *Tracker) grown(c *campaign) {
	n := len(c.members)
	if c.found == 0 {
		c.found, c.told = t.now, n
		c.mark(t.now, tocsin.Reason(fmt.Sprintf("%d sources attributed", n)))
		return
	}
	if n >= 2*c.told {
		c.told = n
		t.tell(c, Grew, fmt.Sprintf("%d sources attributed", n))
	}
}

// missed takes members out that go on, and whose evidence agrees with nobody's
// any more.
func (t *Tracker) missed(x *index, group []int32) {
	for i := range x.candidates {
		one := &x.candidates[i]
		more := one.profile.attempts != one.profile.told
		one.profile.told = one.profile.attempts
		c := t.members[one.key]
		if group[i] >= 0 || c == nil || !c.live() || !more {
			continue
		}
		m := c.members[one.key]
		if m.misses++; m.misses >= maxMisses {
			t.release(one.key, "acts apart from it now")
		}
	}
}

// release takes a source out of its campaign.
func (t *Tracker) release(key uint64, why string) {
	c := t.members[key]
	if c == nil {
		return
	}
	c.lose(key)
	delete(t.members, key)
	c.mark(t.now, tocsin.Reason(window.Prefix(key).String()+" "+why))
}

// shared reports whether members of a group try lists of accounts that have
// nothing to do with one another: maybe several campaigns on the same machines.
func shared(x *index, list []int32) bool {
	type at struct {
		service uint8
		chain
	}
	holders := map[at][]int32{}
	with := 0
	for _, i := range list {
		any := false
		x.candidates[i].profile.chains(func(service uint8, c chain) {
			k := at{service, c}
			if h := holders[k]; len(h) == 0 || h[len(h)-1] != i {
				holders[k] = append(h, i)
			}
			any = true
		})
		if any {
			with++
		}
	}
	least := max(3, with/10)
	var often []at
	for k, h := range holders {
		if len(h) >= least {
			often = append(often, k)
		}
	}
	// Chains of one list overlap in three accounts.
	g := newGroups(len(often))
	triples := map[[3]uint32]int32{}
	for i, k := range often {
		c := k.chain
		for _, triple := range [][3]uint32{{c[0], c[1], c[2]}, {c[1], c[2], c[3]}, {c[0], c[1], c[3]}, {c[0], c[2], c[3]}} {
			if j, ok := triples[triple]; !ok {
				triples[triple] = int32(i)
			} else if a, b := g.find(int32(i)), g.find(j); a != b {
				g.join(a, b)
			}
		}
	}
	who := map[int32]map[int32]bool{}
	for i, k := range often {
		r := g.find(int32(i))
		if who[r] == nil {
			who[r] = map[int32]bool{}
		}
		for _, h := range holders[k] {
			who[r][h] = true
		}
	}
	lists := 0
	for _, set := range who {
		if len(set) >= max(3, with/5) {
			lists++
		}
	}
	return lists >= 2
}
