package guard

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/ruleset"
)

// TestKilledTellsOnce: the lines that a killed guard had read since its last
// snapshot are read again, and the hub hears of each attempt once all the same.
func TestKilledTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []tocsin.Sighting
		hub := &Hub{
			Owner: "home", Limits: ruleset.DefaultLimits,
			Tell: func(list []tocsin.Sighting) { told = append(told, list...) },
			Told: func(since time.Time) (list []tocsin.Sighting, err error) {
				return slices.DeleteFunc(slices.Clone(told), func(s tocsin.Sighting) bool { return s.Last.Before(since) }), nil
			},
		}
		life := func(dir string, work func(l *lines)) {
			l := newLines()
			g, err := New(t.Context(), testConfig(dir), Deps{
				Filter: memory.New(time.Now), Backend: "memory", Inputs: []Input{l.input()}, Matcher: authlog.Default(),
				Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Now: time.Now, Zone: time.UTC, Hub: hub,
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- g.Run(ctx) }()
			work(l)
			synctest.Wait()
			time.Sleep(20 * time.Second) // windows close
			synctest.Wait()
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		killed := copyFolder(t, dir) // as it is before anything was written down
		stamp := time.Now().UTC().Format(time.Stamp)
		old := func(l *lines, live bool) {
			for i := range 3 {
				for host := range 4 {
					l.write(fmt.Sprintf("%s nas sshd[%d]: Failed password for invalid user u%d from 203.0.113.%d port 40000 ssh2", stamp, 1000+l.next, i, host), live)
				}
			}
		}
		life(dir, func(l *lines) { old(l, true) })
		life(killed, func(l *lines) {
			old(l, false) // read again
			l.fail("203.0.113.1", "later")
			l.fail("203.0.113.9", "later")
		})
		failures := uint32(0)
		for _, s := range told {
			failures += s.Failures
		}
		if failures != 14 {
			t.Errorf("the hub heard of %d failures, want 14: 12 once and 2 after the restart", failures)
		}
	})
}

// TestClockSetBackLeavesNothingOut: what comes while the clock shows for a second time
// what it showed when a source was told of is new all the same.
func TestClockSetBackLeavesNothingOut(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var c setClock
			var told []tocsin.Sighting
			hub := &Hub{
				Owner: "home", Limits: ruleset.DefaultLimits,
				Tell: func(list []tocsin.Sighting) { told = append(told, list...) },
				Told: func(time.Time) ([]tocsin.Sighting, error) { return slices.Clone(told), nil },
			}
			life := func(work func(fail func())) {
				l := newLines()
				g, err := New(t.Context(), testConfig(t.TempDir()), Deps{
					Filter: memory.New(c.now), Backend: "memory", Inputs: []Input{l.input()}, Matcher: authlog.Default(),
					Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Now: c.now, Zone: time.UTC, Hub: hub,
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- g.Run(ctx) }()
				work(func() {
					stamp := c.now().UTC().Format(time.Stamp)
					l.write(fmt.Sprintf("%s nas sshd[%d]: Failed password for invalid user u from 203.0.113.9 port 40000 ssh2", stamp, 1000+l.next), true)
					synctest.Wait()
				})
				time.Sleep(20 * time.Second) // windows close
				synctest.Wait()
				cancel()
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			life(func(fail func()) {
				fail()
				time.Sleep(5 * time.Minute)
				fail()
			})
			back := func() { c.set(-3 * time.Minute) } // between the two
			if restarted {
				back()
			}
			life(func(fail func()) {
				if !restarted {
					back()
				}
				time.Sleep(2 * time.Second)
				fail()
			})
			failures := uint32(0)
			for _, s := range told {
				failures += s.Failures
			}
			if failures != 3 {
				t.Errorf("restarted %v: the hub heard of %d failures, want 3", restarted, failures)
			}
		})
	}
}
