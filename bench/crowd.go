package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	randv2 "math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/ruleset"
)

// crowdArgument starts this program as the devices of the part push.
const crowdArgument = "push-crowd"

// crowdPatience bounds each try to connect: longer than the hub's own bound.
const crowdPatience = time.Minute

// A crowdOrder says whom to be, and where to connect.
type crowdOrder struct {
	Port   int
	N      int
	Full   bool // the feed, rather than bare TLS
	Size   int  // of each frame, in bytes
	CA     []byte
	Key    []byte // of the authority: the crowd makes its own certificates
	Public ed25519.PublicKey
	Hello  string
}

// A pushShop makes frames and certificates.
type pushShop struct {
	ref  ruleset.Ref
	sign signer
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex // guards the fields below
	list   *ruleset.List
	snap   ruleset.Sealed
	deltas []ruleset.Sealed
}

func newPushShop() (*pushShop, error) {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	ca, err = x509.ParseCertificate(der)
	return &pushShop{ref: ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Short}, sign: signer(sign), ca: ca, key: key}, err
}

// reset begins the list again.
func (s *pushShop) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = ruleset.New(s.ref, uint64(time.Now().Unix()))
	_, s.list = s.list.Next(tocsin.Change{Add: s.rules(1)}, time.Now())
	s.snap, s.deltas = s.seal(s.list.Snapshot(time.Now())), nil
}

func (s *pushShop) seal(m ruleset.Message) ruleset.Sealed {
	sealed, err := ruleset.Seal(m, s.sign)
	if err != nil {
		panic(err) // the key and the frame are our own
	}
	return sealed
}

func (s *pushShop) rules(n int) (out []tocsin.Rule) {
	for range n {
		a := netip.AddrFrom4([4]byte{198, 18, byte(randv2.N(256)), byte(randv2.N(256))})
		out = append(out, tocsin.Rule{Prefix: netip.PrefixFrom(a, 32), Action: tocsin.Block, Until: time.Now().Add(time.Duration(5+randv2.N(50)) * time.Minute)})
	}
	return out
}

// next makes a frame of [pushSize] bytes, or a little more.
func (s *pushShop) next() ruleset.Sealed {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 20; ; n += 5 {
		f, l := s.list.Next(tocsin.Change{Add: s.rules(n)}, time.Now())
		if sealed := s.seal(f); len(sealed) >= pushSize {
			s.list = l
			s.deltas = append(s.deltas, sealed)
			return sealed
		}
	}
}

// Since implements feed.Library for devices that hold nothing.
func (s *pushShop) Since(_ context.Context, p ruleset.Position) ([]ruleset.Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Ref != s.ref {
		return nil, nil
	}
	return append([]ruleset.Sealed{s.snap}, s.deltas...), nil
}

// Heads implements feed.Library.
func (s *pushShop) Heads(context.Context) ([]ruleset.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []ruleset.Position{s.list.Position()}, nil
}

func (s *pushShop) server() *tls.Config {
	cert, err := certificate(s.ca, s.key, s.key, "hub")
	if err != nil {
		panic(err) // the authority is our own
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	return &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
}

func certificate(ca *x509.Certificate, authority, key *ecdsa.PrivateKey, name string) (tls.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(randv2.Int64()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"hub.example"}, NotAfter: time.Now().Add(time.Hour),
	}, ca, key.Public(), authority)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (s *pushShop) order(port, n int, full bool) crowdOrder {
	key, err := x509.MarshalECPrivateKey(s.key)
	if err != nil {
		panic(err) // it is our own
	}
	hello := fmt.Sprintf(`{"have":[{"list":%q}]}`, s.ref)
	return crowdOrder{Port: port, N: n, Full: full, CA: s.ca.Raw, Key: key, Public: s.sign.public(), Hello: hello}
}

// A throng is the devices, in their own process.
type throng struct {
	crowdOrder
	keys    ruleset.Keys
	configs []*tls.Config
	served  chan error
	tries   atomic.Int64

	mu    sync.Mutex // guards the fields below
	conns []net.Conn
	seen  map[ruleset.Position]int
	out   *json.Encoder
}

// runCrowd is the other process of the part push.
func runCrowd(context.Context) error {
	in := bufio.NewReader(os.Stdin)
	c := &throng{seen: map[ruleset.Position]int{}, out: json.NewEncoder(os.Stdout), served: make(chan error)}
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.crowdOrder)
	}
	if err == nil {
		err = c.prepare()
	}
	if err != nil {
		return err
	}
	for {
		word, err := in.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var r crowdReport
		if word == "connect\n" {
			r = c.connect()
		} else {
			c.close()
		}
		r.At = time.Now().UnixNano()
		c.tell(r)
	}
}

