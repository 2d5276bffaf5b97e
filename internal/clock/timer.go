package clock

import (
	"context"
	"time"
)

// A Timer rings once, on C or by calling a function; a [Ticker] again and again.
// After Stop or Reset nothing comes that was due before.
type Timer struct {
	C <-chan time.Time

	wall *time.Timer // of the wall clock; the rest is unused then

	clock *Clock
	c     chan time.Time
	call  func()
	due   time.Time
	every time.Duration
	inner *time.Timer // wakes when it may be due
	turn  uint64      // of inner: one that was replaced rings for nobody
}

// NewTimer returns a timer that rings after d.
func (c *Clock) NewTimer(d time.Duration) *Timer {
	if c == nil {
		t := time.NewTimer(d)
		return &Timer{C: t.C, wall: t}
	}
	return c.timer(d, 0, nil)
}

// AfterFunc has f called after d, on a goroutine of its own.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	if c == nil {
		return &Timer{wall: time.AfterFunc(d, f)}
	}
	return c.timer(d, 0, f)
}

// After returns a channel on which the time comes after d.
func (c *Clock) After(d time.Duration) <-chan time.Time { return c.NewTimer(d).C }

// Sleep waits, and reports whether ctx goes on.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) bool {
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (c *Clock) timer(d, every time.Duration, call func()) *Timer {
	t := &Timer{clock: c, c: make(chan time.Time, 1), call: call, every: every}
	t.C = t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	t.set(d)
	return t
}

// set has the timer ring after d. The caller holds the clock's lock.
func (t *Timer) set(d time.Duration) {
	t.due = t.clock.now().Add(max(d, 0))
	t.clock.armed[t] = struct{}{}
	t.arm()
}

// arm has the wall clock wake the timer when it is due, and never while the clock
// is paused. The caller holds the clock's lock.
func (t *Timer) arm() {
	t.disarm()
	c := t.clock
	if c.paused {
		return
	}
	turn := t.turn
	wait := time.Duration(float64(t.due.Sub(c.now())) / c.speed)
	t.inner = time.AfterFunc(max(wait, 0), func() { t.wake(turn) })
}

func (t *Timer) disarm() {
	t.turn++
	if t.inner != nil {
		t.inner.Stop()
	}
}

// wake rings, if the timer was not set to another time meanwhile.
func (t *Timer) wake(turn uint64) {
	c := t.clock
	c.mu.Lock()
	if turn != t.turn {
		c.mu.Unlock()
		return
	}
	now := c.now()
	if now.Before(t.due) { // rounding, mostly
		t.arm()
		c.mu.Unlock()
		return
	}
	if t.every > 0 {
		missed := now.Sub(t.due) / t.every
		t.due = t.due.Add((missed + 1) * t.every)
		t.arm()
	} else {
		t.disarm()
		delete(c.armed, t)
	}
	call := t.call
	if call == nil {
		select {
		case t.c <- now:
		default: // nobody took the last one
		}
	}
	c.mu.Unlock()
	if call != nil {
		call()
	}
}

// Stop has the timer not ring, and reports whether it would have.
func (t *Timer) Stop() bool {
	if t.wall != nil {
		return t.wall.Stop()
	}
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	return t.stop()
}

// stop forgets what it rang and nobody heard. The caller holds the clock's lock.
func (t *Timer) stop() bool {
	_, armed := t.clock.armed[t]
	t.disarm()
	delete(t.clock.armed, t)
	select {
	case <-t.c:
		armed = true
	default:
	}
	return armed
}

// Reset has the timer ring after d from now on, and reports whether it would have
// rung.
func (t *Timer) Reset(d time.Duration) bool {
	if t.wall != nil {
		return t.wall.Reset(d)
	}
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	was := t.stop()
	t.set(d)
	return was
}

// A Ticker rings every so often. What nobody takes is left out.
type Ticker struct {
	C <-chan time.Time

	wall *time.Ticker
	of   *Timer
}

// NewTicker returns a ticker. The time must be more than zero.
func (c *Clock) NewTicker(every time.Duration) *Ticker {
	if c == nil {
		t := time.NewTicker(every)
		return &Ticker{C: t.C, wall: t}
	}
	if every <= 0 {
		panic("clock: a ticker needs a time of more than zero")
	}
	t := c.timer(every, every, nil)
	return &Ticker{C: t.C, of: t}
}

// Stop has it not ring any more.
func (t *Ticker) Stop() {
	if t.wall != nil {
		t.wall.Stop()
		return
	}
	t.of.Stop()
}
