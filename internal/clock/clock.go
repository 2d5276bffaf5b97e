// Package clock is the one clock that a guard and a hub are given: what time it
// is, and what rings when. Usually it is the wall clock. The other one is for a
// demo: it starts at any moment, runs so many times as fast, and can be stopped.
//
// A nil *Clock is the wall clock, so nobody who wants that need know of this
// package. What waits for the network or for the processor does not take its
// waits from here: those take as long as they take.
package clock

import (
	"sync"
	"time"
)

// A State is all there is to know of an invented clock: what it showed at a moment
// of the wall clock, and how it runs. Clocks of several processes of one machine
// that were told the same State show the same time.
type State struct {
	Shows  time.Time `json:"shows"`
	At     time.Time `json:"at"` // by the wall clock
	Speed  float64   `json:"speed"`
	Paused bool      `json:"paused,omitempty"`
}

// A Clock tells the time and rings. Nil is the wall clock; [New] makes one that is
// invented. It is safe for concurrent use.
type Clock struct {
	mu     sync.Mutex // guards the fields below, and all of every timer
	shows  time.Time
	real   time.Time // with its monotonic reading
	speed  float64
	paused bool
	armed  map[*Timer]struct{}
	heard  []func(State)
}

// New makes an invented clock. A speed of zero or less is one.
func New(s State) *Clock {
	c := &Clock{armed: map[*Timer]struct{}{}}
	c.take(s)
	return c
}

// take sets the clock. The caller holds the lock, or nobody else knows it.
func (c *Clock) take(s State) {
	c.real = time.Now()
	c.shows, c.speed, c.paused = s.Shows.Round(0), s.Speed, s.Paused
	if c.speed <= 0 {
		c.speed = 1
	}
	if late := c.real.Round(0).Sub(s.At.Round(0)); !s.At.IsZero() && late > 0 && !c.paused {
		c.shows = c.shows.Add(c.scaled(late))
	}
}

// scaled returns how far the clock goes while so much time passes.
func (c *Clock) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * c.speed) }

// Invented reports whether the clock is not the wall clock.
func (c *Clock) Invented() bool { return c != nil }

// Now returns the time.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.paused {
		return c.shows
	}
	return c.shows.Add(c.scaled(time.Since(c.real)))
}

// Scaled returns how far the clock goes while so much time passes: d itself where
// it is the wall clock.
func (c *Clock) Scaled(d time.Duration) time.Duration {
	if c == nil {
		return d
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scaled(d)
}

// State returns how the clock stands. Of the wall clock it is the zero State.
func (c *Clock) State() State {
	if c == nil {
		return State{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state()
}

func (c *Clock) state() State {
	return State{Shows: c.now(), At: time.Now().Round(0), Speed: c.speed, Paused: c.paused}
}

// Set has an invented clock go on as another State says. Timers ring when the time
// comes that they wait for, which may be at once.
func (c *Clock) Set(s State) { c.change(func() { c.take(s) }) }

// Pause stops the clock: nothing rings.
func (c *Clock) Pause() { c.change(func() { c.shows, c.paused = c.now(), true }) }

// Resume has it go on.
func (c *Clock) Resume() {
	c.change(func() {
		if c.paused {
			c.real, c.paused = time.Now(), false
		}
	})
}

// SetSpeed has it run so many times as fast from now on.
func (c *Clock) SetSpeed(speed float64) {
	c.change(func() { c.shows, c.real, c.speed = c.now(), time.Now(), speed })
}

// change changes the clock, arms every timer anew and tells who listens.
func (c *Clock) change(f func()) {
	c.mu.Lock()
	f()
	for t := range c.armed {
		t.arm()
	}
	s, heard := c.state(), c.heard
	c.mu.Unlock()
	for _, f := range heard {
		f(s)
	}
}

// Listen has f called after each change of an invented clock. It must return at
// once.
func (c *Clock) Listen(f func(State)) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard[:len(c.heard):len(c.heard)], f)
}
