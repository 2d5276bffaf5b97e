package takedown

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/addrspace"
)

const (
	// System acts where nobody does. It approves nothing.
	System = "tocsin"

	// MaxHistory bounds the entries of a case; the last hundred are kept for
	// acts that move it on.
	MaxHistory = 1000

	keptForActs = 100

	maxReasons = 20
)

// Errors that a caller tells apart.
var (
	ErrState     = errors.New("not in this state")
	ErrApproval  = errors.New("not approved")
	ErrTooEarly  = errors.New("too early")
	ErrRepeat    = errors.New("one mail a day to one provider about one source")
	ErrNotProven = errors.New("not enough evidence")
)

// An Opening is what a case is about. It never changes.
type Opening struct {
	ID       ID                `json:"id"`
	Kind     Kind              `json:"kind"`
	Source   netip.Prefix      `json:"source"`         // one public address; of IPv6 also the /64 of one customer
	Port     uint16            `json:"port,omitempty"` // of a controller: where it listens
	Protocol uint8             `json:"protocol,omitempty"`
	Domain   string            `json:"domain,omitempty"` // if one is involved
	Campaign tocsin.CampaignID `json:"campaign,omitempty"`
	Reasons  []tocsin.Reason   `json:"reasons,omitempty"`
}

// An Entry is one act in the history of a case. Which of the lower fields are
// set depends on the act.
type Entry struct {
	At        time.Time `json:"at"`
	By        string    `json:"by"` // a person, whom the caller knows for sure, or [System]
	Act       Act       `json:"act"`
	Why       string    `json:"why,omitempty"`
	Opening   *Opening  `json:"opening,omitempty"`    // of Begin
	Digest    Digest    `json:"digest,omitzero"`      // of Approve and Send: the mail
	People    int       `json:"people,omitempty"`     // of Approve: how many may approve, the one who does included
	Mail      *Mail     `json:"mail,omitempty"`       // of Send
	MessageID string    `json:"message_id,omitempty"` // of Deliver and Bounce: which mail
	Step      Step      `json:"step,omitzero"`        // of Escalate
	Proof     *Proof    `json:"proof,omitempty"`      // of VerifyDown
	Seen      time.Time `json:"seen,omitzero"`        // of Reopen: when there was contact
}

// An Approval is one person's word for one mail.
type Approval struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// A Case is a takedown under way: the fold of its History, never changed in
// place.
type Case struct {
	Opening
	State        State      `json:"state"`
	Opened       time.Time  `json:"opened"`
	Round        time.Time  `json:"round"`               // when it was opened, or last reopened
	Text         Digest     `json:"text,omitzero"`       // the mail that is being approved
	Approvals    []Approval `json:"approvals,omitempty"` // of that mail
	Ready        bool       `json:"ready,omitempty"`     // they suffice: it may be sent
	Sent         time.Time  `json:"sent,omitzero"`       // the first mail of this round: the clock counts from here
	Bounced      time.Time  `json:"bounced,omitzero"`    // since when no mail of this round has arrived
	Acknowledged time.Time  `json:"acknowledged,omitzero"`
	Acted        time.Time  `json:"acted,omitzero"`
	Down         time.Time  `json:"down,omitzero"` // when that was verified
	Closed       time.Time  `json:"closed,omitzero"`
	Mails        []Mail     `json:"mails,omitempty"` // of all rounds
	Steps        []Step     `json:"steps,omitempty"` // of the clock, done in this round
	History      []Entry    `json:"history"`
}

// Open begins a case as a draft.
func Open(o Opening, by, why string, at time.Time) (Case, error) {
	return Case{}.Apply(Entry{At: at, By: by, Act: Begin, Why: why, Opening: &o})
}

// Replay returns the case that history tells, or which entry cannot be.
func Replay(history []Entry) (Case, error) {
	var c Case
	if len(history) == 0 {
		return c, errors.New("a case has at least the entry that opened it")
	}
	kept := make([]Entry, 0, len(history)) // ours alone: appended to in place
	for i, e := range history {
		next, e, err := c.step(e)
		if err != nil {
			return Case{}, fmt.Errorf("entry %d: %w", i, err)
		}
		kept = append(kept, e)
		c, c.History = next, kept
	}
	return c, nil
}

// UnmarshalJSON replays the history, and believes nothing else of what is
// written.
func (c *Case) UnmarshalJSON(b []byte) error {
	var stored struct {
		History []Entry `json:"history"`
	}
	if err := json.Unmarshal(b, &stored); err != nil {
		return err
	}
	replayed, err := Replay(stored.History)
	if err != nil {
		return err
	}
	*c = replayed
	return nil
}

