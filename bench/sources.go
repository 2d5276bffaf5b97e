package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// With 400,000 sources two million lines hold enough connections for each to
// come at least once.
const (
	manyLines    = 2_000_000
	sourceRounds = 8
)

var sourceCounts = []int{4_000, 40_000, 400_000}

// measureSources shows that an attacker gains nothing by having many addresses.
func measureSources(ctx context.Context, e *env) (section, error) {
	var ps []program
	for _, n := range sourceCounts {
		log := filepath.Join(e.dir, fmt.Sprintf("sources-%d.log", n))
		if err := writeLog(log, manyLines, n, sourceCounts[len(sourceCounts)-1]); err != nil {
			return section{}, err
		}
		ps = append(ps, program{name: fmt.Sprint(n), args: []string{e.tocsin, "scan", "--summary", log}})
	}
	cpu := make([]rounds, len(ps))
	for range sourceRounds {
		for i, p := range ps {
			took, _, err := p.spend(ctx)
			if err != nil {
				return section{}, err
			}
			cpu[i] = append(cpu[i], took)
		}
	}
	s := section{commands: []string{"tocsin scan --summary sources-400000.log"}}
	var d strings.Builder
	fmt.Fprintf(&d, "## Many sources\n\n%d lines each, detection on.\n\n| sources | CPU, best (range) | to %d |\n|---|---|---|\n", manyLines, sourceCounts[0])
	for i, n := range sourceCounts {
		ratio := cpu[i].best().Seconds() / cpu[0].best().Seconds()
		fmt.Fprintf(&d, "| %d | %v | %.2f × |\n", n, cpu[i], ratio)
		if i > 0 {
			s.rows = append(s.rows, row{
				figure: fmt.Sprintf("CPU per line with %d sources, detection on, to %d", n, sourceCounts[0]), must: "≤ 1.2 ×",
				measured: fmt.Sprintf("%.2f ×", ratio), verdict: judge(ratio <= 1.2), known: "sshguard 45 × CPU for 5 × lines",
			})
		}
	}
	s.detail = d.String()
	return s, nil
}
