package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// With 400,000 sources two million lines hold enough connections for each to
// come at least once.
const (
	manyLines    = 2_000_000
	sourceRounds = 8
)

var sourceCounts = []int{4_000, 40_000, 400_000}

// measureSources shows that an attacker gains nothing by having many addresses:
// once as a guard reads, which has every attempt detected, and once as a back-test
// reads, which leaves out what a block would have kept away. With few sources that
// is most of the log, so a back-test grows for another reason, too.
func measureSources(ctx context.Context, e *env) (section, error) {
	self, err := os.Executable()
	if err != nil {
		return section{}, err
	}
	s := section{commands: []string{"bench mind sources-400000.log", "tocsin scan --summary sources-400000.log"}}
	var logs []string
	for _, n := range sourceCounts {
		log := filepath.Join(e.dir, fmt.Sprintf("sources-%d.log", n))
		if err := writeLog(log, manyLines, n, sourceCounts[len(sourceCounts)-1]); err != nil {
			return section{}, err
		}
		logs = append(logs, log)
	}
	var d strings.Builder
	fmt.Fprintf(&d, "## Many sources\n\n%d lines each, detection on: every attempt of a guard's log, or those that a back-test\n"+
		"leaves, which with %d sources are a quarter.\n\n| sources | CPU, best (range) | to %d |\n|---|---|---|\n", manyLines, sourceCounts[0], sourceCounts[0])
	for _, reader := range []struct {
		what, must string
		args       []string
	}{
		{"CPU per line with %d sources, every attempt detected, to %d", "≤ 1.2 ×", []string{self, mindArgument}},
		{"… with %d sources, as scan --summary tests a log back, to %d", "", []string{e.tocsin, "scan", "--summary"}},
	} {
		cpu, err := growth(ctx, reader.args, logs)
		if err != nil {
			return section{}, err
		}
		for i, n := range sourceCounts {
			ratio := cpu[i].best().Seconds() / cpu[0].best().Seconds()
			fmt.Fprintf(&d, "| %d, %s | %v | %.2f × |\n", n, filepath.Base(strings.Join(reader.args, " ")), cpu[i], ratio)
			if i == 0 {
				continue
			}
			r := row{
				figure: fmt.Sprintf(reader.what, n, sourceCounts[0]), must: reader.must,
				measured: fmt.Sprintf("%.2f ×", ratio), known: "sshguard 45 × CPU for 5 × lines",
			}
			if r.must != "" {
				r.verdict = judge(ratio <= 1.2)
			}
			s.rows = append(s.rows, r)
		}
	}
	s.detail = d.String()
	return s, nil
}

// growth has a program read each log in turns.
func growth(ctx context.Context, args, logs []string) ([]rounds, error) {
	cpu := make([]rounds, len(logs))
	for range sourceRounds {
		for i, log := range logs {
			took, _, err := program{name: args[0], args: append(slices.Clone(args), log)}.spend(ctx)
			if err != nil {
				return nil, err
			}
			cpu[i] = append(cpu[i], took)
		}
	}
	return cpu, nil
}
