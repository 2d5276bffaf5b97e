// Package sockcut closes TCP connections that blocked sources hold open to this
// device. A packet filter silences such a connection but leaves it standing,
// with the process that serves it, until some timeout; the kernel can destroy
// it at once (SOCK_DESTROY of sock_diag), and both ends learn of it.
//
// Only connections that a daemon here accepted are closed: those that the
// device opened itself belong to its owner. It blocks nothing: make the rule
// first, then cut, or the source is back before the rule is.
package sockcut

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// MaxQueue bounds the prefixes that wait for a pass over the sockets, and
// maxFound the connections kept in mind in one pass: attackers choose both.
const (
	MaxQueue = 1 << 16
	maxFound = 1 << 14
)

// A Cutter closes connections in a goroutine of its own, so that whoever blocks
// need not wait. It may be used by several goroutines.
type Cutter struct {
	log   *slog.Logger
	spare func(local netip.AddrPort, source netip.Addr) bool
	conn  *netlink.Conn // nil where the kernel gave none
	wake  chan struct{}
	done  chan struct{}
	most  int // connections found in one pass

	mu     sync.Mutex // guards the fields below
	queue  prefixes
	lost   int // prefixes that found the queue full
	closed bool
	told   bool // that connections cannot be closed here
}

// New returns a Cutter for the network namespace of the calling thread. spare
// tells of a local end and a source whether the connection stays although a
// prefix holds the source, such as one that a pass lets in; it is called from the
// Cutter's goroutine and may be nil. A device whose kernel cannot close connections gets a Cutter that
// says so once, and does nothing.
func New(log *slog.Logger, spare func(local netip.AddrPort, source netip.Addr) bool) *Cutter {
	c := &Cutter{log: log, spare: spare, wake: make(chan struct{}, 1), done: make(chan struct{}), most: maxFound}
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		c.tell(err)
		close(c.done)
		return c
	}
	c.conn = conn
	go c.run()
	return c
}

// Cut closes what sources in ps have open, soon. It never waits. Beyond
// [MaxQueue] prefixes at a time, connections are left to end by their timeouts.
func (c *Cutter) Cut(ps ...netip.Prefix) {
	if c.conn == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for _, p := range ps {
		if !c.queue.add(p) {
			c.lost++
		}
	}
	if c.queue.len() > 0 {
		select {
		case c.wake <- struct{}{}:
		default: // it will see this too
		}
	}
}

// Close stops the Cutter, and waits until it has. What is queued is dropped.
func (c *Cutter) Close() error {
	c.mu.Lock()
	first := !c.closed && c.conn != nil
	c.closed = true
	if first {
		close(c.wake)
	}
	c.mu.Unlock()
	if !first {
		<-c.done
		return nil
	}
	// A deadline rather than closing first: the goroutine may be in a call.
	err := c.conn.SetDeadline(time.Unix(1, 0))
	<-c.done
	return errors.Join(err, c.conn.Close())
}

func (c *Cutter) run() {
	defer close(c.done)
	for range c.wake {
		c.mu.Lock()
		todo, lost := c.queue, c.lost
		c.queue, c.lost = prefixes{}, 0
		c.mu.Unlock()
		if lost > 0 {
			c.log.Warn("too many blocks at a time: connections of some end by their timeout only", logkey.Count, lost)
		}
		if err := c.pass(todo); err != nil {
			c.tell(err)
		}
	}
}

// tell says once that connections cannot be closed, and why; the packet filter
// holds without.
func (c *Cutter) tell(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.told {
		return
	}
	c.told = true
	hint := "connections that are open when their source is blocked go silent, but end by their timeout only"
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		hint += "; this kernel was built without CONFIG_INET_DIAG_DESTROY"
	case errors.Is(err, unix.EPERM):
		hint += "; give the process CAP_NET_ADMIN"
	}
	c.log.Warn(hint, logkey.Err, err)
}

// pass closes what sources in ps have open. Where one pass finds more than it
// may keep in mind it is repeated, as long as it closes something.
func (c *Cutter) pass(ps prefixes) error {
	for {
		listeners, err := c.listeners()
		if err != nil {
			return err
		}
		found, err := c.connections(ps, listeners)
		if err != nil {
			return err
		}
		n := 0
		for _, s := range found {
			switch err := c.destroy(s); {
			case err == nil:
				n++
			case !errors.Is(err, unix.ENOENT): // ENOENT: it has just ended by itself
				return err
			}
		}
		if n > 0 {
			c.log.Debug("closed connections of blocked sources", logkey.Count, n)
		}
		if n == 0 || len(found) < c.most {
			return nil
		}
	}
}
