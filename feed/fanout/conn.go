package fanout

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// A Conn is one connection of a [Set].
type Conn struct {
	// Tag is whatever the owner of the set wants to know of the connection; it is
	// set before anything is called.
	Tag any

	set        *Set
	wire       *Wire
	tls        *tls.Conn
	generation int32
	fd         int32        // only to find the slot
	pending    atomic.Int32 // events that a reader has not seen
	heard      atomic.Int64 // when the peer last said something, UnixNano
	said       atomic.Int64 // bytes within this Ping
	in         []byte       // an unfinished message; the reader's
	pinged     time.Time    // when it was last asked; the sweeper's

	mu     sync.Mutex // guards the fields below; nothing under it waits
	queue  []Message  // what the socket did not take; the first may have begun
	since  time.Time  // when the connection fell behind
	moved  time.Time  // when it last took something, since then
	closed bool
}

// Add takes a connection over after its handshake: from now on everything it
// says comes to Receive. It fails with [ErrFull] above the limit; the connection
// then stays the caller's, and can still be told why.
func (s *Set) Add(w *Wire, t *tls.Conn, tag any) (*Conn, error) {
	c := &Conn{Tag: tag, set: s, wire: w, tls: t}
	c.heard.Store(time.Now().UnixNano())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	if s.count >= s.cfg.Limit {
		return nil, fmt.Errorf("%w (%d)", ErrFull, s.cfg.Limit)
	}
	if err := w.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	w.loose.Store(true)
	s.next++
	c.generation = s.next
	// Edge-triggered, so that nothing is ever armed again; the first event, that
	// the socket takes data, comes at once, and with it what TLS holds already.
	err := s.control(w, unix.EPOLL_CTL_ADD, func(fd int32) *unix.EpollEvent {
		c.fd = fd
		for int(fd) >= len(s.slots) {
			s.slots = append(s.slots, nil)
		}
		s.slots[fd] = c
		return &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: fd, Pad: c.generation}
	})
	if err != nil {
		if int(c.fd) < len(s.slots) && s.slots[c.fd] == c {
			s.slots[c.fd] = nil
		}
		w.loose.Store(false)
		return nil, err
	}
	s.count++
	return c, nil
}

// control changes the epoll set while the descriptor is sure to be w's.
func (s *Set) control(w *Wire, op int, event func(fd int32) *unix.EpollEvent) error {
	poll, err := s.poll.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = w.raw.Control(func(fd uintptr) {
		failed = poll.Control(func(pfd uintptr) {
			if e := unix.EpollCtl(int(pfd), op, int(fd), event(int32(fd))); e != nil {
				err = e
			}
		})
	})
	return errors.Join(err, failed)
}

// State returns what the handshake told of the peer.
func (c *Conn) State() tls.ConnectionState { return c.tls.ConnectionState() }

// Gone reports whether the connection has ended.
func (c *Conn) Gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Offer sends m, unless the connection is behind or closed: then it returns
// false, and Drained will be called when it has caught up with what it was sent
// before.
func (c *Conn) Offer(m Message) bool {
	c.mu.Lock()
	if c.closed || len(c.queue) > 0 || c.wire.blocked() {
		c.mu.Unlock()
		return false
	}
	err := c.send(m)
	c.mu.Unlock()
	c.end(err)
	return err == nil
}

// Queue sends messages in order, as fast as the peer takes them. Their bytes are
// shared, not copied. Drained is called after the last unless all went at once,
// which is what Queue returns.
func (c *Conn) Queue(ms ...Message) (all bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	err := c.send(ms...)
	all = len(c.queue) == 0 && !c.wire.blocked()
	c.mu.Unlock()
	c.end(err)
	return all && err == nil
}

// send writes what the socket takes and queues the rest.
func (c *Conn) send(ms ...Message) error {
	for i, m := range ms {
		if len(c.queue) > 0 {
			c.queue = append(c.queue, ms[i:]...)
			break
		}
		rest, err := c.write(m)
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			c.queue = append(c.queue, rest)
		}
	}
	if len(c.queue) > 0 || c.wire.blocked() {
		c.fallBehind()
	}
	return nil
}

// fallBehind notes since when the peer does not keep up.
func (c *Conn) fallBehind() {
	if c.since.IsZero() {
		c.since = time.Now()
		c.moved = c.since
		c.set.mark(c, true)
	}
}

// write encrypts m as far as the socket takes it, and returns the rest.
func (c *Conn) write(m Message) (Message, error) {
	const record = 16 << 10
	for len(m) > 0 && !c.wire.blocked() {
		n, err := c.tls.Write(m[:min(record, len(m))])
		if err != nil {
			return nil, err
		}
		m = m[n:]
	}
	return m, nil
}

// flush goes on with what the socket did not take before.
func (c *Conn) flush() {
	c.mu.Lock()
	// TLS itself may have said something that the socket did not take.
	if c.closed || c.since.IsZero() && !c.wire.blocked() {
		c.mu.Unlock()
		return
	}
	c.fallBehind()
	n, err := c.wire.flush()
	for err == nil && len(c.queue) > 0 && !c.wire.blocked() {
		var rest Message
		before := len(c.queue[0])
		rest, err = c.write(c.queue[0])
		n += before - len(rest)
		if c.queue[0] = rest; len(rest) == 0 {
			c.queue[0], c.queue = nil, c.queue[1:]
		}
	}
	if n > 0 {
		c.moved = time.Now()
	}
	drained := err == nil && len(c.queue) == 0 && !c.wire.blocked()
	if drained {
		c.queue, c.since, c.moved = nil, time.Time{}, time.Time{}
		c.set.mark(c, false)
	}
	c.mu.Unlock()
	c.end(err)
	if drained && c.set.cfg.Drained != nil {
		c.set.cfg.Drained(c)
	}
}

