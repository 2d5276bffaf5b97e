package keys

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Why a device is not let in; callers tell them apart with errors.Is.
var (
	ErrNoCertificate = errors.New("the connection shows no device certificate")
	ErrForeign       = errors.New("not a device certificate of this hub: enrol the device here")
	ErrTooLate       = errors.New("the certificate ran out too long ago: enrol the device again")
	ErrRevoked       = errors.New("the device was revoked")
)

// A Peer is the device at the other end of a connection, by its certificate.
type Peer struct {
	Device tocsin.DeviceID
	Owner  tocsin.OwnerID
	Key    *ecdsa.PublicKey // proved by the handshake
	Until  time.Time        // end of its certificate
	// Expired says that the time of the certificate is over, or has not come.
	// Such a device may do nothing but renew ([Authority.Renew]).
	Expired bool
}

// PeerOf returns who is at the other end of a connection that was accepted with
// [Authority.ServerTLS], judged at now; without a certificate the error is
// [ErrNoCertificate]. Whether the device was revoked since is not looked up.
func PeerOf(state tls.ConnectionState, now time.Time) (Peer, error) {
	if !state.HandshakeComplete || len(state.PeerCertificates) == 0 {
		return Peer{}, ErrNoCertificate
	}
	return peerOf(state.PeerCertificates[0], now)
}

func peerOf(c *x509.Certificate, now time.Time) (Peer, error) {
	id, owner, err := identify(c)
	if err != nil {
		return Peer{}, err
	}
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return Peer{}, ErrForeign
	}
	p := Peer{Device: id, Owner: owner, Key: key, Until: c.NotAfter}
	if now.After(c.NotAfter.Add(RenewLate)) {
		return Peer{}, fmt.Errorf("%w (it ended %s)", ErrTooLate, c.NotAfter.UTC().Format(time.DateOnly))
	}
	p.Expired = now.After(c.NotAfter) || now.Before(c.NotBefore)
	return p, nil
}

// verify judges a client's certificate: by signature first, then by time, then
// by revocation. An authority of the same name does not pass.
func (a *Authority) verify(c *x509.Certificate, now time.Time, revoked func(tocsin.DeviceID) bool) error {
	_, err := c.Verify(x509.VerifyOptions{
		Roots:       a.pool,
		CurrentTime: c.NotBefore, // its time is judged by peerOf
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	p, err := peerOf(c, now)
	if err != nil {
		return err
	}
	if revoked(p.Device) {
		return fmt.Errorf("%s: %w", p.Device, ErrRevoked)
	}
	return nil
}

// ServerTLS returns the hub's configuration: TLS 1.3 only; a server certificate
// for names (host names or addresses) that renews itself; and clients either
// without a certificate or with one of this authority, whose time is over for
// at most [RenewLate] and whose device revoked does not name. Who it is tells
// [PeerOf]. The caller sets NextProtos.
func (a *Authority) ServerTLS(names []string, now func() time.Time, revoked func(tocsin.DeviceID) bool) (*tls.Config, error) {
	s := &server{authority: a, names: names, now: now}
	if _, err := s.certificate(nil); err != nil {
		return nil, fmt.Errorf("server certificate for %s: %w", strings.Join(names, ", "), err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: s.certificate,
		ClientAuth:     tls.RequestClientCert,
		ClientCAs:      a.pool,
		Time:           now,
		// A resumed session would show the certificate of before a renewal.
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			return a.verify(state.PeerCertificates[0], now(), revoked)
		},
	}, nil
}

// A server keeps the hub's server certificate young. It needs no file: a
// restart makes another under the same authority.
type server struct {
	authority *Authority
	names     []string
	now       func() time.Time

	mu      sync.Mutex // guards the fields below
	current *tls.Certificate
}

func (s *server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.current != nil && fresh(s.current.Leaf, now) {
		return s.current, nil
	}
	cert, key, err := s.authority.server(s.names, now)
	if err != nil {
		return nil, err
	}
	// The authority travels along: a device that enrols knows only its hash.
	s.current = &tls.Certificate{Certificate: [][]byte{cert.Raw, s.authority.cert.Raw}, PrivateKey: key, Leaf: cert}
	return s.current, nil
}

// fresh reports whether c is not yet to be renewed: in its first two thirds.
func fresh(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && now.Before(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore)/3))
}

const peerScheme = "tocsin"

// peerURL is how a certificate names a device, in its URI SAN.
func peerURL(id tocsin.DeviceID, owner tocsin.OwnerID) (*url.URL, error) {
	if !validName(string(id)) || !validName(string(owner)) {
		return nil, fmt.Errorf("device %q of owner %q: names are 1 to %d letters, digits, dots, dashes and underscores", id, owner, maxName)
	}
	return &url.URL{Scheme: peerScheme, Path: "/owner/" + string(owner) + "/device/" + string(id)}, nil
}

func identify(c *x509.Certificate) (tocsin.DeviceID, tocsin.OwnerID, error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != peerScheme {
		return "", "", ErrForeign
	}
	part := strings.Split(c.URIs[0].Path, "/")
	if len(part) != 5 || part[0] != "" || part[1] != "owner" || part[3] != "device" || !validName(part[2]) || !validName(part[4]) {
		return "", "", ErrForeign
	}
	return tocsin.DeviceID(part[4]), tocsin.OwnerID(part[2]), nil
}

// maxName bounds the names of owners, devices and groups, in bytes: that of an
// owner is part of a list's name (package ruleset).
const maxName = 58

func validName(s string) bool { return s != "." && s != ".." && plain(s, maxName) }

// plain reports whether s survives a path, a terminal and a list's name.
func plain(s string, most int) bool {
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= most
}
