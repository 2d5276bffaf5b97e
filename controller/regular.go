package controller

import "slices"

// drawLabels draws, for each round, as many devices of each stratum as are
// labelled in it.
func (a *analysis) drawLabels() {
	f := a.fleet
	a.sets = make([][]uint16, len(f.devices))
	members := make([][]int32, len(f.size))
	for i, s := range f.stratum {
		members[s] = append(members[s], int32(i))
	}
	for s, list := range members {
		r := stream(a.in.Seed, "labels")
		r += random(s)
		r = random(r.next())
		for round := range a.in.Rounds {
			for i := range f.marked[s] { // the first places of a shuffle
				j := i + r.below(len(list)-i)
				list[i], list[j] = list[j], list[i]
				a.sets[list[i]] = append(a.sets[list[i]], uint16(round))
			}
		}
	}
}

// regular measures how much more regular the contacts of labelled devices are
// than those of the other devices, where a device without contact has none that
// is regular. It returns how likely random labels find as many devices in contact
// that are as regular on the mean, and the smallest such probability that there
// could be, given the one of prevalence.
func (a *analysis) regular(d *dest, b *beacons, c *Candidate, leastPrevalence float64) (p, least float64) {
	marked, others := a.marked[:0], a.others[:0]
	clear(a.counts)
	clear(a.sums)
	mean := 0.0
	for i, q := range d.pairs {
		s := b.scores[i]
		if a.labelled(q.device) {
			marked, mean = append(marked, s), mean+s
		} else {
			others = append(others, s)
		}
		for _, round := range a.sets[q.device] {
			a.counts[round]++
			a.sums[round] += s
		}
	}
	a.marked, a.others = marked, others
	mean /= float64(len(marked))
	slices.Sort(marked)
	slices.Sort(others)
	silent := len(a.fleet.devices) - a.fleet.labelled - len(others)
	c.Regularity = min(max(median(marked)-medianBehind(others, silent), 0), 1)
	reached := 0
	for round, n := range a.counts {
		if int(n) >= len(marked) && a.sums[round] >= (mean-1e-9)*float64(n) {
			reached++
		}
	}
	rounds := float64(a.in.Rounds + 1)
	return clampP(float64(1+reached) / rounds), max(1/rounds, leastPrevalence)
}

// medianBehind returns the median of so many zeros and sorted.
func medianBehind(sorted []float64, zeros int) float64 {
	n := zeros + len(sorted)
	at := func(i int) float64 {
		if i < zeros {
			return 0
		}
		return sorted[i-zeros]
	}
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return at(n / 2)
	}
	return (at(n/2-1) + at(n/2)) / 2
}
