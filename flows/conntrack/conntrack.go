// Package conntrack tells of the connections that this machine opens to the
// internet, from the events of the kernel's connection tracking: who, when, how
// long and, where the kernel counts them, how many bytes. It holds one socket and
// belongs to the network namespace of the thread that opened it. What it looks
// at and what it remembers is bounded.
//
// It sees only what the kernel tracks: connection tracking runs where a rule of
// the firewall asks for the state of a connection, as those of Tocsin do. It
// tells nothing of connections that others open, nor of any inside of the
// network at home, and it never looks into one.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/contact"
)

// The kernel's numbers, of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
const (
	groupNew     = 1
	groupDestroy = 3
	msgNew       = unix.NFNL_SUBSYS_CTNETLINK << 8
	msgDelete    = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2
)

// A Config says what is told of. Zero numbers take the value of [DefaultConfig].
type Config struct {
	Own       func(netip.Addr) bool // whether an address is this machine's; may change over time
	PerSecond int                   // connections looked at; more are counted only
	Open      int                   // connections remembered until they end
	Every     time.Duration         // how often those that go on are told of
}

// DefaultConfig suits a small device.
func DefaultConfig() Config { return Config{PerSecond: 50, Open: 4096, Every: 15 * time.Minute} }

// Stats count since the Reader was opened.
type Stats struct {
	Told uint64 // flows given to the sink
	Left uint64 // events of outgoing connections that were too many to look at
	Lost uint64 // times that the kernel had no room for events
}

// A Reader tells of outgoing connections. Its Stats may be asked for from any
// goroutine.
type Reader struct {
	config Config
	conn   *netlink.Conn
	run    sync.Mutex // held by the one Read that may run
	state  tracker    // of that Read

	mu    sync.Mutex // guards stats
	stats Stats
}

// Open returns a Reader in the network namespace of the calling thread. Nothing
// is collected before [Reader.Read]. It needs CAP_NET_ADMIN.
func Open(c Config) (*Reader, error) {
	if c.Own == nil {
		return nil, errors.New("conntrack: Own: say which addresses are this machine's")
	}
	def := DefaultConfig()
	if c.PerSecond <= 0 {
		c.PerSecond = def.PerSecond
	}
	if c.Open <= 0 {
		c.Open = def.Open
	}
	if c.Every <= 0 {
		c.Every = def.Every
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("conntrack: %w", err)
	}
	return &Reader{config: c, conn: conn, state: tracker{config: c, open: map[tuple]*opened{}}}, nil
}

// Close ends a Read that runs and frees the socket.
func (r *Reader) Close() error { return r.conn.Close() }

// Stats returns what was told and what was not.
func (r *Reader) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// CountsBytes reports whether the kernel counts the bytes of connections in this
// namespace (sysctl net.netfilter.nf_conntrack_acct). Without, flows come with
// none; Tocsin does not switch it on.
func CountsBytes() bool {
	b, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_acct")
	return err == nil && len(b) > 0 && b[0] == '1'
}

// Read calls sink, from one goroutine, for each connection when it ends, and now
// and then for those that go on, until ctx ends; then it returns nil. One Read of
// a Reader runs at a time. Being closed is an error.
func (r *Reader) Read(ctx context.Context, sink func(contact.Flow)) error {
	r.run.Lock()
	defer r.run.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	for _, group := range []uint32{groupNew, groupDestroy} {
		if err := r.conn.JoinGroup(group); err != nil {
			return fmt.Errorf("conntrack: events of connections: CAP_NET_ADMIN is missing, or the kernel has no ctnetlink: %w", err)
		}
		defer r.conn.LeaveGroup(group) //nolint:errcheck // a closed socket has left already
	}
	var ending sync.Mutex // orders the deadlines: the last one is the end of ctx
	stop := context.AfterFunc(ctx, func() {
		ending.Lock()
		defer ending.Unlock()
		_ = r.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when closed, which ends Read too
	})
	defer stop()
	defer func() { r.count(r.state.tell(time.Now(), sink)) }()
	for {
		ending.Lock()
		if ctx.Err() != nil {
			ending.Unlock()
			return nil
		}
		err := r.conn.SetReadDeadline(r.state.next())
		ending.Unlock()
		if err == nil {
			err = r.receive(sink)
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("conntrack: %w", err)
		}
	}
}

func (r *Reader) receive(sink func(contact.Flow)) error {
	msgs, err := r.conn.Receive()
	now := time.Now()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.count(r.state.tell(now, sink))
		return nil
	case errors.Is(err, unix.ENOBUFS):
		r.count(Stats{Lost: 1})
		return nil
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return err
	}
	for _, m := range msgs {
		r.count(r.state.message(m, now, sink))
	}
	if r.state.due(now) {
		r.count(r.state.tell(now, sink))
	}
	return nil
}

func (r *Reader) count(s Stats) {
	if s == (Stats{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Told += s.Told
	r.stats.Left += s.Left
	r.stats.Lost += s.Lost
}
