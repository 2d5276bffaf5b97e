package window

// Keep is how many events a [Ring] holds.
const Keep = 9

// An Event is something that happened: when, in seconds since 1970, and what, in
// bits that only the user of the ring understands. An Event at second 0 is none.
type Event struct {
	At  uint32
	Tag uint32
}

// A Ring holds the last [Keep] events, newest first; unused places are zero. It
// answers any window from the times themselves: the Nth last event is younger
// than the window, or it is not. The zero Ring is empty.
type Ring [Keep]Event

// Recent is a Ring and one event more: what is judged before it is stored.
type Recent [Keep + 1]Event

// With returns the events of r and e, in order of time wherever e falls: lines
// read back come while live ones do. Of two events in one second, e is the
// newer.
func (r *Ring) With(e Event) (all Recent) {
	i := 0
	for i < Keep && r[i].At > e.At {
		all[i] = r[i]
		i++
	}
	all[i] = e
	copy(all[i+1:], r[i:])
	return all
}

// Ring returns the newest events of all, as many as are kept.
func (all *Recent) Ring() (r Ring) {
	copy(r[:], all[:Keep])
	return r
}

// Events returns the events of r, without its unused places.
func (r *Ring) Events() []Event { return used(r[:]) }

// Events returns the events of all, without its unused places.
func (all *Recent) Events() []Event { return used(all[:]) }

func used(list []Event) []Event {
	for i, e := range list {
		if e.At == 0 {
			return list[:i]
		}
	}
	return list
}

// Drop forgets the events that drop says yes to.
func (r *Ring) Drop(drop func(Event) bool) {
	var kept Ring
	n := 0
	for _, e := range r.Events() {
		if !drop(e) {
			kept[n] = e
			n++
		}
	}
	*r = kept
}

// Since returns the events of list, newest first, that are younger than span
// seconds at the second now.
func Since(list []Event, now, span uint32) []Event {
	for i, e := range list {
		if now > e.At && now-e.At >= span {
			return list[:i]
		}
	}
	return list
}
