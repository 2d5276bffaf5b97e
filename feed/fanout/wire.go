package fanout

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Wire is a TCP connection for TLS to run over. Until it is added to a [Set]
// it behaves as the connection itself; from then on it never waits: a read
// without data is a timeout, after which TLS goes on where it was, and what the
// socket does not take is kept. (A write that TLS sees fail would be its last.)
type Wire struct {
	*net.TCPConn
	raw   syscall.RawConn
	loose atomic.Bool

	mu   sync.Mutex // guards the fields below
	left []byte     // encrypted; the socket did not take it
	done func()
}

// Wrap makes a Wire of a connection.
func Wrap(c *net.TCPConn) (*Wire, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Wire{TCPConn: c, raw: raw}, nil
}

// OnClose has done called once, when the connection is closed by whomever.
func (w *Wire) OnClose(done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = done
}

// Close implements net.Conn.
func (w *Wire) Close() error {
	w.mu.Lock()
	done := w.done
	w.done = nil
	w.mu.Unlock()
	err := w.TCPConn.Close()
	if done != nil {
		done()
	}
	return err
}

// maxLeft bounds what is kept of one connection: some records of TLS.
const maxLeft = 64 << 10

// notNow is a timeout to TLS: it keeps what it has and may be asked again.
type notNow struct{}

func (notNow) Error() string   { return "nothing to read now" }
func (notNow) Timeout() bool   { return true }
func (notNow) Temporary() bool { return true }

var _ net.Error = notNow{}

// Read implements net.Conn.
func (w *Wire) Read(b []byte) (n int, err error) {
	if !w.loose.Load() {
		return w.TCPConn.Read(b)
	}
	if e := w.raw.Read(func(fd uintptr) bool {
		n, err = again(func() (int, error) { return unix.Read(int(fd), b) })
		return true
	}); e != nil {
		return 0, e
	}
	switch {
	case err == unix.EAGAIN:
		return 0, notNow{}
	case err != nil:
		return 0, err
	case n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (w *Wire) Write(b []byte) (int, error) {
	if !w.loose.Load() {
		return w.TCPConn.Write(b)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left)+len(b) > maxLeft {
		return 0, ErrStalled // TLS itself has much to say, to a peer that does not read
	}
	n := 0
	if len(w.left) == 0 {
		var err error
		if n, err = w.push(b); err != nil {
			return n, err
		}
	}
	w.left = append(w.left, b[n:]...)
	return len(b), nil
}

// push writes until the socket takes no more.
func (w *Wire) push(b []byte) (n int, err error) {
	for n < len(b) {
		var k int
		if e := w.raw.Write(func(fd uintptr) bool {
			k, err = again(func() (int, error) { return unix.Write(int(fd), b[n:]) })
			return true
		}); e != nil {
			return n, e
		}
		if err == unix.EAGAIN {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// flush writes what was left; it returns how many bytes went.
func (w *Wire) flush() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.left) == 0 {
		return 0, nil
	}
	n, err := w.push(w.left)
	if w.left = w.left[n:]; len(w.left) == 0 {
		w.left = nil
	}
	return n, err
}

func (w *Wire) blocked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.left) > 0
}

func again(do func() (int, error)) (int, error) {
	for {
		if n, err := do(); err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
