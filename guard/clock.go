package guard

import "time"

// jump is how far the wall clock may drift from the steady one between two looks
// before it counts as set: a time daemon slews by less.
const jump = 10 * time.Second

// A settable clock tells the wall time and notices when somebody sets it: at the first
// synchronisation after 1970, or at a wake-up from sleep.
type settable struct {
	now    func() time.Time     // wall
	steady func() time.Duration // never set by anybody
	// invented is a clock that nobody sets but who made it.
	invented bool
	last     time.Time
	lastAt   time.Duration
}

func newSettable(deps Deps) settable {
	steady := deps.Steady
	switch {
	case steady != nil:
	case deps.Clock.Invented(): // nobody sets it but who made it
		steady = func() time.Duration { return 0 }
	default:
		begin := time.Now()
		steady = func() time.Duration { return time.Since(begin) }
	}
	return settable{now: deps.Now, steady: steady, invented: deps.Clock.Invented(), last: deps.Now(), lastAt: steady()}
}

// read returns the wall time and by how much it has jumped since the last read,
// 0 if it has not.
func (c *settable) read() (now time.Time, jumped time.Duration) {
	now = c.now()
	at := c.steady()
	if d := now.Round(0).Sub(c.last.Round(0)) - (at - c.lastAt); !c.invented && (d > jump || d < -jump) {
		jumped = d
	}
	c.last, c.lastAt = now, at
	return now, jumped
}
