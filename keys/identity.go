package keys

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
)

// ErrHub says that whoever answered is not the hub that this device knows.
var ErrHub = errors.New("not the hub that was pinned: somebody may be in between, or the hub was made anew")

// An Identity is a device's own key, which never leaves it, with its
// certificate and the hub's authority, in a folder. It is safe for concurrent
// use; a renewed certificate serves the next connection.
type Identity struct {
	path string
	key  *ecdsa.PrivateKey

	mu        sync.Mutex // guards the fields below
	cert      *x509.Certificate
	authority *x509.Certificate
}

const identityFile = "device.pem"

// OpenIdentity opens the identity in dir. Where none is, it makes a key and
// keeps it, so that an enrolment that broke off goes on with the same.
func OpenIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	data, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(dir, path)
	}
	if err != nil {
		return nil, err
	}
	key, chain, err := decodePair(path, data)
	if err != nil {
		return nil, err
	}
	i := &Identity{path: path, key: key}
	if len(chain) == 0 {
		return i, nil
	}
	if len(chain) != 2 {
		return nil, fmt.Errorf("%s: damaged: enrol again", path)
	}
	if err := i.check(chain[0], chain[1]); err != nil {
		return nil, fmt.Errorf("%s: damaged: enrol again: %w", path, err)
	}
	i.cert, i.authority = chain[0], chain[1]
	return i, nil
}

func newIdentity(dir, path string) (*Identity, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	data, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return &Identity{path: path, key: key}, writeSecret(path, data)
}

// Enrolled reports whether there is a certificate.
func (i *Identity) Enrolled() bool { c, _ := i.held(); return c != nil }

// Name returns who the device is by its certificate, or empty names.
func (i *Identity) Name() (tocsin.DeviceID, tocsin.OwnerID) {
	c, _ := i.held()
	if c == nil {
		return "", ""
	}
	id, owner, err := identify(c)
	if err != nil { // checked when it was installed
		return "", ""
	}
	return id, owner
}

// Until returns the end of the certificate, or zero.
func (i *Identity) Until() time.Time {
	if c, _ := i.held(); c != nil {
		return c.NotAfter
	}
	return time.Time{}
}

// Due reports whether there is a certificate and it is to be renewed: a third of
// its time is left, or less.
func (i *Identity) Due(now time.Time) bool {
	c, _ := i.held()
	return c != nil && !fresh(c, now)
}

func (i *Identity) held() (cert, authority *x509.Certificate) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cert, i.authority
}

// Request returns a certificate request (PEM) for the device's key.
func (i *Identity) Request() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "tocsin device"},
	}, i.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRequest, Bytes: der}), nil
}

// Install keeps the certificate (PEM) that the hub made, after it has checked
// that it is for this device's key and by that authority. A renewal must come
// from the authority of before and name the same device. Authority is as
// [Token.Dial] or [Identity.Authority] return it.
func (i *Identity) Install(certificate []byte, authority *x509.Certificate) error {
	block, _ := pem.Decode(certificate)
	if block == nil || block.Type != pemCertificate || len(certificate) > MaxRequest {
		return errors.New("the hub's answer holds no certificate")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return fmt.Errorf("the hub's certificate: %w", err)
	}
	if err := i.check(c, authority); err != nil {
		return fmt.Errorf("the hub's certificate: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cert != nil && (!i.authority.Equal(authority) || i.cert.URIs[0].String() != c.URIs[0].String()) {
		return errors.New("the hub's certificate: for another device or from another authority: remove " + i.path + " first to enrol anew")
	}
	data, err := encodeKey(i.key)
	if err != nil {
		return err
	}
	data = append(data, encodeCertificate(c)...)
	data = append(data, encodeCertificate(authority)...)
	if err := writeSecret(i.path, data); err != nil {
		return err
	}
	i.cert, i.authority = c, authority
	return nil
}

func (i *Identity) check(c, authority *x509.Certificate) error {
	if !i.key.PublicKey.Equal(c.PublicKey) {
		return errors.New("not for this device's key")
	}
	if err := c.CheckSignatureFrom(authority); err != nil {
		return err
	}
	_, _, err := identify(c)
	return err
}

// Authority returns the hub's authority, or nil before the enrolment.
func (i *Identity) Authority() *x509.Certificate { _, a := i.held(); return a }

// TLS returns the configuration of connections to the hub: TLS 1.3 only, this
// device's certificate even when its time is over (the hub lets it renew), and
// no server but one that the pinned authority vouches for.
func (i *Identity) TLS(clock *Clock) (*tls.Config, error) {
	_, authority := i.held()
	if authority == nil {
		return nil, errors.New("this device is not enrolled: tocsin enroll")
	}
	c := pinned(sha256.Sum256(authority.Raw), clock)
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, _ := i.held()
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: i.key, Leaf: cert}, nil
	}
	return c, nil
}

// pinned believes the server whose chain holds the authority with that hash.
// The name dialled is not compared: the authority makes server certificates for
// nobody but the hub, whatever it is called today.
func pinned(sum [sha256.Size]byte, clock *Clock) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       clock.Now,
		// The public authorities say nothing of the hub. VerifyConnection, which
		// runs before the first byte is sent, says all.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := verifyHub(state, sum, clock)
			return err
		},
	}
}

// verifyHub returns the pinned authority if it vouches for the server.
func verifyHub(state tls.ConnectionState, sum [sha256.Size]byte, clock *Clock) (*x509.Certificate, error) {
	chain := state.PeerCertificates
	if len(chain) < 2 {
		return nil, fmt.Errorf("%w: it shows no authority", ErrHub)
	}
	leaf, authority := chain[0], chain[1]
	if sha256.Sum256(authority.Raw) != sum {
		return nil, ErrHub
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:       pool,
		CurrentTime: leaf.NotBefore, // its time is judged below
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHub, err)
	}
	if err := clock.fits(authority); err != nil {
		return nil, err
	}
	clock.Learn(leaf.NotBefore)
	if now := clock.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("the hub's certificate is for %s to %s, and it is %s here: set the clock of this machine, or of the hub",
			leaf.NotBefore.UTC().Format(time.DateOnly), leaf.NotAfter.UTC().Format(time.DateOnly), now.UTC().Format(time.DateOnly))
	}
	return authority, nil
}
