package feed

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A peer is one connected device. It is either live, and is sent each frame as
// it is published, or it is caught up from what the hub keeps; what is published
// meanwhile is found there, too. What it was sent last decides which: a frame
// that does not follow on it is never sent.
type peer struct {
	server *Server
	device tocsin.DeviceID
	topics []*topic
	since  time.Time

	mu       sync.Mutex // guards the fields below; topics are locked under it
	conn     *fanout.Conn
	hello    bool
	sent     []ruleset.Position // by topic
	inForce  []ruleset.Position
	catching bool // in the hands of catchUps, or waiting for its socket
	blocked  bool // its socket has to take what it was sent first
	again    bool // something came while it was caught up
}

// join adds a device whose handshake is done. The connection that it had before
// is closed: it is the same device, so that one is dead, or will be.
func (s *Server) join(d Device, add func(*peer) (*fanout.Conn, error)) error {
	p := &peer{server: s, device: d.ID, since: s.now()}
	for _, r := range d.Lists {
		p.topics = append(p.topics, s.topic(r))
		p.sent = append(p.sent, ruleset.Position{Ref: r})
	}
	s.mu.Lock()
	old := s.peers[d.ID]
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.mu.Unlock()
	if old != nil {
		old.close(closeReplaced, "another connection of this device")
	}
	p.mu.Lock() // nothing is sent before conn is known
	conn, err := add(p)
	p.conn = conn
	p.mu.Unlock()
	if err != nil {
		return err
	}
	s.mu.Lock()
	if old = s.peers[d.ID]; old == p {
		old = nil
	}
	s.peers[d.ID] = p
	closed := s.closed
	s.mu.Unlock()
	if old != nil {
		old.close(closeReplaced, "another connection of this device")
	}
	for _, t := range p.topics {
		t.follow(p, true)
	}
	if closed {
		p.close(closeRestart, withRetry("the hub stops", s.Window()))
	}
	if conn.Gone() {
		s.leave(p, nil) // it ended before it was known
	}
	return nil
}

// leave forgets a connection that has ended. The peer may be locked.
func (s *Server) leave(p *peer, why error) {
	s.mu.Lock()
	if s.peers[p.device] == p {
		delete(s.peers, p.device)
	}
	s.mu.Unlock()
	for _, t := range p.topics {
		t.follow(p, false)
	}
	if why != nil {
		s.cfg.Log.Debug("device left the feed", logkey.Device, p.device, logkey.Err, why)
	}
}

func (p *peer) close(code ws.StatusCode, reason string) {
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	if conn != nil {
		conn.Close(code, reason)
	}
}

func (p *peer) follower() Follower {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Follower{Device: p.device, Since: p.since, InForce: slices.Clone(p.inForce)}
}

// receive takes what the device said.
func (p *peer) receive(m []byte) {
	have, inForce, err := decodeHello(m)
	if err != nil {
		p.close(ws.StatusInvalidFramePayloadData, "hello: "+err.Error())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pos := range inForce {
		if p.place(pos.Ref) >= 0 {
			p.inForce = slices.DeleteFunc(p.inForce, func(q ruleset.Position) bool { return q.Ref == pos.Ref })
			p.inForce = append(p.inForce, pos)
		}
	}
	if have == nil {
		return
	}
	if !p.hello {
		p.hello = true
		p.conn.Queue(p.server.welcome())
	}
	for _, pos := range have {
		if n := p.place(pos.Ref); n >= 0 {
			p.sent[n] = pos
		}
	}
	p.needs()
}

// reportRate is how many devices may report in a second.
const reportRate = 1000

func (s *Server) welcome() fanout.Message {
	report := time.Duration(s.set.Len()) * time.Second / reportRate
	b, err := json.Marshal(welcome{Retry: s.Window().Milliseconds(), Report: max(report, time.Second).Milliseconds()})
	if err != nil {
		panic(err) // numbers always encode
	}
	return fanout.Text(b)
}

func (p *peer) place(r ruleset.Ref) int {
	return slices.IndexFunc(p.topics, func(t *topic) bool { return t.ref == r })
}

// publish sends a message that is new, if it is what comes next.
func (p *peer) publish(t *topic, i issue) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.place(t.ref)
	if p.conn == nil || !p.hello || n < 0 {
		return
	}
	switch sent := p.sent[n]; {
	case p.catching:
		p.again = true
	case i.Kind == ruleset.Beat && sent == i.Position:
		p.conn.Offer(i.message) // one that is behind hears the next
	case i.Position.Compare(sent) <= 0, !t.open(p.device, i.Position, i.at):
	case i.Kind == ruleset.Delta && follows(sent, i) && p.conn.Offer(i.message):
		p.sent[n] = i.Position
	default:
		p.needs()
	}
}

// mayLack has the device caught up if it has not been sent all.
func (p *peer) mayLack(t *topic, head ruleset.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.place(t.ref); n >= 0 && p.hello && head.Compare(p.sent[n]) > 0 {
		p.needs()
	}
}

// needs has the device caught up.
func (p *peer) needs() {
	if p.catching {
		p.again = true
		return
	}
	p.catching = true
	p.server.enqueue(p)
}

// drained is called when the socket has taken everything.
func (p *peer) drained() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked {
		p.blocked = false
		p.server.enqueue(p)
	}
}

func (s *Server) enqueue(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, p)
	s.more.Signal()
}

func (s *Server) catchUps(ctx context.Context) {
	for {
		s.mu.Lock()
		for len(s.waiting) == 0 && !s.closed {
			s.more.Wait()
		}
		if s.closed {
			s.mu.Unlock()
			return
		}
		p := s.waiting[0]
		s.waiting[0], s.waiting = nil, s.waiting[1:]
		s.mu.Unlock()
		if err := p.catchUp(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("frames cannot be read: the device is told to come back", logkey.Device, p.device, logkey.Err, err)
			p.close(ws.StatusInternalServerError, withRetry("the hub cannot read its lists", s.Window()))
		}
	}
}

// catchUp sends what the device lacks, list by list, until it lacks nothing or
// its socket takes no more; then it goes on once that is taken.
func (p *peer) catchUp(ctx context.Context) error {
	for {
		p.mu.Lock()
		p.again = false
		sent := slices.Clone(p.sent)
		p.mu.Unlock()
		for n, t := range p.topics {
			issues, err := t.since(ctx, p.server.cfg.Library, p.device, sent[n], p.server.now())
			if err != nil {
				return err
			}
			if !p.queue(n, sent[n], issues) {
				return nil
			}
		}
		p.mu.Lock()
		if !p.again {
			p.catching = false
			p.mu.Unlock()
			return nil
		}
		p.mu.Unlock()
	}
}

// queue sends what comes after from, unless the device has said meanwhile that
// it stands elsewhere. It returns false if the socket has to take it first.
func (p *peer) queue(n int, from ruleset.Position, issues []issue) bool {
	if len(issues) == 0 {
		return true
	}
	messages := make([]fanout.Message, 0, len(issues))
	for _, i := range issues {
		messages = append(messages, i.message)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent[n] != from {
		p.again = true
		return true
	}
	all := p.conn.Queue(messages...)
	p.sent[n] = issues[len(issues)-1].Position
	p.blocked = !all
	return all
}
