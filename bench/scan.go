package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/tocsin-io/tocsin/authlog/logmix"
)

const (
	scanLines   = 300_000
	scanSources = 4_433 // as the log that the shares of logmix come from, scaled up
	scanRounds  = 30
	slowRounds  = 2 // of a program that takes ten seconds
)

// A racer is a program that reads the log, and how to see what it found.
type racer struct {
	program
	slow   bool
	count  func(out []byte) int
	counts string
	cpu    rounds
	out    []byte // of the last round
	found  int
}

func scanRacers(e *env, log string) []*racer {
	return []*racer{
		{program: program{name: "tocsin scan", args: []string{e.tocsin, "scan", log}},
			count:  func(out []byte) int { return bytes.Count(out, []byte(`"outcome":"failure"`)) },
			counts: "failures"},
		{program: program{name: "tocsin scan --summary", args: []string{e.tocsin, "scan", "--summary", log}},
			counts: "the same, with detection"},
		{program: program{name: "sshg-parser", args: []string{sshgParser()}, stdin: log},
			count: func(out []byte) int { return bytes.Count(out, []byte("\n")) }, counts: "lines matched"},
		{program: program{name: "fail2ban-regex", args: []string{"fail2ban-regex", log, "/etc/fail2ban/filter.d/sshd.conf"}, output: true},
			slow: true, count: fail2banMatched, counts: "lines matched"},
		// Without an output to count into, grep would stop at the first match.
		{program: program{name: "grep -c", args: []string{"grep", "-c", "Failed password", log}, env: []string{"LC_ALL=C"}, output: true},
			count: func(out []byte) int { return number(string(bytes.TrimSpace(out))) }, counts: "lines with Failed password"},
	}
}

// sshgParser is where Debian puts it, or the one on the path.
func sshgParser() string {
	for _, p := range []string{"/usr/libexec/sshguard/sshg-parser", "/usr/lib/x86_64-linux-gnu/sshg-parser"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return "sshg-parser"
}

var f2bLine = regexp.MustCompile(`Lines: \d+ lines, \d+ ignored, (\d+) matched`)

func fail2banMatched(out []byte) int {
	if m := f2bLine.FindSubmatch(out); m != nil {
		return number(string(m[1]))
	}
	return 0
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0 // shown as nothing found, which nobody overlooks
	}
	return n
}

// writeLog invents a log of so many sources out of a universe, so that logs of
// few and of many have the same share of IPv6.
func writeLog(path string, lines, sources, universe int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := logmix.WriteOf(f, lines, sources, universe, 1); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// measureScan compares everything that reads a log of sshd.
func measureScan(ctx context.Context, e *env) (section, error) {
	log := filepath.Join(e.dir, "sshd.log")
	if err := writeLog(log, scanLines, scanSources, scanSources); err != nil {
		return section{}, err
	}
	racers := scanRacers(e, log)
	if err := race(ctx, racers); err != nil {
		return section{}, err
	}
	if err := found(ctx, racers); err != nil {
		return section{}, err
	}
	s := section{rows: scanRows(racers), commands: []string{
		"tocsin scan sshd.log >/dev/null",
		"tocsin scan --summary sshd.log",
		"sshg-parser <sshd.log >/dev/null",
		"fail2ban-regex sshd.log /etc/fail2ban/filter.d/sshd.conf",
		"LC_ALL=C grep -c 'Failed password' sshd.log",
	}}
	s.detail = scanDetail(racers)
	return s, nil
}

// race runs the rounds in turn, so that a busy machine is busy for all.
func race(ctx context.Context, racers []*racer) error {
	for n := range scanRounds {
		for _, r := range racers {
			if r.slow && n >= slowRounds || !r.there() {
				continue
			}
			cpu, out, err := r.spend(ctx)
			if err != nil {
				return err
			}
			r.cpu, r.out = append(r.cpu, cpu), out
		}
	}
	return nil
}

// found counts what each of them recognised: comparing speed means little if
// one of them reads something else.
func found(ctx context.Context, racers []*racer) error {
	for _, r := range racers {
		if r.count == nil || len(r.cpu) == 0 {
			continue
		}
		if !r.output {
			var err error
			if r.out, err = r.print(ctx); err != nil {
				return err
			}
		}
		r.found = r.count(r.out)
	}
	return nil
}

func scanRows(racers []*racer) (rows []row) {
	for _, ours := range racers[:2] {
		speed := scanLines / ours.cpu.best().Seconds()
		rows = append(rows, row{
			figure: fmt.Sprintf("%s, all services, sshd log of %d lines, %d sources", ours.name, scanLines, scanSources),
			must:   "≥ 2.5 M lines per CPU-second", measured: fmt.Sprintf("%.2f M", speed/1e6), verdict: judge(speed >= 2.5e6),
		})
		for _, peer := range []struct {
			racer *racer
			must  string
			least float64
			known string
		}{
			{racers[3], "≥ 80 ×", 80, "0.029 M lines per CPU-second"},
			{racers[2], "≥ 4 ×", 4, "0.5 M"},
			{racers[4], "≥ 1/6", 1.0 / 6, "14.6 M"},
		} {
			r := row{figure: "… to " + peer.racer.name, must: peer.must, known: peer.known, measured: "not installed", verdict: unknown}
			if len(peer.racer.cpu) > 0 {
				ratio := peer.racer.cpu.best().Seconds() / ours.cpu.best().Seconds()
				r.measured, r.verdict = fmt.Sprintf("%.3g ×", ratio), judge(ratio >= peer.least)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

func scanDetail(racers []*racer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Scan\n\nOne log of %d lines, invented by `authlog/logmix` (seed 1). Processor time of the whole process,\n"+
		"its start included.\n\n| program | CPU, best (range) | lines per CPU-second | found |\n|---|---|---|---|\n", scanLines)
	for _, r := range racers {
		if len(r.cpu) == 0 {
			fmt.Fprintf(&b, "| %s | not installed | | |\n", r.name)
			continue
		}
		what := r.counts
		if r.count != nil {
			what = fmt.Sprintf("%d %s", r.found, r.counts)
		}
		fmt.Fprintf(&b, "| %s | %v | %.3f M | %s |\n", r.name, r.cpu, scanLines/r.cpu.best().Seconds()/1e6, what)
	}
	b.WriteString("\nThe programs count differently: a \"message repeated 5 times\" is five failures for tocsin and one line\n" +
		"for the others; fail2ban and sshguard also match lines that announce a failure told again by the next.\n")
	return b.String()
}
