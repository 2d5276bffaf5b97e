package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/watch"
)

// mindArgument has the program read a log as a guard reads it.
const mindArgument = "mind"

// mindSources is how many sources a guard with this memory remembers.
const mindSources = 1 << 20

// mindBurst is how many attempts a guard takes together when they come faster
// than it decides.
const mindBurst = 64

// runMind reads the lines of a file and has a guard's mind observe every attempt,
// as a guard does with --dry-run: nobody is kept away, so that however many
// sources there are, each attempt costs its detection.
func runMind(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	matcher := authlog.Default()
	policy := detect.Default()
	policy.Sources = mindSources
	mind := watch.New(detect.New(policy), blocklist.New(blocklist.Limits{Device: mindSources, Passes: 1}, false), nil, nil)
	parser, now := matcher.Parser(time.UTC), time.Now()
	attempts := 0
	var burst []tocsin.Attempt
	observe := func() {
		mind.Warm(burst)
		for _, a := range burst {
			mind.Observe(a, false)
		}
		attempts += len(burst)
		burst = burst[:0]
	}
	var lines logsource.Lines
	for {
		n, err := f.Read(lines.Space())
		lines.Fill(n)
		for text, cut, ok := lines.Next(); ok; text, cut, ok = lines.Next() {
			if cut {
				continue
			}
			a, n := parser.Parse(text, now)
			for range n {
				a.Provenance = tocsin.Attested
				if burst = append(burst, a); len(burst) == mindBurst {
					observe()
				}
			}
		}
		if errors.Is(err, io.EOF) {
			observe()
			fmt.Println(attempts)
			return nil
		}
		if err != nil {
			return err
		}
	}
}
