package keys

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/tocsin-io/tocsin"
)

// ErrOwnerKey says that an owner's key cannot be had from a sealed message.
var ErrOwnerKey = errors.New("the sealed owner's key is not for this device, or damaged")

// An OwnerKey is what an owner's devices write account names under before they
// tell the hub (package sighting): the hub compares names without knowing them.
// The owner's first device makes it; the others get it sealed, through the hub.
//
// It hides names from whoever reads the hub and its backups. A hub that lies
// about whom a device seals to gets the key: compare [OwnerKey.Fingerprint] on
// two devices, and the fingerprints of their sealing keys, to be sure.
type OwnerKey [32]byte

// NewOwnerKey returns a random one.
func NewOwnerKey() (k OwnerKey) {
	rand.Read(k[:]) // never fails
	return k
}

// Fingerprint names the key without telling it: the same on every device of the
// owner.
func (k OwnerKey) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("tocsin owner key fingerprint\x00"), k[:]...))
	return grouped(sum[:16])
}

// String hides the key.
func (k OwnerKey) String() string { return "owner key " + k.Fingerprint() }

// GoString hides the key.
func (k OwnerKey) GoString() string { return k.String() }

// LogValue hides the key.
func (k OwnerKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText hides the key: it is written by [KeepOwnerKey] and sealed by
// [OwnerKey.Seal] only.
func (k OwnerKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

const ownerFile = "owner.key"

// KeepOwnerKey keeps the key in dir.
func KeepOwnerKey(dir string, k OwnerKey) error {
	if err := makeFolder(dir); err != nil {
		return err
	}
	return writeSecret(filepath.Join(dir, ownerFile), k[:])
}

// OpenOwnerKey returns the key kept in dir, or fs.ErrNotExist.
func OpenOwnerKey(dir string) (OwnerKey, error) {
	path := filepath.Join(dir, ownerFile)
	data, err := readSecret(path)
	if err == nil && len(data) != len(OwnerKey{}) {
		err = fmt.Errorf("%s: damaged: remove it, then this device gets the key from another of its owner", path)
	}
	if err != nil {
		return OwnerKey{}, err
	}
	return OwnerKey(data), nil
}

// Sealing key sizes, in bytes.
const (
	SealingPublicSize = 32
	sealedSize        = 32 + 32 + 16 // encapsulated key, owner's key, tag
)

// A SealingKey is a device's X25519 key for what others seal to it. It never
// leaves the device.
type SealingKey struct{ key *ecdh.PrivateKey }

const sealingFile = "sealing.key"

// OpenSealingKey returns the key kept in dir, and makes it where there is none.
func OpenSealingKey(dir string) (*SealingKey, error) {
	path := filepath.Join(dir, sealingFile)
	data, err := readSecret(path)
	if err == nil {
		key, err := ecdh.X25519().NewPrivateKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: damaged: remove it and enrol again: %w", path, err)
		}
		return &SealingKey{key}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	return &SealingKey{key}, writeSecret(path, key.Bytes())
}

// Public returns the half that others seal to: [SealingPublicSize] bytes.
func (s *SealingKey) Public() []byte { return s.key.PublicKey().Bytes() }

// String hides the key.
func (s *SealingKey) String() string { return "sealing key" }

// GoString hides the key.
func (s *SealingKey) GoString() string { return s.String() }

// Seal returns the key for one device of the owner to read, and for nobody
// else. Public is that device's [SealingKey.Public].
func (k OwnerKey) Seal(owner tocsin.OwnerID, to tocsin.DeviceID, public []byte) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("sealing key of %s: %w", to, err)
	}
	recipient, err := hpke.NewDHKEMPublicKey(p)
	if err != nil {
		return nil, fmt.Errorf("sealing key of %s: %w", to, err)
	}
	sealed, err := hpke.Seal(recipient, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealingInfo(owner, to), k[:])
	if err != nil {
		return nil, fmt.Errorf("sealing key of %s: %w", to, err)
	}
	return sealed, nil
}

// Unseal returns the owner's key from what another device sealed for device. If
// fingerprint is not empty the key must have it: the one that the owner's first
// device claimed.
func (s *SealingKey) Unseal(sealed []byte, owner tocsin.OwnerID, device tocsin.DeviceID, fingerprint string) (OwnerKey, error) {
	if len(sealed) != sealedSize {
		return OwnerKey{}, ErrOwnerKey
	}
	key, err := hpke.NewDHKEMPrivateKey(s.key)
	if err != nil {
		return OwnerKey{}, err
	}
	plain, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), sealingInfo(owner, device), sealed)
	if err != nil || len(plain) != len(OwnerKey{}) {
		return OwnerKey{}, ErrOwnerKey
	}
	k := OwnerKey(plain)
	if fingerprint != "" && subtle.ConstantTimeCompare([]byte(k.Fingerprint()), []byte(fingerprint)) != 1 {
		return OwnerKey{}, fmt.Errorf("%w: its fingerprint is %s, the owner's is %.60q", ErrOwnerKey, k.Fingerprint(), fingerprint)
	}
	return k, nil
}

// sealingInfo binds a sealed key to whom it is for: under any other name it does
// not open.
func sealingInfo(owner tocsin.OwnerID, device tocsin.DeviceID) []byte {
	b := []byte("tocsin owner key 1")
	for _, s := range []string{string(owner), string(device)} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}
