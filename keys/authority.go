package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/tocsin-io/tocsin"
)

// How long certificates last.
const (
	ServerLife = 90 * 24 * time.Hour
	DeviceLife = 30 * 24 * time.Hour
	// RenewLate is how long after its end a device's certificate can still be
	// renewed by proof of the same key.
	RenewLate = 400 * 24 * time.Hour
	// backdate is how far the other side's clock may be behind.
	backdate = time.Hour
)

// MaxRequest bounds a certificate request, in bytes.
const MaxRequest = 4 << 10

// ErrRequest says that a certificate request is not one that a device of this
// version makes.
var ErrRequest = errors.New("certificate request refused")

// noEnd is how RFC 5280 writes that a certificate has no end. The authority is
// pinned: an end would only cut off a fleet that nobody remembers.
var noEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// An Authority is the hub's own certificate authority, the only one that its
// devices believe. It is safe for concurrent use.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

const authorityFile = "authority.pem"

// Names of authorities, for people; the second also says that the time is
// invented.
const (
	authorityName = "tocsin hub"
	inventedName  = "tocsin demo hub: its time is invented"
)

// CreateAuthority makes an authority and keeps it in dir. If there is one the
// error is fs.ErrExist: to replace it is to enrol every device again.
func CreateAuthority(dir string) (*Authority, error) {
	return createAuthority(dir, authorityName, firstRelease)
}

// CreateInvented makes the authority of a demo, whose time is invented and begins
// at that moment: no device believes it whose clock is not invented, too.
func CreateInvented(dir string, begins time.Time) (*Authority, error) {
	return createAuthority(dir, inventedName, begins.Add(-backdate))
}

// ErrInvented says that one side's time is invented and the other's is not.
var ErrInvented = errors.New("one of the two is a demo")

// Invented reports whether the authority is a demo's.
func (a *Authority) Invented() bool { return a.cert.Subject.CommonName == inventedName }

// fits refuses the hub of a demo where the clock is real, and the reverse.
func (c *Clock) fits(authority *x509.Certificate) error {
	switch invented := authority.Subject.CommonName == inventedName; {
	case invented && !c.invented:
		return fmt.Errorf("%w: this hub is tocsin demo's, whose time is invented: enrol this device with a real hub", ErrInvented)
	case !invented && c.invented:
		return fmt.Errorf("%w: this device is tocsin demo's, whose time is invented: it does not talk to a real hub", ErrInvented)
	}
	return nil
}

func createAuthority(dir, name string, begins time.Time) (*Authority, error) {
	path := filepath.Join(dir, authorityFile)
	if err := errors.Join(makeFolder(dir), absent(path)); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             begins,
		NotAfter:              noEnd,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: name}}, key.Public(), key)
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	// One file, so that a crash never leaves a key without its certificate.
	data = append(data, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})...)
	if err := writeSecret(path, data); err != nil {
		return nil, err
	}
	return OpenAuthority(dir)
}

// OpenAuthority opens the authority in dir; without one the error is
// fs.ErrNotExist.
func OpenAuthority(dir string) (*Authority, error) {
	path := filepath.Join(dir, authorityFile)
	data, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, chain, err := decodePair(path, data)
	if err != nil {
		return nil, err
	}
	if len(chain) != 1 || !chain[0].IsCA || !key.PublicKey.Equal(chain[0].PublicKey) {
		return nil, fmt.Errorf("%s: damaged: key and certificate do not match: restore it from a backup", path)
	}
	pool := x509.NewCertPool()
	pool.AddCert(chain[0])
	return &Authority{cert: chain[0], key: key, pool: pool}, nil
}

// PEM returns the authority's certificate, which is public.
func (a *Authority) PEM() []byte { return encodeCertificate(a.cert) }

// Sum returns the SHA-256 of the authority's certificate: what a [Token] pins.
func (a *Authority) Sum() [sha256.Size]byte { return sha256.Sum256(a.cert.Raw) }

// Device makes a certificate for the key of a device's request (PEM). Who the
// device is and whose says the hub, never the request.
func (a *Authority) Device(request []byte, id tocsin.DeviceID, owner tocsin.OwnerID, now time.Time) ([]byte, error) {
	key, err := a.requested(request)
	if err != nil {
		return nil, err
	}
	return a.device(key, id, owner, now)
}

// Renew makes a new certificate for a device that is connected as peer. While
// its certificate lasts the request may bring another key; afterwards only the
// one that the connection proved.
func (a *Authority) Renew(peer Peer, request []byte, now time.Time) ([]byte, error) {
	key, err := a.requested(request)
	if err != nil {
		return nil, err
	}
	if peer.Expired && !key.Equal(peer.Key) {
		return nil, fmt.Errorf("%w: the certificate of %s ran out, so only its own key can be renewed", ErrRequest, peer.Device)
	}
	return a.device(key, peer.Device, peer.Owner, now)
}

func (a *Authority) device(key *ecdsa.PublicKey, id tocsin.DeviceID, owner tocsin.OwnerID, now time.Time) ([]byte, error) {
	name, err := peerURL(id, owner)
	if err != nil {
		return nil, err
	}
	cert, err := a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: string(id), Organization: []string{string(owner)}},
		URIs:        []*url.URL{name},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(DeviceLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	if err != nil {
		return nil, err
	}
	return encodeCertificate(cert), nil
}

// requested checks a certificate request and returns its key. Nothing else of
// the request is used.
func (a *Authority) requested(request []byte) (*ecdsa.PublicKey, error) {
	if len(request) > MaxRequest {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrRequest, MaxRequest)
	}
	block, _ := pem.Decode(request)
	if block == nil || block.Type != pemRequest {
		return nil, fmt.Errorf("%w: not a PEM block %q", ErrRequest, pemRequest)
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	// The kind of key first: checking the signature of a giant one costs.
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%w: its key is not ECDSA P-256", ErrRequest)
	}
	if key.Equal(a.key.Public()) {
		return nil, fmt.Errorf("%w: its key is the authority's own", ErrRequest)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: not signed by its own key: %w", ErrRequest, err)
	}
	return key, nil
}

// server makes a key and a certificate for the hub under names, which are host
// names or addresses.
func (a *Authority) server(names []string, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "tocsin hub server"},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(ServerLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			t.IPAddresses = append(t.IPAddresses, ip.WithZone("").Unmap().AsSlice())
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := a.issue(t, key.Public())
	return cert, key, err
}

func (a *Authority) issue(t *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	t.SerialNumber = serial()
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.BasicConstraintsValid = true
	if t.NotBefore.Before(a.cert.NotBefore) {
		t.NotBefore = a.cert.NotBefore
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// serial returns 127 random bits: nobody can tell how many there are, nor
// guess the next.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
