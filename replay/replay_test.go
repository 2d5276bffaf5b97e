package replay_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/replay"
	"github.com/tocsin-io/tocsin/replay/tracemix"
)

func config() replay.Config {
	return replay.Config{Detect: detect.Default(), Fleet: fleet.Config{Quorum: quorum.Default()}}
}

func play(t testing.TB, c replay.Config, trace []replay.Attempt) replay.Summary {
	t.Helper()
	p, err := replay.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range trace {
		if err := p.Play(a); err != nil {
			t.Fatal(err)
		}
	}
	return p.End()
}

const weeks = 56 * 24 * time.Hour

func TestMadeUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		names bool
		least float64 // of the ceiling
	}{{"with account names", true, 0.88}, {"without", false, 0.85}} {
		t.Run(tt.name, func(t *testing.T) {
			sum := play(t, config(), tracemix.Attackers(1000, tt.names, 1))
			t.Logf("%+v: %.4f of the ceiling, permanent %.4f", sum, sum.StoppedShare/sum.Ceiling, sum.Permanent/sum.Ceiling)
			if sum.StoppedShare < tt.least*sum.Ceiling {
				t.Errorf("stopped %.4f of the ceiling, want %.2f", sum.StoppedShare/sum.Ceiling, tt.least)
			}
		})
	}
}

func TestPeopleAreNotBlocked(t *testing.T) {
	for _, names := range []bool{true, false} {
		for seed := range uint64(2) {
			people := tracemix.People(tracemix.Start, weeks, 10, seed)
			sum := play(t, config(), tracemix.Merge(tracemix.Deal(tracemix.Attackers(300, names, seed), 10, seed), people))
			t.Logf("%+v", sum)
			if sum.BenignBlocked != 0 {
				t.Errorf("seed %d: %d of %d sources of people blocked", seed, sum.BenignBlocked, sum.BenignSources)
			}
			if sum.BenignStopped > 5 {
				t.Errorf("seed %d: %d of %d attempts of people stopped", seed, sum.BenignStopped, sum.Benign)
			}
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	var text bytes.Buffer
	trace := tracemix.Merge(tracemix.Attackers(5000, true, 1), tracemix.People(tracemix.Start, weeks, 10, 1))
	if err := tracemix.Write(&text, trace); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	n := 0
	for b.Loop() {
		sum, err := replay.Run(config(), io.LimitReader(bytes.NewReader(text.Bytes()), 1<<40))
		if err != nil {
			b.Fatal(err)
		}
		n += sum.Attempts
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "attempts/s")
}
