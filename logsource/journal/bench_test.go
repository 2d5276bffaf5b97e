package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/internal/testjournal"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

// lines runs a source and returns what it emits.
func lines(b *testing.B, j *testjournal.Journal) <-chan logsource.Line {
	b.Helper()
	s, err := journal.New(journal.Options{Folders: []string{j.Dir}, Programs: []string{"sshd"}})
	if err != nil {
		b.Fatal(err)
	}
	got := make(chan logsource.Line, 16)
	go func() {
		err := s.Run(b.Context(), func(l logsource.Line) error {
			got <- l
			return nil
		})
		if b.Context().Err() == nil {
			b.Error(err)
		}
	}()
	<-got // the first mark
	return got
}

// report tells percentiles of what was measured.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	ms := func(share float64) float64 {
		return took[int(share*float64(len(took)-1))].Seconds() * 1000
	}
	b.ReportMetric(ms(0.5), "p50-ms")
	b.ReportMetric(ms(0.99), "p99-ms")
	b.ReportMetric(ms(1), "max-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkSentToEmitActive: a line sent to journald until it is emitted, while
// an attack goes on.
func BenchmarkSentToEmitActive(b *testing.B) {
	j := testjournal.Start(b)
	got := lines(b, j)
	j.Send("sshd", 0, "the first line after rest")
	<-got
	var took []time.Duration
	for b.Loop() {
		sent := time.Now()
		j.Send("sshd", 0, "Failed password for root from 192.0.2.1 port 5022 ssh2")
		<-got
		took = append(took, time.Since(sent))
		// Not in step with the reader's looks.
		time.Sleep(time.Duration(len(took)%23) * time.Millisecond)
	}
	report(b, took)
}

// BenchmarkSentToEmitFirst: the first line after rest, whose daemon opened a
// file of hints just before, and where there is no hint but journald's own event.
func BenchmarkSentToEmitFirst(b *testing.B) {
	b.Run("hint", func(b *testing.B) { first(b, "/etc/shadow") })
	b.Run("no hint", func(b *testing.B) { first(b, "/proc/self/stat") })
}

func first(b *testing.B, open string) {
	j := testjournal.Start(b)
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		s, err := journal.New(journal.Options{Folders: []string{j.Dir}, Programs: []string{"sshd"}})
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(400 * time.Millisecond) // journald's timer has run out
		b.StartTimer()
		var sent time.Time
		stop := errors.New("stop")
		err = s.Run(b.Context(), func(l logsource.Line) error {
			if l.Text == nil {
				if _, err := os.ReadFile(open); err != nil {
					b.Error(err)
				}
				go func() {
					time.Sleep(50 * time.Millisecond) // the mark was taken, the reader waits
					sent = time.Now()
					j.Send("sshd", 0, "Failed password for root from 192.0.2.1 port 5022 ssh2")
				}()
				return nil
			}
			took = append(took, time.Since(sent))
			return stop
		})
		if err != stop {
			b.Fatal(err)
		}
	}
	report(b, took)
}

// BenchmarkReadBack: entries of a backlog, all of them wanted, or none.
func BenchmarkReadBack(b *testing.B) {
	const entries = 20_000
	j := testjournal.Start(b)
	for i := range entries {
		j.Send("sshd", 0, fmt.Sprintf("Failed password for root from 192.0.2.%d port %d ssh2", i%256, i))
	}
	j.Sync()
	paths, err := filepath.Glob(filepath.Join(j.Dir, "*.journal"))
	if err != nil {
		b.Fatal(err)
	}
	for _, program := range []string{"sshd", "other"} {
		b.Run(program, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for _, path := range paths {
					f, err := os.Open(path)
					if err != nil {
						b.Fatal(err)
					}
					want := func(p, _ string) bool { return p == program }
					if err := journal.ReadWanted(f, want, func(logsource.Line) {}); err != nil {
						b.Fatal(err)
					}
					if err := f.Close(); err != nil {
						b.Fatal(err)
					}
				}
				n += entries
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
