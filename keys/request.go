package keys

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// MaxSigning bounds a request file, in bytes.
const MaxSigning = 4 * MaxFile

const requestFormat = "tocsin signing request 1"

// A Request is a change of root or listing that waits for signatures. It is
// carried as a file to the machines of the offline keys and back, one after the
// other or to all at once, and holds no secret.
type Request struct {
	file requestFile

	current *metadata.Metadata[metadata.RootType]
	root    *metadata.Metadata[metadata.RootType]    // nil: unchanged
	targets *metadata.Metadata[metadata.TargetsType] // nil: unchanged
	list    listing
}

type requestFile struct {
	Format  string          `json:"format"`
	Why     string          `json:"why"`
	Current json.RawMessage `json:"current,omitempty"` // the root in force, for whoever signs
	Root    json.RawMessage `json:"root,omitempty"`
	Targets json.RawMessage `json:"targets,omitempty"`
	Listing string          `json:"keys,omitempty"` // to the letter: its hash is signed
}

// ParseRequest reads a request file. Who signed, and whether the change may be
// made, is judged by [Repository.Apply].
func ParseRequest(data []byte) (*Request, error) {
	fail := func(err error) (*Request, error) {
		return nil, fmt.Errorf("not a signing request of tocsin keys: %w", err)
	}
	if len(data) > MaxSigning {
		return fail(fmt.Errorf("more than %d bytes", MaxSigning))
	}
	r := &Request{}
	if err := json.Unmarshal(data, &r.file); err != nil {
		return fail(err)
	}
	if r.file.Format != requestFormat {
		return fail(fmt.Errorf("format %.40q, want %q", r.file.Format, requestFormat))
	}
	if err := r.read(); err != nil {
		return fail(err)
	}
	return r, nil
}

func (r *Request) read() (err error) {
	if len(r.file.Current) > 0 {
		if r.current, err = decode[metadata.RootType](r.file.Current); err != nil {
			return err
		}
	}
	if len(r.file.Root) > 0 {
		if r.root, err = decode[metadata.RootType](r.file.Root); err != nil {
			return err
		}
	}
	if r.root == nil && r.current == nil {
		return errors.New("it names no root")
	}
	if len(r.file.Targets) == 0 {
		return errors.New("it changes nothing")
	}
	if r.targets, err = decode[metadata.TargetsType](r.file.Targets); err != nil {
		return err
	}
	if err := r.targets.Signed.Targets[listingTarget].VerifyLengthHashes([]byte(r.file.Listing)); err != nil {
		return err
	}
	r.list, err = decodeListing([]byte(r.file.Listing))
	return err
}

// Text returns the request as a file.
func (r *Request) Text() ([]byte, error) { return json.MarshalIndent(r.file, "", "  ") }

// write brings the signatures into the file.
func (r *Request) write() error {
	if r.root != nil {
		data, err := r.root.ToBytes(false)
		if err != nil {
			return err
		}
		r.file.Root = data
	}
	data, err := r.targets.ToBytes(false)
	if err != nil {
		return err
	}
	r.file.Targets = data
	return nil
}

// next is the root after the change.
func (r *Request) next() *metadata.Metadata[metadata.RootType] {
	if r.root != nil {
		return r.root
	}
	return r.current
}

// sign adds what the key may sign and reports whether that was anything.
func (r *Request) sign(key ed25519.PrivateKey) (bool, error) {
	public := hex.EncodeToString(key.Public().(ed25519.PublicKey))
	var done bool
	if r.root != nil && (lists(r.root, metadata.ROOT, public) || r.current != nil && lists(r.current, metadata.ROOT, public)) {
		if err := sign(r.root, key); err != nil {
			return false, err
		}
		done = true
	}
	if lists(r.next(), metadata.TARGETS, public) {
		if err := sign(r.targets, key); err != nil {
			return false, err
		}
		done = true
	}
	return done, r.write()
}

