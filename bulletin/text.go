// Package bulletin writes what people are told after an attack: the letter to
// each owner (attacked? entered? what to do now) and the public bulletin, in
// English and French, as plain text and as Markdown. It is pure: the same facts
// give the same text.
//
// The public bulletin is written from sums alone, and from nothing that names a
// device, an owner or an address. A [Text] is not sent by this package, and
// whoever sends one asks [Text.Ready] first: a person approves every text, and
// what was changed since is not approved.
package bulletin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/compromise"
)

// A Language is one that texts are written in, by its two letters.
type Language string

// The languages there are.
const (
	English Language = "en"
	French  Language = "fr"
)

// Languages returns every language there is.
func Languages() []Language { return []Language{English, French} }

// Kind says whom a text is for.
type Kind string

// What is written.
const (
	Notice Kind = "notice"   // to one owner, about that owner's devices
	Public Kind = "bulletin" // to everybody
)

// A Text is ready to be read, and not to be sent before a person approved it.
type Text struct {
	Kind     Kind      `json:"kind"`
	Language Language  `json:"language"`
	To       string    `json:"to,omitempty"` // the owner it is for; "" is everybody
	Subject  string    `json:"subject"`      // one line
	Plain    string    `json:"plain"`
	Markdown string    `json:"markdown"`
	Approval *Approval `json:"approval,omitempty"`
}

// An Approval is a person's word that exactly this text may be sent.
type Approval struct {
	By     string            `json:"by"`
	At     time.Time         `json:"at"`
	Digest compromise.Digest `json:"digest"` // of the text approved
}

// Why a text must not be sent; callers tell them apart with errors.Is.
var (
	ErrNotApproved = errors.New("nobody approved it: have a person read and approve it")
	ErrChanged     = errors.New("it was changed after it was approved: have it approved again")
)

// Digest returns the SHA-256 of all of t that a reader sees, and whom it is for.
func (t Text) Digest() compromise.Digest {
	h := sha256.New()
	for _, s := range []string{string(t.Kind), string(t.Language), t.To, t.Subject, t.Plain, t.Markdown} {
		fmt.Fprintf(h, "%d:%s", len(s), s) // a hash takes everything
	}
	return compromise.Digest(h.Sum(nil))
}

// Approve notes that a person approves t as it stands.
func (t *Text) Approve(by string, at time.Time) error {
	if strings.TrimSpace(by) == "" {
		return errors.New("approve a text: nobody is named: say who approves it")
	}
	t.Approval = &Approval{By: by, At: at, Digest: t.Digest()}
	return nil
}

// Ready returns nil if t may be sent, [ErrNotApproved] or [ErrChanged].
func (t Text) Ready() error {
	switch {
	case t.Approval == nil || strings.TrimSpace(t.Approval.By) == "":
		return fmt.Errorf("%s %q: %w", t.Kind, t.Subject, ErrNotApproved)
	case t.Approval.Digest != t.Digest():
		return fmt.Errorf("%s %q: %w", t.Kind, t.Subject, ErrChanged)
	}
	return nil
}

func phrasesOf(l Language) (*phrases, error) {
	switch l {
	case English:
		return &english, nil
	case French:
		return &french, nil
	}
	var have []string
	for _, l := range slices.Sorted(slices.Values(Languages())) {
		have = append(have, string(l))
	}
	return nil, fmt.Errorf("language %q: not one of %s", l, strings.Join(have, ", "))
}
