package conntrack

import (
	"time"

	"github.com/mdlayher/netlink"

	"github.com/tocsin-io/tocsin/contact"
)

// A tracker remembers which connections are open.
type tracker struct {
	config Config
	open   map[tuple]*opened
	told   time.Time // when those that go on were told of last
	second int64     // of the newest event
	looked int       // connections in that second
}

// opened is a connection that has not ended.
type opened struct {
	start time.Time
	told  bool
}

// message takes one message of the kernel.
func (t *tracker) message(m netlink.Message, now time.Time, sink func(contact.Flow)) (s Stats) {
	kind := m.Header.Type
	if kind != msgNew && kind != msgDelete {
		return s
	}
	e, ok := parse(m.Data)
	if !ok || !t.outgoing(e.tuple) {
		return s
	}
	o := t.open[e.tuple]
	if o == nil {
		if !t.look(now) || kind == msgNew && len(t.open) >= t.config.Open {
			return Stats{Left: 1}
		}
		o = &opened{start: now}
	}
	if kind == msgNew {
		if len(t.open) == 0 {
			t.told = now
		}
		t.open[e.tuple] = o
		return s
	}
	delete(t.open, e.tuple)
	if !e.start.IsZero() && !e.start.After(o.start) {
		o.start = e.start
	}
	f := e.tuple.flow(o, now)
	f.Sent, f.Received, f.Failed = e.sent, e.received, e.failed()
	sink(f)
	return Stats{Told: 1}
}

// outgoing reports whether this machine opened the connection, to the internet.
func (t *tracker) outgoing(u tuple) bool {
	return contact.Public(u.to.Addr()) && t.config.Own(u.from.Addr()) && !t.config.Own(u.to.Addr())
}

// look reports whether one more connection may be looked at in this second.
func (t *tracker) look(now time.Time) bool {
	if second := now.Unix(); second != t.second {
		t.second, t.looked = second, 0
	}
	t.looked++
	return t.looked <= t.config.PerSecond
}

// next returns when those that go on are told of; the zero time where there are
// none, so that nothing wakes up.
func (t *tracker) next() time.Time {
	if len(t.open) == 0 {
		return time.Time{}
	}
	return t.told.Add(t.config.Every)
}

func (t *tracker) due(now time.Time) bool { return len(t.open) > 0 && !now.Before(t.next()) }

// tell tells of the connections that go on.
func (t *tracker) tell(now time.Time, sink func(contact.Flow)) (s Stats) {
	t.told = now
	for u, o := range t.open {
		sink(u.flow(o, now))
		o.told = true
		s.Told++
	}
	return s
}

func (u tuple) flow(o *opened, now time.Time) contact.Flow {
	f := contact.Flow{From: u.from.Addr(), To: u.to, Protocol: u.protocol, Start: o.start, End: now, Again: o.told}
	if f.End.Before(f.Start) {
		f.End = f.Start // the clock was set back
	}
	return f
}
