package controller

import (
	"math"
	"slices"
	"time"
)

// beacons is how regularly each device contacted one destination, by pair.
type beacons struct {
	times  [][]instant // when connections began
	scores []float64
	store  []instant
}

// beacons measures every pair of d. What it returns holds until the next call.
func (a *analysis) beacons(d *dest) *beacons {
	b := &a.beacon
	b.times, b.scores, b.store = b.times[:0], b.scores[:0], b.store[:0]
	for i := range d.pairs {
		p := &d.pairs[i]
		from := len(b.store)
		b.store = a.times(p, b.store)
		times := b.store[from:len(b.store):len(b.store)]
		if !slices.IsSorted(times) {
			slices.Sort(times)
		}
		b.times = append(b.times, times)
		b.scores = append(b.scores, a.beaconScore(d, p, times))
	}
	return b
}

// strobe is so many connections a day that no one needs to look for a rhythm.
const strobe = 86_400

func (a *analysis) beaconScore(d *dest, p *pair, times []instant) float64 {
	span := a.whole.length()
	const tcp = 6
	if d.key.protocol == tcp && span >= shortestSpan && float64(p.longest) >= longLived*float64(span) {
		return 1
	}
	if float64(p.count) >= strobe*max(1, span.Hours()/24) {
		return 1
	}
	return a.rhythm(times)
}

// rhythm is the score of the times of contact, from 0 to 1: how little the
// intervals between them vary, and how evenly. It needs four different seconds.
func (a *analysis) rhythm(times []instant) float64 {
	gaps := a.gaps[:0]
	last := instant(0)
	for i, t := range times {
		second := t / instant(time.Second)
		if i > 0 && second > last {
			gaps = append(gaps, float64(second-last))
		}
		last = second
	}
	a.gaps = gaps
	if len(gaps) < 3 {
		return 0
	}
	slices.Sort(gaps)
	middle := median(gaps)
	skew := skewness(gaps, middle)
	even := 1.0
	if middle >= 1 {
		even = max(0, (middle-deviation(gaps, middle))/middle)
	}
	return math.Round(((1-math.Abs(skew))+even)/2*1000) / 1000
}

// skewness compares the quartiles of sorted values with their median (Bowley):
// from -1 to 1. The quartiles are the medians of the halves, which leave the
// middle value out.
func skewness(sorted []float64, middle float64) float64 {
	half := len(sorted) / 2
	q1, q3 := median(sorted[:half]), median(sorted[len(sorted)-half:])
	if q3-q1 < 10 || middle == q1 || middle == q3 {
		return 0
	}
	return (q1 + q3 - 2*middle) / (q3 - q1)
}

// deviation is the median absolute deviation of sorted values from their median.
// It walks outwards from the middle, so that nothing is sorted again.
func deviation(sorted []float64, middle float64) float64 {
	n := len(sorted)
	right, _ := slices.BinarySearch(sorted, middle)
	left := right - 1
	var before, at float64
	for range n/2 + 1 {
		before = at
		if right >= n || left >= 0 && middle-sorted[left] <= sorted[right]-middle {
			at = middle - sorted[left]
			left--
		} else {
			at = sorted[right] - middle
			right++
		}
	}
	if n%2 == 0 {
		return (before + at) / 2
	}
	return at
}

// median returns that of sorted values, 0 of none.
func median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
