package keys

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/ruleset"
)

// A draft is what to change; what it leaves out stays.
type draft struct {
	why       string
	rotate    bool                        // list one more online key
	drop      func(id ruleset.KeyID) bool // online keys to list no longer
	root      []ed25519.PublicKey         // who decides about root and listing
	threshold int                         // how many of them
	fresh     ed25519.PublicKey           // who signs snapshot and timestamp
	limits    map[string]ruleset.Limits
}

// Rotate lists a new online key beside those that are valid. Where the root is
// kept here the change is made at once and the request is nil; otherwise it
// waits for signatures ([Repository.Apply]).
func (r *Repository) Rotate(now time.Time) (*Request, error) {
	return r.propose(now, func(*book) draft { return draft{why: "the next signing key", rotate: true} })
}

// Revoke lists an online key no longer, because it was stolen, and a new one in
// its place. Otherwise it is as [Repository.Rotate].
func (r *Repository) Revoke(id ruleset.KeyID, now time.Time) (*Request, error) {
	if !slices.ContainsFunc(r.book.Load().list.Keys, func(k listed) bool { return k.key().ID == id }) {
		return nil, fmt.Errorf("signing key %s: %w", id, fs.ErrNotExist)
	}
	return r.propose(now, func(*book) draft {
		return draft{why: "signing key " + id.String() + " was stolen", rotate: true, drop: func(k ruleset.KeyID) bool { return k == id }}
	})
}

// Recover replaces every key that was kept on the hub, after somebody had them.
// Devices then forget what the thief may have published for ages to come. Where
// the root was kept here the thief has that, too, and this is a race with him.
func (r *Repository) Recover(now time.Time) (*Request, error) {
	return r.propose(now, func(b *book) draft {
		d := draft{why: "the hub's keys were stolen", rotate: true, drop: func(ruleset.KeyID) bool { return true }}
		if b.alone() {
			d.root, d.threshold = []ed25519.PublicKey{b.newSecret()}, 1
		}
		d.fresh = b.newSecret()
		return d
	})
}

// SetRoot has root and listing decided by threshold of those keys from now on:
// keys of other machines ([OfflineKey]), usually two of three. As many of the
// keys that decided before must sign, too. The hub's own root key is erased once
// the change is applied, as far as a disk erases anything.
func (r *Repository) SetRoot(publics []PublicKey, threshold int, now time.Time) (*Request, error) {
	if threshold < 1 || threshold > len(publics) || len(publics) > maxListed/2 {
		return nil, fmt.Errorf("root: %d of %d keys: name the keys, at most %d, and how many of them must sign", threshold, len(publics), maxListed/2)
	}
	d := draft{why: "the keys that decide", threshold: threshold}
	for i, p := range publics {
		if len(p) != ed25519.PublicKeySize || slices.ContainsFunc(publics[:i], func(q PublicKey) bool { return slices.Equal(p, q) }) {
			return nil, fmt.Errorf("root: key %d is damaged or named twice", i+1)
		}
		d.root = append(d.root, ed25519.PublicKey(p))
	}
	return r.propose(now, func(*book) draft { return d })
}

// SetLimits holds classes of devices shorter than what is compiled into them,
// in place of all limits set before.
func (r *Repository) SetLimits(limits map[string]ruleset.Limits, now time.Time) (*Request, error) {
	for class := range limits {
		if !validName(class) || len(limits) > maxListed {
			return nil, fmt.Errorf("class of devices %q: not a name, or too many of them", class)
		}
	}
	return r.propose(now, func(*book) draft { return draft{why: "limits of devices", limits: maps.Clone(limits)} })
}

// Pending returns the request that waits for signatures, or nil.
func (r *Repository) Pending() *Request {
	b := r.book.Load()
	if len(b.Pending) == 0 {
		return nil
	}
	p, err := ParseRequest(b.Pending)
	if err != nil { // it was read when the repository was
		return nil
	}
	return p
}

// Apply makes the change of a request once signed often enough: files are the
// same request as it came back from the machines that signed.
func (r *Repository) Apply(now time.Time, files ...[]byte) error {
	r.change.Lock()
	defer r.change.Unlock()
	if len(files) == 0 {
		return errors.New("no request given")
	}
	var request *Request
	for _, data := range files {
		next, err := ParseRequest(data)
		if err != nil {
			return err
		}
		if request == nil {
			request = next
		} else if err := request.merge(next); err != nil {
			return err
		}
	}
	b := r.book.Load().clone()
	request.current = b.root // whatever the file says
	return r.apply(b, request, now)
}

func (r *Repository) propose(now time.Time, what func(*book) draft) (*Request, error) {
	r.change.Lock()
	defer r.change.Unlock()
	return r.draft(now, what)
}

// draft makes the change or, where signatures are missing, keeps the request.
func (r *Repository) draft(now time.Time, what func(*book) draft) (*Request, error) {
	b := r.book.Load().clone()
	d := what(b)
	request, err := d.request(b, now)
	if err != nil {
		return nil, err
	}
	if request.Complete() == nil {
		return nil, r.apply(b, request, now)
	}
	b.prune(request.next(), request.list)
	if b.Pending, err = request.Text(); err != nil {
		return nil, err
	}
	b.pending = request
	if err := r.write(b); err != nil {
		return nil, err
	}
	return r.Pending(), nil
}

