package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// An Identity tells who a device is from its certificate, and which lists it
// follows. An error refuses it, and is told to it.
type Identity func(tls.ConnectionState) (tocsin.DeviceID, []ruleset.Ref, error)

// A Listener is the hub's one port: devices that ask for [ALPN] go to the
// server, everybody else to the API. Use [Server.Listen].
type Listener struct {
	server   *Server
	inner    net.Listener
	tls      *tls.Config
	identify Identity
	api      chan net.Conn
	done     chan struct{} // closed when nothing is accepted any more
	stop     func()
	shaking  chan struct{} // a place for each handshake in flight

	mu     sync.Mutex // guards the fields below
	early  int        // handshakes in flight, or waiting
	from   map[netip.Prefix]int
	others int // connections of the API
}

// Bounds of what has not told who it is.
const (
	maxShaking    = 256               // handshakes in flight
	maxEarly      = maxShaking + 4096 // and those that wait for their turn: some seconds of a hub's work
	maxEarlyFrom  = maxEarly / 2      // of them from one network: one house may have many devices
	earlyDeadline = 10 * time.Second  // to wait; then for TLS and the request
	maxOthers     = fanout.Reserve / 2
)

// Listen makes a listener of l, which must be TCP. The configuration is copied;
// the protocols are set here.
func (s *Server) Listen(l net.Listener, config *tls.Config, identify Identity) *Listener {
	config = config.Clone()
	config.NextProtos = []string{ALPN, "http/1.1"}
	out := &Listener{
		server: s, inner: l, tls: config, identify: identify,
		api: make(chan net.Conn), done: make(chan struct{}), shaking: make(chan struct{}, maxShaking), from: map[netip.Prefix]int{},
	}
	out.stop = sync.OnceFunc(func() { close(out.done); _ = l.Close() }) // a second close says nothing new
	return out
}

// Run accepts connections until ctx ends.
func (l *Listener) Run(ctx context.Context) error {
	defer l.stop()
	defer context.AfterFunc(ctx, l.stop)()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.inner.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close() // it was never used
			}
			return ctx.Err()
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("feed: %w", err)
		case err != nil:
			// Out of descriptors, most likely: those in the API's hands come back.
			l.server.cfg.Log.Error("connections cannot be accepted: raise LimitNOFILE", logkey.Err, err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		leave, ok := l.enter(c)
		if !ok {
			refuse(c)
			continue
		}
		wg.Go(func() { l.take(ctx, c.(*net.TCPConn), leave) })
	}
}

// refuse closes a connection before TLS, at the least cost for both.
func refuse(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0) // no state is kept of it
	_ = c.Close()                     // it was never used
}

// enter counts a handshake in, unless too many are in flight.
func (l *Listener) enter(c net.Conn) (leave func(), ok bool) {
	var network netip.Prefix
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		network = tocsin.SourcePrefix(a.Addr())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.early >= maxEarly || l.from[network] >= maxEarlyFrom {
		return nil, false
	}
	l.early++
	l.from[network]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.early--
		if l.from[network]--; l.from[network] == 0 {
			delete(l.from, network)
		}
	}, true
}

// take does the handshake and hands the connection on.
func (l *Listener) take(ctx context.Context, c *net.TCPConn, leave func()) {
	if !l.turn(ctx) {
		leave()
		refuse(c)
		return
	}
	left := leave
	leave = sync.OnceFunc(func() { <-l.shaking; left() })
	defer leave()
	keepAlive(c)
	w, err := fanout.Wrap(c)
	if err != nil {
		_ = c.Close() // gone already
		return
	}
	t := tls.Server(w, l.tls)
	deadline, cancel := context.WithTimeout(ctx, earlyDeadline)
	defer cancel()
	if err := w.SetDeadline(time.Now().Add(earlyDeadline)); err != nil || t.HandshakeContext(deadline) != nil {
		_ = t.Close() // whoever it was has heard the alert
		return
	}
	if t.ConnectionState().NegotiatedProtocol != ALPN {
		leave()
		l.pass(t, w)
		return
	}
	if err := l.upgrade(t, w); err != nil {
		l.server.cfg.Log.Debug("device refused", logkey.Source, c.RemoteAddr().String(), logkey.Err, err)
		_ = t.Close() // it was told why
	}
}

