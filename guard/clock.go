package guard

import "time"

// jump is how far the wall clock may drift from the steady one between two looks
// before it counts as set: a time daemon slews by less.
const jump = 10 * time.Second

// A clock tells the wall time and notices when somebody sets it: at the first
// synchronisation after 1970, or at a wake-up from sleep.
type clock struct {
	now    func() time.Time     // wall
	steady func() time.Duration // never set by anybody
	last   time.Time
	lastAt time.Duration
}

func newClock(now func() time.Time, steady func() time.Duration) clock {
	if steady == nil {
		begin := time.Now()
		steady = func() time.Duration { return time.Since(begin) }
	}
	return clock{now: now, steady: steady, last: now(), lastAt: steady()}
}

// read returns the wall time and by how much it has jumped since the last read,
// 0 if it has not.
func (c *clock) read() (now time.Time, jumped time.Duration) {
	now = c.now()
	at := c.steady()
	if d := now.Round(0).Sub(c.last.Round(0)) - (at - c.lastAt); d > jump || d < -jump {
		jumped = d
	}
	c.last, c.lastAt = now, at
	return now, jumped
}
