// Package overview sums up what a hub hears and decides, for people who look at it:
// attempts, sources, blocks and drops by the minute for a week, what each source did
// where, and how long it took from a first sighting until every device dropped the
// source. It is pure and bounded: whoever owns a [Ledger] hands it the events of the
// log in order, so that a hub that reads its log anew shows the same.
//
// It decides nothing, and nothing rests on it: what it forgets is missing on a page.
package overview

import (
	"time"

	"github.com/tocsin-io/tocsin"
)

// Week is how far back a Ledger reaches.
const Week = 7 * 24 * time.Hour

const minutes = int64(Week / time.Minute)

// A Ledger is what happened in the last week. It is not safe for concurrent use.
type Ledger struct {
	ring    [minutes]bucket
	sources sources
	names   names
	reacted []Reaction // oldest first
}

// A bucket is one minute.
type bucket struct {
	minute   int64 // since 1970; another one than asked for is empty
	attempts uint64
	dropped  uint64
	blocks   uint32
	coverage float32 // 0 to 1, of a minute with covered set
	covered  bool
}

// New returns a Ledger of nothing.
func New() *Ledger { return &Ledger{sources: newSources(), names: newNames()} }

func (l *Ledger) at(minute int64) *bucket {
	b := &l.ring[minute%minutes]
	if b.minute < minute { // a week ago
		*b = bucket{minute: minute}
	}
	return b
}

// Event takes the next event of the log.
func (l *Ledger) Event(e tocsin.Event) {
	r := e.Received
	if r == nil {
		return
	}
	at := happened(e)
	n := Attempts(r.Sighting)
	if b := l.at(minuteOf(at)); b.minute == minuteOf(at) {
		b.attempts += n
		b.dropped += uint64(r.Dropped)
	}
	l.sources.add(r, at, n, &l.names)
}

// happened returns when what a sighting tells of was over, by the hub's clock: a
// device that was away tells it later. What is told as older than a week, or as of
// the future, counts as of the nearest moment that may be.
func happened(e tocsin.Event) time.Time {
	at := e.Received.Last.Add(-e.Received.Offset)
	if at.After(e.At) {
		return e.At
	}
	if oldest := e.At.Add(-Week + time.Minute); at.Before(oldest) {
		return oldest
	}
	return at
}

// Attempts returns how many of a sighting's attempts count as an attack's: who was let
// in is not one.
func Attempts(s tocsin.Sighting) uint64 { return uint64(s.Failures) + uint64(s.Probes) }

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

// Blocked notes that a block was decided.
func (l *Ledger) Blocked(at time.Time) {
	if b := l.at(minuteOf(at)); b.minute == minuteOf(at) {
		b.blocks++
	}
}

// Covered notes which share of the devices had every rule in force.
func (l *Ledger) Covered(at time.Time, share float64) {
	b := l.at(minuteOf(at))
	b.coverage, b.covered = float32(share), true
}

// Series are numbers over time, oldest first, all of one length.
type Series struct {
	Step     int        `json:"step"` // seconds
	At       []int64    `json:"at"`   // where each step begins, in seconds since 1970
	Attempts []uint64   `json:"attempts"`
	Sources  []uint32   `json:"sources"`
	Blocks   []uint32   `json:"blocks"` // decided
	Dropped  []uint64   `json:"dropped"`
	Coverage []*float64 `json:"coverage"` // 0 to 1; null is not known
}

// Step returns the step that suits a span of time: between 60 and 170 of them.
func Step(span time.Duration) time.Duration {
	switch {
	case span <= time.Hour:
		return time.Minute
	case span <= 6*time.Hour:
		return 5 * time.Minute
	case span <= 24*time.Hour:
		return 15 * time.Minute
	}
	return time.Hour
}

// Series returns what happened in a span up to now, at most a week; the last step is
// the one that is going on.
func (l *Ledger) Series(now time.Time, span time.Duration) Series {
	span = min(max(span, time.Minute), Week)
	step := int64(Step(span) / time.Minute)
	n := int((int64(span/time.Minute) + step - 1) / step)
	last := minuteOf(now) / step * step
	first := last - int64(n-1)*step
	s := Series{
		Step: int(step * 60), At: make([]int64, n), Attempts: make([]uint64, n), Sources: make([]uint32, n),
		Blocks: make([]uint32, n), Dropped: make([]uint64, n), Coverage: make([]*float64, n),
	}
	for i := range n {
		s.At[i] = (first + int64(i)*step) * 60
		worst := 2.0
		for m := first + int64(i)*step; m < first+int64(i+1)*step; m++ {
			b := &l.ring[m%minutes]
			if b.minute != m {
				continue
			}
			s.Attempts[i] += b.attempts
			s.Dropped[i] += b.dropped
			s.Blocks[i] += b.blocks
			if b.covered {
				worst = min(worst, float64(b.coverage))
			}
		}
		if worst <= 1 {
			s.Coverage[i] = &worst
		}
	}
	l.sources.spread(first, step, s.Sources)
	return s
}

// A Sum is what happened in a span of time.
type Sum struct {
	Attempts uint64 `json:"attempts"`
	Sources  int    `json:"sources"` // of the newest [MaxSources]
	Blocks   int    `json:"blocks"`
}

// Sum returns what happened in a span up to now, the minute that is going on included.
func (l *Ledger) Sum(now time.Time, span time.Duration) (s Sum) {
	last := minuteOf(now)
	first := last - int64(span/time.Minute) + 1
	for m := first; m <= last; m++ {
		if b := &l.ring[m%minutes]; b.minute == m {
			s.Attempts += b.attempts
			s.Blocks += int(b.blocks)
		}
	}
	s.Sources = l.sources.count(first)
	return s
}