// turn waits for a place among the handshakes in flight. Waiting is cheaper for
// all than a refusal: whoever is refused comes again, with new keys.
func (l *Listener) turn(ctx context.Context) bool {
	t := time.NewTimer(earlyDeadline)
	defer t.Stop()
	select {
	case l.shaking <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// keepAlive has the kernel find peers that are gone, should pings not.
func keepAlive(c *net.TCPConn) {
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{ // pings find them, too
		Enable: true, Idle: time.Minute, Interval: 20 * time.Second, Count: 3,
	})
}

// pass hands a connection to the API, as long as the API holds few.
func (l *Listener) pass(t *tls.Conn, w *fanout.Wire) {
	l.mu.Lock()
	ok := l.others < maxOthers
	if ok {
		l.others++
	}
	l.mu.Unlock()
	if !ok {
		_ = t.Close() // the client tries again
		return
	}
	w.OnClose(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.others--
	})
	_ = w.SetDeadline(time.Time{}) // whoever serves sets its own; an error comes again there
	select {
	case l.api <- t:
	case <-l.done:
		_ = t.Close() // nobody serves any more
	}
}

// upgrade asks who the device is, answers its request, and adds it.
func (l *Listener) upgrade(t *tls.Conn, w *fanout.Wire) error {
	id, lists, refused := l.identify(t.ConnectionState())
	if refused == nil && len(lists) > MaxLists {
		refused = fmt.Errorf("%d lists, at most %d", len(lists), MaxLists)
	}
	full := l.server.set.Len() >= l.server.set.Limit()
	up := ws.Upgrader{
		ReadBufferSize: 2 << 10, WriteBufferSize: 512,
		OnRequest: func(uri []byte) error {
			switch {
			case string(uri) != Path:
				return reject(http.StatusNotFound, "the feed is at "+Path, 0)
			case refused != nil:
				return reject(http.StatusForbidden, refused.Error(), 0)
			case full:
				return reject(http.StatusServiceUnavailable, l.server.full(), max(time.Minute, l.server.Window()))
			}
			return nil
		},
	}
	const most = 8 << 10 // bytes of a request
	if _, err := up.Upgrade(limited{io.LimitReader(t, most), t}); err != nil {
		return err
	}
	err := l.server.join(Device{id, lists}, func(p *peer) (*fanout.Conn, error) { return l.server.set.Add(w, t, p) })
	if err != nil {
		// It can still be told, though no longer by HTTP.
		code, reason := ws.StatusCode(closeRestart), withRetry(err.Error(), l.server.Window())
		_ = ws.WriteFrame(t, ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason))) // it is closed in any case
		return err
	}
	if _, _, err := l.identify(t.ConnectionState()); err != nil {
		l.server.Drop(id) // revoked just now
	}
	return nil
}

func (s *Server) full() string {
	return fmt.Sprintf("the hub is full: it holds %d devices, as many as its limit of descriptors lets it (LimitNOFILE)", s.set.Limit())
}

func reject(status int, reason string, retry time.Duration) error {
	h := ws.HandshakeHeaderHTTP{}
	if retry > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int(retry.Seconds()))}
	}
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(reason), ws.RejectionHeader(h))
}

type limited struct {
	io.Reader
	io.Writer
}

// API returns the connections that are not for the feed, handshake done, for an
// http.Server.
func (l *Listener) API() net.Listener { return apiListener{l} }

type apiListener struct{ *Listener }

func (l apiListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.api:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close stops the API only; Run ends the rest.
func (l apiListener) Close() error { return nil }

// Addr implements net.Listener.
func (l apiListener) Addr() net.Addr { return l.inner.Addr() }
