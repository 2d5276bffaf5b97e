package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/replay"
	"github.com/tocsin-io/tocsin/replay/tracemix"
)

const (
	replayDevices = 10
	replaySeeds   = 5 // of invented names and people
	replaySources = 40_000
	replayRounds  = 5
)

// measureReplay says what the default policy would have stopped of what real
// honeypots saw, whom it would have blocked wrongly, and how fast a replay is.
func measureReplay(ctx context.Context, e *env) (section, error) {
	s := section{commands: []string{"tocsin replay --devices 10 --json trace.jsonl"}}
	var d strings.Builder
	fmt.Fprintf(&d, "## What would have been stopped\n\nRecords of real honeypots (github.com/UQO-Biolab/ml_ids), dealt to %d devices of one owner, default\n"+
		"policy, delays and ends as docs/replay.md tells. Names are invented where the record has none: half root, three\n"+
		"in ten another that everybody knows, the others of no account there (the least of %d seeds). People are those of\n"+
		"`replay/tracemix`. The ceiling blocks every source for ever at its first attempt.\n\n"+
		"| trace | attempts | sources | ceiling | stopped | of the ceiling | 2 in 7 days, for ever | people's sources: blocked | their attempts: stopped |\n"+
		"|---|---|---|---|---|---|---|---|---|\n", replayDevices, replaySeeds)
	for _, t := range traps {
		trace, err := t.open()
		if err != nil {
			s.rows = append(s.rows, row{figure: "replay: " + t.name, measured: "not measured: " + err.Error(), verdict: unknown})
			continue
		}
		rows, err := replayTrap(&d, t, trace)
		if err != nil {
			return s, err
		}
		s.rows = append(s.rows, rows...)
	}
	s.detail = d.String()
	speed, err := replaySpeed(ctx, e)
	if err != nil {
		return s, err
	}
	s.rows = append(s.rows, speed...)
	return s, nil
}

// replayTrap plays one record without names and with, alone and with people.
func replayTrap(d *strings.Builder, t trap, trace []replay.Attempt) (rows []row, err error) {
	names := func(seed uint64) []replay.Attempt { return tracemix.Name(trace, seed) }
	for _, v := range []struct {
		name  string
		must  float64
		trace func(seed uint64) []replay.Attempt
		seeds uint64
	}{
		{"without account names", 0.85, func(uint64) []replay.Attempt { return trace }, 1},
		{"with account names", 0.90, names, replaySeeds},
	} {
		var worst, mixed replay.Summary
		least := 2.0
		blocked, stopped, benign := 0, 0, 0
		for seed := range v.seeds {
			sum, err := playAll(v.trace(seed))
			if err != nil {
				return nil, err
			}
			if of := sum.StoppedShare / sum.Ceiling; of < least {
				least, worst = of, sum
			}
		}
		for seed := range uint64(replaySeeds) {
			people := tracemix.People(trace[0].At.Truncate(24*time.Hour), trace[len(trace)-1].At.Sub(trace[0].At), replayDevices, seed)
			if mixed, err = playAll(tracemix.Merge(tracemix.Deal(v.trace(seed), replayDevices, seed), people)); err != nil {
				return nil, err
			}
			blocked, stopped, benign = blocked+mixed.BenignBlocked, stopped+mixed.BenignStopped, benign+mixed.Benign
		}
		rows = append(rows, row{
			figure: fmt.Sprintf("replay: %s, %s, stopped, to the ceiling", t.name, v.name), must: fmt.Sprintf("≥ %.2f ×", v.must),
			measured: fmt.Sprintf("%.3f ×", least), verdict: judge(least >= v.must),
			known: fmt.Sprintf("2 in 7 days, for ever, at once: %.3f ×", worst.Permanent/worst.Ceiling),
		}, row{
			figure: "… people among them", must: "0 blocked", verdict: judge(blocked == 0),
			measured: fmt.Sprintf("%d of %d sources blocked in %d runs", blocked, replaySeeds*mixed.BenignSources, replaySeeds),
		})
		fmt.Fprintf(d, "| %s, %s | %d | %d | %.3f | %.3f | %.3f | %.3f | %d of %d | %d of %d |\n", t.name, v.name, worst.Attempts, worst.Sources,
			worst.Ceiling, worst.StoppedShare, least, worst.Permanent/worst.Ceiling, blocked, replaySeeds*mixed.BenignSources, stopped, benign)
	}
	return rows, nil
}

func playAll(trace []replay.Attempt) (replay.Summary, error) {
	p, err := replay.New(replay.Config{Devices: replayDevices, Detect: detect.Default(), Fleet: fleet.Config{Quorum: quorum.Default()}})
	if err != nil {
		return replay.Summary{}, err
	}
	for _, a := range trace {
		if err := p.Play(a); err != nil {
			return replay.Summary{}, err
		}
	}
	return p.End(), nil
}

// replaySpeed runs the command on a made-up trace.
func replaySpeed(ctx context.Context, e *env) ([]row, error) {
	path := filepath.Join(e.dir, "trace.jsonl")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	if err := tracemix.Write(w, tracemix.Attackers(replaySources, true, 1)); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	p := program{name: "tocsin replay", args: []string{e.tocsin, "replay", "--json", path}, output: true}
	var cpu, wall rounds
	var sum replay.Summary
	for range replayRounds {
		start := time.Now()
		took, out, err := p.spend(ctx)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(out, &sum); err != nil {
			return nil, err
		}
		cpu, wall = append(cpu, took), append(wall, time.Since(start))
	}
	per := func(r rounds) float64 { return float64(sum.Attempts) / r.best().Seconds() }
	return []row{{
		figure: fmt.Sprintf("replay of %d attempts of %d sources", sum.Attempts, sum.Sources), must: "≥ 150,000 attempts a second",
		measured: fmt.Sprintf("%.0f a second; %.0f per CPU-second", per(wall), per(cpu)), verdict: judge(per(wall) >= 150_000),
	}}, nil
}
