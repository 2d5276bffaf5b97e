package mail

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A server is a real SMTP server on loopback, with an authority of its own.
type server struct {
	addr  string
	roots *x509.CertPool

	mu       sync.Mutex
	letters  []letter
	needAuth bool
	login    bool                               // offers LOGIN instead of PLAIN
	rcpt     func(to string) error              // what it says to a recipient
	data     func(c *smtp.Conn, b []byte) error // what it says to a letter
}

// A letter is what the server took.
type letter struct {
	from, envelope string
	to             []string
	raw            []byte
	encrypted      bool
	user           string
}

// certificate makes an authority and what it vouches for: a server at 127.0.0.1.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func newServer(t *testing.T, setup func(*server, *smtp.Server)) *server {
	t.Helper()
	cert, roots := certificate(t)
	s := &server{roots: roots}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{s: s, c: c}, nil }))
	srv.Domain, srv.EnableDSN, srv.MaxMessageBytes = "mail.example", true, 8<<20
	srv.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	if setup != nil {
		setup(s, srv)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return s
}

func (s *server) took() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.letters)
}

// A session is one connection.
type session struct {
	s  *server
	c  *smtp.Conn
	on letter
}

func (x *session) AuthMechanisms() []string {
	if _, ok := x.c.TLSConnectionState(); !ok || !x.s.needAuth {
		return nil
	}
	if x.s.login {
		return []string{sasl.Login}
	}
	return []string{sasl.Plain}
}

func (x *session) Auth(mech string) (sasl.Server, error) {
	check := func(user, password string) error {
		if user != "tocsin" || password != "open sesame" {
			return smtp.ErrAuthFailed
		}
		x.on.user = user
		return nil
	}
	if mech == sasl.Login {
		return &loginServer{check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

func (x *session) Mail(from string, opts *smtp.MailOptions) error {
	if x.s.needAuth && x.on.user == "" {
		return smtp.ErrAuthRequired
	}
	x.on.from, x.on.envelope = from, opts.EnvelopeID
	return nil
}

func (x *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if x.s.rcpt != nil {
		if err := x.s.rcpt(to); err != nil {
			return err
		}
	}
	x.on.to = append(x.on.to, to)
	return nil
}

func (x *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if x.s.data != nil {
		if err := x.s.data(x.c, b); err != nil {
			return err
		}
	}
	x.on.raw = bytes.Clone(b)
	_, x.on.encrypted = x.c.TLSConnectionState()
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.letters = append(x.s.letters, x.on)
	return nil
}

func (x *session) Reset()        { x.on = letter{user: x.on.user} }
func (x *session) Logout() error { return nil }

// A loginServer is the other end of LOGIN.
type loginServer struct {
	check func(user, password string) error
	user  string
	step  int
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("user name?"), false, nil
	case 2:
		l.user = string(response)
		return []byte("PASSWORD"), false, nil
	case 3:
		return nil, true, l.check(l.user, string(response))
	}
	return nil, false, errors.New("out of step")
}
