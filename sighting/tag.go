package sighting

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// A tagger turns account names into tags.
type tagger struct {
	mac  keyed
	seen map[string]tocsin.AccountTag
}

// keyed is what a tagger needs of an HMAC.
type keyed interface {
	Reset()
	Write(b []byte) (int, error)
	Sum(b []byte) []byte
}

// maxSeen bounds the tags kept: attackers invent names, but mostly repeat them.
const maxSeen = 512

// Keyed tags start with a sign that no public name has, and keep 96 bits of the
// hash: enough that no two names of one owner share a tag.
const (
	keyedSign  = "#"
	keyedBytes = 12
)

func newTagger(key []byte) tagger {
	return tagger{mac: hmac.New(sha256.New, key), seen: map[string]tocsin.AccountTag{}}
}

// Tag returns the tag of an account name under the owner's key: the name itself
// if everybody knows it, otherwise a keyed hash. The case of ASCII letters does
// not matter.
func Tag(key []byte, name string) tocsin.AccountTag {
	t := newTagger(key)
	return t.tag(name)
}

func (t *tagger) tag(name string) tocsin.AccountTag {
	if tag, ok := t.seen[name]; ok {
		return tag
	}
	tag := t.make(accounts.Fold(name))
	if len(t.seen) >= maxSeen {
		clear(t.seen)
	}
	t.seen[strings.Clone(name)] = tag
	return tag
}

func (t *tagger) make(name string) tocsin.AccountTag {
	if accounts.IsPublic(name) {
		return tocsin.AccountTag(name)
	}
	t.mac.Reset()
	// A word of its own keeps these hashes apart from whatever else the key is
	// used for. Writing to a hash never fails.
	t.mac.Write([]byte("tocsin account\x00"))
	t.mac.Write([]byte(name))
	var sum [sha256.Size]byte
	return tocsin.AccountTag(keyedSign + base64.RawURLEncoding.EncodeToString(t.mac.Sum(sum[:0])[:keyedBytes]))
}
