package campaign_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tocsin-io/tocsin/campaign"
)

// gamma draws from the gamma law of shape a (Marsaglia and Tsang).
func gamma(r *rand.Rand, a float64) float64 {
	if a < 1 {
		return gamma(r, a+1) * math.Pow(r.Float64(), 1/a)
	}
	d := a - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v *= v * v
		if math.Log(1-r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// failures draws how many of n attempts fail: each with a share that the window
// draws from the beta law, or certainly, for the share of them that are an
// attack's.
func failures(r *rand.Rand, m campaign.Model, n int, attack float64) int {
	share := m.Mu
	if m.Rho > 0 {
		k := (1 - m.Rho) / m.Rho
		x, y := gamma(r, m.Mu*k), gamma(r, (1-m.Mu)*k)
		share = x / (x + y)
	}
	x := 0
	for range n {
		if attack > 0 && r.Float64() < attack || r.Float64() < share {
			x++
		}
	}
	return x
}

var benign = campaign.Model{Mu: 0.07, Rho: 0.01}

func sum() campaign.CUSUM {
	p := campaign.Default()
	return campaign.CUSUM{Drift: p.Drift, Alarm: p.Alarm}
}

// runLength returns how many windows there are to an alarm without an attack.
func runLength(r *rand.Rand, windows int) float64 {
	c, alarms := sum(), 0
	for range windows {
		if c.Step(benign.Score(failures(r, benign, 100, 0), 100)) {
			alarms++
		}
	}
	return float64(windows) / float64(max(alarms, 1))
}

// delays returns how many windows an attack goes on before the alarm, in order.
func delays(r *rand.Rand, runs int, attack float64) (list []int) {
	for range runs {
		c := sum()
		for range 50 { // calm before
			c.Step(benign.Score(failures(r, benign, 100, 0), 100))
		}
		n := 1
		for !c.Step(benign.Score(failures(r, benign, 100, attack), 100)) {
			n++
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func TestAlarmsAreRareAndQuick(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	if arl := runLength(r, 60_000); arl < 2500 {
		t.Errorf("an alarm each %.0f windows without an attack, want 2500 or more", arl)
	}
	if d := delays(r, 150, 0.1); d[75] > 5 {
		t.Errorf("median delay %d windows at an attack share of 10 %%, want 5 or less", d[75])
	}
}

// BenchmarkAlarms is the sweep that docs/campaigns.md quotes: more than a million
// windows of 100 attempts.
func BenchmarkAlarms(b *testing.B) {
	for b.Loop() {
		r := rand.New(rand.NewPCG(2, 2))
		b.ReportMetric(runLength(r, 1_000_000), "windows/false-alarm")
		for _, attack := range []struct {
			share float64
			name  string
		}{{0.02, "2%"}, {0.05, "5%"}, {0.1, "10%"}, {0.2, "20%"}} {
			d := delays(r, 1000, attack.share)
			b.ReportMetric(float64(d[500]), "median-"+attack.name)
			b.ReportMetric(float64(d[950]), "p95-"+attack.name)
		}
	}
}

func TestFitFindsTheModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, want := range []campaign.Model{{Mu: 0.07, Rho: 0.01}, {Mu: 0.2, Rho: 0.05}, {Mu: 0.03, Rho: 0}} {
		var list []uint16
		for range 4000 {
			list = append(list, uint16(failures(r, want, 100, 0)))
		}
		got, ok := campaign.Fit(list, 100)
		if !ok || math.Abs(got.Mu-want.Mu) > 0.005 || math.Abs(got.Rho-want.Rho) > 0.005 {
			t.Errorf("got %+v %v, want %+v", got, ok, want)
		}
	}
}

func TestFitKeepsWithinBounds(t *testing.T) {
	for _, tt := range []struct {
		name string
		list []uint16
		n    int
		want campaign.Model
		ok   bool
	}{
		{"nothing", nil, 100, campaign.Model{}, false},
		{"one window", []uint16{7}, 100, campaign.Model{}, false},
		{"windows of one attempt", []uint16{1, 0}, 1, campaign.Model{}, false},
		{"no failure", []uint16{0, 0, 0}, 100, campaign.Model{Mu: campaign.LeastMu}, true},
		{"all failures", []uint16{100, 100, 100}, 100, campaign.Model{Mu: campaign.MostMu}, true},
		{"less spread than by chance", []uint16{7, 7, 7}, 100, campaign.Model{Mu: 0.07}, true},
	} {
		if got, ok := campaign.Fit(tt.list, tt.n); ok != tt.ok || math.Abs(got.Mu-tt.want.Mu) > 1e-12 || got.Rho != tt.want.Rho {
			t.Errorf("%s: got %+v %v, want %+v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestScore(t *testing.T) {
	// sd^2 = 100 * 0.07 * 0.93 * (1 + 99 * 0.01)
	if got := benign.Score(16, 100); math.Abs(got-2.5004) > 0.001 {
		t.Errorf("got %.4f", got)
	}
	if got := benign.Score(3, 0); got != 0 {
		t.Errorf("of no attempts: got %v", got)
	}
	if got := (campaign.Model{}).Score(3, 10); got != 0 {
		t.Errorf("of no model: got %v", got)
	}
}

func TestSize(t *testing.T) {
	if e := campaign.Size(40, 0, 12); e.Value != 40 || e.Low != 40 || e.High != 40 {
		t.Errorf("all seen twice: got %+v", e)
	}
	e := campaign.Size(100, 40, 20)
	if e.Value != 137.1 || e.Low <= 100 || e.Low >= e.Value || e.High <= e.Value {
		t.Errorf("got %+v", e)
	}
	if e := campaign.Size(10, 10, 0); math.IsNaN(e.High) || e.High < e.Value {
		t.Errorf("got %+v", e)
	}
	// The interval holds the truth about as often as it says.
	r, held := rand.New(rand.NewPCG(5, 5)), 0
	for range 200 {
		var seen [300]int
		for range 400 {
			seen[r.IntN(300)]++
		}
		d, once, twice := 0, 0, 0
		for _, n := range seen {
			switch {
			case n == 1:
				once++
			case n == 2:
				twice++
			}
			if n > 0 {
				d++
			}
		}
		if e := campaign.Size(d, once, twice); e.Low <= 300 && 300 <= e.High {
			held++
		}
	}
	if held < 180 {
		t.Errorf("the interval of 95 %% held the truth in %d of 200", held)
	}
}
