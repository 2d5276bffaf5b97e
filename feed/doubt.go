package feed

import (
	"errors"
	"time"

	"github.com/tocsin-io/tocsin/ruleset"
)

// A doubt is a list that the device refused a message of.
type doubt struct {
	pause time.Duration // before the hub is asked again
	until time.Time
	whole bool // asked once already: now for all of it
}

// How often a list is asked for again. A hub that sends what a device cannot
// take must not be asked for it all the time.
const (
	firstPause = time.Second
	lastPause  = 10 * time.Minute
)

type doubts map[ruleset.Ref]*doubt

// deliver hands a message on. It returns true if the hub should be asked for
// the list again, now.
func (f *follower) deliver(s ruleset.Sealed, now time.Time) (ask bool) {
	h, err := ruleset.Peek(s)
	if err != nil {
		return false // not even the name of a list
	}
	r := h.Position.Ref
	switch err := f.emit(s); {
	case err == nil:
		if h.Kind != ruleset.Beat || f.doubts[r] != nil && now.After(f.doubts[r].until) {
			delete(f.doubts, r)
		}
		return false
	case errors.Is(err, ruleset.ErrStale):
		return false
	}
	d := f.doubts[r]
	if d == nil {
		f.doubts[r] = &doubt{pause: firstPause, until: now.Add(firstPause)}
		return true
	}
	if now.Before(d.until) {
		return false
	}
	d.whole = true
	d.pause = min(2*d.pause, lastPause)
	d.until = now.Add(d.pause)
	return true
}

// wanted returns from where the lists are needed; without those that a hub was
// asked for in vain just now, if they shall rest.
func (f *follower) wanted(now time.Time, rest bool) (out []ruleset.Position) {
	for _, p := range f.positions() {
		if d := f.doubts[p.Ref]; d != nil {
			if rest && now.Before(d.until) {
				continue
			}
			if d.whole {
				p = ruleset.Position{Ref: p.Ref}
			}
		}
		out = append(out, p)
	}
	return out[:min(len(out), MaxLists)]
}