// request writes down what d changes of b, signed by what b holds.
func (d draft) request(b *book, now time.Time) (*Request, error) {
	r := &Request{file: requestFile{Format: requestFormat, Why: d.why}, current: b.root}
	var err error
	if b.root != nil {
		if r.file.Current, err = b.root.ToBytes(false); err != nil {
			return nil, err
		}
	}
	if d.root != nil || d.fresh != nil || b.root.Signed.Expires.Sub(now) < rootRenew {
		if r.root, err = d.newRoot(b, now); err != nil {
			return nil, err
		}
	}
	r.list = d.newListing(b, now)
	data, err := json.Marshal(r.list)
	if err != nil {
		return nil, err
	}
	r.file.Listing = string(data)
	t := metadata.Targets(r.list.newest(now).Until)
	t.Signed.Version = nextVersion(now)
	if b.targets != nil {
		t.Signed.Version = max(t.Signed.Version, b.targets.Signed.Version+1)
	}
	if t.Signed.Targets[listingTarget], err = metadata.TargetFile().FromBytes(listingTarget, data); err != nil {
		return nil, err
	}
	r.targets = t
	for _, key := range b.held(slices.Sorted(maps.Keys(b.Secrets))) {
		if _, err := r.sign(key); err != nil {
			return nil, err
		}
	}
	return r, r.write()
}

func (d draft) newRoot(b *book, now time.Time) (*metadata.Metadata[metadata.RootType], error) {
	root := metadata.Root(now.Add(rootLife).UTC().Truncate(time.Second))
	deciding, threshold, fresh := d.root, d.threshold, d.fresh
	if b.root != nil {
		root.Signed.Version = b.root.Signed.Version + 1
		if deciding == nil {
			deciding, threshold = publics(&b.root.Signed, metadata.ROOT), b.root.Signed.Roles[metadata.ROOT].Threshold
		}
		if fresh == nil {
			fresh = publics(&b.root.Signed, metadata.TIMESTAMP)[0]
		}
	}
	add := func(p ed25519.PublicKey, roles ...string) error {
		key, err := metadata.KeyFromPublicKey(p)
		for _, role := range roles {
			err = errors.Join(err, root.Signed.AddKey(key, role))
		}
		return err
	}
	for _, p := range deciding {
		if err := add(p, metadata.ROOT, metadata.TARGETS); err != nil {
			return nil, err
		}
	}
	root.Signed.Roles[metadata.ROOT].Threshold = threshold
	root.Signed.Roles[metadata.TARGETS].Threshold = threshold
	return root, add(fresh, metadata.SNAPSHOT, metadata.TIMESTAMP)
}

func publics(root *metadata.RootType, role string) (list []ed25519.PublicKey) {
	for _, p := range roleKeys(root, role) {
		b, err := hex.DecodeString(p)
		if err != nil { // checked when it was decoded
			continue
		}
		list = append(list, b)
	}
	return list
}

func (d draft) newListing(b *book, now time.Time) listing {
	l := listing{Limits: b.list.Limits}
	if d.limits != nil {
		l.Limits = d.limits
	}
	for _, k := range b.list.Keys {
		if !now.Before(k.From) && now.Before(k.Until) && (d.drop == nil || !d.drop(k.key().ID)) {
			l.Keys = append(l.Keys, k)
		}
	}
	if d.rotate || len(l.Keys) == 0 {
		if len(l.Keys) >= maxListed { // somebody rotates for fun
			l.Keys = l.Keys[1:]
		}
		at := now.UTC().Truncate(time.Second)
		l.Keys = append(l.Keys, listed{Public: b.newSecret(), From: at.Add(-backdate), Until: at.Add(OnlineLife)})
	}
	return l
}

// prune forgets the private keys that neither b, nor that root and listing,
// have a use for.
func (b *book) prune(root *metadata.Metadata[metadata.RootType], list listing) {
	named := map[string]bool{}
	for _, r := range []*metadata.Metadata[metadata.RootType]{b.root, root} {
		if r == nil {
			continue
		}
		for _, k := range r.Signed.Keys {
			named[k.Value.PublicKey] = true
		}
	}
	for _, k := range append(slices.Clone(b.list.Keys), list.Keys...) {
		named[hex.EncodeToString(k.Public)] = true
	}
	maps.DeleteFunc(b.Secrets, func(public string, _ []byte) bool { return !named[public] })
	maps.DeleteFunc(b.Since, func(public string, _ time.Time) bool { return !named[public] })
}

// apply makes the change of a request in b, sees that a device follows it, and
// keeps it.
func (r *Repository) apply(b *book, request *Request, now time.Time) error {
	if err := request.Complete(); err != nil {
		return err
	}
	if b.targets != nil && request.targets.Signed.Version <= b.targets.Signed.Version {
		return errors.New("this request was applied before, or another has been since: make a new one")
	}
	if request.root != nil {
		b.Roots, b.root = append(b.Roots, request.file.Root), request.root
	}
	b.targets, b.Targets = request.targets, request.file.Targets
	b.list, b.Listing = request.list, []byte(request.file.Listing)
	b.Pending, b.pending = nil, nil
	for _, k := range b.list.Keys {
		if public := hex.EncodeToString(k.Public); b.Since[public].IsZero() {
			b.Since[public] = now.UTC()
		}
	}
	b.prune(nil, listing{})
	if err := b.publish(now); err != nil {
		return err
	}
	device := &trusted{Root: b.Roots[0]}
	if old := r.book.Load(); old != nil {
		device = &trusted{Root: r.Root(), Timestamp: old.Timestamp, Snapshot: old.Snapshot, Targets: old.Targets, Listing: old.Listing}
	}
	files := b.files()
	_, err := device.update(func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return data, nil
		}
		return nil, fs.ErrNotExist
	}, now)
	if err != nil {
		return fmt.Errorf("devices would refuse this change: %w", err)
	}
	return r.write(b)
}
