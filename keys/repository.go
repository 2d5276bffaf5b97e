package keys

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/ruleset"
)

// How long keys and files of a repository last.
const (
	OnlineLife  = 90 * 24 * time.Hour
	onlineRenew = 45 * 24 * time.Hour // age at which the next key is made
	// onlineSettle is how long the next key is listed before it signs: devices
	// hear of it in time.
	onlineSettle   = 24 * time.Hour
	rootLife       = 2 * 365 * 24 * time.Hour
	rootRenew      = rootLife / 2 // of it left: a change also renews the root
	timestampLife  = 7 * 24 * time.Hour
	timestampRenew = 6 * 24 * time.Hour // of it left
)

// A Repository is a hub's keys under The Update Framework: the online keys that
// sign frames, and the files by which devices know them. A root key says who
// may list online keys; keys that stay on the hub say only that a list is the
// newest.
//
// A new repository makes its root key by itself and keeps it beside the others.
// That is enough to replace an online key that was stolen alone. It does not
// protect from whoever reads the folder or takes the machine over: he has the
// root, too, and every device must enrol again. [Repository.SetRoot] moves root
// and listing to keys that are made and kept on other machines.
//
// It is safe for concurrent use.
type Repository struct {
	path   string
	change sync.Mutex // held while a change is made and written: one at a time
	book   atomic.Pointer[book]
	before atomic.Pointer[book] // what devices in the middle of an update still ask for
}

// stored is the repository as kept: one file, so that a crash leaves the old
// state or the new one.
type stored struct {
	Roots     [][]byte          `json:"roots"` // all of them, from version 1
	Targets   []byte            `json:"targets"`
	Listing   []byte            `json:"keys"`
	Snapshot  []byte            `json:"snapshot"`
	Timestamp []byte            `json:"timestamp"`
	Secrets   map[string][]byte `json:"secrets"` // Ed25519 seeds by public key, in hexadecimal
	// Since is when each online key was first listed: with keys that are signed
	// for elsewhere that may be days after they were made.
	Since   map[string]time.Time `json:"since"`
	Pending []byte               `json:"pending,omitempty"`
}

// book is stored, read; it is immutable.
type book struct {
	stored
	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	list      listing
	pending   *Request
}

const repositoryFile = "repository.json"

// CreateRepository makes a repository and keeps it in dir. If there is one the
// error is fs.ErrExist.
func CreateRepository(dir string, now time.Time) (*Repository, error) {
	r := &Repository{path: filepath.Join(dir, repositoryFile)}
	if err := errors.Join(makeFolder(dir), absent(r.path)); err != nil {
		return nil, err
	}
	b := &book{stored: stored{Secrets: map[string][]byte{}, Since: map[string]time.Time{}}}
	root, fresh := b.newSecret(), b.newSecret()
	d := draft{why: "first keys of a new hub", root: []ed25519.PublicKey{root}, threshold: 1, fresh: fresh}
	request, err := d.request(b, now)
	if err != nil {
		return nil, err
	}
	return r, r.apply(b, request, now)
}

// OpenRepository opens the repository in dir; without one the error is
// fs.ErrNotExist.
func OpenRepository(dir string) (*Repository, error) {
	r := &Repository{path: filepath.Join(dir, repositoryFile)}
	data, err := readSecret(r.path)
	if err != nil {
		return nil, err
	}
	var s stored
	err = json.Unmarshal(data, &s)
	if err == nil {
		var b *book
		if b, err = s.read(); err == nil {
			r.book.Store(b)
			return r, nil
		}
	}
	return nil, fmt.Errorf("%s: damaged: restore it from a backup: %w", r.path, err)
}

