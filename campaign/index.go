package campaign

import (
	"cmp"
	"math"
	"slices"
)

// Bounds of one pass.
const (
	maxPass  = 1 << 14 // sources that are weighed, the ones seen last
	maxPairs = 1 << 20 // pairs of them
	// background is how many sources it takes to know what is common among those
	// that were there before.
	background = 100
)

// A feature is something that a source shows; the class is in the low bits.
type feature struct {
	hash   uint64
	source int32
}

// A run is a feature, and who shows it.
type run struct {
	class   Class
	count   int32 // sources that show it
	before  int32 // of those, in the background
	shown   int32 // of those, that say how common it is
	llr     int32 // what sharing it says, in thousandths of a nat
	rare    bool
	sources []int32
}

// A candidate is a source that is weighed in a pass.
type candidate struct {
	key     uint64
	profile *profile
	member  bool    // of a campaign that has not ended
	before  bool    // in the background: there before the epoch
	runs    []int32 // ascending: by class, the most common first
	tails   []int32 // beside runs: how often others show this chain, or one that is rarer
}

// An index finds the candidates that share a feature.
type index struct {
	since      uint32 // who was active since then may join; others only tell what is common
	candidates []candidate
	features   []feature
	buckets    []feature // scratch of sort
	starts     []int32
	runs       []run
	postings   []int32
	lists      []int32
	tails      []int32
	pairs      []uint64
	total      [classes]int32 // candidates that could show a feature of the class
	before     [classes]int32 // of those, in the background
	chance     float64        // that two of the background share a chain that is rare there
}

// collect takes the sources that are weighed: those that may join, and, to know
// what is common, those that were there before the front.
func (t *Tracker) collect(x *index, front uint32) {
	x.candidates, x.features = x.candidates[:0], x.features[:0]
	x.total, x.before = [classes]int32{}, [classes]int32{}
	var firsts []uint32
	skip := t.sources.Len() - maxPass
	for key, p := range t.sources.All() {
		if skip--; skip >= 0 || !p.suspect() || !within(p.last, t.now, weekSeconds) {
			continue
		}
		member := t.members[key] != nil && t.members[key].live()
		if !member {
			firsts = append(firsts, p.first)
		}
		x.candidates = append(x.candidates, candidate{key: key, profile: p, member: member})
	}
	// Where too few were there before, those that came first are the background.
	slices.Sort(firsts)
	if n := background + background/4; len(firsts) > 2*n {
		front = max(front, firsts[n])
	}
	kept := 0
	for _, c := range x.candidates {
		c.before = c.profile.first < front && !c.member
		if c.before || c.member || c.profile.last >= x.since {
			x.candidates[kept] = c
			kept++
		}
	}
	x.candidates = x.candidates[:kept]
	for i := range x.candidates {
		t.show(x, int32(i))
	}
}

// wanted reports whether a candidate may join something, and is not there for the
// background only.
func (x *index) wanted(i int32) bool { return x.candidates[i].profile.last >= x.since }

// show adds what the candidate i shows.
func (t *Tracker) show(x *index, i int32) {
	c := &x.candidates[i]
	p := c.profile
	add := func(class Class, h uint64) {
		x.features = append(x.features, feature{hash: h&^7 | uint64(class), source: i})
	}
	seed := t.policy.Seed
	start := len(x.features)
	p.chains(func(service uint8, ch chain) {
		add(Sequence, seed.Hash2(uint64(ch[0])<<32|uint64(ch[1]), uint64(ch[2])<<32|uint64(ch[3]))^uint64(service)<<40)
	})
	x.counted(Sequence, c.before, len(x.features) > start)
	if p.client != 0 {
		add(Client, p.client)
	}
	x.counted(Client, c.before, p.client != 0)
	for _, d := range p.targets[:p.nTargets] {
		add(Targets, seed.Hash2(uint64(d), uint64(Targets)))
	}
	x.counted(Targets, c.before, true)
	add(Network, seed.Hash2(neighbours(c.key), uint64(Network)))
	x.counted(Network, c.before, true)
}

func (x *index) counted(c Class, before, could bool) {
	if !could {
		return
	}
	x.total[c]++
	if before {
		x.before[c]++
	}
}

// neighbours returns the /24 of a source's key, or the /48.
func neighbours(key uint64) uint64 {
	if key>>32 == 1<<32-1 { // an IPv4 address: see window.Key
		return key >> 8
	}
	return key >> 16
}

// build finds out who shares what. Features that one source shows alone are left
// out.
func (t *Tracker) build(x *index) {
	x.sort()
	x.features = slices.Compact(x.features) // two chains of one source may be alike
	x.runs, x.postings = x.runs[:0], slices.Grow(x.postings[:0], len(x.features))
	for i := 0; i < len(x.features); {
		j := i
		for j < len(x.features) && x.features[j].hash == x.features[i].hash {
			j++
		}
		if j-i > 1 {
			t.addRun(x, x.features[i:j])
		}
		i = j
	}
	slices.SortStableFunc(x.runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(b.shown, a.shown), cmp.Compare(b.count, a.count))
	})
	x.assign()
	x.addUp(t.policy.Rare)
}

func (t *Tracker) addRun(x *index, list []feature) {
	r := run{class: Class(list[0].hash & 7), count: int32(len(list))}
	start := len(x.postings)
	for _, f := range list {
		x.postings = append(x.postings, f.source)
		if x.candidates[f.source].before {
			r.before++
		}
	}
	r.sources = x.postings[start:]
	r.shown = r.count
	if x.known(r.class) {
		r.shown = r.before
	}
	p := float64(r.shown+1) / float64(x.of(r.class)+2)
	r.llr, r.rare = llr(t.policy.Weights[r.class].Share, p), p < t.policy.Rare
	x.runs = append(x.runs, r)
}

