package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/tocsin-io/tocsin/ruleset"
)

// Why an update of the keys is refused; callers tell them apart with errors.Is.
// Whatever is refused changes nothing but a root that held.
var (
	ErrRolledBack = errors.New("older than what this device had: the hub was restored wrongly, or somebody replays old files")
	ErrRanOut     = errors.New("out of date: the hub has not signed its keys anew, or somebody keeps the new ones from this device")
	ErrForged     = errors.New("not signed by the keys that this device trusts")
)

// maxRoots bounds how many changes of the root one update follows.
const maxRoots = 256

// Trust is a device's side of a [Repository]: from the root pinned at the
// enrolment to the keys it accepts frames from. It keeps the newest that held,
// so that nothing older is believed after a restart. One caller updates;
// everything else is safe for concurrent use.
type Trust struct {
	path string
	held atomic.Pointer[trusted]
}

// trusted is what a device believes; it is immutable. Files are as fetched.
type trusted struct {
	Root      []byte `json:"root"`
	Timestamp []byte `json:"timestamp,omitempty"`
	Snapshot  []byte `json:"snapshot,omitempty"`
	Targets   []byte `json:"targets,omitempty"`
	Listing   []byte `json:"keys,omitempty"`

	version int64     // of Root
	until   time.Time // end of what was fetched
	list    listing
}

const trustFile = "trust.json"

// Pin begins a device's trust with the root that the hub showed at the
// enrolment, and keeps it in dir in the place of any other.
func Pin(dir string, root []byte) (*Trust, error) {
	t := &Trust{path: filepath.Join(dir, trustFile)}
	s := &trusted{Root: root}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("the hub's root: %w", err)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	return t, t.keep(s)
}

// OpenTrust opens what [Pin] and [Trust.Update] kept; without it the error is
// fs.ErrNotExist.
func OpenTrust(dir string) (*Trust, error) {
	t := &Trust{path: filepath.Join(dir, trustFile)}
	data, err := readSecret(t.path)
	if err != nil {
		return nil, err
	}
	s := &trusted{}
	if err := errors.Join(json.Unmarshal(data, s), s.load()); err != nil {
		return nil, fmt.Errorf("%s: damaged: enrol again: %w", t.path, err)
	}
	t.held.Store(s)
	return t, nil
}

// keep uses s from now on, also when the disk is full: a revocation must not
// wait for room.
func (t *Trust) keep(s *trusted) error {
	t.held.Store(s)
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeSecret(t.path, data)
}

// load reads what of s follows from its files. It checks the root by itself
// only: the rest was checked when it was fetched.
func (s *trusted) load() error {
	root, err := decode[metadata.RootType](s.Root)
	if err != nil {
		return err
	}
	if err := root.VerifyDelegate(metadata.ROOT, root); err != nil {
		return err
	}
	s.version = root.Signed.Version
	if len(s.Listing) == 0 {
		s.Timestamp, s.Snapshot, s.Targets = nil, nil, nil
		return nil
	}
	if s.list, err = decodeListing(s.Listing); err != nil {
		return err
	}
	timestamp, err := decode[metadata.TimestampType](s.Timestamp)
	if err != nil {
		return err
	}
	snapshot, err := decode[metadata.SnapshotType](s.Snapshot)
	if err != nil {
		return err
	}
	targets, err := decode[metadata.TargetsType](s.Targets)
	if err != nil {
		return err
	}
	s.until = earliest(root.Signed.Expires, timestamp.Signed.Expires, snapshot.Signed.Expires, targets.Signed.Expires)
	return nil
}

func earliest(first time.Time, more ...time.Time) time.Time {
	for _, t := range more {
		if t.Before(first) {
			first = t
		}
	}
	return first
}

// Keys returns the online keys to hand to ruleset.Open: none before the first
// update, and none once what was fetched is out of date at now, since somebody
// may be hiding that a key was stolen.
func (t *Trust) Keys(now time.Time) ruleset.Keys {
	s := t.held.Load()
	if !now.Before(s.until) {
		return nil
	}
	var list ruleset.Keys
	for _, k := range s.list.Keys {
		list = append(list, k.key())
	}
	return list
}

// Limits returns what a device of that class accepts: never more than is
// compiled in.
func (t *Trust) Limits(class string) ruleset.Limits {
	limits := ruleset.DefaultLimits()
	if l, ok := t.held.Load().list.Limits[class]; ok {
		limits = limits.Min(l)
	}
	return limits
}

// Root returns the version of the root in force.
func (t *Trust) Root() int64 { return t.held.Load().version }

// Until returns when what was fetched is out of date; zero before the first
// update. A device asks for an update each day, when it connects, and when a
// frame is signed by a key it does not know.
func (t *Trust) Until() time.Time { return t.held.Load().until }

// Warning returns what a person should know at now, or "".
func (t *Trust) Warning(now time.Time) string {
	s := t.held.Load()
	switch {
	case s.until.IsZero():
		return "no signing keys from the hub yet: its rules are not accepted"
	case !now.Before(s.until):
		return fmt.Sprintf("the hub's signing keys are out of date since %s: no rules are accepted from it, those in force end by themselves, and this device goes on blocking what it sees itself",
			s.until.UTC().Format(time.DateTime))
	case !now.Before(s.list.newest(now).Until):
		return "the hub has no signing key that is valid: no rules are accepted from it"
	}
	return ""
}

