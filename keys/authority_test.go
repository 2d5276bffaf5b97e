package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/keys"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// A hub is an authority behind a listener on loopback; it answers every
// connection with who it is, or why it may not.
type hub struct {
	*keys.Authority
	addr  string
	peers chan keys.Peer

	mu      sync.Mutex // guards the fields below
	at      time.Time
	revoked tocsin.DeviceID
}

func (h *hub) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.at }

func (h *hub) set(at time.Time, revoked tocsin.DeviceID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.revoked = at, revoked
}

func (h *hub) isRevoked(d tocsin.DeviceID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return d == h.revoked
}

func newHub(t *testing.T) *hub {
	t.Helper()
	a, err := keys.CreateAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &hub{Authority: a, at: start, peers: make(chan keys.Peer, 1)}
	h.listen(t)
	return h
}

func (h *hub) listen(t *testing.T) {
	t.Helper()
	config, err := h.ServerTLS([]string{"hub.example", "127.0.0.1"}, h.now, h.isRevoked)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.serve(c.(*tls.Conn))
		}
	}()
}

func (h *hub) serve(c *tls.Conn) {
	defer c.Close()
	if c.Handshake() != nil {
		return
	}
	p, err := keys.PeerOf(c.ConnectionState(), h.now())
	if err == nil {
		h.peers <- p
	}
	io.WriteString(c, "hello")
}

// connect returns who the hub took the client for.
func (h *hub) connect(t *testing.T, config *tls.Config) (keys.Peer, error) {
	t.Helper()
	c, err := tls.Dial("tcp", h.addr, config)
	if err != nil {
		return keys.Peer{}, err
	}
	defer c.Close()
	if _, err := io.ReadAll(c); err != nil {
		return keys.Peer{}, err
	}
	select {
	case p := <-h.peers:
		return p, nil
	default:
		return keys.Peer{}, keys.ErrNoCertificate
	}
}

// enrol makes a device with a certificate of h.
func (h *hub) enrol(t *testing.T, id tocsin.DeviceID) *keys.Identity {
	t.Helper()
	i, err := keys.OpenIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	request, err := i.Request()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := h.Device(request, id, "smith", h.now())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Install(cert, h.certificate(t)); err != nil {
		t.Fatal(err)
	}
	return i
}

func (h *hub) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(h.PEM())
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// clockAt is the clock of a device whose wall clock shows at.
func clockAt(at time.Time) *keys.Clock {
	return keys.NewClock(func() time.Time { return at }, start.Add(-30*day), time.Time{})
}

