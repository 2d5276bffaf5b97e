package ruleset

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// A Sealed is one message as it travels: header, body, key ID and signature.
type Sealed []byte

// Bounds of a [Sealed], in bytes.
const (
	MaxDelta    = 1 << 20
	MaxSnapshot = 16 << 20
	MaxBeat     = 256
)

// A KeyID names a key: the first bytes of the SHA-256 of the public key.
type KeyID [8]byte

// IDOf returns the ID of a public key.
func IDOf(public ed25519.PublicKey) (id KeyID) {
	sum := sha256.Sum256(public)
	copy(id[:], sum[:])
	return id
}

// String returns the ID in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the ID in hexadecimal.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the reverse of [KeyID.MarshalText].
func (id *KeyID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("key ID %q: want %d hexadecimal digits", text, 2*len(id))
	}
	_, err := hex.Decode(id[:], text)
	return err
}

// A Signer signs for a hub, with Ed25519. The message handed to it is already in
// DSSE's pre-authentication encoding.
type Signer interface {
	ID() KeyID
	Sign(message []byte) ([]byte, error)
}

// A Key is an online key of a hub, as devices know it: nothing it signs is
// accepted before From, or from Until on.
type Key struct {
	ID          KeyID
	Public      ed25519.PublicKey
	From, Until time.Time
}

// Keys are the online keys that a device accepts at present.
type Keys []Key
