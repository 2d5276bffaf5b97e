package main

import (
	"context"
	"fmt"
)

// A promise is one figure of a benchmark that stands beside its code.
type promise struct {
	figure, must string
	pkg, pattern string // of the benchmark
	name, unit   string // of its result
	form         string // of the figure, such as "%.0f windows"
	kept         func(float64) bool
}

func atLeast(least float64) func(float64) bool { return func(v float64) bool { return v >= least } }

func atMost(most float64) func(float64) bool { return func(v float64) bool { return v <= most } }

// promises are what answers to attacks promise, on made-up fleets with fixed seeds.
var promises = []promise{
	{"windows of 100 attempts to a false alarm, a million simulated", "≥ 2,500", "./campaign", "^BenchmarkAlarms$", "BenchmarkAlarms", "windows/false-alarm", "%.0f", atLeast(2500)},
	{"windows to the alarm where 10 % of attempts are an attack's, median", "≤ 5", "./campaign", "^BenchmarkAlarms$", "BenchmarkAlarms", "median-10%", "%.0f", atMost(5)},
	{"low and slow among 2,000 scanners with the same dictionary: sources attributed, of 500", "≥ 0.90", "./campaign", planted, "BenchmarkPlanted/low_and_slow,_scanners_shuffled", "recall", "%.3f", atLeast(0.9)},
	{"… rightly", "≥ 0.95", "./campaign", planted, "BenchmarkPlanted/low_and_slow,_scanners_shuffled", "precision", "%.3f", atLeast(0.95)},
	{"two campaigns at a time: purity", "≥ 0.95", "./campaign", planted, "BenchmarkPlanted/two_at_a_time", "purity", "%.3f", atLeast(0.95)},
	{"… merged, of ten pairs", "none", "./campaign", planted, "BenchmarkPlanted/two_at_a_time", "merged", "%.0f", atMost(0)},
	{"campaigns at 1 M attempts a day: memory", "≤ 256 MiB", "./campaign", "^BenchmarkDay$", "BenchmarkDay", "MiB", "%.0f MiB", atMost(256)},
	{"… share of one core", "≤ 2 %", "./campaign", "^BenchmarkDay$", "BenchmarkDay", "%core", "%.2f %%", atMost(2)},
	{"true controller ranked first, 200 fleets of 1,000, 5 compromised", "≥ 80 %", "./controller", ranks, ranked + "5bots", "%first", "%.1f %%", atLeast(80)},
	{"… 8 compromised", "≥ 90 %", "./controller", ranks, ranked + "8bots", "%first", "%.1f %%", atLeast(90)},
	{"… 30 compromised", "≥ 98 %", "./controller", ranks, ranked + "30bots", "%first", "%.1f %%", atLeast(98)},
	{"… 30, timing and regularity uninformative", "≥ 85 %", "./controller", ranks, ranked + "30botsUninformative", "%first", "%.1f %%", atLeast(85)},
	{"… runs in which a vendor's server has q ≤ 0.01, 30 compromised", "0", "./controller", ranks, ranked + "30bots", "vendor-runs", "%.0f", atMost(0)},
	{"simulated incidents of 300 devices: entered ones with telemetry found", "≥ 0.90", "./incident", simulated, "BenchmarkSimulatedIncident", "of-entered-found", "%.3f", atLeast(0.9)},
	{"… untouched ones clean", "≥ 0.95", "./incident", simulated, "BenchmarkSimulatedIncident", "of-untouched-clean", "%.3f", atLeast(0.95)},
	{"… devices that are unknown although all was seen, or the reverse, of 3,000", "0", "./incident", simulated, "BenchmarkSimulatedIncident", "unknown-wrong", "%.0f", atMost(0)},
	{"… controller ranked first", "", "./incident", simulated, "BenchmarkSimulatedIncident", "controller-first", "%.2f", nil},
	{"case → both dossiers and X-ARF, 10,000 devices", "≤ 1 s", "./dossier", "^BenchmarkBuild$", "BenchmarkBuild/controller", "ms/case", "%.0f ms", atMost(1000)},
}

const (
	planted   = "^BenchmarkPlanted$/^(low_and_slow,_scanners_shuffled|two_at_a_time)$"
	ranks     = "^BenchmarkTrueControllerComesFirst$"
	ranked    = "BenchmarkTrueControllerComesFirst/"
	simulated = "^BenchmarkSimulatedIncident$"
)

// measureIncident asks how well attacks are answered.
func measureIncident(ctx context.Context, _ *env) (s section, err error) {
	type at struct{ pkg, pattern string }
	ran := map[at]results{}
	for _, p := range promises {
		r, done := ran[at{p.pkg, p.pattern}]
		if !done {
			var cmd string
			if r, cmd, err = goBench(ctx, p.pkg, p.pattern, "1x", 1); err != nil {
				return s, err
			}
			ran[at{p.pkg, p.pattern}] = r
			s.commands = append(s.commands, cmd)
		}
		v, err := r.best(p.name, p.unit)
		if err != nil {
			return s, err
		}
		one := row{figure: p.figure, must: p.must, measured: fmt.Sprintf(p.form, v)}
		if p.kept != nil {
			one.verdict = judge(p.kept(v))
		}
		s.rows = append(s.rows, one)
	}
	return s, nil
}
