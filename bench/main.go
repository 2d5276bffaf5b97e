// Command bench measures the figures that Tocsin promises, beside fail2ban,
// sshguard and grep in the same run on the same machine, and writes them as
// docs/perf.md. Start it with make bench.
//
// It reports what it measured and judges nothing away: a figure that misses
// stands in the table as a miss, and a figure that could not be measured says
// why. It is no test, and nothing depends on its result.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// A part measures some figures.
type part struct {
	name string // for --only
	root bool   // needs network namespaces
	run  func(ctx context.Context, e *env) (section, error)
}

// parts are in the order of the table.
var parts = []part{
	{"scan", false, measureScan},
	{"sources", false, measureSources},
	{"file", true, measureFile},
	{"journal", true, measureJournal},
	{"nft", true, measureNFT},
	{"tree", true, measureTree},
	{"rest", true, measureRest},
	{"memory", false, measureMemory},
	{"replay", false, measureReplay},
	{"push", false, measurePush},
	{"hub", false, measureHub},
	{"hubparts", false, measureHubParts},
	{"town", true, measureTown},
	{"incident", false, measureIncident},
	{"console", false, measureConsole},
}

// env is where the parts work.
type env struct {
	tocsin string // the program as it is shipped
	dir    string // scratch, on a disk
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	work := run
	if len(os.Args) == 3 && os.Args[1] == mindArgument {
		work = func(context.Context) error { return runMind(os.Args[2]) }
	}
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case crowdArgument:
			work = runCrowd
		case shareArgument:
			work = runShare
		}
	}
	if err := work(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("o", "docs/perf.md", "file to write; - is none")
	bin := flag.String("tocsin", "bin/tocsin", "program to measure")
	only := flag.String("only", "", "measure only these parts, separated by commas")
	flag.Parse()
	e, done, err := prepare(*bin)
	if err != nil {
		return err
	}
	defer done()
	host, start := machine(ctx), time.Now() // of the program measured: others may commit meanwhile
	var sections []section
	for _, p := range parts {
		if *only != "" && !strings.Contains(","+*only+",", ","+p.name+",") {
			continue
		}
		s := measure(ctx, e, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, r := range s.rows {
			fmt.Fprintf(os.Stderr, "  %s: %s [must %s] %s\n", r.figure, r.measured, r.must, r.verdict)
		}
		sections = append(sections, s)
	}
	text := page(host, start, sections)
	fmt.Println(table(sections))
	if *out == "-" {
		return nil
	}
	return os.WriteFile(*out, []byte(text), 0o644)
}

// measure runs one part. What it cannot measure stands in the table.
func measure(ctx context.Context, e *env, p part) section {
	fmt.Fprintf(os.Stderr, "%s ...\n", p.name)
	if p.root && os.Geteuid() != 0 {
		return section{rows: []row{{figure: p.name, measured: "skipped: needs root, for network namespaces", verdict: unknown}}}
	}
	start := time.Now()
	s, err := p.run(ctx, e)
	if err != nil {
		s.rows = append(s.rows, row{figure: p.name, measured: "not measured: " + err.Error(), verdict: unknown})
	}
	fmt.Fprintf(os.Stderr, "%s took %v\n", p.name, time.Since(start).Round(time.Second))
	return s
}

// prepare finds the program and makes the scratch folder, on a disk and not in
// memory, where a device has its logs and its state.
func prepare(bin string) (e *env, done func(), err error) {
	if bin, err = absolute(bin); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("/var/tmp", "tocsin-bench-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = os.RemoveAll(dir) } // what is left is scratch
	if err := os.Chmod(dir, 0o755); err != nil {
		done()
		return nil, nil, err
	}
	return &env{tocsin: bin, dir: dir}, done, nil
}
