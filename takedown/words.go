package takedown

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what a case is about.
type Kind uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_                 Kind = iota
	Controller             // commands compromised devices
	BruteForce             // a source that guesses passwords
	CompromisedServer      // somebody's server, misused
)

var kindWords = [...]string{Controller: "controller", BruteForce: "brute-force", CompromisedServer: "compromised-server"}

// State says how far a case is.
type State uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_            State = iota
	Draft              // nothing leaves the hub
	Approved           // a mail may be sent, exactly as it was approved
	Sent               // counted from here
	Delivered          // the provider's server took it
	Bounced            // no mail of this round arrived
	Acknowledged       // the provider answered
	Action             // the provider says that it acted
	VerifiedDown       // the fleet sees no contact any more
	Closed             // done
	Rejected           // given up, with a reason
	Reopened           // contact was seen again: as a draft
)

var stateWords = [...]string{
	Draft: "draft", Approved: "approved", Sent: "sent", Delivered: "delivered", Bounced: "bounced",
	Acknowledged: "acknowledged", Action: "action", VerifiedDown: "verified-down", Closed: "closed",
	Rejected: "rejected", Reopened: "reopened",
}

// Act is what was done with a case.
type Act uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_           Act = iota
	Begin           // opened the case; always the first, and only by [Open]
	Approve         // agreed to one mail, word by word
	Send            // sent the mail, or filled in the provider's form
	Deliver         // heard that the mail arrived
	Bounce          // heard that it did not
	Acknowledge     // heard from the provider
	TakeAction      // heard that the provider acted
	VerifyDown      // saw no contact any more
	Close           // ended the case
	Reject          // gave it up
	Reopen          // saw contact again
	Note            // wrote something down
	Escalate        // did one of the steps that the clock proposed
)

var actWords = [...]string{
	Begin: "open", Approve: "approve", Send: "send", Deliver: "deliver", Bounce: "bounce", Acknowledge: "acknowledge",
	TakeAction: "action", VerifyDown: "verify-down", Close: "close", Reject: "reject", Reopen: "reopen",
	Note: "note", Escalate: "escalate",
}

// Step is what the clock proposes when a provider does not answer.
type Step uint8

// The values are stored and travel: add at the end, never renumber.
const (
	_             Step = iota
	SecondChannel      // another way to the same provider
	Upstream           // the network that connects the provider
	NationalCERT       // the CERT of the provider's country
	Registrar          // of the domain, if one is involved
	Benchmark          // say that the benchmark was missed
)

var stepWords = [...]string{
	SecondChannel: "second-channel", Upstream: "upstream", NationalCERT: "national-cert", Registrar: "registrar",
	Benchmark: "benchmark",
}

// Verdict says whether the benchmark was met.
type Verdict uint8

// The values are stored and travel: add at the end, never renumber.
const (
	NotSent Verdict = iota // the clock has not begun
	Pending                // there is still time
	Met
	Missed
)

var verdictWords = [...]string{NotSent: "not sent", Pending: "pending", Met: "met", Missed: "missed"}

// String returns the word that the command line and the wire use.
func (k Kind) String() string { return wordOf(kindWords[:], int(k)) }

// MarshalText encodes k as its word.
func (k Kind) MarshalText() ([]byte, error) { return encode(kindWords[:], int(k)) }

// UnmarshalText reads the word of a kind.
func (k *Kind) UnmarshalText(b []byte) error { return decode(kindWords[:], b, (*uint8)(k)) }

// String returns the word that the command line and the wire use.
func (s State) String() string { return wordOf(stateWords[:], int(s)) }

// MarshalText encodes s as its word.
func (s State) MarshalText() ([]byte, error) { return encode(stateWords[:], int(s)) }

// UnmarshalText reads the word of a state.
func (s *State) UnmarshalText(b []byte) error { return decode(stateWords[:], b, (*uint8)(s)) }

// String returns the word that the command line and the wire use.
func (a Act) String() string { return wordOf(actWords[:], int(a)) }

// MarshalText encodes a as its word.
func (a Act) MarshalText() ([]byte, error) { return encode(actWords[:], int(a)) }

// UnmarshalText reads the word of an act.
func (a *Act) UnmarshalText(b []byte) error { return decode(actWords[:], b, (*uint8)(a)) }

// String returns the word that the command line and the wire use.
func (s Step) String() string { return wordOf(stepWords[:], int(s)) }

// MarshalText encodes s as its word.
func (s Step) MarshalText() ([]byte, error) { return encode(stepWords[:], int(s)) }

// UnmarshalText reads the word of a step.
func (s *Step) UnmarshalText(b []byte) error { return decode(stepWords[:], b, (*uint8)(s)) }

// String returns the words that the command line and the wire use.
func (v Verdict) String() string { return wordOf(verdictWords[:], int(v)) }

// MarshalText encodes v as its words.
func (v Verdict) MarshalText() ([]byte, error) { return encode(verdictWords[:], int(v)) }

// UnmarshalText reads the words of a verdict.
func (v *Verdict) UnmarshalText(b []byte) error { return decode(verdictWords[:], b, (*uint8)(v)) }

func wordOf(words []string, i int) string {
	if i < len(words) && words[i] != "" {
		return words[i]
	}
	return "invalid"
}

// encode refuses what decode could not read back.
func encode(words []string, i int) ([]byte, error) {
	if w := wordOf(words, i); w != "invalid" {
		return []byte(w), nil
	}
	return nil, fmt.Errorf("%d has no word among %s", i, list(words))
}

func decode(words []string, b []byte, to *uint8) error {
	i := slices.Index(words, string(b))
	if i < 0 || len(b) == 0 {
		return fmt.Errorf("%q is none of %s", OneLine(string(b), 40), list(words))
	}
	*to = uint8(i)
	return nil
}

func list(words []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" }), ", ")
}
