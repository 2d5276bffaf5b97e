package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// results are what benchmarks reported: by benchmark and unit, one for each
// time it ran.
type results map[string][]float64

// best returns the smallest of the figures.
func (r results) best(name, unit string) (float64, error) {
	list := r[name+" "+unit]
	if len(list) == 0 {
		return 0, fmt.Errorf("%s reports no %s", name, unit)
	}
	return slices.Min(list), nil
}

// span returns the range of the figures.
func (r results) span(name, unit string) string {
	list := r[name+" "+unit]
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("%.3g..%.3g", slices.Min(list), slices.Max(list))
}

// goBench runs benchmarks of a package, which stand beside its code.
func goBench(ctx context.Context, pkg, pattern, times string, count int) (results, string, error) {
	args := []string{"test", pkg, "-run", "^$", "-bench", pattern, "-benchtime", times, "-count", strconv.Itoa(count)}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CI=true") // so that a benchmark that cannot run says so
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, "", fmt.Errorf("benchmarks of %s: %w\n%s", pkg, err, out)
	}
	r := results{}
	for line := range bytes.Lines(out) {
		r.line(string(line))
	}
	return r, "go test " + pkg + " -run '^$' -bench '" + pattern + "' -benchtime " + times, nil
}

// line reads one line of a benchmark: name, times, then pairs of figure and unit.
func (r results) line(s string) {
	words := strings.Fields(s)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return
	}
	name := words[0]
	if i := strings.LastIndexByte(name, '-'); i > 0 { // number of processors
		name = name[:i]
	}
	for i := 2; i+1 < len(words); i += 2 {
		if v, err := strconv.ParseFloat(words[i], 64); err == nil {
			key := name + " " + words[i+1]
			r[key] = append(r[key], v)
		}
	}
}