func lists(root *metadata.Metadata[metadata.RootType], role, public string) bool {
	return slices.Contains(roleKeys(&root.Signed, role), public)
}

// Sign signs the request with a key of another machine. Show the person
// [Request.Lines] first.
func (r *Request) Sign(key *OfflineKey) error {
	done, err := r.sign(key.key)
	if err == nil && !done {
		err = fmt.Errorf("key %s has no say in this request: sign with one of the keys it names", key.Public().Fingerprint())
	}
	return err
}

// Complete reports whether there are signatures enough, and which are missing.
func (r *Request) Complete() error {
	if r.root != nil {
		if r.current != nil {
			if err := r.current.VerifyDelegate(metadata.ROOT, r.root); err != nil {
				return fmt.Errorf("the keys of the root in force: %s: %w", missing(r.current, metadata.ROOT, r.root.Signatures), err)
			}
		}
		if err := r.root.VerifyDelegate(metadata.ROOT, r.root); err != nil {
			return fmt.Errorf("the keys of the new root: %s: %w", missing(r.root, metadata.ROOT, r.root.Signatures), err)
		}
	}
	if err := r.next().VerifyDelegate(metadata.TARGETS, r.targets); err != nil {
		return fmt.Errorf("the keys for the list: %s: %w", missing(r.next(), metadata.TARGETS, r.targets.Signatures), err)
	}
	return nil
}

func missing(root *metadata.Metadata[metadata.RootType], role string, by []metadata.Signature) string {
	var n int
	for _, s := range by {
		if slices.Contains(root.Signed.Roles[role].KeyIDs, s.KeyID) {
			n++
		}
	}
	return fmt.Sprintf("%d of %d signatures", n, root.Signed.Roles[role].Threshold)
}

// merge takes over the signatures of a copy that was signed elsewhere.
func (r *Request) merge(copy *Request) error {
	if copy.file.Listing != r.file.Listing || (copy.root == nil) != (r.root == nil) {
		return errors.New("signed for another request: sign the one that waits here")
	}
	if r.root != nil {
		r.root.Signatures = join(r.root.Signatures, copy.root.Signatures)
	}
	r.targets.Signatures = join(r.targets.Signatures, copy.targets.Signatures)
	return r.write()
}

func join(a, b []metadata.Signature) []metadata.Signature {
	a = slices.Clone(a)
	for _, s := range b {
		i := slices.IndexFunc(a, func(t metadata.Signature) bool { return t.KeyID == s.KeyID })
		if i < 0 && len(a) < maxListed {
			a = append(a, s)
		}
	}
	return a
}

// Lines says what the request would change, for the person who signs it.
func (r *Request) Lines() []string {
	lines := []string{fmt.Sprintf("why: %.200q", r.file.Why)}
	if r.root != nil {
		role := r.root.Signed.Roles[metadata.ROOT]
		lines = append(lines, fmt.Sprintf("root version %d, until %s, %d of these keys decide:",
			r.root.Signed.Version, r.root.Signed.Expires.Format(time.DateOnly), role.Threshold))
		for _, public := range roleKeys(&r.root.Signed, metadata.ROOT) {
			word := "  "
			if r.current != nil && !lists(r.current, metadata.ROOT, public) {
				word = "+ "
			}
			lines = append(lines, word+fingerprintOf(public))
		}
		if r.current != nil {
			for _, public := range roleKeys(&r.current.Signed, metadata.ROOT) {
				if !lists(r.root, metadata.ROOT, public) {
					lines = append(lines, "- "+fingerprintOf(public))
				}
			}
		}
	}
	lines = append(lines, "the hub signs rules with:")
	for _, k := range r.list.Keys {
		lines = append(lines, fmt.Sprintf("  %s from %s to %s", k.key().ID, k.From.Format(time.DateOnly), k.Until.Format(time.DateOnly)))
	}
	return lines
}

func fingerprintOf(public string) string {
	b, err := hex.DecodeString(public)
	if err != nil {
		return public
	}
	return PublicKey(b).Fingerprint()
}
