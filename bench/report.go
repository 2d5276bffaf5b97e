package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A verdict says whether a figure is what was promised.
type verdict string

const (
	met     verdict = "met"
	missed  verdict = "**missed**"
	unknown verdict = "not measured"
	told    verdict = "" // promised nothing
)

func judge(ok bool) verdict {
	if ok {
		return met
	}
	return missed
}

// A row is one figure of the table.
type row struct {
	figure   string
	must     string
	measured string
	verdict  verdict
	known    string // what others, or earlier probes, did
}

// A section is what one part measured.
type section struct {
	rows     []row
	detail   string   // Markdown, below the table
	commands []string // what a person types to see the same
}

func table(sections []section) string {
	var b strings.Builder
	b.WriteString("| figure | must | measured | | known |\n|---|---|---|---|---|\n")
	for _, s := range sections {
		for _, r := range s.rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.figure, r.must, r.measured, r.verdict, r.known)
		}
	}
	return b.String()
}

const preface = `# Measured

Written by ` + "`make bench`" + `; do not edit. %s, at commit %s.

Machine: %s. It is shared with other work, so it is noisy: processor time is
taken instead of time wherever that answers the question, rounds of the
programs compared take turns, and of each the best round counts, with the range
of all beside it. Latencies are those of the quietest of three runs. Ratios are
of one run and carry over to other machines; absolute figures do not.

`

// page is docs/perf.md.
func page(m host, at time.Time, sections []section) string {
	var b strings.Builder
	fmt.Fprintf(&b, preface, at.UTC().Format("2006-01-02"), m.commit, m.machine)
	b.WriteString(table(sections))
	for _, s := range sections {
		if s.detail != "" {
			b.WriteString("\n" + strings.TrimSpace(s.detail) + "\n")
		}
	}
	b.WriteString("\n## Commands\n\n```\nmake bench\nscripts/bench.sh -o - -only file,journal,rest\n")
	for _, s := range sections {
		for _, c := range s.commands {
			b.WriteString(c + "\n")
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// rounds are the processor times of one program.
type rounds []time.Duration

func (r rounds) best() time.Duration { return slices.Min(r) }

// String returns the best and the range.
func (r rounds) String() string {
	return fmt.Sprintf("%.3f s (%.3f..%.3f)", r.best().Seconds(), slices.Min(r).Seconds(), slices.Max(r).Seconds())
}

// latencies are times from cause to effect.
type latencies []time.Duration

// at returns the quantile q, below 1.
func (l latencies) at(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(l))
	return sorted[int(q*float64(len(sorted)))]
}

// String returns the figures that matter.
func (l latencies) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s (%d samples)", ms(l.at(0.5)), ms(l.at(0.99)), ms(slices.Max(l)), len(l))
}

// quietest returns the run that was disturbed least.
func quietest(runs []latencies) latencies {
	return slices.MinFunc(runs, func(a, b latencies) int { return int(a.at(0.99) - b.at(0.99)) })
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Nanoseconds())/1e6)
}