// read parses s and checks that its parts belong together.
func (s stored) read() (*book, error) {
	b := &book{stored: s}
	if len(s.Roots) == 0 || s.Secrets == nil || s.Since == nil {
		return nil, errors.New("a part is missing")
	}
	var errs [6]error
	b.root, errs[0] = decode[metadata.RootType](s.Roots[len(s.Roots)-1])
	b.targets, errs[1] = decode[metadata.TargetsType](s.Targets)
	b.snapshot, errs[2] = decode[metadata.SnapshotType](s.Snapshot)
	b.timestamp, errs[3] = decode[metadata.TimestampType](s.Timestamp)
	b.list, errs[4] = decodeListing(s.Listing)
	if len(s.Pending) > 0 {
		b.pending, errs[5] = ParseRequest(s.Pending)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for public, seed := range s.Secrets {
		if len(seed) != ed25519.SeedSize || hex.EncodeToString(private(seed).Public().(ed25519.PublicKey)) != public {
			return nil, errors.New("a private key does not match its name")
		}
	}
	return b, errors.Join(
		b.root.VerifyDelegate(metadata.TARGETS, b.targets),
		b.root.VerifyDelegate(metadata.SNAPSHOT, b.snapshot),
		b.root.VerifyDelegate(metadata.TIMESTAMP, b.timestamp),
		b.targets.Signed.Targets[listingTarget].VerifyLengthHashes(s.Listing),
	)
}

func private(seed []byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed) }

// newSecret makes a key that b keeps.
func (b *book) newSecret() ed25519.PublicKey {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // the system's source of randomness never fails
	}
	b.Secrets[hex.EncodeToString(public)] = key.Seed()
	return public
}

// held returns the private keys that b has of those.
func (b *book) held(publics []string) (list []ed25519.PrivateKey) {
	for _, p := range publics {
		if seed, ok := b.Secrets[p]; ok {
			list = append(list, private(seed))
		}
	}
	return list
}

// alone reports whether b can sign a new root and listing by itself.
func (b *book) alone() bool {
	role := b.root.Signed.Roles[metadata.ROOT]
	return len(b.held(roleKeys(&b.root.Signed, metadata.ROOT))) >= role.Threshold
}

// clone returns a copy of b to change.
func (b *book) clone() *book {
	c := *b
	c.Roots, c.Secrets, c.Since, c.Pending, c.pending = slices.Clone(b.Roots), maps.Clone(b.Secrets), maps.Clone(b.Since), nil, nil
	return &c
}

// write keeps b and serves it from then on.
func (r *Repository) write(b *book) error {
	data, err := json.Marshal(b.stored)
	if err != nil {
		return err
	}
	if err := writeSecret(r.path, data); err != nil {
		return err
	}
	r.before.Store(r.book.Load())
	r.book.Store(b)
	return nil
}

// Root returns the newest root: what a device pins when it enrols.
func (r *Repository) Root() []byte { b := r.book.Load(); return b.Roots[len(b.Roots)-1] }

