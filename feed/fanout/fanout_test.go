package fanout_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin/feed/fanout"
)

// patience bounds how long anything here may take: it fails a test, and times
// nothing.
const patience = 20 * time.Second

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"hub.example"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A station is a set that listens, and what it heard.
type station struct {
	set     *fanout.Set
	addr    string
	cert    tls.Certificate
	added   chan *fanout.Conn
	refused chan error
	heard   chan string
	drained chan *fanout.Conn
	closed  chan error
}

func start(t *testing.T, cfg fanout.Config) *station {
	t.Helper()
	s := &station{
		cert: certificate(t), added: make(chan *fanout.Conn, 100), refused: make(chan error, 100), heard: make(chan string, 1000),
		drained: make(chan *fanout.Conn, 100), closed: make(chan error, 100),
	}
	cfg.Receive = func(_ *fanout.Conn, m []byte) { s.heard <- string(m) }
	cfg.Drained = func(c *fanout.Conn) { s.drained <- c }
	cfg.Closed = func(_ *fanout.Conn, why error) { s.closed <- why }
	var err error
	if s.set, err = fanout.New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.set.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("run: %v", err)
		}
	})
	wg.Go(func() { s.accept(t, l) })
	t.Cleanup(func() { stop(); _ = l.Close(); wg.Wait() })
	return s
}

func (s *station) accept(t *testing.T, l net.Listener) {
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		w, err := fanout.Wrap(c.(*net.TCPConn))
		if err != nil {
			t.Error(err)
			continue
		}
		tc := tls.Server(w, config)
		if _, err := ws.Upgrade(tc); err != nil {
			t.Error(err)
			continue
		}
		added, err := s.set.Add(w, tc, nil)
		if err != nil {
			s.refused <- err
			_ = tc.Close()
			continue
		}
		s.added <- added
	}
}

type peer struct {
	net.Conn
	t *testing.T
	r io.Reader
}

func (s *station) dial(t *testing.T) (*peer, *fanout.Conn) {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{s.cert}}
	d := ws.Dialer{TLSConfig: config, Timeout: patience}
	c, br, _, err := d.Dial(t.Context(), "wss://"+s.addr+"/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: c, t: t, r: c}
	if br != nil {
		p.r = br
	}
	return p, wait(t, s.added)
}

func (p *peer) say(op ws.OpCode, b []byte) {
	p.t.Helper()
	if err := ws.WriteFrame(p, ws.MaskFrame(ws.NewFrame(op, true, b))); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) next() ws.Frame {
	p.t.Helper()
	f, err := readFrame(p.r)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

func readFrame(r io.Reader) (ws.Frame, error) {
	h, err := ws.ReadHeader(r)
	if err != nil || h.Length > 2<<20 {
		return ws.Frame{}, errors.Join(err, errors.New("no frame that was sent"))
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestBothWays(t *testing.T) {
	s := start(t, fanout.Config{})
	var conns []*fanout.Conn
	var peers []*peer
	for range 20 {
		p, c := s.dial(t)
		peers, conns = append(peers, p), append(conns, c)
	}
	big := bytes.Repeat([]byte("x"), 300<<10)
	sent := []fanout.Message{fanout.Binary([]byte("one")), fanout.Binary(big), fanout.Text([]byte("three"))}
	fanout.Share(conns, func(c *fanout.Conn) { c.Queue(sent...) })
	for _, p := range peers {
		for i, want := range []string{"one", string(big), "three"} {
			if f := p.next(); string(f.Payload) != want {
				t.Fatalf("message %d: got %d bytes, want %d", i, len(f.Payload), len(want))
			}
		}
	}
	for i, p := range peers {
		p.say(ws.OpText, fmt.Appendf(nil, "first of %d", i))
		if got := wait(t, s.heard); got != fmt.Sprintf("first of %d", i) {
			t.Errorf("got %q", got)
		}
	}
	// Two in one write, and one in many writes.
	p := peers[0]
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("whole"))))
	if _, err := p.Write(append(bytes.Clone(frame), frame...)); err != nil {
		t.Fatal(err)
	}
	for i := range frame {
		if _, err := p.Write(frame[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if got := wait(t, s.heard); got != "whole" {
			t.Errorf("got %q", got)
		}
	}
	p.say(ws.OpPing, []byte("there?"))
	if f := p.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "there?" {
		t.Errorf("got %v", f)
	}
}

func TestSlowReaderHoldsUpNobody(t *testing.T) {
	s := start(t, fanout.Config{})
	slow, slowConn := s.dial(t)
	quick, quickConn := s.dial(t)
	part := bytes.Repeat([]byte("s"), 1<<20)
	m := fanout.Binary(part)
	var all []fanout.Message
	for range 32 { // more than any socket holds
		all = append(all, m)
	}
	if slowConn.Queue(all...) {
		t.Fatal("the socket of a peer that does not read took 32 MiB")
	}
	if slowConn.Offer(fanout.Binary([]byte("late"))) {
		t.Error("offered to one that is behind")
	}
	for i := range 100 {
		for !quickConn.Offer(fanout.Binary([]byte{byte(i)})) {
			wait(t, s.drained)
		}
		if f := quick.next(); f.Payload[0] != byte(i) {
			t.Fatalf("got %v, want %d", f.Payload, i)
		}
	}
	for i := range all {
		if f := slow.next(); !bytes.Equal(f.Payload, part) {
			t.Fatalf("message %d is not what was sent", i)
		}
	}
	if c := wait(t, s.drained); c != slowConn {
		t.Error("another one drained")
	}
	if !slowConn.Offer(fanout.Binary([]byte("now"))) {
		t.Error("still behind")
	}
	if f := slow.next(); string(f.Payload) != "now" {
		t.Errorf("got %q", f.Payload)
	}
}

func TestGivenUp(t *testing.T) {
	whole := func(op ws.OpCode, b string) []byte {
		return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, true, []byte(b))))
	}
	open := ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(ws.OpText, false, []byte("x"))))
	bare := ws.MustCompileFrame(ws.NewTextFrame([]byte("not masked")))
	for name, c := range map[string]struct {
		says []byte
		want error
		code ws.StatusCode
	}{
		"leaves":     {whole(ws.OpClose, "\x03\xe8"), fanout.ErrLeft, ws.StatusNormalClosure},
		"not masked": {bare, fanout.ErrProtocol, ws.StatusProtocolError},
		"in parts":   {open, fanout.ErrProtocol, ws.StatusProtocolError},
		"reserved":   {whole(0x5, "x"), fanout.ErrProtocol, ws.StatusProtocolError},
		"too long":   {whole(ws.OpText, string(make([]byte, 5000))), fanout.ErrTalks, ws.StatusMessageTooBig},
		"too much":   {bytes.Repeat(whole(ws.OpText, "hello"), 30_000), fanout.ErrTalks, ws.StatusPolicyViolation},
		"huge":       {[]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, fanout.ErrTalks, ws.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, fanout.Config{})
			go func() {
				for range s.heard { // whatever is said until then
				}
			}()
			p, _ := s.dial(t)
			go func() { _, _ = p.Write(c.says) }() // may well be cut off
			if got := wait(t, s.closed); !errors.Is(got, c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			if n := s.set.Len(); n != 0 {
				t.Errorf("%d connections left", n)
			}
			if name == "too much" {
				return // what it still says resets the connection before it reads
			}
			f := p.next()
			if code, _ := ws.ParseCloseFrameData(f.Payload); code != c.code {
				t.Errorf("code: got %d, want %d", code, c.code)
			}
		})
	}
}

