package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/tocsin-io/tocsin/internal/accounts"
)

// MinPassword is how many characters a password has at least. There are no rules
// on which: they make people choose what is guessed first (NIST SP 800-63B).
const MinPassword = 12

const (
	maxPassword = 1024 // bytes
	maxName     = 64   // bytes
)

// An UnfitError says why a name or a password cannot be taken.
type UnfitError struct{ Why string }

func (e *UnfitError) Error() string { return e.Why }

// Name returns a name as it is stored, or why it cannot be one: one that is typed
// otherwise, by letters that mean the same, must not be another user.
func Name(text string) (string, error) {
	if len(text) > 4*maxName { // strangers send them
		text = ""
	}
	name := norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(text)))) // small letters compose with more marks
	if name == "" || len(name) > maxName || !utf8.ValidString(name) {
		return "", &UnfitError{fmt.Sprintf("name: want 1 to %d letters and digits", maxName)}
	}
	for i, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && (i == 0 || !strings.ContainsRune(".-_@", r)) {
			return "", &UnfitError{"name: want letters, digits and . - _ @, a letter or digit first"}
		}
	}
	return name, nil
}

// common are the words that passwords are made of which everybody tries, besides
// the names of accounts.
var common = []string{
	"password", "passwort", "motdepasse", "passw0rd", "p@ssword", "p@ssw0rd", "tocsin", "welcome", "bienvenue", "letmein", "changeme",
	"qwerty", "azerty", "qwertz", "iloveyou", "monkey", "dragon", "secret", "master", "login", "raspberry", "console", "toor",
}

// rows are what fingers walk along.
var rows = []string{"qwertyuiopasdfghjklzxcvbnm", "azertyuiopqsdfghjklmwxcvbn", "abcdefghijklmnopqrstuvwxyz", strings.Repeat("1234567890", 8)}

// fit returns why a password of that user cannot be taken, or nil.
func fit(name, password string) error {
	if utf8.RuneCountInString(password) < MinPassword {
		return &UnfitError{fmt.Sprintf("password: want at least %d characters: a few words that do not belong together are good", MinPassword)}
	}
	if len(password) > maxPassword {
		return &UnfitError{fmt.Sprintf("password: want at most %d bytes", maxPassword)}
	}
	folded := strings.ToLower(norm.NFKC.String(password))
	distinct := map[rune]bool{}
	for _, r := range folded {
		distinct[r] = true
	}
	if len(distinct) < 4 {
		return &UnfitError{"password: it repeats itself: want more than three different characters"}
	}
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, words := range [][]string{{name}, common, accounts.Public()} {
		for _, w := range words {
			if folded == w || core != "" && strings.ReplaceAll(core, w, "") == "" {
				return &UnfitError{"password: it is a name or a word that everybody tries first: take another"}
			}
		}
	}
	for _, row := range rows {
		if strings.Contains(row, folded) || strings.Contains(reversed(row), folded) || core != "" && len(core) >= 8 && strings.Contains(row, core) {
			return &UnfitError{"password: everybody tries keys in a row: take another"}
		}
	}
	return nil
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// What a hash costs: OWASP's second choice, which a small box affords.
const (
	hashMemory  = 19 * 1024 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSize    = 32
	saltSize    = 16
)

var phc = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, hashMemory, hashTime, hashThreads)

// A hasher hashes few passwords at once, so that nobody who asks often takes the
// memory of the hub. The zero value is not good: see newHasher.
type hasher struct {
	turns   chan struct{}
	waiting atomic.Int32
}

// maxWaiting is how many wait for their turn: some seconds' worth.
const maxWaiting = 32

func newHasher(atOnce int) *hasher { return &hasher{turns: make(chan struct{}, atOnce)} }

// do runs f in its turn, or returns a [*WaitError].
func (h *hasher) do(ctx context.Context, f func()) error {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return &WaitError{For: 2 * time.Second, Why: "too many people sign in at this moment"}
	}
	defer h.waiting.Add(-1)
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.turns }()
	f()
	return nil
}

// hash returns what is stored of a password.
func (h *hasher) hash(ctx context.Context, password string) (text string, err error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	err = h.do(ctx, func() {
		text = phc + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(derive(password, salt))
	})
	return text, err
}

func derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(norm.NFKC.String(password)), salt, hashTime, hashMemory, hashThreads, hashSize)
}

// nobody is what a password is compared with if there is no such user: it takes
// as long, and never fits.
var nobody = phc + base64.RawStdEncoding.EncodeToString(make([]byte, saltSize)) + "$"

// verify reports whether a password is the one that was hashed; "" is none.
func (h *hasher) verify(ctx context.Context, password, stored string) (good bool, err error) {
	if stored == "" {
		stored = nobody
	}
	salt, want, err := parseHash(stored)
	if err != nil {
		return false, err
	}
	err = h.do(ctx, func() {
		good = subtle.ConstantTimeCompare(derive(password, salt), want) == 1
	})
	return good && err == nil, err
}

// parseHash reads a stored hash. All that this program ever wrote have the same
// cost; another one is for whoever raises it to read, too.
func parseHash(stored string) (salt, sum []byte, err error) {
	rest, ok := strings.CutPrefix(stored, phc)
	s, h, found := strings.Cut(rest, "$")
	if !ok || !found {
		return nil, nil, errors.New("the stored password is of a kind that this program does not know: reset it with tocsin users reset")
	}
	if salt, err = base64.RawStdEncoding.DecodeString(s); err != nil {
		return nil, nil, err
	}
	sum, err = base64.RawStdEncoding.DecodeString(h)
	return salt, sum, err
}
