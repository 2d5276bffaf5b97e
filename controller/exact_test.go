package controller

import (
	"math"
	"testing"
)

func near(a, b, share float64) bool { return math.Abs(a-b) <= share*math.Max(math.Abs(a), math.Abs(b)) }

// The law of one stratum is the hypergeometric one; Fisher's tea is its oldest
// table: of 8 cups, 4 of each kind, all 4 told right by chance once in 70.
func TestContactsOfOneStratum(t *testing.T) {
	l := newLogFactorials(8)
	d := l.contacts(8, 4, 4)
	for x, want := range []float64{1, 16, 36, 16, 1} {
		if got := d.p[x]; !near(got, want/70, 1e-12) {
			t.Errorf("P(A = %d): got %g, want %g", x, got, want/70)
		}
	}
	if got := d.atLeast(3); !near(got, 17.0/70, 1e-12) {
		t.Errorf("P(A >= 3): got %g, want %g", got, 17.0/70)
	}
	if got := d.atLeast(0); got != 1 {
		t.Errorf("P(A >= 0): got %g, want 1", got)
	}
}

// Two strata are counted out by hand: 4 devices with 2 labels and 2 in contact,
// 3 devices with 1 label and 2 in contact.
func TestContactsOfTwoStrata(t *testing.T) {
	l := newLogFactorials(7)
	d := l.contacts(4, 2, 2).plus(l.contacts(3, 1, 2))
	for x, want := range []float64{1.0 / 18, 6.0 / 18, 9.0 / 18, 2.0 / 18} {
		if got := d.p[x]; !near(got, want, 1e-12) {
			t.Errorf("P(A = %d): got %g, want %g", x, got, want)
		}
	}
}

// The smaller tail is summed, so that a p of 10^-40 is not lost beside 1.
func TestAtLeastIsExactInTheTail(t *testing.T) {
	l := newLogFactorials(10_000)
	got := l.contacts(10_000, 20, 20).atLeast(20)
	if want := math.Exp(-l.choose(10_000, 20)); !near(got, want, 1e-9) {
		t.Errorf("got %g, want %g", got, want)
	}
}

func TestQuantile(t *testing.T) {
	for p, want := range map[float64]float64{0.5: 0, 0.05: 1.6448536269514722, 0.975: -1.959963984540054, 1e-9: 5.997807015007686} {
		if got := quantile(p); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile(%g): got %v, want %v", p, got, want)
		}
	}
	for _, p := range []float64{smallestP, 1e-200, 1e-50, 1e-12, 0.01, 0.3, 0.45, 0.7, largestP} {
		if got := upperTail(quantile(p)); !near(got, p, 1e-9) && !near(1-got, 1-p, 1e-3) {
			t.Errorf("and back: got %g, want %g", got, p)
		}
	}
	if got := combine(smallestP, largestP); !(got > 0 && got < 1) {
		t.Errorf("the two ends combined: got %g", got)
	}
}

func TestSignTest(t *testing.T) {
	for _, tt := range []struct {
		before, n int
		want      float64
	}{{3, 3, 0.125}, {0, 3, 1}, {2, 3, 0.5}, {4, 4, 0.0625}, {5, 5, 0.03125}} {
		if got := signTest(tt.before, tt.n); !near(got, tt.want, 1e-12) {
			t.Errorf("%d of %d: got %g, want %g", tt.before, tt.n, got, tt.want)
		}
	}
}

func TestGate(t *testing.T) {
	for _, tt := range []struct {
		name     string
		p, least float64
		want     float64
	}{
		{"speaks", 0.01, 0.001, 1},
		{"could have spoken and did not", 0.2, 0.031, 0},
		{"three devices cannot know much", 0.125, 0.125, 0.694},
		{"nothing to compare with", 1, 1, 0},
	} {
		if got := gate(tt.p, tt.least); math.Abs(got-tt.want) > 0.001 {
			t.Errorf("%s: got %g, want %g", tt.name, got, tt.want)
		}
	}
}

func TestRatio(t *testing.T) {
	r := ratio(0, 10, 0, 1000)
	if r.Low > r.Value || r.Value > r.High || math.IsInf(r.High, 0) || math.IsNaN(r.Low) {
		t.Errorf("of what nobody contacts: got %+v", r)
	}
	r = ratio(8, 10, 20, 1000)
	want := (8.5 / 11) / (12.5 / 991)
	if !near(r.Value, want, 1e-12) || r.Low < 30 || r.High > 130 {
		t.Errorf("got %+v, want about %g", r, want)
	}
}

func FuzzLaw(f *testing.F) {
	f.Add(uint16(1000), uint16(18), uint16(27), uint16(16))
	f.Add(uint16(1), uint16(1), uint16(1), uint16(1))
	l := newLogFactorials(math.MaxUint16)
	f.Fuzz(func(t *testing.T, size, marked, hit, x uint16) {
		n := int(size)
		m, k := min(int(marked), n), min(int(hit), n)
		d := l.contacts(n, m, k)
		sum := 0.0
		for _, p := range d.p {
			sum += p
		}
		if !near(sum, 1, 1e-6) {
			t.Errorf("%d devices, %d labels, %d contacts: probabilities sum up to %g", n, m, k, sum)
		}
		if p := clampP(d.atLeast(int(x))); !(p > 0 && p < 1) {
			t.Errorf("P(A >= %d): got %g", x, p)
		}
	})
}
