package hub

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/store"
)

// A memoryLog is a log of events in memory.
type memoryLog struct {
	store.Log
	mu     sync.Mutex
	events []tocsin.Event
}

// order commits a block of one more address, and hands nothing over.
func (l *memoryLog) order() tocsin.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.events) + 1
	now := time.Now()
	e := tocsin.Event{Serial: uint64(n), At: now, Order: &tocsin.Order{Decision: tocsin.Decision{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 32), Action: tocsin.Block, At: now, Until: now.Add(time.Hour),
	}}}
	l.events = append(l.events, e)
	return e
}

func (l *memoryLog) Since(_ context.Context, after uint64) iter.Seq2[tocsin.Event, error] {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Clone(l.events[after:])
	return func(yield func(tocsin.Event, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// deciding runs a decider until the test ends.
func deciding(t *testing.T, publish func([]fleet.Scoped) error, reconcile func() error) (*decider, *memoryLog) {
	log := &memoryLog{}
	d := newDecider(fleet.Config{Quorum: quorum.Default()}, log, nil, time.Now, newMetrics(nil), slog.New(slog.DiscardHandler))
	d.publish = func(_ context.Context, _ time.Time, c []fleet.Scoped) error { return publish(c) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.loop(ctx, func(context.Context, time.Time) error { return reconcile() }) }()
	t.Cleanup(func() { cancel(); <-done })
	return d, log
}

func well([]fleet.Scoped) error { return nil }
func nothing() error            { return nil }

func (d *decider) applied(t *testing.T) (serial uint64) {
	if err := d.ask(t.Context(), func(time.Time) { serial = d.serial }); err != nil {
		t.Fatal(err)
	}
	return serial
}

// TestAGapIsFilledUnderLoad loses one event on its way while others never stop.
func TestAGapIsFilledUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, log := deciding(t, well, nothing)
		log.order() // nobody hands this one over
		for range 100 {
			d.committed(t.Context(), []tocsin.Event{log.order()})
			time.Sleep(gapWait / 10)
		}
		synctest.Wait()
		if got := d.applied(t); got < 90 {
			t.Errorf("after two seconds %d of 101 events are applied", got)
		}
	})
}

// TestWhoHangsUpLosesNothing ends requests right after their commit.
func TestWhoHangsUpLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d, log := deciding(t, func([]fleet.Scoped) error { <-release; return nil }, nothing)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range cap(d.nudge) + 10 { // the loop is held up: not all find room
			d.committed(gone, []tocsin.Event{log.order()})
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		if got, want := d.applied(t), uint64(len(log.events)); got != want {
			t.Errorf("%d of %d events are applied", got, want)
		}
	})
}

func TestWhatCouldNotBePublishedIsTriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := 3
		var done time.Time
		d, log := deciding(t, func([]fleet.Scoped) error { return errors.New("the disk is full") }, func() error {
			if left--; left > 0 {
				return errors.New("still full")
			}
			done = time.Now()
			return nil
		})
		begin := time.Now()
		d.committed(t.Context(), []tocsin.Event{log.order()})
		time.Sleep(time.Minute)
		synctest.Wait()
		if done.IsZero() || done.Sub(begin) > 4*publishAgain {
			t.Errorf("published after %v", done.Sub(begin))
		}
	})
}
