package campaign

import (
	"math"

	"github.com/tocsin-io/tocsin"
)

// Size estimates how many sources there are, from how many were seen: once of
// them at one device only, twice at exactly two (Chao's lower bound, corrected
// for small numbers, with its log-normal interval of 95 %).
func Size(seen, once, twice int) tocsin.Estimate {
	d, f1, f2 := float64(seen), float64(once), float64(twice)
	unseen := f1 * (f1 - 1) / (2 * (f2 + 1))
	if unseen <= 0 {
		return tocsin.Estimate{Value: d, Low: d, High: d}
	}
	variance := unseen + f1*(2*f1-1)*(2*f1-1)/(4*(f2+1)*(f2+1)) + f1*f1*f2*(f1-1)*(f1-1)/(4*math.Pow(f2+1, 4))
	c := math.Exp(1.96 * math.Sqrt(math.Log(1+variance/(unseen*unseen))))
	round := func(v float64) float64 { return math.Round(v*10) / 10 }
	return tocsin.Estimate{Value: round(d + unseen), Low: round(d + unseen/c), High: round(d + unseen*c)}
}