// known reports whether enough sources were there before to tell what is common.
func (x *index) known(c Class) bool { return x.before[c] >= background }

// of returns of how many sources it is told how many show a feature.
func (x *index) of(c Class) int32 {
	if x.known(c) {
		return x.before[c]
	}
	return x.total[c]
}

// addUp tells for each chain of a candidate how often others show that or a rarer
// one of its chains: with fifty chains from a dozen names, some are shared with
// somebody by chance, however rare each is.
func (x *index) addUp(rare float64) {
	few, shared := int32(rare*float64(x.before[Sequence])), int32(0)
	for i := range x.runs {
		if r := &x.runs[i]; r.class == Sequence && r.before <= few {
			shared += r.before * max(r.before-1, 0)
		}
	}
	x.chance = float64(shared) / max(float64(x.before[Sequence])*float64(x.before[Sequence]), 1)
	x.tails = slices.Grow(x.tails[:0], len(x.lists))[:len(x.lists)]
	at := 0
	for i := range x.candidates {
		c := &x.candidates[i]
		c.tails = x.tails[at : at+len(c.runs)]
		at += len(c.runs)
		sum, self := int32(0), int32(1)
		if x.known(Sequence) && !c.before {
			self = 0
		}
		for j := len(c.runs) - 1; j >= 0; j-- {
			if r := &x.runs[c.runs[j]]; r.class == Sequence {
				sum += max(r.shown-self, 0)
			}
			c.tails[j] = sum
		}
	}
}

// assign gives every candidate the list of its runs.
func (x *index) assign() {
	x.lists = slices.Grow(x.lists[:0], len(x.postings))[:len(x.postings)]
	sizes := make([]int32, len(x.candidates)+1)
	for i := range x.runs {
		for _, s := range x.runs[i].sources {
			sizes[s+1]++
		}
	}
	for i := range x.candidates {
		sizes[i+1] += sizes[i]
		x.candidates[i].runs = x.lists[sizes[i]:sizes[i]:sizes[i+1]]
	}
	for i := range x.runs {
		for _, s := range x.runs[i].sources {
			c := &x.candidates[s]
			c.runs = append(c.runs, int32(i))
		}
	}
}

// candidatePairs lists the pairs that share something rare, each once. Of a
// feature that many show, each is paired with those seen next after it: enough to
// join them all.
func (x *index) candidatePairs() []uint64 {
	rare := 0
	for i := range x.runs {
		if x.runs[i].rare {
			rare += len(x.runs[i].sources)
		}
	}
	reach := min(max(maxPairs/max(rare, 1), 2), 24)
	x.pairs = x.pairs[:0]
	for i := range x.runs {
		r := &x.runs[i]
		if !r.rare {
			continue
		}
		far := reach
		if r.class == Targets || r.class == Network { // say little alone
			far = min(reach, 8)
		}
		for a := range r.sources {
			for _, b := range r.sources[a+1 : min(a+1+far, len(r.sources))] {
				x.pairs = append(x.pairs, uint64(r.sources[a])<<32|uint64(b))
			}
		}
		if len(x.pairs) > 2*maxPairs {
			x.pairs = compact(x.pairs)
		}
	}
	x.pairs = compact(x.pairs)
	if len(x.pairs) > maxPairs {
		x.pairs = x.pairs[:maxPairs]
	}
	return x.pairs
}

func compact(list []uint64) []uint64 {
	slices.Sort(list)
	return slices.Compact(list)
}

// llr is what sharing a feature says for acting together, in thousandths of a
// nat: share of the partners show it too, p of all sources do.
func llr(share, p float64) int32 {
	return milli(math.Log((share + (1-share)*p) / p))
}

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

// milli rounds to thousandths, so that evidence is added up in whole numbers:
// the same on every machine.
func milli(v float64) int32 { return int32(math.Round(v * 1000)) }

// sort orders the features by hash, then source. Hashes are spread evenly: dealt
// into buckets by their first bits, a few each, they are in order at once. Those of
// one hash come in the order of their sources, so that a common one costs nothing;
// nobody can choose two that fall into one bucket, as hashes are keyed.
func (x *index) sort() {
	n := len(x.features)
	width := 0
	for width < 20 && n>>width > 4 {
		width++
	}
	shift := 64 - uint(width)
	x.starts = append(x.starts[:0], make([]int32, 1<<width+1)...)
	for i := range x.features {
		x.starts[x.features[i].hash>>shift+1]++
	}
	for i := 1; i < len(x.starts); i++ {
		x.starts[i] += x.starts[i-1]
	}
	x.buckets = slices.Grow(x.buckets[:0], n)[:n]
	next := x.starts // ends up as the end of each bucket
	for _, f := range x.features {
		at := &next[f.hash>>shift]
		x.buckets[*at] = f
		*at++
	}
	x.features, x.buckets = x.buckets, x.features
	start := int32(0)
	for _, end := range next[:1<<width] {
		for i := start + 1; i < end; i++ {
			f, k := x.features[i], i
			for ; k > start && x.features[k-1].after(f); k-- {
				x.features[k] = x.features[k-1]
			}
			x.features[k] = f
		}
		start = end
	}
}

// after reports whether f comes after g.
func (f feature) after(g feature) bool {
	return f.hash > g.hash || f.hash == g.hash && f.source > g.source
}
