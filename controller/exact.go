package controller

import (
	"math"

	"github.com/tocsin-io/tocsin"
)

// logFactorials holds ln(n!) by n.
type logFactorials []float64

func newLogFactorials(most int) logFactorials {
	l := make(logFactorials, most+1)
	for n := range l {
		l[n], _ = math.Lgamma(float64(n) + 1)
	}
	return l
}

// choose returns ln C(n, k).
func (l logFactorials) choose(n, k int) float64 { return l[n] - l[k] - l[n-k] }

// A law is the probabilities of from, from+1 and so on.
type law struct {
	from int
	p    []float64
}

// contacts returns the law of how many of the labelled devices of a stratum
// contact a destination, were the labels given at random: size devices, marked
// of them labelled, hit of them in contact.
func (l logFactorials) contacts(size, marked, hit int) law {
	from, to := max(0, marked+hit-size), min(hit, marked)
	d := law{from, make([]float64, to-from+1)}
	all := l.choose(size, marked)
	for i := range d.p {
		x := from + i
		d.p[i] = math.Exp(l.choose(hit, x) + l.choose(size-hit, marked-x) - all)
	}
	return d
}

// plus returns the law of the sum of two independent numbers.
func (d law) plus(e law) law {
	s := law{d.from + e.from, make([]float64, len(d.p)+len(e.p)-1)}
	for i, p := range d.p {
		for j, q := range e.p {
			s.p[i+j] += p * q
		}
	}
	return s
}

// atLeast returns the probability of x or more, from the smaller tail.
func (d law) atLeast(x int) float64 {
	upper, lower := 0.0, 0.0
	for i := len(d.p) - 1; i >= 0; i-- { // the smallest first
		if d.from+i >= x {
			upper += d.p[i]
		}
	}
	if upper <= 0.5 {
		return upper
	}
	for i, p := range d.p {
		if d.from+i < x {
			lower += p
		}
	}
	return 1 - lower
}

// prevalence returns how likely it is that random labels, as many in each
// stratum, find as many of the devices in contact with d, and the smallest such
// number that there could be.
func (a *analysis) prevalence(d *dest) (p, least float64) {
	clear(a.contacts)
	found := 0
	for _, q := range d.pairs {
		a.contacts[a.fleet.stratum[q.device]]++
		if a.labelled(q.device) {
			found++
		}
	}
	sum := law{p: []float64{1}}
	for s, hit := range a.contacts {
		if marked := a.fleet.marked[s]; hit > 0 && marked > 0 {
			sum = sum.plus(a.factor.contacts(a.fleet.size[s], marked, hit))
		}
	}
	return clampP(sum.atLeast(found)), clampP(sum.p[len(sum.p)-1])
}

func clampP(p float64) float64 { return min(max(p, smallestP), largestP) }

// ratio is how many times likelier a labelled device is to contact a
// destination, with Haldane's correction and its 95 % interval: a of n labelled
// devices, k of all. It is shown and ranks nothing.
func ratio(a, n, k, all int) tocsin.Estimate {
	x, y := float64(a)+0.5, float64(k-a)+0.5
	r := (x / float64(n+1)) / (y / float64(all-n+1))
	e := 1.96 * math.Sqrt(max(0, 1/x-1/float64(n+1)+1/y-1/float64(all-n+1)))
	return tocsin.Estimate{Value: r, Low: r * math.Exp(-e), High: r * math.Exp(e)}
}

// rarity is 1 for what nobody contacts and 0 for what all do.
func rarity(k, all int) float64 {
	return 1 - math.Log1p(float64(k))/math.Log1p(float64(all))
}

// combine joins two tests by Stouffer's method.
func combine(p1, p2 float64) float64 {
	return clampP(upperTail((quantile(p1) + quantile(p2)) / math.Sqrt2))
}

// upperTail is the probability that a standard normal number exceeds z.
func upperTail(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// quantile returns the z that a standard normal number exceeds with probability
// p, exact also where p is so small that 1-p is 1.
func quantile(p float64) float64 {
	if p > 0.5 {
		return -quantile(1 - p)
	}
	z := 0.0
	if p < 0.4 {
		z = math.Sqrt(-2 * math.Log(2*p)) // too large for every p
	}
	for range 60 { // Newton's method on the logarithm, which is almost a parabola
		q := upperTail(z)
		if q == 0 {
			z *= 0.99
			continue
		}
		step := (math.Log(q) - math.Log(p)) * q * math.Sqrt(2*math.Pi) / math.Exp(-z*z/2)
		z += step
		if math.Abs(step) < 1e-12*(1+z) {
			break
		}
	}
	return z
}
