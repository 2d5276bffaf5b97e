package takedown

import (
	"strings"
	"time"
)

// An ID names a case for ever. It is short enough for the subject of a mail and
// to be told on the telephone, as TC-20231014-7F3K2Q9M.
type ID string

const (
	// letters are Crockford's: none is mistaken for another.
	letters   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	idPrefix  = "TC-"
	idLength  = len("TC-20060102-00000000")
	idLetters = 8
)

// NewID makes the ID of a case opened at, from 40 random bits: a stranger must
// not guess which cases there are.
func NewID(at time.Time, random [5]byte) ID {
	var n uint64
	for _, b := range random {
		n = n<<8 | uint64(b)
	}
	var word [idLetters]byte
	for i := range word {
		word[i] = letters[n>>(5*(idLetters-1-i))&31]
	}
	return ID(idPrefix + at.UTC().Format("20060102") + "-" + string(word[:]))
}

// Valid reports whether id is written as [NewID] does.
func (id ID) Valid() bool {
	s := string(id)
	if len(s) != idLength || !strings.HasPrefix(s, idPrefix) || s[11] != '-' {
		return false
	}
	if _, err := time.Parse("20060102", s[3:11]); err != nil {
		return false
	}
	return strings.Trim(s[12:], letters) == ""
}

// FindID returns the first ID in text, such as the subject of an answer. It
// proves nothing about who wrote the text.
func FindID(text string) (ID, bool) {
	text = text[:min(len(text), 1<<12)]
	for {
		i := strings.Index(text, idPrefix)
		if i < 0 || len(text) < i+idLength {
			return "", false
		}
		if id := ID(text[i : i+idLength]); id.Valid() {
			return id, true
		}
		text = text[i+len(idPrefix):]
	}
}
