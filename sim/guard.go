package sim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A guard is one invented device: its own key and certificate, its own lists, and
// at most one connection to the feed. It follows docs/spec/feed.md in one
// goroutine; package feed's client, which can also poll and read mirrors, needs
// several, and cannot choose its source address.
type guard struct {
	share  *share
	device tocsin.DeviceID
	id     *keys.Identity
	hub    string   // host:port
	from   net.Addr // nil is any address of this machine
	boot   uint64
	told   atomic.Uint64 // sightings

	mu     sync.Mutex // guards the fields below, and writing to conn
	conn   net.Conn   // nil while there is none
	set    *ruleset.Set
	served bool
	report time.Duration // within which to report
	due    bool          // a report is on its way
	asked  time.Time     // for what was missing
}

// How a guard waits, as package feed does: a random part of a window that
// doubles. The ceiling is lower, since somebody watches.
const (
	firstWindow = time.Second
	lastWindow  = 30 * time.Second
	dialTimeout = 20 * time.Second
	silence     = 150 * time.Second
	maxText     = 4 << 10
)

// run follows the feed until ctx ends. The first try is at once: a fleet that
// lost its hub is at its worst if nobody waits.
func (g *guard) run(ctx context.Context) {
	window := firstWindow
	for ctx.Err() == nil {
		g.share.tries.Add(1)
		err := g.session(ctx)
		if g.leave() {
			window = firstWindow
			continue // lost what was there: the first try is at once
		}
		if ctx.Err() != nil {
			return
		}
		g.share.fail("feed", err)
		var told *retryError
		if errors.As(err, &told) {
			window = max(window, told.window)
		}
		pause(ctx, rand.N(window))
		window = max(window, min(2*window, lastWindow))
	}
}

// leave notes that the connection has ended, and reports whether it was served.
func (g *guard) leave() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.served
	if was {
		g.share.connected.Add(-1)
	}
	g.conn, g.served = nil, false
	return was
}

// drop cuts the connection without a word, as a network that fails.
func (g *guard) drop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, ok := g.conn.(*tls.Conn); ok {
		_ = t.NetConn().Close() // whoever reads from it hears of it
	}
}

// session is one connection, from its first packet to its end.
func (g *guard) session(ctx context.Context) error {
	conn, in, err := g.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	g.mu.Lock()
	g.conn = conn
	g.mu.Unlock()
	if err := g.hello(true); err != nil {
		return err
	}
	for {
		h, payload, err := next(conn, in)
		if err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpBinary:
			err = g.take(payload)
		case ws.OpText:
			err = g.welcome(payload)
		case ws.OpPing:
			err = g.say(ws.OpPong, payload)
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return fmt.Errorf("hub closed: %d %q", code, reason)
		}
		if err != nil {
			return err
		}
	}
}

// A retryError is a refusal that says how long to stay away.
type retryError struct {
	status int
	window time.Duration
}

func (e *retryError) Error() string {
	return fmt.Sprintf("refused: %d %s", e.status, http.StatusText(e.status))
}

func (g *guard) dial(ctx context.Context) (net.Conn, io.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config, err := g.id.TLS(g.share.clock)
	if err != nil {
		return nil, nil, err
	}
	config.NextProtos = []string{feed.ALPN}
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: g.from}, Config: config}
	conn, err := d.DialContext(ctx, "tcp", g.hub)
	if err != nil {
		return nil, nil, err
	}
	if p := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != feed.ALPN {
		return nil, nil, errors.Join(errors.New("the hub speaks no "+feed.ALPN), conn.Close())
	}
	refused := &retryError{}
	up := ws.Dialer{
		ReadBufferSize: 512, WriteBufferSize: 512,
		OnStatusError: func(status int, _ []byte, _ io.Reader) { refused.status = status },
		OnHeader: func(key, value []byte) error {
			if n, err := strconv.Atoi(string(value)); err == nil && http.CanonicalHeaderKey(string(key)) == "Retry-After" {
				refused.window = time.Duration(min(max(n, 0), 600)) * time.Second
			}
			return nil
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends what waits for it
	br, _, err := up.Upgrade(conn, &url.URL{Scheme: "wss", Host: g.hub, Path: feed.Path})
	if !stop() || err != nil {
		_ = conn.Close() // the error says all
		if refused.status != 0 {
			return nil, nil, refused
		}
		return nil, nil, cmp.Or(ctx.Err(), err)
	}
	if br != nil {
		return conn, br, nil
	}
	return conn, conn, nil
}

// sources is how many addresses of this machine a fleet comes from where the hub
// is on the same: one has some 28,000 ports, and a hub lets only so many in at
// once from one address.
const sources = 50

// sourceFor returns where guard number n connects from; nil is anywhere.
func sourceFor(hub string, n int) net.Addr {
	to, err := netip.ParseAddrPort(hub)
	a := to.Addr().Unmap()
	if err != nil || !a.Is4() || !a.IsLoopback() && !slices.Contains(ownAddresses(), a) {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%sources))}
}

