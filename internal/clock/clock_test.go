package clock_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-io/tocsin/internal/clock"
)

var begin = time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC)

func hundred() *clock.Clock { return clock.New(clock.State{Shows: begin, Speed: 100}) }

func wantNow(t *testing.T, c *clock.Clock, after time.Duration) {
	t.Helper()
	if got := c.Now().Sub(begin); got != after {
		t.Errorf("the clock shows %v after its begin, want %v", got, after)
	}
}

func TestInventedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hundred()
		wantNow(t, c, 0)
		time.Sleep(time.Second)
		wantNow(t, c, 100*time.Second)
		c.Pause()
		time.Sleep(time.Hour)
		wantNow(t, c, 100*time.Second)
		c.Pause() // once more changes nothing
		c.Resume()
		c.Resume()
		time.Sleep(time.Second)
		wantNow(t, c, 200*time.Second)
		c.SetSpeed(50)
		time.Sleep(2 * time.Second)
		wantNow(t, c, 300*time.Second)
		c.Set(clock.State{Shows: begin.Add(200 * time.Second), Speed: 100})
		s := c.State()
		time.Sleep(time.Second)
		wantNow(t, clock.New(s), 300*time.Second) // told late, it shows the same
		if c.Scaled(time.Second) != 100*time.Second || (*clock.Clock)(nil).Scaled(time.Second) != time.Second {
			t.Error("it is scaled otherwise")
		}
	})
}

// rings waits for d and reports whether c rang meanwhile.
func rings(c <-chan time.Time, d time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(d):
		return false
	}
}

func TestTimerHoldsWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hundred()
		timer := c.NewTimer(time.Minute)
		if rings(timer.C, 599*time.Millisecond) {
			t.Error("it rang early")
		}
		c.Pause()
		if rings(timer.C, time.Hour) {
			t.Error("it rang although the clock was paused")
		}
		c.Resume()
		if !rings(timer.C, 2*time.Millisecond) {
			t.Error("it did not ring after the pause")
		}
		timer.Reset(time.Minute)
		time.Sleep(time.Second)
		if !timer.Stop() || rings(timer.C, time.Second) {
			t.Error("stopped, it still rings for what was due before")
		}
		timer.Reset(time.Hour)
		c.Set(clock.State{Shows: begin.AddDate(0, 0, 9), Speed: 100})
		if !rings(timer.C, time.Millisecond) {
			t.Error("the clock was set past its time, and it did not ring")
		}
		if c.Pause(); c.Sleep(ended(t), time.Second) {
			t.Error("it slept to the end although nobody waited")
		}
	})
}

func ended(t *testing.T) context.Context {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	return ctx
}

func TestTickerAndFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := hundred()
		var called atomic.Int32
		heard := 0
		c.AfterFunc(10*time.Second, func() { called.Add(1) })
		c.Listen(func(clock.State) { heard++ })
		tick := c.NewTicker(time.Second)
		n := 0
		for range 50 {
			<-tick.C
			n++
		}
		wantNow(t, c, 50*time.Second)
		if n := called.Load(); n != 1 {
			t.Errorf("the function was called %d times", n)
		}
		time.Sleep(995 * time.Millisecond) // of what comes now one is kept
		if !rings(tick.C, time.Millisecond) || rings(tick.C, 2*time.Millisecond) {
			t.Error("what nobody took is not left out")
		}
		tick.Stop()
		if rings(tick.C, time.Second) {
			t.Error("stopped, it still rings")
		}
		if c.Pause(); heard != 1 {
			t.Errorf("%d changes were heard of", heard)
		}
	})
}

func TestWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *clock.Clock
		if c.Invented() || !c.Now().Equal(time.Now()) || c.State() != (clock.State{}) {
			t.Error("nil is not the wall clock")
		}
		timer, called := c.NewTimer(time.Second), make(chan time.Time, 1)
		if c.AfterFunc(time.Second, func() { called <- c.Now() }); !rings(timer.C, time.Second+1) || !rings(called, time.Second) {
			t.Error("it did not ring after a second")
		}
		timer.Reset(time.Second)
		timer.Stop()
		tick := c.NewTicker(time.Second)
		if rings(timer.C, 2*time.Second) || !rings(tick.C, time.Second) {
			t.Error("stopped it rings, or the ticker does not")
		}
		tick.Stop()
		begun := time.Now()
		if !c.Sleep(t.Context(), time.Second) || time.Since(begun) != time.Second {
			t.Error("it did not sleep a second")
		}
	})
}