func (c *throng) tell(r crowdReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(r); err != nil {
		os.Exit(1) // nobody listens any more
	}
}

func (c *throng) prepare() error {
	ca, err := x509.ParseCertificate(c.CA)
	if err != nil {
		return err
	}
	authority, err := x509.ParseECPrivateKey(c.Key)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	c.keys = ruleset.Keys{{ID: ruleset.IDOf(c.Public), Public: c.Public, From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}}
	for n := range c.N {
		cert, err := certificate(ca, authority, key, fmt.Sprintf("device-%d", n))
		if err != nil {
			return err
		}
		config := &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, ServerName: "hub.example", MinVersion: tls.VersionTLS13}
		if c.Full {
			config.NextProtos = []string{feed.ALPN}
		}
		c.configs = append(c.configs, config)
	}
	return nil
}

// connect has all connect at once, and waits until all are served: welcome, and
// caught up.
func (c *throng) connect() (r crowdReport) {
	c.tries.Store(0)
	c.conns = make([]net.Conn, c.N)
	for n := range c.N {
		go c.device(n)
	}
	for range c.N {
		if err := <-c.served; err != nil {
			r.Err = err.Error()
		}
	}
	r.Tries = int(c.tries.Load())
	return r
}

func (c *throng) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.(*tls.Conn).NetConn().Close() // without a word, as a network that fails
	}
}

// device connects, and waits longer after each refusal, as guard does.
func (c *throng) device(n int) {
	for window := time.Second; ; window = min(2*window, 8*time.Second) {
		c.tries.Add(1)
		conn, r, err := c.dial(n)
		if err == nil {
			c.mu.Lock()
			c.conns[n] = conn
			c.mu.Unlock()
			c.follow(r)
			return
		}
		if window == 8*time.Second && c.tries.Load() > int64(50*c.N) {
			c.served <- err
			return
		}
		time.Sleep(randv2.N(window))
	}
}

func (c *throng) dial(n int) (net.Conn, io.Reader, error) {
	// Several source addresses: one has some 28,000 ports.
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%50))}
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: from, Timeout: crowdPatience}, Config: c.configs[n]}
	ctx, cancel := context.WithTimeout(context.Background(), crowdPatience)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
	if err != nil || !c.Full {
		return conn, conn, err
	}
	if err := conn.SetDeadline(time.Now().Add(crowdPatience)); err != nil {
		return nil, nil, err
	}
	br, _, err := ws.Dialer{}.Upgrade(conn, &url.URL{Scheme: "wss", Host: "hub.example", Path: feed.Path})
	if err == nil {
		err = ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame([]byte(c.Hello))))
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close() // the error says all
		return nil, nil, err
	}
	if br != nil {
		return conn, br, nil
	}
	return conn, conn, nil
}

// follow verifies what comes. Bare TLS has each message after one byte, once,
// and then of a length that its own header tells.
func (c *throng) follow(r io.Reader) {
	served := false
	for {
		sealed, err := c.message(r, !served)
		if err != nil {
			if !served {
				c.served <- err
			}
			return
		}
		if !served {
			served = true
			c.served <- nil
			continue // what it was caught up with is not what is timed
		}
		if sealed == nil {
			continue
		}
		if _, err := ruleset.Open(sealed, c.keys, time.Now()); err != nil {
			c.tell(crowdReport{Err: err.Error()})
			return
		}
		at, err := ruleset.Peek(sealed)
		if err != nil {
			continue
		}
		c.mu.Lock()
		c.seen[at.Position]++
		all := c.seen[at.Position] == c.N
		c.mu.Unlock()
		if all {
			c.tell(crowdReport{At: time.Now().UnixNano()})
		}
	}
}

// message returns the next sealed message, nil if it is none.
func (c *throng) message(r io.Reader, first bool) (ruleset.Sealed, error) {
	if !c.Full {
		// One write is one record, which one read returns whole.
		b := make([]byte, 2*pushSize)
		if first {
			b = b[:1]
		}
		n, err := r.Read(b)
		return b[:n], err
	}
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return nil, err
		}
		if h.Length > 1<<20 {
			return nil, errors.New("a message that nobody sent")
		}
		b := make([]byte, h.Length)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if h.OpCode == ws.OpBinary {
			return b, nil
		}
	}
}
