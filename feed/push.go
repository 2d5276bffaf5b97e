package feed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/ruleset"
)

// How long a device waits for its hub.
const (
	dialTimeout = 20 * time.Second
	chunkTime   = time.Minute // for 64 KiB of a snapshot
)

// A session is one WebSocket connection to the hub.
type session struct {
	client   *Client
	follower *follower
	conn     net.Conn
	in       io.Reader

	mu       sync.Mutex // held while something is written
	welcomed time.Duration
}

// push follows over one WebSocket connection until it ends. It returns the
// window that the hub told for coming back, or 0 if it was never welcome.
func (c *Client) push(ctx context.Context, f *follower) (time.Duration, error) {
	s := &session{client: c, follower: f}
	if err := s.dial(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = s.conn.Close() }) // ends what waits for it
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	if err := s.hello(); err != nil {
		return 0, err
	}
	wg.Go(func() { s.reports(ctx) })
	err := s.follow()
	return s.welcomed, err
}

// dial connects, and asks for the feed.
func (s *session) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	config := s.client.cfg.TLS.Clone()
	config.NextProtos = []string{ALPN}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.client.cfg.Hub)
	if err != nil {
		return err
	}
	if p := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != ALPN {
		_ = conn.Close() // nothing was said
		return fmt.Errorf("%s does not speak %s: something in between ends TLS", s.client.cfg.Hub, ALPN)
	}
	var refused error
	d := ws.Dialer{OnStatusError: func(_ int, _ []byte, r io.Reader) { refused = refusal(r) }}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends what waits for it
	br, _, err := d.Upgrade(conn, &url.URL{Scheme: "wss", Host: s.client.cfg.Hub, Path: Path})
	if !stop() || err != nil {
		_ = conn.Close() // the error says all
		return errors.Join(refused, err, ctx.Err())
	}
	s.conn, s.in = conn, conn
	if br != nil {
		s.in = br
	}
	return nil
}

// refusal reads why a hub answers anything but a WebSocket.
func refusal(r io.Reader) error {
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(r, maxText)), nil)
	if err != nil {
		return err
	}
	return refusedBy(answer)
}

func refusedBy(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 512)) // as much as comes
	err := fmt.Errorf("hub: %s: %q", answer.Status, strings.TrimSpace(string(text)))
	if n, e := strconv.Atoi(answer.Header.Get("Retry-After")); e == nil && n > 0 {
		return &retryError{err, min(time.Duration(min(n, 3600))*time.Second, maxWait)}
	}
	return err
}

func (s *session) hello() error {
	s.client.mu.Lock()
	inForce := s.client.inForce
	s.client.mu.Unlock()
	return s.say(ws.OpText, encodeHello(s.follower.wanted(time.Now(), false), inForce))
}

func (s *session) say(op ws.OpCode, payload []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrame(ws.NewFrame(op, true, payload)))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(chunkTime)); err != nil {
		return err
	}
	_, err = s.conn.Write(frame)
	return err
}

// reports tells the hub what is in force, some time after each news of it.
func (s *session) reports(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.client.news:
		}
		s.client.mu.Lock()
		window := max(s.client.report, time.Second)
		s.client.mu.Unlock()
		sleep(ctx, jitter(window))
		s.client.mu.Lock()
		inForce := s.client.inForce
		s.client.mu.Unlock()
		if ctx.Err() != nil || s.say(ws.OpText, encodeHello(nil, inForce)) != nil {
			return // the next hello tells it
		}
	}
}

// follow reads until the connection ends.
func (s *session) follow() error {
	for {
		h, payload, err := s.next()
		if err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpBinary:
			if s.follower.deliver(payload, time.Now()) {
				err = s.hello()
			}
		case ws.OpText:
			err = s.welcome(payload)
		case ws.OpPing:
			err = s.say(ws.OpPong, payload)
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			err = fmt.Errorf("hub closed: %d %q", code, reason)
			if window := retryIn(reason); window > 0 {
				err = &retryError{err, window}
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) welcome(payload []byte) error {
	retry, report, err := decodeWelcome(payload)
	if err != nil {
		return fmt.Errorf("welcome: %w", err)
	}
	s.welcomed = max(retry, firstWindow)
	s.client.mu.Lock()
	s.client.via, s.client.report = ViaPush, report
	s.client.mu.Unlock()
	s.client.cfg.Log.Info("following the hub", logkey.Addr, s.client.cfg.Hub)
	return nil
}

// next reads one message, in pieces: what it says of its own length is not
// trusted with memory.
func (s *session) next() (h ws.Header, payload []byte, err error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(s.client.silence)); err != nil {
		return h, nil, err
	}
	if h, err = ws.ReadHeader(s.in); err != nil {
		return h, nil, err
	}
	if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
		return h, nil, err
	}
	most := int64(ruleset.MaxSnapshot)
	if h.OpCode != ws.OpBinary {
		most = maxText
	}
	if h.Masked || !h.Fin || h.Length > most {
		return h, nil, fmt.Errorf("hub sends a message of %d bytes, masked %v, whole %v", h.Length, h.Masked, h.Fin)
	}
	var b bytes.Buffer
	for left := h.Length; left > 0; {
		if err := s.conn.SetReadDeadline(time.Now().Add(chunkTime)); err != nil {
			return h, nil, err
		}
		n, err := io.CopyN(&b, s.in, min(left, 64<<10))
		if left -= n; err != nil {
			return h, nil, err
		}
	}
	return h, b.Bytes(), nil
}
