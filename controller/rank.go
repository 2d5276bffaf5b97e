package controller

import (
	"cmp"
	"math"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// gate says how much of a feature may vote, from its test: all of it where the
// test speaks, nothing where it could have spoken and did not, and where it could
// not, as much as it could have known.
func gate(p, least float64) float64 {
	switch {
	case p <= Alpha:
		return 1
	case least <= Alpha:
		return 0
	}
	return min(max(math.Log(least)/math.Log(Alpha), 0), 1)
}

// score weighs the features. Nothing is scaled up where one has no vote:
// otherwise the one that is left would carry the full score.
func score(c *Candidate) float64 {
	logs := func(p, most float64) float64 { return min(-math.Log10(p), most) / most }
	return 0.45*c.Gates[0]*logs(c.Prevalence, 30) +
		0.25*c.Gates[1]*logs(c.Precedence, 6) +
		0.20*c.Gates[2]*c.Regularity +
		0.10*c.Gates[0]*c.Rarity
}

// admit fills in the q-values of Benjamini and Hochberg over so many
// destinations, and what follows from them. The filters of candidates look at
// labels, so every destination observed counts; those that are no candidates
// count with p = 1, which only makes q larger.
func admit(list []Candidate, observed int) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(list[i].P, list[j].P) })
	q := 1.0
	for rank := len(order); rank > 0; rank-- {
		c := &list[order[rank-1]]
		q = min(q, c.P*float64(observed)/float64(rank))
		c.Q = q
		c.Admitted = q <= Level
		// Who was attacked is no case, however surely the attackers had him in common.
		c.MayPropose = c.Admitted && c.Class != tocsin.Target && c.Labelled >= 2 && (c.Strata >= 2 || c.Owners >= 2)
	}
}

func sortBest(list []Candidate) {
	slices.SortFunc(list, func(x, y Candidate) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), cmp.Compare(x.P, y.P), cmp.Compare(y.Labelled, x.Labelled),
			x.Address.Compare(y.Address), cmp.Compare(x.Port, y.Port), cmp.Compare(x.Protocol, y.Protocol))
	})
}
