package authlog

import (
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// An echo is an attempt that waits for a line that tells it better. Echoes of
// one window wait in a list, oldest first.
type echo struct {
	attempt    tocsin.Attempt
	n          int
	at         int64 // by the stamps of the stream
	received   int64 // by the clock of the reader
	slot       int32 // its session
	queue      int8
	next, prev int32 // -1: none
}

// A queue is the echoes that wait equally long.
type queue struct {
	window      time.Duration
	first, last int32
}

// echoes holds what waits: at most one per session. What was pushed out of the
// table is due at once.
type echoes struct {
	list    []echo
	unused  []int32
	queues  []queue // one for each window in use: there are few
	waiting int     // in the queues
	expired []echo  // due, whatever the time
}

// maxExpired bounds what a caller that never asks Overdue leaves behind.
const maxExpired = MaxSessions

func (es *echoes) add(e echo, window time.Duration) int32 {
	q := slices.IndexFunc(es.queues, func(q queue) bool { return q.window == window })
	if q < 0 {
		q = len(es.queues)
		es.queues = append(es.queues, queue{window: window, first: -1, last: -1})
	}
	i := int32(len(es.list))
	if n := len(es.unused); n > 0 {
		i, es.unused = es.unused[n-1], es.unused[:n-1]
	} else {
		es.list = append(es.list, echo{})
	}
	es.waiting++
	e.queue, e.next, e.prev = int8(q), -1, es.queues[q].last
	es.list[i] = e
	if e.prev >= 0 {
		es.list[e.prev].next = i
	} else {
		es.queues[q].first = i
	}
	es.queues[q].last = i
	return i
}

func (es *echoes) remove(i int32) {
	e := &es.list[i]
	q := &es.queues[e.queue]
	if e.prev >= 0 {
		es.list[e.prev].next = e.next
	} else {
		q.first = e.next
	}
	if e.next >= 0 {
		es.list[e.next].prev = e.prev
	} else {
		q.last = e.prev
	}
	es.waiting--
	*e = echo{}
	es.unused = append(es.unused, i)
}

// expire makes echo i due.
func (es *echoes) expire(i int32) {
	if len(es.expired) < maxExpired {
		es.expired = append(es.expired, es.list[i])
	}
	es.remove(i)
}

// Overdue returns an attempt whose own line never came, and whose echo waited
// long enough: by now, or by the stamps of the lines read since. A repeat is
// returned as often as it was told. Call it until it returns false: after each
// line, when Pending says so, and at the end of a log with a now far ahead.
func (p *Parser) Overdue(now time.Time) (tocsin.Attempt, bool) {
	es := &p.echoes
	if es.waiting == 0 && len(es.expired) == 0 {
		return tocsin.Attempt{}, false
	}
	for len(es.expired) > 0 {
		e := &es.expired[len(es.expired)-1]
		if e.n--; e.n >= 0 {
			return e.attempt, true
		}
		es.expired = es.expired[:len(es.expired)-1]
	}
	for q := range es.queues {
		i := es.queues[q].first
		if i < 0 {
			continue
		}
		e := &es.list[i]
		w := int64(es.queues[q].window)
		if nanos(now)-e.received < w && p.now-e.at < w {
			continue
		}
		return p.release(i), true
	}
	return tocsin.Attempt{}, false
}

// release takes one attempt of echo i, and the echo away with the last.
func (p *Parser) release(i int32) tocsin.Attempt {
	e := &p.echoes.list[i]
	a := e.attempt
	s := &p.table[e.slot]
	s.counted, s.emitted = true, e.at
	if e.n--; e.n <= 0 {
		p.drop(s)
	}
	return a
}

// Pending returns when Overdue is next worth calling, by the clock of the times
// of receipt; ok is false if nothing waits.
func (p *Parser) Pending() (deadline time.Time, ok bool) {
	if n := len(p.echoes.expired); n > 0 {
		return time.Unix(0, p.echoes.expired[n-1].received), true
	}
	for _, q := range p.echoes.queues {
		if q.first < 0 {
			continue
		}
		if d := time.Unix(0, p.echoes.list[q.first].received).Add(q.window); !ok || d.Before(deadline) {
			deadline, ok = d, true
		}
	}
	return deadline, ok
}

// nanos returns t as nanoseconds since 1970; what an int64 cannot hold is cut.
func nanos(t time.Time) int64 {
	const limit = 1 << 33 // the year 2242, in seconds
	return max(-limit, min(limit, t.Unix()))*int64(time.Second) + int64(t.Nanosecond())
}
