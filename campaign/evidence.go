package campaign

import "math"

// An edge is two candidates that act together by the evidence.
type edge struct {
	a, b  int32
	total int32 // evidence, in thousandths of a nat
	by    [classes]int16
}

// telling is how much a class must say to count as one of the two that it takes.
const telling = 250

// weigh adds up the evidence that candidates i and j act together, and reports
// whether it is enough.
func (t *Tracker) weigh(x *index, i, j int32) (edge, bool) {
	e := edge{a: i, b: j}
	a, b := &x.candidates[i], &x.candidates[j]
	var sum [classes]int32
	last := int32(0)   // how many showed the chain shared before
	chance := int32(0) // how often others show what is shared, or what is rarer
	for m, n := 0, 0; m < len(a.runs) && n < len(b.runs); {
		switch {
		case a.runs[m] < b.runs[n]:
			m++
			continue
		case a.runs[m] > b.runs[n]:
			n++
			continue
		}
		r := &x.runs[a.runs[m]]
		v := r.llr
		if r.class == Sequence {
			if last > 0 {
				v = t.further(last, r.count)
			}
			last = r.count
			chance = max(a.tails[m], b.tails[n])
		}
		sum[r.class] += max(v, 0)
		m, n = m+1, n+1
	}
	if last > 0 {
		p := min(max(float64(chance+1)/float64(x.of(Sequence)+2), x.chance), 1)
		sum[Sequence] = min(sum[Sequence], llr(t.policy.Weights[Sequence].Share, p))
	}
	sure := int32(0)
	for c := range sum {
		sure += min(sum[c], t.caps[c])
	}
	// Timing takes longest to weigh, and is asked only where it can decide.
	if sure+t.caps[Timing] >= t.need && together(a.profile, b.profile) {
		sum[Timing] = t.caps[Timing]
	}
	kinds := 0
	for c := range sum {
		v := min(sum[c], t.caps[c])
		e.by[c] = int16(v)
		e.total += v
		if v >= telling {
			kinds++
		}
	}
	return e, e.total >= t.need && kinds >= 2
}

// further is what one more chain in common says, if the one before, which more
// sources show, is known: chains of one list come together, so it says only by
// how much it is rarer.
func (t *Tracker) further(before, count int32) int32 {
	share := t.policy.Weights[Sequence].Share
	return llr(share, min(float64(count+1)/float64(before+1), 1))
}

// Times that agree: at least so many five minutes in common, and so many
// standard deviations more than if one of the two were shifted.
const (
	leastBins = 3
	leastZ    = 3
)

// together reports whether two sources are active in the same five minutes more
// often than chance: against all shifts of one of them around the time that the
// two were there, which is a day at least.
func together(p, q *profile) bool {
	u, v := p.bins[:p.nBins], q.bins[:q.nBins]
	if len(u) < leastBins || len(v) < leastBins {
		return false
	}
	common := 0
	for i, j := 0, 0; i < len(u) && j < len(v); {
		switch {
		case u[i] < v[j]:
			i++
		case u[i] > v[j]:
			j++
		default:
			common++
			i, j = i+1, j+1
		}
	}
	if common < leastBins {
		return false
	}
	first, end := min(u[0], v[0]), max(u[len(u)-1], v[len(v)-1])
	width := max(end-first+1, daySeconds/binSeconds)
	// Of all shifts k, C(k) counts the pairs of bins that k brings together. Their
	// sum is the number of pairs; the sum of squares counts pairs of pairs.
	var shifts [maxBins * maxBins]uint32
	n := 0
	for _, a := range u {
		for _, b := range v {
			shifts[n] = (a + width - b%width) % width
			n++
		}
	}
	squares := sumOfSquares(shifts[:n])
	mean := float64(n) / float64(width)
	sd := math.Sqrt(max(float64(squares)/float64(width)-mean*mean, 0))
	return sd > 0 && (float64(common)-mean)/sd > leastZ
}

// sumOfSquares adds up the square of how often each value occurs.
func sumOfSquares(list []uint32) (sum int) {
	var keys [512]uint32 // open addressing; a value is kept plus one
	var counts [512]uint16
	for _, v := range list {
		i := v * 2654435761 >> 23
		for keys[i] != 0 && keys[i] != v+1 {
			i = (i + 1) % 512
		}
		keys[i] = v + 1
		counts[i]++
		sum += 2*int(counts[i]) - 1
	}
	return sum
}

// posterior turns evidence into how likely two sources act together.
func (t *Tracker) posterior(total int32) float64 {
	return 1 / (1 + math.Exp(-(logit(t.policy.Prior) + float64(total)/1000)))
}
