package notify

import (
	"slices"
	"time"
)

// Bounds of what waits for one recipient. What there is no room for is counted
// and told.
const (
	maxEvents = 200            // of one kind, waiting to be put together
	maxQueue  = 100            // messages that could not be delivered yet
	keepFor   = 24 * time.Hour // a message that cannot be delivered
	firstWait = 10 * time.Second
	lastWait  = 15 * time.Minute
)

// A pace says how often a recipient is written to.
type pace struct {
	window  time.Duration // events within it make one message
	perHour int           // messages of one kind
}

// A box decides what one recipient is sent, and when. It is pure: time comes as
// a value, and what it decides is sent by its owner. Its fields are stored.
type box struct {
	Lanes map[Kind]*lane `json:"lanes"`
	Queue []parcel       `json:"queue,omitempty"` // oldest first
	Lost  uint64         `json:"lost,omitempty"`  // messages given up that nobody was told of yet
	Gone  uint64         `json:"gone,omitempty"`  // messages given up in all
}

// A lane holds the events of one kind until they are put together.
type lane struct {
	Waiting []Event     `json:"waiting,omitempty"`
	More    uint64      `json:"more,omitempty"`
	Since   time.Time   `json:"since,omitzero"` // when the first of them came
	Sent    []time.Time `json:"sent,omitempty"` // messages of the last hour, oldest first
}

// A parcel is a message on its way.
type parcel struct {
	Batch Batch     `json:"batch"`
	Tries int       `json:"tries,omitempty"`
	Next  time.Time `json:"next"` // not to be tried before
}

// add takes an event.
func (b *box) add(e Event, now time.Time) {
	if b.Lanes == nil {
		b.Lanes = map[Kind]*lane{}
	}
	l := b.Lanes[e.Kind]
	if l == nil {
		l = &lane{}
		b.Lanes[e.Kind] = l
	}
	if len(l.Waiting) == 0 {
		l.Since = now
	}
	if len(l.Waiting) >= maxEvents {
		l.More++ // the first ones tell how it began
		return
	}
	l.Waiting = append(l.Waiting, e)
}

// due returns when the events of l make a message; held says that it would have
// been earlier, had there not been enough of them.
func (l *lane) due(p pace) (at time.Time, held bool) {
	at = l.Since.Add(p.window)
	if n := len(l.Sent); n >= p.perHour {
		if free := l.Sent[n-p.perHour].Add(time.Hour); free.After(at) {
			return free, true
		}
	}
	return at, false
}

// collect puts messages together that are due. newID gives them names.
func (b *box) collect(now time.Time, p pace, newID func() string) {
	for kind := CampaignOpened; kind <= TestMessage; kind++ {
		l := b.Lanes[kind]
		if l == nil {
			continue
		}
		l.Sent = slices.DeleteFunc(l.Sent, func(at time.Time) bool { return at.After(now) })
		at, held := l.due(p)
		l.Sent = slices.DeleteFunc(l.Sent, func(at time.Time) bool { return now.Sub(at) >= time.Hour })
		if len(l.Waiting) == 0 {
			continue
		}
		// An arrival in the future is a clock that was set back: that is no reason to wait.
		if at.After(now) && !l.Since.After(now) {
			continue
		}
		b.Queue = append(b.Queue, parcel{Next: now, Batch: Batch{
			ID: newID(), Kind: kind, Made: now, Digest: held || l.More > 0, Events: l.Waiting, More: l.More,
		}})
		l.Waiting, l.More, l.Since = nil, 0, time.Time{}
		l.Sent = append(l.Sent, now)
	}
	b.bound(now)
}

// bound gives up what is too old or too much.
func (b *box) bound(now time.Time) {
	drop := max(0, len(b.Queue)-maxQueue)
	for drop < len(b.Queue) && now.Sub(b.Queue[drop].Batch.Made) >= keepFor {
		drop++
	}
	b.Queue = slices.Delete(b.Queue, 0, drop)
	b.Lost += uint64(drop)
	b.Gone += uint64(drop)
}

// next returns the message to send now, if any, and otherwise when to ask again;
// the zero time is when something is added. What a recipient missed before is
// told with it.
func (b *box) next(now time.Time, p pace) (ready *Batch, at time.Time) {
	for _, l := range b.Lanes {
		if len(l.Waiting) == 0 {
			continue
		}
		if due, _ := l.due(p); at.IsZero() || due.Before(at) {
			at = due
		}
	}
	if len(b.Queue) == 0 {
		return nil, at
	}
	head := &b.Queue[0]
	if wait := head.Next.Sub(now); wait <= 0 || wait > lastWait { // the clock was set back
		batch := head.Batch
		batch.Lost = b.Lost
		return &batch, at
	}
	if at.IsZero() || head.Next.Before(at) {
		at = head.Next
	}
	return nil, at
}

// done notes how sending a message ended.
func (b *box) done(sent Batch, err error, now time.Time) {
	if len(b.Queue) == 0 || b.Queue[0].Batch.ID != sent.ID {
		return // given up meanwhile
	}
	if err == nil {
		b.Queue = slices.Delete(b.Queue, 0, 1)
		b.Lost -= min(b.Lost, sent.Lost)
		return
	}
	head := &b.Queue[0]
	head.Next = now.Add(backoff(head.Tries))
	head.Tries++
	b.bound(now)
}

// backoff returns the pause after so many tries: twice as long each time.
func backoff(tries int) time.Duration {
	return min(firstWait<<min(tries, 10), lastWait)
}

// waiting counts what is not delivered yet.
func (b *box) waiting() (events, messages int) {
	for _, l := range b.Lanes {
		events += len(l.Waiting) + int(l.More)
	}
	return events, len(b.Queue)
}
