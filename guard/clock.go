package guard

import "time"

// jump is how far the wall clock may drift from the steady one before it
// counts as set: a time daemon slews by less between two looks.
const jump = 10 * time.Second

// A clock tells the wall time and notices when somebody sets it: at the first
// synchronisation after 1970, or at a wake-up from sleep.
type clock struct {
	now  func() time.Time
	last time.Time // with its monotonic reading
}

// read returns the wall time and by how much it has jumped since the last read,
// 0 if it has not.
func (c *clock) read() (now time.Time, jumped time.Duration) {
	now = c.now()
	if !c.last.IsZero() {
		steady := now.Sub(c.last) // monotonic
		wall := now.Round(0).Sub(c.last.Round(0))
		if d := wall - steady; d > jump || d < -jump {
			jumped = d
		}
	}
	c.last = now
	return now, jumped
}