func deviceTLS(t *testing.T, i *keys.Identity, at time.Time) *tls.Config {
	t.Helper()
	c, err := i.TLS(clockAt(at))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDeviceIsKnownByItsCertificate(t *testing.T) {
	h := newHub(t)
	i := h.enrol(t, "nas-1")
	p, err := h.connect(t, deviceTLS(t, i, start))
	if err != nil {
		t.Fatal(err)
	}
	if p.Device != "nas-1" || p.Owner != "smith" || p.Expired || !p.Until.Equal(start.Add(keys.DeviceLife)) {
		t.Errorf("got %+v", p)
	}
	if d, o := i.Name(); d != "nas-1" || o != "smith" {
		t.Errorf("identity: got %s of %s", d, o)
	}
}

func TestTimeOfCertificates(t *testing.T) {
	for _, tt := range []struct {
		name    string
		off     time.Duration
		expired bool
		refused bool
	}{
		{"young", day, false, false},
		{"last day", 30*day - time.Minute, false, false},
		{"off for 90 days", 90 * day, true, false},
		{"off for 429 days", 429 * day, true, false},
		{"off for 431 days: 401 since its end", 431 * day, false, true},
		{"hub's clock fell back", -10 * day, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub(t)
			i := h.enrol(t, "nas-1")
			h.set(start.Add(tt.off), "")
			h.listen(t) // a server certificate of that day
			p, err := h.connect(t, deviceTLS(t, i, h.now()))
			if refused := err != nil; refused != tt.refused {
				t.Fatalf("got error %v, want refused %v", err, tt.refused)
			}
			if p.Expired != tt.expired {
				t.Errorf("expired: got %v, want %v", p.Expired, tt.expired)
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	h := newHub(t)
	i, other := h.enrol(t, "nas-1"), h.enrol(t, "nas-2")
	h.set(start.Add(90*day), "")
	p, err := h.connect(t, deviceTLS(t, i, h.now()))
	if err != nil || !p.Expired {
		t.Fatalf("got %+v, %v, want expired", p, err)
	}
	foreign, err := other.Request()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Renew(p, foreign, h.now()); !errors.Is(err, keys.ErrRequest) {
		t.Errorf("another key after the end: got %v, want %v", err, keys.ErrRequest)
	}
	own, err := i.Request()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := h.Renew(p, own, h.now())
	if err != nil {
		t.Fatal(err)
	}
	if !i.Due(h.now()) {
		t.Error("a certificate that ran out is not due")
	}
	if err := i.Install(cert, h.certificate(t)); err != nil {
		t.Fatal(err)
	}
	if p, err := h.connect(t, deviceTLS(t, i, h.now())); err != nil || p.Expired || p.Device != "nas-1" {
		t.Errorf("after renewal: got %+v, %v", p, err)
	}
	if i.Due(h.now()) || !i.Due(h.now().Add(21*day)) {
		t.Error("due at the wrong time: want in the last third")
	}
}

func TestRevokedNeverConnects(t *testing.T) {
	h := newHub(t)
	i := h.enrol(t, "nas-1")
	for _, off := range []time.Duration{0, 90 * day} {
		h.set(start.Add(off), "nas-1")
		if p, err := h.connect(t, deviceTLS(t, i, h.now())); err == nil || errors.Is(err, keys.ErrNoCertificate) {
			t.Errorf("after %v: got %+v, %v, want refused", off, p, err)
		}
	}
}

func TestOthersAreRefused(t *testing.T) {
	h, foreign := newHub(t), newHub(t)
	stranger := foreign.enrol(t, "nas-1")

	// A device of another hub does not even show its certificate here.
	if _, err := h.connect(t, deviceTLS(t, stranger, start)); !errors.Is(err, keys.ErrHub) {
		t.Errorf("foreign hub: got %v, want %v", err, keys.ErrHub)
	}
	// One that shows it all the same gets nowhere.
	config := deviceTLS(t, stranger, start)
	config.VerifyConnection = nil
	if _, err := h.connect(t, config); err == nil || errors.Is(err, keys.ErrNoCertificate) {
		t.Errorf("foreign device: got %v, want refused", err)
	}
	// TLS 1.2 gets nowhere either, with and without a certificate.
	if _, err := h.connect(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, err := h.connect(t, &tls.Config{InsecureSkipVerify: true}); !errors.Is(err, keys.ErrNoCertificate) {
		t.Errorf("no certificate: got %v, want %v", err, keys.ErrNoCertificate)
	}
	// A device's certificate does not make a server.
	own := h.enrol(t, "nas-2")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := deviceTLS(t, own, start).GetClientCertificate(nil)
		if err != nil {
			return nil, err
		}
		c.Certificate = append(c.Certificate, h.certificate(t).Raw)
		return c, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go acceptAll(l)
	if _, err := tls.Dial("tcp", l.Addr().String(), deviceTLS(t, own, start)); !errors.Is(err, keys.ErrHub) {
		t.Errorf("a device as the hub: got %v, want %v", err, keys.ErrHub)
	}
}

func acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		io.Copy(io.Discard, c)
		c.Close()
	}
}

func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func TestRequests(t *testing.T) {
	dir := t.TempDir()
	a, err := keys.CreateAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	good := request(t, p256)
	unsigned := pemBytes(good)
	unsigned[len(unsigned)-1] ^= 1
	data, err := os.ReadFile(filepath.Join(dir, "authority.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	own, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string][]byte{
		"empty":       nil,
		"text":        []byte("hello"),
		"P-224":       request(t, p224),
		"RSA":         request(t, rsaKey),
		"Ed25519":     request(t, edKey),
		"not signed":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: unsigned}),
		"own key":     request(t, own.(crypto.Signer)),
		"too long":    append(good, strings.Repeat("\n", keys.MaxRequest)...),
		"truncated":   good[:len(good)/2],
		"wrong block": []byte(strings.ReplaceAll(string(good), "CERTIFICATE REQUEST", "CERTIFICATE")),
	} {
		if _, err := a.Device(r, "nas-1", "smith", start); !errors.Is(err, keys.ErrRequest) {
			t.Errorf("%s: got %v, want %v", name, err, keys.ErrRequest)
		}
	}
	if _, err := a.Device(good, "nas-1", "smith", start); err != nil {
		t.Errorf("good: %v", err)
	}
	for _, id := range []tocsin.DeviceID{"", "..", "a/b", "a b", "é", tocsin.DeviceID(strings.Repeat("x", 59))} {
		if _, err := a.Device(good, id, "smith", start); err == nil {
			t.Errorf("device %q was accepted", id)
		}
	}
}

func pemBytes(data []byte) []byte { b, _ := pem.Decode(data); return b.Bytes }

func TestAuthorityKeepsItsKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	a, err := keys.CreateAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.CreateAuthority(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second: got %v, want %v", err, fs.ErrExist)
	}
	b, err := keys.OpenAuthority(dir)
	if err != nil || a.Sum() != b.Sum() {
		t.Errorf("opened: got %x, %v, want %x", b.Sum(), err, a.Sum())
	}
	path := filepath.Join(dir, "authority.pem")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: got %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenAuthority(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: got %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 300)); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenAuthority(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("truncated: got %v", err)
	}
	if _, err := keys.OpenAuthority(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
}

func TestServerCertificateRenewsItself(t *testing.T) {
	h := newHub(t)
	serials := map[string]bool{}
	for _, off := range []time.Duration{0, 59 * day, 61 * day, 100 * day, 5000 * day} {
		h.set(start.Add(off), "")
		i := h.enrol(t, "nas-1")
		config := deviceTLS(t, i, h.now())
		c, err := tls.Dial("tcp", h.addr, config)
		if err != nil {
			t.Fatalf("after %v: %v", off, err)
		}
		leaf := c.ConnectionState().PeerCertificates[0]
		serials[leaf.SerialNumber.String()] = true
		if err := errors.Join(leaf.VerifyHostname("hub.example"), leaf.VerifyHostname("127.0.0.1")); err != nil {
			t.Error(err)
		}
		io.ReadAll(c)
		c.Close()
		<-h.peers
	}
	if len(serials) != 3 {
		t.Errorf("got %d certificates, want 3: each serves its first 60 days", len(serials))
	}
}

func TestIdentityIsCarefulWithWhatItIsGiven(t *testing.T) {
	h, foreign := newHub(t), newHub(t)
	i, other := h.enrol(t, "nas-1"), foreign.enrol(t, "nas-1")
	r, err := i.Request()
	if err != nil {
		t.Fatal(err)
	}
	renamed, err := h.Device(r, "nas-2", "smith", start)
	if err != nil {
		t.Fatal(err)
	}
	strange, err := foreign.Device(r, "nas-1", "smith", start)
	if err != nil {
		t.Fatal(err)
	}
	ro, err := other.Request()
	if err != nil {
		t.Fatal(err)
	}
	elses, err := h.Device(ro, "nas-1", "smith", start)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string][]byte{"another device": renamed, "another authority": strange, "another key": elses, "nothing": nil, "a request": r} {
		if err := i.Install(c, h.certificate(t)); err == nil {
			t.Errorf("%s was installed", name)
		}
	}
	if err := i.Install(strange, foreign.certificate(t)); err == nil {
		t.Error("another authority was installed over the first")
	}
}

func TestIdentitySurvivesARestart(t *testing.T) {
	h := newHub(t)
	dir := t.TempDir()
	first, err := keys.OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := first.Request()
	if err != nil {
		t.Fatal(err)
	}
	// The guard died between the request and the answer: the key is the same.
	again, err := keys.OpenIdentity(dir)
	if err != nil || again.Enrolled() {
		t.Fatalf("enrolled %v, %v", again.Enrolled(), err)
	}
	if _, err := again.TLS(clockAt(start)); err == nil {
		t.Error("a device that is not enrolled connects")
	}
	cert, err := h.Device(r, "nas-1", "smith", start)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Install(cert, h.certificate(t)); err != nil {
		t.Fatal(err)
	}
	third, err := keys.OpenIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := third.Name(); d != "nas-1" || !third.Until().Equal(start.Add(keys.DeviceLife)) {
		t.Errorf("got %s until %s", d, third.Until())
	}
	if _, err := h.connect(t, deviceTLS(t, third, start)); err != nil {
		t.Error(err)
	}
}
