package mail

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/emersion/go-msgauth/dkim"
)

// minBits of an RSA key: receivers look away from shorter ones.
const minBits = 2048

// DKIM is the key that signs letters of a domain (RFC 6376), published in its
// DNS: see [DKIM.Record].
type DKIM struct {
	Domain   string // that of From, or one above it
	Selector string
	Key      crypto.Signer // RSA of at least 2048 bits, or Ed25519, which few receivers check
}

// ParseKey reads a private key in PEM: PKCS #8, or PKCS #1 as openssl genrsa
// wrote it.
func ParseKey(raw []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("mail: DKIM key: not PEM; openssl genrsa 2048 makes one")
	}
	var key any
	var err error
	if block.Type == "RSA PRIVATE KEY" {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("mail: DKIM key: %w", err)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if n := key.N.BitLen(); n < minBits {
			return nil, fmt.Errorf("mail: DKIM key of %d bits: at least %d", n, minBits)
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("mail: DKIM key of type %T: RSA or Ed25519", key)
}

func (d *DKIM) check(from string) error {
	if !plainName(d.Domain) || !plainName(d.Selector) || d.Key == nil {
		return errors.New("mail: dkim: needs domain, selector and key")
	}
	a, err := parseAddress(from)
	if err != nil {
		return nil // told already
	}
	if domain := domainOf(a.Address); domain != d.Domain && !bytes.HasSuffix([]byte(domain), []byte("."+d.Domain)) {
		return fmt.Errorf("mail: dkim: a key of %s does not speak for %s", d.Domain, a.Address)
	}
	return nil
}

// Record returns the name and the text of the DNS record that lets others check
// the signatures.
func (d *DKIM) Record() (name, txt string, err error) {
	name = d.Selector + "._domainkey." + d.Domain
	switch pub := d.Key.Public().(type) {
	case ed25519.PublicKey:
		return name, "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), nil
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(pub)
		return name, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), err
	default:
		return "", "", fmt.Errorf("mail: DKIM key of type %T: RSA or Ed25519", pub)
	}
}

// signed are the headers that a signature covers. Those named twice cannot be
// added a second time on the way.
var signed = []string{
	"From", "From", "To", "To", "Subject", "Subject", "Date", "Date", "Message-ID", "Message-ID", "Reply-To", "Reply-To",
	"Content-Type", "MIME-Version", "In-Reply-To", "References", "Auto-Submitted",
}

func (d *DKIM) sign(letter []byte) ([]byte, error) {
	var b bytes.Buffer
	err := dkim.Sign(&b, bytes.NewReader(letter), &dkim.SignOptions{
		Domain: d.Domain, Selector: d.Selector, Signer: d.Key, Hash: crypto.SHA256, HeaderKeys: signed,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return nil, fmt.Errorf("mail: sign: %w", err)
	}
	return b.Bytes(), nil
}
