package controller

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func instants(seconds ...float64) []instant {
	list := make([]instant, len(seconds))
	for i, s := range seconds {
		list[i] = 1_700_000_000*instant(time.Second) + instant(s*1e9)
	}
	return list
}

func TestRhythm(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times []instant
		want  float64
	}{
		{"never", nil, 0},
		{"three seconds are too few", instants(0, 60, 120), 0},
		{"the same second counts once", instants(0, 0.5, 60, 60.2, 120), 0},
		{"like a clock", instants(0, 60, 120, 180, 240), 1},
		// Intervals 100, 200, 300: skew 0, deviation 100 of 200.
		{"growing", instants(0, 100, 300, 600), 0.75},
		// Intervals 10, 10, 100, 1000: quartiles 10 and 550, median 55, so skew 0.833; deviation 45.
		{"skewed", instants(0, 10, 20, 120, 1120), 0.174},
		// Intervals 1, 1, 2, 8: median 1.5, deviation 0.5.
		{"within ten seconds there is no skew", instants(0, 1, 2, 4, 12), 0.833},
	} {
		var a analysis
		got := a.rhythm(tt.times)
		if math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%s: got %g, want %g", tt.name, got, tt.want)
		}
	}
}

// deviation against the definition.
func TestDeviation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for n := 1; n < 40; n++ {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(20))
		}
		slices.Sort(v)
		m := median(v)
		want := make([]float64, n)
		for i := range v {
			want[i] = math.Abs(v[i] - m)
		}
		slices.Sort(want)
		if got := deviation(v, m); got != median(want) {
			t.Fatalf("of %v: got %g, want %g", v, got, median(want))
		}
	}
}

func TestMedianBehind(t *testing.T) {
	for _, tt := range []struct {
		sorted []float64
		zeros  int
		want   float64
	}{{nil, 0, 0}, {[]float64{0.5, 0.9}, 0, 0.7}, {[]float64{0.5, 0.9}, 1, 0.5}, {[]float64{0.5, 0.9}, 2, 0.25}, {[]float64{0.9}, 3, 0}} {
		if got := medianBehind(tt.sorted, tt.zeros); got != tt.want {
			t.Errorf("%v behind %d zeros: got %g, want %g", tt.sorted, tt.zeros, got, tt.want)
		}
	}
}

func FuzzRhythm(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5})
	f.Add([]byte{0, 255, 0, 255, 7, 7, 7})
	f.Fuzz(func(t *testing.T, gaps []byte) {
		at, times := instant(0), []instant{0}
		for _, g := range gaps {
			at += instant(g) * instant(time.Second)
			times = append(times, at)
		}
		var a analysis
		if s := a.rhythm(times); !(s >= 0 && s <= 1) {
			t.Errorf("score %g of intervals %v", s, gaps)
		}
	})
}
