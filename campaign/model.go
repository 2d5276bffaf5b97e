package campaign

import "math"

// Bounds of a fitted failure rate: below, one mistyped password would be an
// alarm; above, failures could hardly rise.
const (
	LeastMu = 0.005
	MostMu  = 0.5
)

// A Model is how often people fail to log in: a beta-binomial law, because
// failures come in bursts of one person's.
type Model struct {
	Mu  float64 `json:"mu"`  // share of attempts that fail
	Rho float64 `json:"rho"` // how much attempts of one window are alike, 0 to below 1
}

// Fit returns the model of windows of n attempts, by the method of moments;
// failures holds how many failed in each window. Less than two windows, or none
// of at least two attempts, tell nothing.
func Fit(failures []uint16, n int) (Model, bool) {
	if len(failures) < 2 || n < 2 {
		return Model{}, false
	}
	var sum float64
	for _, x := range failures {
		sum += float64(x)
	}
	mean := sum / float64(len(failures))
	var squares float64
	for _, x := range failures {
		d := float64(x) - mean
		squares += d * d
	}
	mu := min(max(mean/float64(n), LeastMu), MostMu)
	variance := squares / float64(len(failures)-1)
	rho := (variance/(float64(n)*mu*(1-mu)) - 1) / float64(n-1)
	return Model{Mu: mu, Rho: min(max(rho, 0), 0.99)}, true
}

// Score returns by how many standard deviations the failures of a window of n
// attempts exceed what the model expects.
func (m Model) Score(failures, n int) float64 {
	if n <= 0 {
		return 0
	}
	size := float64(n)
	sd := math.Sqrt(size * m.Mu * (1 - m.Mu) * (1 + (size-1)*m.Rho))
	if !(sd > 0) {
		return 0
	}
	return (float64(failures) - size*m.Mu) / sd
}

// A CUSUM adds up scores and alarms when they have been too high for too long.
// Its sum starts at zero.
type CUSUM struct {
	Drift float64 // what each score must exceed to count
	Alarm float64 // what the sum must exceed
	sum   float64
}

// Step takes the score of the next window and reports whether it is an alarm,
// after which the sum starts anew.
func (c *CUSUM) Step(score float64) bool {
	c.sum = max(0, c.sum+score-c.Drift)
	if c.sum > c.Alarm {
		c.sum = 0
		return true
	}
	return false
}

// Rising reports whether the sum is above zero: something may have begun.
func (c *CUSUM) Rising() bool { return c.sum > 0 }
