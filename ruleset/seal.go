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

// Bounds of a [Sealed], in bytes: what is larger is not even verified.
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

// payloadType is what DSSE binds the signature to.
const payloadType = "application/vnd.tocsin.ruleset.v1"

// encoded returns DSSE's pre-authentication encoding of a payload.
func encoded(payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+32)
	b = fmt.Appendf(b, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return append(b, payload...)
}

// Seal signs a message as it travels. A delta above [MaxDelta], or a snapshot
// above [MaxSnapshot], is an error.
func Seal(m Message, s Signer) (Sealed, error) {
	b, err := encode(m)
	if err != nil {
		return nil, err
	}
	id := s.ID()
	b = append(b, id[:]...)
	signature, err := s.Sign(encoded(b))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if len(signature) != ed25519.SignatureSize {
		return nil, fmt.Errorf("seal: a signature of %d bytes is not Ed25519", len(signature))
	}
	return append(b, signature...), nil
}

// Peek returns what a message says of itself, before anything is verified: good
// for routing, never for deciding.
func Peek(s Sealed) (Header, error) {
	if len(s) < keyTail {
		return Header{}, fmt.Errorf("%w: too short", ErrMalformed)
	}
	r := reader{b: s[:len(s)-keyTail]}
	h := r.header()
	copy(h.Key[:], s[len(s)-keyTail:])
	if len(s) > h.Kind.most() {
		r.fail("too large")
	}
	return h, r.err
}

// Open verifies a message, then decodes it. The error is [ErrMalformed],
// [ErrForged], or [ErrExpired] if the key or the message is out of date at now,
// which is the device's best idea of the time.
func Open(s Sealed, k Keys, now time.Time) (Message, error) {
	h, err := Peek(s)
	if err != nil {
		return nil, err
	}
	key, ok := k.find(h.Key)
	payload := s[:len(s)-ed25519.SignatureSize]
	if !ok || !ed25519.Verify(key.Public, encoded(payload), s[len(payload):]) {
		return nil, fmt.Errorf("%w: key %s", ErrForged, h.Key)
	}
	if now.Before(key.From) || !now.Before(key.Until) {
		return nil, fmt.Errorf("%w: key %s is good from %s until %s", ErrExpired, h.Key,
			key.From.Format(time.DateOnly), key.Until.Format(time.DateOnly))
	}
	if err := h.inDate(now); err != nil {
		return nil, err
	}
	m, err := decode(s[:len(s)-keyTail])
	switch m := m.(type) {
	case Frame:
		m.Key = h.Key
		return m, nil
	case Heartbeat:
		m.Key = h.Key
		return m, nil
	}
	return nil, err
}

func (k Keys) find(id KeyID) (Key, bool) {
	for _, key := range k {
		if key.ID == id && len(key.Public) == ed25519.PublicKeySize {
			return key, true
		}
	}
	return Key{}, false
}

// inDate refuses what has expired, and what was made more than clocks differ in
// the future.
func (h Header) inDate(now time.Time) error {
	switch {
	case h.Created.After(now.Add(skew)):
		return fmt.Errorf("%w: %s was made at %s, and it is %s", ErrExpired, h.Position,
			h.Created.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case !now.Before(h.Expires):
		return fmt.Errorf("%w: %s ended at %s", ErrExpired, h.Position, h.Expires.Format(time.RFC3339))
	}
	return nil
}