// File returns a public file by the name that [Trust.Update] asks for, or
// fs.ErrNotExist.
func (r *Repository) File(name string) ([]byte, error) {
	for _, b := range []*book{r.book.Load(), r.before.Load()} {
		if b == nil {
			continue
		}
		if data, ok := b.files()[name]; ok {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
}

// Files returns all public files by name, for an export.
func (r *Repository) Files() map[string][]byte { return r.book.Load().files() }

func (b *book) files() map[string][]byte {
	files := map[string][]byte{
		timestampFile: b.Timestamp,
		versioned(b.snapshot.Signed.Version, snapshotMeta):               b.Snapshot,
		versioned(b.targets.Signed.Version, targetsMeta):                 b.Targets,
		hashed(b.targets.Signed.Targets[listingTarget].Hashes["sha256"]): b.Listing,
	}
	for i, root := range b.Roots {
		files[rootFile(int64(i+1))] = root
	}
	return files
}

// Upkeep does what is due at now: a new timestamp each day and, where the root
// is kept here, the next online key in time. Call it when the hub starts and
// each hour.
func (r *Repository) Upkeep(now time.Time) error {
	r.change.Lock()
	defer r.change.Unlock()
	b := r.book.Load()
	n := b.list.newest(now)
	old := !now.Before(n.Until.Add(onlineRenew - OnlineLife))
	if b.alone() && (old || b.root.Signed.Expires.Sub(now) < rootRenew) {
		_, err := r.draft(now, func(*book) draft { return draft{why: "upkeep", rotate: old} })
		return err
	}
	if left := b.timestamp.Signed.Expires.Sub(now); timestampRenew < left && left <= timestampLife {
		return nil
	}
	c := b.clone()
	c.Pending, c.pending = b.Pending, b.pending
	if err := c.publish(now); err != nil {
		return err
	}
	return r.write(c)
}

// publish makes snapshot and timestamp anew. Versions are seconds since 1970
// where they can be, so that a hub restored from a backup goes on above what it
// published before.
func (b *book) publish(now time.Time) error {
	expires := now.Add(timestampLife).UTC().Truncate(time.Second)
	s := metadata.Snapshot(expires)
	s.Signed.Version = nextVersion(now)
	if b.snapshot != nil {
		s.Signed.Version = max(s.Signed.Version, b.snapshot.Signed.Version+1)
	}
	s.Signed.Meta[targetsMeta] = metaFile(b.targets.Signed.Version, b.Targets)
	t := metadata.Timestamp(expires)
	t.Signed.Version = nextVersion(now)
	if b.timestamp != nil {
		t.Signed.Version = max(t.Signed.Version, b.timestamp.Signed.Version+1)
	}
	var err error
	if b.Snapshot, err = signed(b, metadata.SNAPSHOT, s); err != nil {
		return err
	}
	t.Signed.Meta[snapshotMeta] = metaFile(s.Signed.Version, b.Snapshot)
	if b.Timestamp, err = signed(b, metadata.TIMESTAMP, t); err != nil {
		return err
	}
	b.snapshot, b.timestamp = s, t
	return nil
}

func nextVersion(now time.Time) int64 { return max(now.Unix(), 1) }

// signed signs m with the keys of a role that b holds and returns it as a file.
func signed[T metadata.Roles](b *book, role string, m *metadata.Metadata[T]) ([]byte, error) {
	for _, key := range b.held(roleKeys(&b.root.Signed, role)) {
		if err := sign(m, key); err != nil {
			return nil, err
		}
	}
	if err := b.root.VerifyDelegate(role, m); err != nil {
		return nil, fmt.Errorf("the keys in this folder do not sign %s: restore it from a backup: %w", role, err)
	}
	return m.ToBytes(false)
}

// Signer returns the online key to sign frames with at now: the newest that has
// been listed for a day, else the oldest that is valid. Ask again for each
// frame. Without a valid key the error says what to do.
func (r *Repository) Signer(now time.Time) (ruleset.Signer, error) {
	b := r.book.Load()
	var best *listed
	for _, k := range slices.Backward(b.byAge()) {
		public := hex.EncodeToString(k.Public)
		if now.Before(k.From) || !now.Before(k.Until) || b.Secrets[public] == nil {
			continue
		}
		best = &k
		if !now.Before(b.Since[public].Add(onlineSettle)) {
			break
		}
	}
	if best == nil {
		return nil, errors.New("no signing key is valid: tocsin keys rotate")
	}
	return online{ruleset.IDOf(best.Public), b.held([]string{hex.EncodeToString(best.Public)})[0]}, nil
}

// byAge returns the listed keys, oldest first.
func (b *book) byAge() []listed {
	list := slices.Clone(b.list.Keys)
	slices.SortFunc(list, func(x, y listed) int { return x.From.Compare(y.From) })
	return list
}

// online is an Ed25519 key that signs frames.
type online struct {
	id  ruleset.KeyID
	key ed25519.PrivateKey
}

var _ ruleset.Signer = online{}

func (o online) ID() ruleset.KeyID                   { return o.id }
func (o online) Sign(message []byte) ([]byte, error) { return ed25519.Sign(o.key, message), nil }

// String hides the key.
func (o online) String() string { return "signing key " + o.id.String() }

// GoString hides the key.
func (o online) GoString() string { return o.String() }
