package api_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// A world is an API on real sockets, with a hub of memory behind it. Whatever the
// API answers is held to its document.
type world struct {
	*testing.T
	hub    *hub
	addr   string // TLS
	socket string
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	check  *checker
}

// newWorld starts one; tune may change what is served.
func newWorld(t *testing.T, tune ...func(*api.Config)) *world {
	w := &world{T: t, hub: newHub()}
	w.makeCA()
	c := w.hub.config()
	c.Peer = w.peer
	for _, f := range tune {
		f(&c)
	}
	w.check = newChecker(t, api.New(c))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{w.certificate("hub", time.Hour)}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13,
	})
	w.must(err)
	w.addr = l.Addr().String()
	w.socket = filepath.Join(t.TempDir(), "s")
	local, err := net.Listen("unix", w.socket)
	w.must(err)
	server := api.New(c).Server()
	server.Handler = w.check
	var wg sync.WaitGroup
	for _, l := range []net.Listener{l, local} {
		wg.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { w.must(server.Close()); wg.Wait() })
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) makeCA() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	w.must(err)
	w.key = key
	w.ca, err = x509.ParseCertificate(der)
	w.must(err)
}

func (w *world) certificate(name string, lives time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	t := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(lives),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, w.ca, key.Public(), w.key)
	w.must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// peer is what package keys does in a hub.
func (w *world) peer(s tls.ConnectionState) (api.Peer, error) {
	if len(s.PeerCertificates) == 0 {
		return api.Peer{}, errors.New("no certificate")
	}
	c := s.PeerCertificates[0]
	if err := c.CheckSignatureFrom(w.ca); err != nil {
		return api.Peer{}, err
	}
	id := tocsin.DeviceID(c.Subject.CommonName)
	if w.hub.isRevoked(id) {
		return api.Peer{}, api.Refuse(http.StatusForbidden, "this device was revoked: ask whoever runs the hub")
	}
	return api.Peer{Device: id, Owner: "ada", Expired: time.Now().After(c.NotAfter)}, nil
}

func (w *world) trust(certs ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(w.ca)
	return &tls.Config{RootCAs: pool, Certificates: certs}
}

// device returns a client with a certificate of that device.
func (w *world) device(id string) *api.Client { return w.deviceFor(id, time.Hour) }

func (w *world) deviceFor(id string, lives time.Duration) *api.Client {
	c := api.AsDevice(w.addr, w.trust(w.certificate(id, lives)))
	w.Cleanup(c.Close)
	return c
}

// person returns a client with an API token of that role.
func (w *world) person(role store.Role) *api.Client {
	c := api.WithToken(w.addr, w.token(role), w.trust())
	w.Cleanup(c.Close)
	return c
}

func (w *world) token(role store.Role) string {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	token := "token of a " + string(role)
	a := store.Access{Hash: api.HashAccess(token), Name: string(role), Role: role}
	if !slices.ContainsFunc(w.hub.access, func(b store.Access) bool { return a.Name == b.Name }) {
		w.hub.access = append(w.hub.access, a)
	}
	return token
}

// raw sends a request as it is and returns the answer, read.
func (w *world) raw(method, path string, header http.Header, body []byte, certs ...tls.Certificate) (*http.Response, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, "https://"+w.addr+path, bytes.NewReader(body))
	w.must(err)
	for k, v := range header {
		req.Header[k] = v
	}
	tr := &http.Transport{TLSClientConfig: w.trust(certs...), DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	w.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp, string(b)
}

// A checker holds every answer of an API to its document, and notes which
// operations answered what.
type checker struct {
	t    *testing.T
	next http.Handler
	v    validator.Validator

	mu   sync.Mutex
	seen map[string]bool // such as "GET /v1/status 200"
}

// document is parsed once: that takes longer than most tests.
var document = sync.OnceValues(func() (validator.Validator, error) {
	doc, err := libopenapi.NewDocument(api.Document)
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc, config.WithStrictMode(), config.WithFormatAssertions(), config.WithoutSecurityValidation(),
		config.WithStrictIgnoredHeaders("content-type"), config.WithStrictIgnorePaths("$.body.labels.*", "$.body.limits.*", "$.body.rows[*].**", "$.body.dossier.**", "$.body.objects[*].**"))
	if ok, wrong := v.ValidateDocument(); !ok {
		errs = append(errs, wrong[0])
	}
	return v, errors.Join(errs...)
})

func newChecker(t *testing.T, next http.Handler) *checker {
	v, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return &checker{t: t, next: next, v: v, seen: map[string]bool{}}
}

func (c *checker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tee := &tee{ResponseWriter: w, status: http.StatusOK}
	c.next.ServeHTTP(tee, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[fmt.Sprint(r.Pattern, " ", tee.status)] = true
	req := r.Clone(r.Context())
	req.Body = http.NoBody
	header := http.Header{}
	for _, k := range []string{"Content-Type", "Retry-After"} { // others are checked below
		if v := w.Header().Values(k); len(v) > 0 {
			header[k] = v
		}
	}
	resp := &http.Response{StatusCode: tee.status, Header: header, Body: io.NopCloser(&tee.body)}
	if r.Pattern == "" || r.Pattern == "GET /openapi.json" {
		return // nothing is there, so nothing is said of it; and a document does not describe itself
	}
	if ok, errs := c.v.ValidateHttpResponse(req, resp); !ok {
		for _, err := range errs {
			c.t.Errorf("%s %s answered %d, against the document: %s: %s", r.Method, r.URL, tee.status, err.Message, err.Reason)
		}
	}
	if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" {
		c.t.Errorf("%s %s: security headers are missing: %v", r.Method, r.URL, h)
	}
}

// tee keeps what is written.
type tee struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }
func (t *tee) WriteHeader(status int) {
	t.status = status
	t.ResponseWriter.WriteHeader(status)
}
func (t *tee) Write(b []byte) (int, error) {
	t.body.Write(b)
	return t.ResponseWriter.Write(b)
}
