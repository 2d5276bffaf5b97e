package keys

import (
	"fmt"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/tocsin-io/tocsin/ruleset"
)

// A Due says how urgently a person is to renew keys. Level grows by one each
// week, so that it can be told ever louder.
type Due struct {
	Level    int       `json:"level"` // 0 nothing to do; 1 to 7 weeks of asking; 8 it is too late
	Until    time.Time `json:"until"` // when something ends
	Sentence string    `json:"sentence,omitempty"`
}

// Levels of a [Due].
const (
	DueNothing = 0
	DueLast    = 7 // the last days
	DueOver    = 8 // devices accept no new rules
)

// Due returns what ends first at now, and what to do about it.
func (r *Repository) Due(now time.Time) Due {
	b := r.book.Load()
	what, until := "the hub's signing key", b.list.newest(now).Until
	if b.root.Signed.Expires.Before(until) {
		what, until = "the hub's root", b.root.Signed.Expires
	}
	d := Due{Level: dueLevel(until.Sub(now)), Until: until}
	do := "tocsin keys rotate"
	if !b.alone() {
		do += ", then sign the request with " + fmt.Sprint(b.root.Signed.Roles[metadata.ROOT].Threshold) + " of the offline keys, then tocsin keys apply"
	}
	switch {
	case d.Level == DueOver:
		d.Sentence = fmt.Sprintf("%s ended %s: devices accept no new rules: %s", what, until.UTC().Format(time.DateOnly), do)
	case d.Level > DueNothing:
		d.Sentence = fmt.Sprintf("%s ends %s, then devices accept no new rules: %s", what, until.UTC().Format(time.DateOnly), do)
	}
	return d
}

// dueLevel counts the weeks since the asking began.
func dueLevel(left time.Duration) int {
	asking := OnlineLife - onlineRenew
	switch {
	case left <= 0:
		return DueOver
	case left > asking:
		return DueNothing
	}
	return min(1+int((asking-left)/(7*24*time.Hour)), DueLast)
}

// A Status is what a person sees of a repository.
type Status struct {
	Root struct {
		Version   int64     `json:"version"`
		Until     time.Time `json:"until"`
		Keys      []string  `json:"keys"` // fingerprints
		Threshold int       `json:"threshold"`
		OnHub     bool      `json:"on_hub"`
	} `json:"root"`
	Signing []SigningKey              `json:"signing"` // oldest first
	Limits  map[string]ruleset.Limits `json:"limits,omitempty"`
	Until   time.Time                 `json:"until"` // of what devices fetch; renewed each day
	Pending []string                  `json:"pending,omitempty"`
	Due     Due                       `json:"due"`
	Warning string                    `json:"warning,omitempty"`
}

// A SigningKey is an online key as a person sees it.
type SigningKey struct {
	ID    ruleset.KeyID `json:"id"`
	From  time.Time     `json:"from"`
	Until time.Time     `json:"until"`
	Signs bool          `json:"signs"` // new frames, at present
}

// OnHub is what the default does not protect, in a sentence.
const OnHub = "the root key lies on the hub: whoever reads its folder can sign for it for ever, and every device must enrol again then; tocsin keys offline moves it to other machines"

// Status returns what to show at now.
func (r *Repository) Status(now time.Time) Status {
	b := r.book.Load()
	s := Status{Limits: b.list.Limits, Until: b.timestamp.Signed.Expires, Due: r.Due(now)}
	role := b.root.Signed.Roles[metadata.ROOT]
	s.Root.Version, s.Root.Until, s.Root.Threshold, s.Root.OnHub = b.root.Signed.Version, b.root.Signed.Expires, role.Threshold, b.alone()
	for _, p := range roleKeys(&b.root.Signed, metadata.ROOT) {
		s.Root.Keys = append(s.Root.Keys, fingerprintOf(p))
	}
	signer, err := r.Signer(now)
	for _, k := range b.byAge() {
		id := k.key().ID
		s.Signing = append(s.Signing, SigningKey{ID: id, From: k.From, Until: k.Until, Signs: err == nil && signer.ID() == id})
	}
	if b.pending != nil {
		s.Pending = b.pending.Lines()
	}
	if s.Root.OnHub {
		s.Warning = OnHub
	}
	return s
}
