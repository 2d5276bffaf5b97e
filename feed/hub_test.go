package feed

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/feed/fanout"
	"github.com/tocsin-io/tocsin/ruleset"
)

// patience bounds how long anything here may take: it fails a test, and times
// nothing.
const patience = time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

type signer struct{ key ed25519.PrivateKey }

func (s signer) ID() ruleset.KeyID                   { return ruleset.IDOf(s.key.Public().(ed25519.PublicKey)) }
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

// A shelf is a library in memory, and the lists that fill it.
type shelf struct {
	t    testing.TB
	sign signer

	mu     sync.Mutex // guards the fields below
	lists  map[ruleset.Ref]*ruleset.List
	snaps  map[ruleset.Ref]ruleset.Sealed
	deltas map[ruleset.Ref][]ruleset.Sealed // after the snapshot
	asked  int
}

func newShelf(t testing.TB) *shelf {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{
		t: t, sign: signer{key}, lists: map[ruleset.Ref]*ruleset.List{},
		snaps: map[ruleset.Ref]ruleset.Sealed{}, deltas: map[ruleset.Ref][]ruleset.Sealed{},
	}
}

func (s *shelf) keys() ruleset.Keys {
	return ruleset.Keys{{
		ID: s.sign.ID(), Public: s.sign.key.Public().(ed25519.PublicKey),
		From: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour),
	}}
}

func (s *shelf) seal(m ruleset.Message) ruleset.Sealed {
	sealed, err := ruleset.Seal(m, s.sign)
	if err != nil {
		s.t.Fatal(err)
	}
	return sealed
}

// open begins a list with a snapshot.
func (s *shelf) open(epoch uint64, refs ...ruleset.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		l := ruleset.New(r, epoch)
		_, l = l.Next(tocsin.Change{Add: []tocsin.Rule{block(9, 9, time.Now())}}, time.Now())
		s.lists[r], s.deltas[r] = l, nil
		s.snaps[r] = s.seal(l.Snapshot(time.Now()))
	}
}

func block(a, b int, now time.Time) tocsin.Rule {
	return tocsin.Rule{
		Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(a), byte(b)}), 32),
		Action: tocsin.Block, Until: now.Add(30 * time.Minute),
	}
}

// next makes the list's next frame and shelves it.
func (s *shelf) next(r ruleset.Ref, rules ...tocsin.Rule) ruleset.Sealed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, l := s.lists[r].Next(tocsin.Change{Add: rules}, time.Now())
	if f.Empty() {
		s.t.Fatal("a frame that changes nothing")
	}
	sealed := s.seal(f)
	s.lists[r] = l
	s.deltas[r] = append(s.deltas[r], sealed)
	return sealed
}

// snapshot shelves the list as it is, instead of the frames so far.
func (s *shelf) snapshot(r ruleset.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snaps[r], s.deltas[r] = s.seal(s.lists[r].Snapshot(time.Now())), nil
}

// asks returns how often the library was asked for frames.
func (s *shelf) asks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *shelf) Since(_ context.Context, p ruleset.Position) (out []ruleset.Sealed, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	for n, d := range s.deltas[p.Ref] {
		h, err := ruleset.Peek(d)
		if err != nil {
			return nil, err
		}
		if h.Position.Epoch == p.Epoch && h.Position.Serial == p.Serial+1 {
			return slices.Clone(s.deltas[p.Ref][n:]), nil
		}
	}
	if l := s.lists[p.Ref]; l == nil || l.Position() == p {
		return nil, nil
	}
	return append([]ruleset.Sealed{s.snaps[p.Ref]}, s.deltas[p.Ref]...), nil
}

func (s *shelf) Heads(context.Context) (out []ruleset.Position, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lists {
		out = append(out, l.Position())
	}
	return out, nil
}

func (s *shelf) Beat(_ context.Context, r ruleset.Ref) (ruleset.Sealed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seal(s.lists[r].Heartbeat(time.Now())), nil
}

// hash is what a device of that owner must hold.
func (s *shelf) heads(refs []ruleset.Ref) (out []ruleset.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range refs {
		if l := s.lists[r]; l != nil {
			out = append(out, l.Position())
		} else {
			out = append(out, ruleset.Position{Ref: r})
		}
	}
	return out
}

var (
	fleet = ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Short}
	alice = ruleset.Ref{Name: ruleset.Owner("alice"), Class: ruleset.Short}
	bob   = ruleset.Ref{Name: ruleset.Owner("bob"), Class: ruleset.Short}
)

// A hub is a server with a listener, and an authority for the certificates.
type testHub struct {
	*Server
	t       *testing.T
	shelf   *shelf
	addr    string
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
	stop    func()
	revoked sync.Map // by device
}

