// Package fanout sends the same bytes to many WebSocket connections over mutual
// TLS, and hears what little they say, without a goroutine for each. It knows
// nothing of rules, lists or devices.
//
// It promises that nobody waits for somebody else: no call here ever waits for a
// socket. What a socket does not take stays queued as a reference to the shared
// bytes, the connection counts as behind until it has taken them, and one that
// takes nothing for too long is closed. What a peer may say is bounded, and what
// it has said half is bounded, too. A peer that is gone without a word is found.
//
// It is no WebSocket library: it sends whole messages, and takes small, whole
// ones.
package fanout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// Why a connection ended, besides what the network says.
var (
	ErrStalled  = errors.New("took nothing for too long")
	ErrSilent   = errors.New("answered no ping")
	ErrTalks    = errors.New("says too much")
	ErrProtocol = errors.New("breaks the protocol")
	ErrLeft     = errors.New("closed by the peer")
	ErrFull     = errors.New("as many connections as fit")
)

// A Config says how a Set treats its connections. The zero value of a limit is
// its default.
type Config struct {
	// Receive is called with each whole message of a peer, one at a time for each
	// connection; the bytes are its own only until it returns. It must not wait.
	Receive func(c *Conn, message []byte)
	// Drained is called when a connection that was behind has taken everything.
	Drained func(c *Conn)
	// Closed is called once for each connection added, whoever ended it.
	Closed func(c *Conn, why error)

	Limit      int           // connections; 0 is what [Capacity] says
	MaxMessage int           // bytes a peer may say at once; 4 KiB
	Allowance  int           // bytes a peer may say within one Ping; 256 KiB
	Ping       time.Duration // how often a silent peer is asked whether it is there; 1 min
	Stall      time.Duration // how long a peer may take nothing; 30 s
	Patience   time.Duration // how long a peer may be behind at all; 10 min
}

func (c *Config) fill() {
	setDefault(&c.Limit, Capacity())
	setDefault(&c.MaxMessage, 4<<10)
	setDefault(&c.Allowance, 256<<10)
	setDefault(&c.Ping, time.Minute)
	setDefault(&c.Stall, 30*time.Second)
	setDefault(&c.Patience, 10*time.Minute)
}

func setDefault[T int | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

// A Message is one WebSocket message, ready for every connection.
type Message []byte

// Binary makes a message of bytes; they are copied.
func Binary(b []byte) Message { return ws.MustCompileFrame(ws.NewBinaryFrame(b)) }

// Text makes a message of UTF-8 text; it is copied.
func Text(b []byte) Message { return ws.MustCompileFrame(ws.NewTextFrame(b)) }

// A Set is connections that share one epoll set. Use [New].
type Set struct {
	cfg  Config
	poll *os.File // the epoll set
	work chan *Conn
	quit chan struct{} // closed when Run returns

	mu     sync.Mutex // guards the fields below
	slots  []*Conn    // by descriptor
	count  int
	next   int32 // generation of the next connection
	turn   int   // of the sweep
	behind map[*Conn]struct{}
	closed bool
}

// New makes an empty set. Its connections come to life in Run, which must be
// called.
func New(cfg Config) (*Set, error) {
	cfg.fill()
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd) // nothing is in it yet
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Set{
		cfg: cfg, poll: os.NewFile(uintptr(fd), "epoll"), work: make(chan *Conn, 256), quit: make(chan struct{}),
		behind: map[*Conn]struct{}{},
	}, nil
}

// Len returns how many connections there are.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Limit returns how many connections there may be.
func (s *Set) Limit() int { return s.cfg.Limit }

// Run serves the connections until ctx ends; then it closes them. It may be
// called once.
func (s *Set) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(s.readers)
	}
	wg.Go(func() { s.sweeps(ctx) })
	context.AfterFunc(ctx, func() { _ = s.poll.Close() }) // wakes whoever waits below
	err := s.wait()
	s.mu.Lock()
	s.closed = true
	all := append([]*Conn(nil), s.slots...)
	s.mu.Unlock()
	for _, c := range all {
		if c != nil {
			c.Close(ws.StatusGoingAway, "the hub stops")
		}
	}
	close(s.quit)
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// wait hands connections with something to do to the readers.
func (s *Set) wait() error {
	raw, err := s.poll.SyscallConn()
	if err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	for {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n > 0 || failed != nil && failed != syscall.EINTR
		})
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, e := range events[:n] {
			if c := s.find(int(e.Fd), e.Pad); c != nil && c.pending.Add(1) == 1 {
				s.work <- c
			}
		}
	}
}

// find returns the connection that an event is about, unless it has gone and
// its descriptor, maybe, belongs to another.
func (s *Set) find(fd int, generation int32) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fd >= len(s.slots) || s.slots[fd] == nil || s.slots[fd].generation != generation {
		return nil
	}
	return s.slots[fd]
}

// readers is one of the few goroutines that read and write on.
func (s *Set) readers() {
	buf := make([]byte, 4<<10)
	for {
		select {
		case <-s.quit:
			return
		case c := <-s.work:
			for done := false; !done; {
				seen := c.pending.Load()
				c.flush()
				c.read(buf)
				done = c.pending.CompareAndSwap(seen, 0)
			}
		}
	}
}

// sweeps looks for peers that are gone, a few at a time.
func (s *Set) sweeps(ctx context.Context) {
	const parts = 120 // of one Ping
	tick := time.NewTicker(max(s.cfg.Ping/parts, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			now := time.Now()
			for _, c := range s.due(parts) {
				c.ask(now)
			}
			for _, c := range s.late() {
				c.hurry(now)
			}
		}
	}
}

// due returns the next part of the connections to look after.
func (s *Set) due(parts int) []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, turn := len(s.slots), s.turn%parts
	s.turn++
	return append([]*Conn(nil), s.slots[n*turn/parts:n*(turn+1)/parts]...)
}

func (s *Set) late() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Conn, 0, len(s.behind))
	for c := range s.behind {
		all = append(all, c)
	}
	return all
}

// Share calls do for each of them, on as many goroutines as there are cores, and
// returns when all are done.
func Share[T any](all []T, do func(T)) {
	workers := min(runtime.GOMAXPROCS(0), len(all))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(all); i += workers {
				do(all[i])
			}
		})
	}
	wg.Wait()
}
