package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin/store"
)

const (
	knownValue = "console-browsers" // name of the key in the store
	knownTries = 10                 // wrong passwords that a browser has at once
	knownEvery = time.Minute        // and one more each
	maxKnown   = 4096               // browsers whose tries are counted
)

// A known is what is known of browsers that somebody signed in with before: they
// hold a mark, and do not wait for what strangers do from the same address.
type known struct {
	key    []byte
	hasher *hasher // so that a crowd of strangers does not take their turn

	mu    sync.Mutex // guards tries
	tries map[string]tries
}

type tries struct {
	n  float64 // wrong ones that still count
	at time.Time
}

func newKnown(ctx context.Context, values store.Values) (*known, error) {
	fresh := make([]byte, sha256.Size)
	_, _ = rand.Read(fresh) // never fails
	key, err := values.PutNew(ctx, knownValue, fresh)
	return &known{key: key, hasher: newHasher(1), tries: map[string]tries{}}, err
}

const nonceSize = 16

// mark makes a new mark for a browser of a user.
func (k *known) mark(name string) string {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(append(nonce, k.sum(name, nonce)...))
}

func (k *known) sum(name string, nonce []byte) []byte {
	m := hmac.New(sha256.New, k.key)
	m.Write([]byte("tocsin browser\x00"))
	m.Write(nonce)
	m.Write([]byte(name))
	return m.Sum(nil)
}

// browser returns which browser it is, or "" for a stranger, and for one that
// guessed too often.
func (k *known) browser(name, mark string, now time.Time) string {
	if len(mark) != base64.RawURLEncoding.EncodedLen(nonceSize+sha256.Size) || name == "" {
		return ""
	}
	b, err := base64.RawURLEncoding.DecodeString(mark)
	if err != nil || !hmac.Equal(b[nonceSize:], k.sum(name, b[:nonceSize])) {
		return ""
	}
	key := string(b[:nonceSize])
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left(key, now) < 1 {
		return ""
	}
	return key
}

func (k *known) left(key string, now time.Time) float64 {
	t := k.tries[key]
	return min(knownTries, knownTries-t.n+max(0, now.Sub(t.at).Seconds())/knownEvery.Seconds())
}

// failed counts a wrong password.
func (k *known) failed(key string, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := knownTries - k.left(key, now) + 1
	for other := range k.tries {
		if len(k.tries) < maxKnown {
			break
		}
		delete(k.tries, other)
	}
	k.tries[key] = tries{n, now}
}
