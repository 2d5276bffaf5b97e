package api

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"

	"github.com/tocsin-io/tocsin"
)

// passesWish asks for one-time passes.
type passesWish struct {
	Owner tocsin.OwnerID `json:"owner"`
}

// A code is 80 random bits in Crockford's alphabet, which has no letter that a
// tired person takes for a digit. So many cannot be guessed at any rate, and
// their hashes need no salt.
const (
	passAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	passLetters  = 16
	passGroup    = 4
)

// newPass returns a code such as "7Q2M-0K9D-XXTA-4H1C".
func newPass() string {
	random := make([]byte, passLetters)
	rand.Read(random)
	var b strings.Builder
	for i, r := range random {
		if i > 0 && i%passGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passAlphabet[r%32])
	}
	return b.String()
}

// HashPass returns what is stored of a one-time pass, however it was typed; false
// says that it cannot be one.
func HashPass(typed string) ([32]byte, bool) {
	var code []byte
	for _, r := range strings.ToUpper(typed) {
		switch r {
		case ' ', '-', '\t', '\u00a0', '\u2011', '\u2013':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if len(code) == passLetters || !strings.ContainsRune(passAlphabet, r) {
			return [32]byte{}, false
		}
		code = append(code, byte(r))
	}
	return sha256.Sum256(append([]byte("tocsin pass\x00"), code...)), len(code) == passLetters
}