// ownAddresses are those of this machine, as they were when it was first asked.
var ownAddresses = sync.OnceValue(func() (list []netip.Addr) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then all come from one address
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr())
		}
	}
	return list
})

// next reads one message.
func next(conn net.Conn, in io.Reader) (h ws.Header, payload []byte, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return h, nil, err
	}
	if h, err = ws.ReadHeader(in); err != nil {
		return h, nil, err
	}
	most := int64(ruleset.MaxSnapshot)
	if h.OpCode != ws.OpBinary {
		most = maxText
	}
	if h.Masked || !h.Fin || h.Length > most {
		return h, nil, fmt.Errorf("hub sends a message of %d bytes, masked %v, whole %v", h.Length, h.Masked, h.Fin)
	}
	var b bytes.Buffer // what a message says of its own length is not trusted with memory
	if _, err := io.CopyN(&b, in, h.Length); err != nil {
		return h, nil, err
	}
	return h, b.Bytes(), nil
}

// position and hello are the feed's words.
type position struct {
	List   string `json:"list"`
	Epoch  uint64 `json:"epoch"`
	Serial uint64 `json:"serial"`
}

type hello struct {
	Have    []position `json:"have,omitempty"`
	InForce []position `json:"in_force,omitempty"`
}

// hello says where the lists stand, or only what is in force.
func (g *guard) hello(have bool) error {
	g.mu.Lock()
	var at []position
	for _, p := range g.set.Positions() {
		at = append(at, position{p.Ref.String(), p.Epoch, p.Serial})
	}
	g.mu.Unlock()
	say := hello{InForce: at}
	if have {
		say.Have = at
	}
	b, err := json.Marshal(say)
	if err != nil {
		return err
	}
	return g.say(ws.OpText, b)
}

func (g *guard) say(op ws.OpCode, payload []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn == nil {
		return net.ErrClosed
	}
	if err := g.conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	_, err = g.conn.Write(frame)
	return err
}

// welcome notes that the hub serves this guard.
func (g *guard) welcome(payload []byte) error {
	var w struct {
		Report int64 `json:"report_ms"`
	}
	if err := json.Unmarshal(payload, &w); err != nil {
		return fmt.Errorf("welcome: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.report = time.Duration(min(max(w.Report, 1), 600_000)) * time.Millisecond
	if !g.served {
		g.served = true
		g.share.connected.Add(1)
	}
	return nil
}

// take verifies a message and applies it.
func (g *guard) take(s ruleset.Sealed) error {
	m, err := g.share.open(g, s)
	if err != nil {
		g.share.fail("verify", err)
		return nil // the next one may hold
	}
	g.mu.Lock()
	next, change, err := g.set.Apply(m, g.share.limits(), g.share.clock.Now())
	if err == nil {
		g.set = next
	}
	ask := errors.Is(err, ruleset.ErrGap) && time.Since(g.asked) > time.Second
	if ask {
		g.asked = time.Now()
	}
	g.mu.Unlock()
	switch {
	case ask:
		return g.hello(true)
	case errors.Is(err, ruleset.ErrStale) || errors.Is(err, ruleset.ErrGap):
		return nil
	case err != nil:
		g.share.fail("apply", err)
		return nil
	}
	if !change.Empty() {
		g.share.verified(g, change)
		g.reports()
	}
	return nil
}

// reports tells what is in force, some time later: guards must not all report at
// once.
func (g *guard) reports() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.due {
		return
	}
	g.due = true
	time.AfterFunc(rand.N(max(g.report, time.Second)), func() {
		g.mu.Lock()
		g.due = false
		g.mu.Unlock()
		_ = g.hello(false) // the next hello tells it
	})
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
