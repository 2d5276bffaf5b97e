package takedown

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Bounds of what a case keeps, in bytes.
const (
	MaxWhy  = 2000 // of a reason or note
	MaxName = 200  // of a person, a provider, a domain, an address, an identifier of a message
)

// A Digest is the SHA-256 of a mail, recipients included: what people approve.
type Digest [sha256.Size]byte

// MarshalText encodes d in hexadecimal; the zero Digest as nothing.
func (d Digest) MarshalText() ([]byte, error) {
	if d == (Digest{}) {
		return nil, nil
	}
	return hex.AppendEncode(nil, d[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	*d = Digest{}
	if len(b) == 0 {
		return nil
	}
	if len(b) != 2*len(d) {
		return fmt.Errorf("digest of %d letters, want %d", len(b), 2*len(d))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// String returns d in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// A Mail is one report that left, about one source to one provider.
type Mail struct {
	Source    netip.Prefix `json:"source"`
	Provider  string       `json:"provider"` // who was written to: a name that stays the same, such as its domain
	To        string       `json:"to"`       // the address, or the page of the form
	MessageID string       `json:"message_id,omitempty"`
	Form      bool         `json:"form,omitempty"` // a person filled in the provider's form
	At        time.Time    `json:"at"`
	Delivered time.Time    `json:"delivered,omitzero"`
	Bounced   time.Time    `json:"bounced,omitzero"`
	Digest    Digest       `json:"digest,omitzero"`
}

// Repeats reports whether m would be one mail too many: about the same source,
// to the same provider, on the same day (UTC) as one of those sent, which are of
// all cases. What bounced was read by nobody and does not count; a form is no
// mail.
func (m Mail) Repeats(sent []Mail) bool {
	for _, s := range sent {
		if !m.Form && !s.Form && s.Bounced.IsZero() && s.Source == m.Source &&
			fold(s.Provider) == fold(m.Provider) && day(s.At) == day(m.At) {
			return true
		}
	}
	return false
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// ProviderOf returns the provider behind an address of mail: its domain, so that
// two addresses of one desk are one provider.
func ProviderOf(address string) string {
	return fold(address[strings.LastIndexByte(address, '@')+1:])
}

// check returns m as it is kept.
func (m Mail) check(source netip.Prefix, at time.Time, d Digest) (Mail, error) {
	m.Source, m.At, m.Digest = source, at, d
	m.Delivered, m.Bounced = time.Time{}, time.Time{}
	for _, s := range []string{m.Provider, m.To, m.MessageID} {
		if s != OneLine(s, MaxName) {
			return Mail{}, fmt.Errorf("%q is no line of at most %d bytes", OneLine(s, 60), MaxName)
		}
	}
	switch {
	case m.Provider == "":
		return Mail{}, errors.New("say which provider it goes to")
	case m.To == "":
		return Mail{}, errors.New("say to which address it goes")
	case !m.Form && m.MessageID == "":
		return Mail{}, errors.New("a mail has an identifier: without it no bounce can be told")
	}
	return m, nil
}
