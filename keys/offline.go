package keys

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrPassphrase says that a key file does not open with a passphrase.
var ErrPassphrase = errors.New("wrong passphrase, or the key file is damaged")

// A PublicKey is the public half of an [OfflineKey]: 32 bytes.
type PublicKey []byte

const publicPrefix = "tocsin-root1."

// Text returns the key as people copy it to the hub.
func (p PublicKey) Text() string { return publicPrefix + base64.RawURLEncoding.EncodeToString(p) }

// ParsePublicKey is the reverse of [PublicKey.Text].
func ParsePublicKey(text string) (PublicKey, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), publicPrefix)
	if !ok || len(encoded) > 64 {
		return nil, fmt.Errorf("%.60q: not a public key: want %s and letters", text, publicPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%.60q: not a whole public key", text)
	}
	return b, nil
}

// Fingerprint returns what two people compare by telephone.
func (p PublicKey) Fingerprint() string {
	sum := sha256.Sum256(p)
	return grouped(sum[:10])
}

// grouped writes bytes in hexadecimal, in groups of four digits.
func grouped(b []byte) string {
	var parts []string
	for i := 0; i < len(b); i += 2 {
		parts = append(parts, hex.EncodeToString(b[i:i+2]))
	}
	return strings.Join(parts, "-")
}

// An OfflineKey is a root key that is made, kept and used on a machine that is
// not the hub. Its file is worth nothing without the passphrase.
type OfflineKey struct{ key ed25519.PrivateKey }

// NewOfflineKey makes one.
func NewOfflineKey() (*OfflineKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return &OfflineKey{key}, err
}

// Public returns the public half.
func (k *OfflineKey) Public() PublicKey { return PublicKey(k.key.Public().(ed25519.PublicKey)) }

// String hides the key.
func (k *OfflineKey) String() string { return "offline key " + k.Public().Fingerprint() }

// GoString hides the key.
func (k *OfflineKey) GoString() string { return k.String() }

const (
	pemOffline = "TOCSIN OFFLINE KEY 1"
	saltSize   = 16
	// MinPassphrase is the fewest bytes of a passphrase.
	MinPassphrase = 10
)

// Encrypt returns the key as a file, PEM, for which the passphrase is needed.
func (k *OfflineKey) Encrypt(passphrase []byte) ([]byte, error) {
	if len(passphrase) < MinPassphrase {
		return nil, fmt.Errorf("passphrase: at least %d characters", MinPassphrase)
	}
	salt := make([]byte, saltSize, saltSize+chacha20poly1305.NonceSizeX+ed25519.SeedSize+chacha20poly1305.Overhead)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(salt) // never fails
	rand.Read(nonce)
	aead, err := chacha20poly1305.NewX(stretch(passphrase, salt))
	if err != nil {
		return nil, err
	}
	body := append(salt, nonce...)
	body = aead.Seal(body, nonce, k.key.Seed(), k.Public())
	return pem.EncodeToMemory(&pem.Block{Type: pemOffline, Headers: map[string]string{"Public": k.Public().Text()}, Bytes: body}), nil
}

// stretch makes the passphrase dear to guess: argon2id with the second set of
// parameters that RFC 9106 recommends (64 MiB).
func stretch(passphrase, salt []byte) []byte {
	return argon2.IDKey(passphrase, salt, 3, 64<<10, 4, chacha20poly1305.KeySize)
}

// OpenOfflineKey opens what [OfflineKey.Encrypt] returned.
func OpenOfflineKey(file, passphrase []byte) (*OfflineKey, error) {
	if len(file) > MaxRequest {
		return nil, errors.New("not an offline key of tocsin: too long")
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != pemOffline || len(block.Bytes) < saltSize+chacha20poly1305.NonceSizeX {
		return nil, errors.New("not an offline key of tocsin")
	}
	public, err := ParsePublicKey(block.Headers["Public"])
	if err != nil {
		return nil, err
	}
	salt, rest := block.Bytes[:saltSize], block.Bytes[saltSize:]
	aead, err := chacha20poly1305.NewX(stretch(passphrase, salt))
	if err != nil {
		return nil, err
	}
	seed, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], public)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, ErrPassphrase
	}
	k := &OfflineKey{private(seed)}
	if string(k.Public()) != string(public) {
		return nil, ErrPassphrase
	}
	return k, nil
}
