// Package ledger is the log of what operators did: each entry carries the hash of
// itself and of the one before, so that whoever changes, removes or reorders
// entries breaks the chain there, and [Verify] tells where. It is pure: it keeps
// nothing and reads no clock.
//
// It does not protect against somebody who may write all of the database: such a
// person can make the whole chain anew, or cut off its end. Either shows only
// beside a head that was noted somewhere else before. Nor does it tell whether
// what was written down is true: an entry is the word of the hub at that time.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// A Hash is what an entry is chained by. The zero Hash comes before the first.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads a hash as [Hash.String] writes it.
func ParseHash(text string) (h Hash, err error) {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%.80q is not a hash: want %d hexadecimal digits", text, 2*len(h))
	}
	return Hash(b), nil
}

// The ways by which somebody asks.
const (
	Console = "console" // signed in with a password
	Token   = "token"   // with an API token
	Socket  = "socket"  // as a user of the hub's machine
	Hub     = "hub"     // the hub itself
)

// MaxText bounds each text of an entry, in bytes: callers choose some of them.
const MaxText = 1 << 10

// An Entry is one thing that somebody did, or tried to.
type Entry struct {
	Serial  uint64    // from 1, without a gap
	At      time.Time // by the hub's clock
	By      string    // who, as far as the hub knows
	How     string    // Console, Token, Socket, Hub
	From    netip.Addr
	Did     string // in words
	Path    string // method and path of the request
	Outcome string // "done", or "refused: " and why
	Hash    Hash   // of all above and of the entry before
}

// kind begins what is hashed: no other bytes of this program begin so.
const kind = "tocsin ledger entry 1\x00"

// Link returns e as it follows an entry of that serial and hash: numbered and
// hashed, its texts cut to [MaxText], its time what an encoding can hold.
func Link(serial uint64, before Hash, e Entry) Entry {
	e.Serial = serial + 1
	e.At = time.Unix(0, e.At.UnixNano()).UTC()
	e.From = e.From.Unmap().WithZone("")
	for _, text := range e.texts() {
		*text = trim(*text)
	}
	e.Hash = e.sum(before)
	return e
}

func (e *Entry) texts() []*string { return []*string{&e.By, &e.How, &e.Did, &e.Path, &e.Outcome} }

// trim cuts a text at the end of a rune.
func trim(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= MaxText {
		return s
	}
	n := MaxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// sum returns the hash of e behind the entry before.
func (e Entry) sum(before Hash) Hash {
	b := append([]byte(kind), before[:]...)
	return sha256.Sum256(append(b, e.Encode()...))
}

// Encode returns all of e but its hash, in the only way that there is: serial and
// time as 8 bytes each, then each text behind its length.
func (e Entry) Encode() []byte {
	b := make([]byte, 0, 256)
	b = binary.BigEndian.AppendUint64(b, e.Serial)
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	from := ""
	if e.From.IsValid() {
		from = e.From.String()
	}
	for _, text := range []string{e.By, e.How, from, e.Did, e.Path, e.Outcome} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}

// errNotWhole says that bytes are no entry.
var errNotWhole = errors.New("not an entry of the log")

// Decode reads what [Entry.Encode] wrote, and nothing else; the hash is the
// caller's to add.
func Decode(b []byte) (e Entry, err error) {
	if len(b) < 16 {
		return e, errNotWhole
	}
	all := b
	e.Serial = binary.BigEndian.Uint64(b)
	e.At = time.Unix(0, int64(binary.BigEndian.Uint64(b[8:]))).UTC()
	b = b[16:]
	var from string
	for _, text := range []*string{&e.By, &e.How, &from, &e.Did, &e.Path, &e.Outcome} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > math.MaxInt32 || int(n) > len(b)-size {
			return Entry{}, errNotWhole
		}
		*text, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	if from != "" {
		if e.From, err = netip.ParseAddr(from); err != nil {
			return Entry{}, errNotWhole
		}
	}
	if string(e.Encode()) != string(all) {
		return Entry{}, errNotWhole
	}
	return e, nil
}

// A Report is what [Verify] found.
type Report struct {
	Entries uint64 // that were read
	Broken  uint64 // serial of the first that does not follow from the one before; 0 is none
	Why     string // it does not
	Head    Hash   // of the newest entry, as far as the chain holds
	At      time.Time
	Noted   uint64 // serial of the entry whose hash was noted; 0 is none
}

// Good reports whether the chain holds from its first entry to its last.
func (r Report) Good() bool { return r.Broken == 0 }

// Verify reads a log from its first entry and tells the first that breaks the
// chain; what follows cannot be trusted and is not read. Noted is a head that was
// written down at some time: one that is no longer in the log shows that its end
// was cut off, or all of it made anew. The zero Hash is none.
func Verify(entries iter.Seq2[Entry, error], noted Hash) (Report, error) {
	var r Report
	for e, err := range entries {
		if err != nil {
			return r, err
		}
		switch want := r.Entries + 1; {
		case e.Serial != want && e.Serial > r.Entries:
			r.Broken, r.Why = want, fmt.Sprintf("entry %d is missing: %d follows %d", want, e.Serial, r.Entries)
		case e.Serial != want:
			r.Broken, r.Why = e.Serial, fmt.Sprintf("entry %d follows %d", e.Serial, r.Entries)
		case e.sum(r.Head) != e.Hash:
			r.Broken, r.Why = want, fmt.Sprintf("entry %d was changed, or the one before it was", want)
		}
		if r.Broken != 0 {
			return r, nil
		}
		r.Entries, r.Head, r.At = e.Serial, e.Hash, e.At
		if e.Hash == noted {
			r.Noted = e.Serial
		}
	}
	return r, nil
}
