package compromise

import (
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Period is a time asked about, both ends included.
type Period struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains reports whether t is in p.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.From) && !t.After(p.To) }

// Tolerance is how long nothing may be known of a device whose telemetry still
// counts as complete: a guard that is restarted, a line that is down.
const Tolerance = 15 * time.Minute

// Coverage is how much of a device was seen.
type Coverage struct {
	// Read are the times of which the device's logs were read: live, or read
	// back out of rotated files. They may overlap, in any order.
	Read []Period `json:"read,omitempty"`
	// Heard is when the hub last heard of the device; zero is never.
	Heard time.Time `json:"heard,omitzero"`
}

// maxSpans bounds the times that are kept apart of one device; more than so many
// holes make it unknown anyway.
const maxSpans = 256

// Saw notes that the device's logs of p were read, and that it was heard of at
// heard. What is apart by no more than [Tolerance] becomes one; the oldest go
// where there are too many.
func (c *Coverage) Saw(p Period, heard time.Time) {
	c.Heard = latest(c.Heard, heard)
	all := sorted(append(slices.Clone(c.Read), p))
	c.Read = c.Read[:0:0]
	for _, p := range all {
		if n := len(c.Read); n > 0 && p.From.Sub(c.Read[n-1].To) <= Tolerance {
			c.Read[n-1].To = latest(c.Read[n-1].To, p.To)
			continue
		}
		c.Read = append(c.Read, p)
	}
	if over := len(c.Read) - maxSpans; over > 0 {
		c.Read = slices.Delete(c.Read, 0, over)
	}
}

// A Hole is why telemetry is incomplete.
type Hole uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_           Hole = iota
	NeverHeard       // nothing ever came: no guard, or no line
	Silent           // nothing came since
	NotRead          // the logs of that time were not read
	LinesGone        // lines are missing that must have been written
	SwitchedOff      // firewall or logging was switched off
)

var holeWords = []string{"", "never heard of", "silent", "logs not read", "log lines missing", "firewall or logging switched off"}

// Holes returns every reason, in the order in which a device is counted.
func Holes() []Hole { return []Hole{NeverHeard, Silent, NotRead, LinesGone, SwitchedOff} }

// String returns the words that the command line and the wire use.
func (h Hole) String() string { return word(holeWords, int(h)) }

// MarshalText encodes h as its words.
func (h Hole) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the words of a hole.
func (h *Hole) UnmarshalText(b []byte) error {
	i, err := find(holeWords, b)
	*h = Hole(i)
	return err
}

// Missing is one hole in what is known of a device.
type Missing struct {
	Why Hole `json:"why"`
	Period
}

// maxMissing bounds the holes that are told of one device.
const maxMissing = 32

// missing returns what is not known of a device in p; nothing means that its
// telemetry is complete.
func (c Coverage) missing(p Period, f Facts) (holes []Missing) {
	if c.Heard.IsZero() || !p.From.Before(p.To) {
		return []Missing{{NeverHeard, p}}
	}
	heard := p.To
	if p.To.Sub(c.Heard) > Tolerance {
		heard = c.Heard
		holes = append(holes, Missing{Silent, Period{latest(c.Heard, p.From), p.To}})
	}
	at := p.From
	for _, r := range append(slices.Clone(sorted(c.Read)), Period{heard, heard}) {
		if from := earliest(r.From, heard); from.Sub(at) > Tolerance {
			holes = append(holes, Missing{NotRead, Period{at, from}})
		}
		if r.To.After(at) {
			at = r.To
		}
	}
	for _, clue := range f.Clues {
		if clue.Device != f.Device || !p.Contains(clue.At) {
			continue
		}
		switch clue.Fact {
		case tocsin.LogGap:
			holes = append(holes, Missing{LinesGone, Period{clue.At, clue.At}})
		case tocsin.LoggingOff:
			holes = append(holes, Missing{SwitchedOff, Period{clue.At, clue.At}})
		}
	}
	slices.SortStableFunc(holes, func(a, b Missing) int {
		if a.Why != b.Why {
			return int(a.Why) - int(b.Why)
		}
		return a.From.Compare(b.From)
	})
	holes = slices.CompactFunc(holes, func(a, b Missing) bool {
		return a.Why == b.Why && a.From.Equal(b.From) && a.To.Equal(b.To) // a clue told twice
	})
	return holes[:min(len(holes), maxMissing)]
}

// sorted returns the periods that are any, by their beginning.
func sorted(all []Period) []Period {
	all = slices.DeleteFunc(slices.Clone(all), func(p Period) bool { return p.To.Before(p.From) })
	slices.SortFunc(all, func(a, b Period) int { return a.From.Compare(b.From) })
	return all
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
