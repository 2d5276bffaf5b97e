package api

import (
	"context"

	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

const (
	maxRootKeys = 16  // offline keys named at once
	maxKeyText  = 128 // bytes of a public key as text
	maxRequests = 16  // signed requests handed in at once
)

// A KeyStatus is how the hub's keys are, and what waits for signatures.
type KeyStatus struct {
	keys.Status
	Request []byte `json:"request,omitempty"` // the file to carry to the machines of the offline keys
}

// A KeyDeed is what is to be done with the hub's keys.
type KeyDeed string

// The deeds travel: never rename.
const (
	RotateKey   KeyDeed = "rotate"  // list the next signing key
	RevokeKey   KeyDeed = "revoke"  // list one no longer: it was stolen
	RecoverKeys KeyDeed = "recover" // replace every key that lay on the hub
	MoveRoot    KeyDeed = "root"    // have keys of other machines decide
	ApplyKeys   KeyDeed = "apply"   // make the change that was signed elsewhere
)

// A KeyChange changes the hub's keys. Where keys of other machines decide it only
// makes the request that they must sign, but for [ApplyKeys].
type KeyChange struct {
	Do        KeyDeed       `json:"do"`
	Key       ruleset.KeyID `json:"key,omitzero"`        // that was stolen
	Root      []string      `json:"root,omitempty"`      // public keys, as [keys.PublicKey.Text] writes them
	Threshold int           `json:"threshold,omitempty"` // how many of them must sign
	Signed    [][]byte      `json:"signed,omitempty"`    // the request, as it came back
}

// A Keykeeper is the hub's signing keys and who decides about them.
type Keykeeper interface {
	// Keys tells how the keys are.
	Keys(ctx context.Context) (KeyStatus, error)
	// ChangeKeys makes the change, or the request that has to be signed for it.
	ChangeKeys(ctx context.Context, c KeyChange, by string) (KeyStatus, error)
}

// Keys asks how the hub's keys are.
func (c *Client) Keys(ctx context.Context) (s KeyStatus, err error) {
	return s, c.get(ctx, "/v1/keys", &s)
}

// ChangeKeys changes the hub's keys. If the answer has a request, it has to be
// signed before anything changes.
func (c *Client) ChangeKeys(ctx context.Context, change KeyChange) (s KeyStatus, err error) {
	return s, c.post(ctx, "/v1/keys", change, &s)
}

func (a *API) keyStatus(c *call) (any, error) {
	return result(a.Keys.Keys(c.r.Context()))
}

func (a *API) changeKeys(c *call) (any, error) {
	var change KeyChange
	if err := fromPerson(c.w, c.r, &change); err != nil {
		return nil, err
	}
	c.did = "keys: " + cut(string(change.Do))
	if err := change.check(); err != nil {
		return nil, err
	}
	return result(a.Keys.ChangeKeys(c.r.Context(), change, c.by))
}

// check refuses what a deed does not need: it would be meant otherwise.
func (k KeyChange) check() error {
	switch k.Do {
	case RotateKey, RevokeKey, RecoverKeys, MoveRoot, ApplyKeys:
	default:
		return badRequest("do: want rotate, revoke, recover, root or apply")
	}
	if (k.Do == RevokeKey) != (k.Key != ruleset.KeyID{}) {
		return badRequest("key: want the ID of the stolen key with revoke, and nothing otherwise")
	}
	if (k.Do == MoveRoot) != (len(k.Root) > 0) || len(k.Root) > maxRootKeys || (k.Do != MoveRoot) != (k.Threshold == 0) {
		return badRequest("root: want 1 to %d public keys and a threshold with root, and nothing otherwise", maxRootKeys)
	}
	for _, text := range k.Root {
		if _, err := keys.ParsePublicKey(text); len(text) > maxKeyText || err != nil {
			return badRequest("root: want public keys as tocsin keys offline new prints them")
		}
	}
	if k.Threshold < 0 || k.Threshold > len(k.Root) {
		return badRequest("threshold: want 1 to as many keys as root names")
	}
	if (k.Do == ApplyKeys) != (len(k.Signed) > 0) || len(k.Signed) > maxRequests {
		return badRequest("signed: want 1 to %d signed requests with apply, and nothing otherwise", maxRequests)
	}
	return nil
}