func newAuthority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err == nil {
		ca, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

// startHub runs a hub at addr; cfg may be changed before.
func startHub(t *testing.T, s *shelf, old *testHub, change func(*Config)) *testHub {
	t.Helper()
	h := &testHub{t: t, shelf: s}
	addr := "127.0.0.1:0"
	if old != nil {
		h.ca, h.key, addr = old.ca, old.key, old.addr
	} else {
		h.ca, h.key = newAuthority(t)
	}
	cfg := Config{Library: s, Log: slog.New(slog.DiscardHandler), Fanout: fanout.Config{Ping: time.Second}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if h.Server, err = NewServer(cfg); err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h.addr = inner.Addr().String()
	l := h.Listen(inner, h.tls("hub", "hub.example"), h.identify)
	api := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: h.Poll(func(r *http.Request) (Device, error) {
		if id := r.Header.Get("Vouched"); id != "" { // what a hub behind a proxy would be told by it
			return Device{tocsin.DeviceID(id), refsOf(id)}, nil
		}
		id, refs, err := h.identify(*r.TLS)
		return Device{id, refs}, err
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	wg.Go(func() { _ = l.Run(ctx) })
	wg.Go(func() { _ = api.Serve(l.API()) })
	h.stop = sync.OnceFunc(func() { cancel(); _ = api.Close(); wg.Wait() })
	t.Cleanup(h.stop)
	return h
}

func (h *testHub) identify(s tls.ConnectionState) (tocsin.DeviceID, []ruleset.Ref, error) {
	id := s.PeerCertificates[0].Subject.CommonName
	if _, ok := h.revoked.Load(id); ok {
		return "", nil, ErrRevoked
	}
	return tocsin.DeviceID(id), refsOf(id), nil
}

// refsOf names the lists of a device: its name begins with its owner's.
func refsOf(id string) []ruleset.Ref {
	owner, _, _ := strings.Cut(id, "-")
	return []ruleset.Ref{fleet, {Name: ruleset.Owner(tocsin.OwnerID(owner)), Class: ruleset.Short}}
}

func (h *testHub) tls(name string, hosts ...string) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		h.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: hosts, NotAfter: time.Now().Add(time.Hour),
	}, h.ca, key.Public(), h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(h.ca)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13,
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "hub.example",
	}
}

func (h *testHub) publish(r ruleset.Ref, rules ...tocsin.Rule) {
	h.Publish(r, h.shelf.next(r, rules...), false)
}

// A device follows a hub as guard does.
type testDevice struct {
	*Client
	id   string
	keys ruleset.Keys

	mu     sync.Mutex // guards the fields below
	set    *ruleset.Set
	frames int
	bad    []error
}

func (h *testHub) device(id string, change func(*ClientConfig)) *testDevice {
	h.t.Helper()
	cfg := ClientConfig{Hub: h.addr, TLS: h.tls(id), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	c, err := NewClient(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return &testDevice{Client: c, id: id, keys: h.shelf.keys(), set: ruleset.NewSet(refsOf(id)...)}
}

// start follows until the test ends.
func (d *testDevice) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.Run(ctx, d.positions, d.emit); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", d.id, err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func (d *testDevice) positions() []ruleset.Position {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.set.Positions()
}

func (d *testDevice) emit(s ruleset.Sealed) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	m, err := ruleset.Open(s, d.keys, time.Now())
	if err == nil {
		var next *ruleset.Set
		if next, _, err = d.set.Apply(m, ruleset.DefaultLimits(), time.Now()); err == nil {
			d.set = next
			d.frames++
		}
	}
	if err != nil {
		d.bad = append(d.bad, err)
	}
	return err
}

func (d *testDevice) at(want []ruleset.Position) func() bool {
	return func() bool { return slices.Equal(d.positions(), want) }
}

func (d *testDevice) wantNone(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, err := range d.bad {
		t.Errorf("%s: %v", d.id, err)
	}
}

func (h *testHub) follows(t *testing.T, d *testDevice) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s stands where the lists are: %v", d.id, h.shelf.heads(refsOf(d.id))), d.at(h.shelf.heads(refsOf(d.id))))
}

// wide returns rules whose frame is large.
func wide(n int) (out []tocsin.Rule) {
	var b [4]byte
	for range n {
		_, _ = rand.Read(b[:]) // never fails
		a := netip.AddrFrom4([4]byte{198, 18 | b[0]&1, b[1], b[2]})
		out = append(out, tocsin.Rule{Prefix: netip.PrefixFrom(a, 32), Action: tocsin.Block, Until: time.Now().Add(time.Duration(1+binary.BigEndian.Uint16(b[2:])%50) * time.Minute)})
	}
	return out
}