// read takes what the peer said until there is no more.
func (c *Conn) read(buf []byte) {
	for {
		n, err := c.tls.Read(buf)
		if n > 0 {
			c.heard.Store(time.Now().UnixNano())
			if c.said.Add(int64(n)) > int64(c.set.cfg.Allowance) {
				c.refuse(ws.StatusPolicyViolation, ErrTalks)
				return
			}
			if code, bad := c.take(buf[:n]); bad != nil {
				c.refuse(code, bad)
				return
			}
		}
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			return
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// take splits what the peer said into messages.
func (c *Conn) take(data []byte) (ws.StatusCode, error) {
	if len(c.in) > 0 {
		c.in = append(c.in, data...)
		data = c.in
	}
	for len(data) > 0 {
		r := bytes.NewReader(data)
		h, err := ws.ReadHeader(r)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err == nil {
			err = ws.CheckHeader(h, ws.StateServerSide)
		}
		if err != nil || !h.Masked || !h.Fin {
			return ws.StatusProtocolError, ErrProtocol
		}
		if h.Length > int64(c.set.cfg.MaxMessage) {
			return ws.StatusMessageTooBig, fmt.Errorf("message of %d bytes: %w", h.Length, ErrTalks)
		}
		if r.Len() < int(h.Length) {
			break
		}
		start := len(data) - r.Len()
		payload := data[start : start+int(h.Length)]
		ws.Cipher(payload, h.Mask, 0)
		if code, err := c.act(h.OpCode, payload); err != nil {
			return code, err
		}
		data = data[start+int(h.Length):]
	}
	c.in = append([]byte(nil), data...) // nil when nothing is left
	return 0, nil
}

func (c *Conn) act(op ws.OpCode, payload []byte) (ws.StatusCode, error) {
	switch op {
	case ws.OpText, ws.OpBinary:
		c.set.cfg.Receive(c, payload)
	case ws.OpPing:
		c.Offer(Message(ws.MustCompileFrame(ws.NewPongFrame(payload)))) // one that is behind is alive anyhow
	case ws.OpClose:
		return ws.StatusNormalClosure, ErrLeft
	}
	return 0, nil
}

var ping = Message(ws.MustCompileFrame(ws.NewPingFrame(nil)))

// ask pings a peer that said nothing for a while, and gives up one that did not
// answer the last ping.
func (c *Conn) ask(now time.Time) {
	if c == nil {
		return
	}
	c.said.Store(0)
	heard, p := time.Unix(0, c.heard.Load()), c.set.cfg.Ping
	switch {
	case c.pinged.After(heard):
		if now.Sub(c.pinged) > p/2 {
			c.end(ErrSilent)
		}
	case now.Sub(heard) > p/2 && c.Offer(ping):
		c.pinged = now
	}
}

// hurry gives up a peer that takes nothing.
func (c *Conn) hurry(now time.Time) {
	c.mu.Lock()
	late := !c.since.IsZero() && (now.Sub(c.moved) > c.set.cfg.Stall || now.Sub(c.since) > c.set.cfg.Patience)
	c.mu.Unlock()
	if late {
		c.end(ErrStalled)
	}
}

// refuse says why and ends.
func (c *Conn) refuse(code ws.StatusCode, why error) { c.finish(code, why.Error(), why) }

// end ends after an error, without a word: there is nobody to hear it.
func (c *Conn) end(err error) {
	if err != nil {
		c.finish(0, "", err)
	}
}

// Close tells the peer the code and the reason (at most 123 bytes), if it takes
// them, and ends the connection.
func (c *Conn) Close(code ws.StatusCode, reason string) {
	c.finish(code, reason, fmt.Errorf("closed: %s", reason))
}

func (c *Conn) finish(code ws.StatusCode, reason string, why error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	if code != 0 && len(c.queue) == 0 && !c.wire.blocked() {
		body := ws.NewCloseFrameBody(code, reason[:min(len(reason), 123)])
		_, _ = c.write(ws.MustCompileFrame(ws.NewCloseFrame(body))) // it ends in any case
	}
	c.queue = nil
	c.mu.Unlock()
	c.set.remove(c)
	_ = c.tls.Close() // gone already is as good
	if c.set.cfg.Closed != nil {
		c.set.cfg.Closed(c, why)
	}
}

// remove takes the descriptor out of the epoll set while it is still c's.
func (s *Set) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.behind, c)
	if s.slots[c.fd] == c {
		s.slots[c.fd] = nil
		s.count--
	}
	_ = s.control(c.wire, unix.EPOLL_CTL_DEL, func(int32) *unix.EpollEvent { return nil }) // closing does the same
}

func (s *Set) mark(c *Conn, behind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if behind {
		s.behind[c] = struct{}{}
	} else {
		delete(s.behind, c)
	}
}