// Apply returns the case after e. On error c stays what it was; the errors of
// this package say why.
func (c Case) Apply(e Entry) (Case, error) {
	next, e, err := c.step(e)
	if err != nil {
		return c, err
	}
	next.History = append(slices.Clip(c.History), e)
	return next, nil
}

// step returns the case after e, but for its history, and e as it is kept.
func (c Case) step(e Entry) (Case, Entry, error) {
	next := c
	next.Approvals, next.Mails, next.Steps = slices.Clone(c.Approvals), slices.Clone(c.Mails), slices.Clone(c.Steps)
	e, err := next.tidy(e)
	if err == nil {
		err = next.take(&e)
	}
	if err != nil {
		return c, e, fmt.Errorf("%s case %s: %w", e.Act, c.ID, err)
	}
	return next, e, nil
}

// tidy returns e as it is kept: in UTC, on one line, its pointers its own.
func (c *Case) tidy(e Entry) (Entry, error) {
	e.At, e.Seen = e.At.UTC().Round(0), e.Seen.UTC().Round(0)
	e.By, e.Why = OneLine(e.By, MaxName), OneLine(e.Why, MaxWhy)
	e.keepOwn()
	n := len(c.History)
	switch {
	case e.By == "":
		return e, errors.New("say who")
	case e.At.IsZero() || e.At.Year() < 1970 || e.At.Year() > 9999:
		return e, errors.New("say when")
	case n > 0 && e.At.Before(c.History[n-1].At):
		return e, fmt.Errorf("%s is before the last entry, %s: check the clock", stamp(e.At), stamp(c.History[n-1].At))
	case n >= MaxHistory || n >= MaxHistory-keptForActs && (e.Act == Note || e.Act == Approve):
		return e, fmt.Errorf("%d entries are enough: close the case", n)
	case (n == 0) != (e.Act == Begin):
		return e, fmt.Errorf("%w: a case is opened once", ErrState)
	}
	return e, nil
}

// keepOwn drops what another act would need, so that nothing unread is kept.
func (e *Entry) keepOwn() {
	own := Entry{At: e.At, By: e.By, Act: e.Act, Why: e.Why}
	switch e.Act {
	case Begin:
		own.Opening = e.Opening
	case Approve:
		own.Digest, own.People = e.Digest, e.People
	case Send:
		own.Digest, own.Mail = e.Digest, e.Mail
	case Deliver, Bounce:
		own.MessageID = e.MessageID
	case VerifyDown:
		own.Proof = e.Proof
	case Reopen:
		own.Seen = e.Seen
	case Escalate:
		own.Step = e.Step
	}
	*e = own
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// check returns o as it is kept.
func (o Opening) check() (Opening, error) {
	o.Source = netip.PrefixFrom(o.Source.Addr().Unmap(), o.Source.Bits()).Masked()
	if a := o.Source.Addr(); a.Is4() && o.Source.Bits() != 32 || a.Is6() && o.Source.Bits() < 64 || !o.Source.IsValid() {
		return o, fmt.Errorf("%s is not one source: an address, or a /64 of IPv6", o.Source)
	}
	if !Public(o.Source.Addr()) {
		return o, fmt.Errorf("%s belongs to no provider", o.Source)
	}
	if !o.ID.Valid() {
		return o, fmt.Errorf("%q is no identifier of a case", OneLine(string(o.ID), 40))
	}
	if wordOf(kindWords[:], int(o.Kind)) == "invalid" {
		return o, errors.New("say what kind of case it is")
	}
	o.Domain, o.Campaign = OneLine(o.Domain, MaxName), tocsin.CampaignID(OneLine(string(o.Campaign), MaxName))
	o.Reasons = slices.Clone(o.Reasons[:min(len(o.Reasons), maxReasons)])
	for i, r := range o.Reasons {
		o.Reasons[i] = tocsin.Reason(OneLine(string(r), MaxWhy))
	}
	return o, nil
}

// Public reports whether a provider can be asked about a.
func Public(a netip.Addr) bool { return addrspace.Public(a) && a.Unmap().Zone() == "" }

// Covers reports whether what o would open is this case already: repeats go into
// the same case.
func (c Case) Covers(o Opening) bool {
	return c.Source == o.Source && c.Kind == o.Kind && c.State != Closed && c.State != Rejected
}
