package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/ruleset"
)

// MaxFile bounds each file of a repository, in bytes: whoever fetches one for
// [Trust.Update] need not read more.
const MaxFile = 64 << 10

const (
	timestampFile = "timestamp.json"
	snapshotMeta  = "snapshot.json"
	targetsMeta   = "targets.json"
	listingTarget = "keys.json"
)

// maxListed bounds the keys and the classes of devices of a listing.
const maxListed = 32

// A listing is the one target of the repository: which online keys devices
// accept, and by how much classes of devices are held shorter than by what is
// compiled in.
type listing struct {
	Keys   []listed                  `json:"keys"`
	Limits map[string]ruleset.Limits `json:"limits,omitempty"`
}

type listed struct {
	Public ed25519.PublicKey `json:"public"`
	From   time.Time         `json:"from"`
	Until  time.Time         `json:"until"`
}

func (k listed) key() ruleset.Key {
	return ruleset.Key{ID: ruleset.IDOf(k.Public), Public: k.Public, From: k.From, Until: k.Until}
}

func decodeListing(data []byte) (l listing, err error) {
	if err := json.Unmarshal(data, &l); err != nil {
		return l, fmt.Errorf("%s: %w", listingTarget, err)
	}
	if len(l.Keys) > maxListed || len(l.Limits) > maxListed {
		return l, fmt.Errorf("%s: more than %d keys or classes", listingTarget, maxListed)
	}
	for _, k := range l.Keys {
		if len(k.Public) != ed25519.PublicKeySize {
			return l, fmt.Errorf("%s: a key of %d bytes, want %d", listingTarget, len(k.Public), ed25519.PublicKeySize)
		}
	}
	return l, nil
}

// newest returns the key that ends last of those that have begun at now: one of
// the future was made while the hub's clock was wrong.
func (l listing) newest(now time.Time) (n listed) {
	for _, k := range l.Keys {
		if !now.Before(k.From) && k.Until.After(n.Until) {
			n = k
		}
	}
	return n
}

func rootFile(version int64) string { return versioned(version, "root.json") }

func versioned(version int64, name string) string { return strconv.FormatInt(version, 10) + "." + name }

// hashed returns the name under which a target is fetched.
func hashed(sum []byte) string { return hex.EncodeToString(sum) + "." + listingTarget }

// decode reads metadata and refuses whatever the library would trip over: it
// follows pointers that a null leaves empty, and lets a key of a wrong length
// panic in the verification.
func decode[T metadata.Roles](data []byte) (*metadata.Metadata[T], error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("more than %d bytes", MaxFile)
	}
	if err := noNull(data); err != nil {
		return nil, err
	}
	m, err := new(metadata.Metadata[T]).FromBytes(data)
	if err != nil {
		return nil, err
	}
	switch s := any(&m.Signed).(type) {
	case *metadata.RootType:
		err = checkRoot(s)
	case *metadata.TimestampType:
		if s.Meta[snapshotMeta] == nil {
			err = errors.New("the timestamp names no snapshot")
		}
	case *metadata.SnapshotType:
		if s.Meta[targetsMeta] == nil {
			err = errors.New("the snapshot names no targets")
		}
	case *metadata.TargetsType:
		if t := s.Targets[listingTarget]; t == nil || len(t.Hashes["sha256"]) != sha256.Size {
			err = errors.New("the targets name no " + listingTarget)
		}
	}
	return m, err
}

func noNull(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if token == nil {
			return errors.New("null where a value belongs")
		}
	}
}

func checkRoot(r *metadata.RootType) error {
	if len(r.Keys) > maxListed {
		return fmt.Errorf("root: more than %d keys", maxListed)
	}
	for id, k := range r.Keys {
		if b, err := hex.DecodeString(k.Value.PublicKey); k.Type != metadata.KeyTypeEd25519 || err != nil || len(b) != ed25519.PublicKeySize {
			return fmt.Errorf("root: key %.16q is not an Ed25519 key", id)
		}
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		if r.Roles[role] == nil {
			return fmt.Errorf("root: no role %s", role)
		}
	}
	return nil
}

// roleKeys returns the public keys of a role, in hexadecimal.
func roleKeys(r *metadata.RootType, role string) (list []string) {
	for _, id := range r.Roles[role].KeyIDs {
		if k := r.Keys[id]; k != nil {
			list = append(list, k.Value.PublicKey)
		}
	}
	return list
}

// sign adds the signature of key, in the place of an earlier one.
func sign[T metadata.Roles](m *metadata.Metadata[T], key ed25519.PrivateKey) error {
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		return err
	}
	id, err := public.ID()
	if err != nil {
		return err
	}
	kept := m.Signatures[:0]
	for _, s := range m.Signatures {
		if s.KeyID != id {
			kept = append(kept, s)
		}
	}
	m.Signatures = kept
	s, err := signature.LoadED25519Signer(key)
	if err != nil {
		return err
	}
	_, err = m.Sign(s)
	return err
}

// metaFile says what a file must be to belong to a snapshot or timestamp.
func metaFile(version int64, data []byte) *metadata.MetaFiles {
	sum := sha256.Sum256(data)
	return &metadata.MetaFiles{Version: version, Length: int64(len(data)), Hashes: metadata.Hashes{"sha256": sum[:]}}
}