// Update fetches what is new and believes it if all of it holds, together, at
// now. Fetch returns a file by name, of at most [MaxFile] bytes, or
// fs.ErrNotExist. On error the keys of before stay.
func (t *Trust) Update(fetch func(name string) ([]byte, error), now time.Time) error {
	old := t.held.Load()
	next, err := old.update(fetch, now)
	if err != nil {
		err = fmt.Errorf("the hub's signing keys: %w", err)
	}
	if next == nil {
		return err
	}
	return errors.Join(err, t.keep(next))
}

// update returns what holds after it: nil is what was.
func (s *trusted) update(fetch func(name string) ([]byte, error), now time.Time) (*trusted, error) {
	u := &update{fetch: fetch, next: &trusted{
		Root: s.Root, Timestamp: s.Timestamp, Snapshot: s.Snapshot, Targets: s.Targets, Listing: s.Listing,
	}}
	var err error
	if u.meta, err = trustedmetadata.New(s.Root); err != nil {
		return nil, classify(err)
	}
	u.meta.RefTime = now.UTC()
	if err := u.root(); err != nil {
		return s.rooted(u.next), classify(err)
	}
	for _, step := range []func() error{u.timestamp, u.snapshot, u.targets, u.listing} {
		if err := step(); err != nil {
			return s.rooted(u.next), classify(err)
		}
	}
	return u.next, u.next.load()
}

// rooted returns s with the root of next, if that is another: a root that held
// is kept whatever became of the rest.
func (s *trusted) rooted(next *trusted) *trusted {
	if string(next.Root) == string(s.Root) {
		return nil
	}
	c := *s
	c.Root = next.Root
	if err := c.load(); err != nil { // it was verified a moment ago
		return nil
	}
	return &c
}

// An update goes through the workflow of the specification. The library's own
// updater reads the wall clock and opens sockets, so only its checks are used.
type update struct {
	fetch func(name string) ([]byte, error)
	meta  *trustedmetadata.TrustedMetadata
	next  *trusted
}

func (u *update) get(name string) ([]byte, error) {
	data, err := u.fetch(name)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", name, MaxFile, ErrForged)
	}
	return data, nil
}

// checked fetches metadata and sees that it is something to verify at all.
func checked[T metadata.Roles](u *update, name string) ([]byte, error) {
	data, err := u.get(name)
	if err != nil {
		return nil, err
	}
	if _, err := decode[T](data); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, err, ErrForged)
	}
	return data, nil
}

func (u *update) root() error {
	for range maxRoots {
		data, err := checked[metadata.RootType](u, rootFile(u.meta.Root.Signed.Version+1))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := u.meta.UpdateRoot(data); err != nil {
			return err
		}
		u.next.Root = data
	}
	return nil
}

func (u *update) timestamp() error {
	if len(u.next.Timestamp) > 0 {
		// One that the root no longer vouches for protects nothing: that is how a
		// hub gets rid of what a thief of its keys published for ages to come.
		_, _ = u.meta.UpdateTimestamp(u.next.Timestamp)
	}
	data, err := checked[metadata.TimestampType](u, timestampFile)
	if err != nil {
		return err
	}
	_, err = u.meta.UpdateTimestamp(data)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		return nil
	}
	if err == nil {
		u.next.Timestamp = data
	}
	return err
}

func (u *update) snapshot() error {
	if len(u.next.Snapshot) > 0 {
		if _, err := u.meta.UpdateSnapshot(u.next.Snapshot, true); err == nil {
			return nil
		}
	}
	data, err := checked[metadata.SnapshotType](u, versioned(u.meta.Timestamp.Signed.Meta[snapshotMeta].Version, snapshotMeta))
	if err != nil {
		return err
	}
	_, err = u.meta.UpdateSnapshot(data, false)
	u.next.Snapshot = data
	return err
}

func (u *update) targets() error {
	if len(u.next.Targets) > 0 {
		if _, err := u.meta.UpdateTargets(u.next.Targets); err == nil {
			return nil
		}
	}
	data, err := checked[metadata.TargetsType](u, versioned(u.meta.Snapshot.Signed.Meta[targetsMeta].Version, targetsMeta))
	if err != nil {
		return err
	}
	_, err = u.meta.UpdateTargets(data)
	u.next.Targets = data
	return err
}

func (u *update) listing() error {
	target := u.meta.Targets[metadata.TARGETS].Signed.Targets[listingTarget]
	if target.VerifyLengthHashes(u.next.Listing) == nil {
		return nil
	}
	data, err := u.get(hashed(target.Hashes["sha256"]))
	if err != nil {
		return err
	}
	if err := target.VerifyLengthHashes(data); err != nil {
		return err
	}
	u.next.Listing = data
	_, err = decodeListing(data)
	return err
}

// classify puts a word of this package before an error of the library.
func classify(err error) error {
	for _, c := range []struct{ theirs, ours error }{
		{&metadata.ErrExpiredMetadata{}, ErrRanOut},
		{&metadata.ErrBadVersionNumber{}, ErrRolledBack},
		{&metadata.ErrRepository{}, ErrForged},
		{&metadata.ErrValue{}, ErrForged},
	} {
		if errors.Is(err, c.theirs) {
			return fmt.Errorf("%w (%w)", c.ours, err)
		}
	}
	return err
}