func TestSilentPeersAreFound(t *testing.T) {
	s := start(t, fanout.Config{Ping: 200 * time.Millisecond})
	p, _ := s.dial(t)
	alive, _ := s.dial(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			f, err := readFrame(alive.r)
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpPing {
				_ = ws.WriteFrame(alive, ws.MaskFrame(ws.NewPongFrame(nil))) // the set may be gone
			}
		}
	})
	if err := wait(t, s.closed); !errors.Is(err, fanout.ErrSilent) {
		t.Errorf("got %v", err)
	}
	if n := s.set.Len(); n != 1 {
		t.Errorf("%d connections left, want the one that answers", n)
	}
	_ = p.Close()
	_ = alive.Close()
	wg.Wait()
}

func TestStalledPeersAreDropped(t *testing.T) {
	s := start(t, fanout.Config{Stall: 50 * time.Millisecond, Ping: 500 * time.Millisecond})
	_, c := s.dial(t)
	m := fanout.Binary(make([]byte, 1<<20))
	c.Queue(m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m, m)
	if err := wait(t, s.closed); !errors.Is(err, fanout.ErrStalled) {
		t.Errorf("got %v", err)
	}
}

func TestLimitIsTold(t *testing.T) {
	s := start(t, fanout.Config{Limit: 1})
	_, c := s.dial(t)
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{s.cert}}
	if _, _, _, err := (ws.Dialer{TLSConfig: config}).Dial(t.Context(), "wss://"+s.addr+"/"); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, s.refused); !errors.Is(err, fanout.ErrFull) {
		t.Errorf("got %v", err)
	}
	c.Close(4000, "make room")
	wait(t, s.closed)
	s.dial(t)
}

// TestDescriptorsComeBack opens and closes many, all at once: what is sent to
// one never reaches another that has its descriptor now.
func TestDescriptorsComeBack(t *testing.T) {
	s := start(t, fanout.Config{})
	var wg sync.WaitGroup
	go func() {
		for range s.closed {
		}
	}()
	go func() {
		for m := range s.heard {
			_ = m
		}
	}()
	conns := make(chan *fanout.Conn, 1000)
	go func() {
		for c := range s.added {
			conns <- c
			c.Queue(fanout.Text([]byte("hello")))
		}
	}()
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case c := <-conns:
				c.Close(4000, "next")
				c.Offer(fanout.Text([]byte("too late")))
			}
		}
	})
	config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{s.cert}}
	var dials sync.WaitGroup
	for range 8 {
		dials.Go(func() {
			for range 25 {
				c, br, _, err := (ws.Dialer{TLSConfig: config}).Dial(context.Background(), "wss://"+s.addr+"/")
				if err != nil {
					t.Error(err)
					return
				}
				r := io.Reader(c)
				if br != nil {
					r = br
				}
				for {
					f, err := readFrame(r)
					if err != nil || f.Header.OpCode == ws.OpClose {
						break
					}
					if string(f.Payload) == "too late" {
						t.Error("a closed connection was written to")
					}
				}
				_ = c.Close()
			}
		})
	}
	dials.Wait()
	close(stop)
	wg.Wait()
	for s.set.Len() != 0 { // the last ones are closed by their peers
		wait(t, time.After(time.Millisecond))
	}
}
