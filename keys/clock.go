package keys

import (
	"runtime/debug"
	"sync"
	"time"
)

// firstRelease is a time that every copy of this program is younger than: the
// month of the Go release it needs.
var firstRelease = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)

// Built returns a time before which this program cannot run: that of the commit
// it was built from, as far as the build recorded it.
func Built() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return firstRelease
	}
	for _, s := range info.Settings {
		if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil && at.After(firstRelease) {
			return at
		}
	}
	return firstRelease
}

// A Clock is the time by which certificates and keys are judged: the largest of
// the wall clock, the build and what the hub last signed. A wall clock that
// fell back (a battery that died, 1970) therefore revives nothing that ended.
//
// What it heard never goes backwards and is for its user to keep ([Clock.Floor])
// over a restart. The wall clock itself is not kept: one that was wrong for a
// day does no harm afterwards. A Clock is safe for concurrent use.
type Clock struct {
	wall     func() time.Time
	built    time.Time
	invented bool

	mu    sync.Mutex // guards the fields below
	floor time.Time
	since time.Time // the wall clock when floor was heard, for what passed since
}

// NewClock returns a clock over wall, usually time.Now. Built is when the
// program was made ([Built]); heard is what [Clock.Floor] last told, or zero.
func NewClock(wall func() time.Time, built, heard time.Time) *Clock {
	return &Clock{wall: wall, built: built, floor: heard, since: wall()}
}

// NewInventedClock returns a clock over one that is invented, such as a demo's:
// what is judged by it can only be of the same demo. See [CreateInvented].
func NewInventedClock(now func() time.Time) *Clock {
	return &Clock{wall: now, since: now(), invented: true}
}

// Possible reports whether a wall clock can be right: it is not before the build.
func (c *Clock) Possible(wall time.Time) bool { return !wall.Before(c.built) }

// Now returns the time to judge by.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now(c.wall())
}

func (c *Clock) now(wall time.Time) time.Time {
	at := wall
	if c.built.After(at) {
		at = c.built
	}
	// The monotonic reading keeps this true when somebody sets the wall clock.
	if floor := c.floor.Add(max(wall.Sub(c.since), 0)); !c.floor.IsZero() && floor.After(at) {
		at = floor
	}
	return at.Round(0)
}

// ahead is how far the hub's clock may be before one that is plausible.
const ahead = 10 * time.Minute

// Heard notes the time of something that the hub signed, such as a heartbeat
// that ruleset.Open accepted. One further ahead of a plausible wall clock than
// clocks differ does not count: a thief of the online key could sign his way to a
// year in which every certificate and key is over, a few minutes at a time.
func (c *Clock) Heard(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.wall()
	if !wall.Before(c.built) && at.After(wall.Add(ahead)) {
		return
	}
	if at.After(c.floor.Add(max(wall.Sub(c.since), 0))) {
		c.floor, c.since = at.Round(0), wall
	}
}

// Learn notes a time that the hub told over a connection whose certificate
// held. It counts only while the wall clock is impossible, that is before the
// build: a device without a battery must begin somewhere, and one whose clock
// is plausible needs nobody's word.
func (c *Clock) Learn(at time.Time) {
	if c.wall().Before(c.built) {
		c.Heard(at)
	}
}

// Floor returns the time to hand to [NewClock] after a restart.
func (c *Clock) Floor() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor
}
