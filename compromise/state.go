package compromise

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// State says what became of one device in the period asked about.
type State uint8

// The values are stored and travel: add at the end, never renumber. The words
// are those of VERIS, but for Clean and Unknown.
const (
	_             State = iota
	Confirmed           // somebody was let in, and something stayed behind or reached out
	Suspected           // one of the two, or a canary was touched
	NearMiss            // attacked, nothing of that, and everything was seen
	Clean               // not attacked, nothing of that, and everything was seen
	Unknown             // not everything was seen: never counted as clean
	FalsePositive       // a person closed it, and nothing new came since
)

var stateWords = []string{"", "confirmed", "suspected", "near-miss", "clean", "unknown", "false-positive"}

// States returns every state, the worst first.
func States() []State { return []State{Confirmed, Suspected, NearMiss, Clean, Unknown, FalsePositive} }

// String returns the word that the command line and the wire use.
func (s State) String() string { return word(stateWords, int(s)) }

// MarshalText encodes s as its word.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word of a state.
func (s *State) UnmarshalText(b []byte) error {
	i, err := find(stateWords, b)
	*s = State(i)
	return err
}

// A Closing is a person's word that what was found on a device is harmless. It
// holds for the evidence the person saw and for no other.
type Closing struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Seen   []Digest  `json:"seen"`           // names the entries of the ledger that was closed
	More   bool      `json:"more,omitempty"` // the ledger held more than it showed: what happened until At is seen, too
}

// Close returns the closing of a, to be stored with the device. It needs a
// name and a reason, and something to close.
func (a Assessment) Close(at time.Time, by, reason string) (Closing, error) {
	switch {
	case strings.TrimSpace(by) == "":
		return Closing{}, fmt.Errorf("close %s: nobody is named: say who closes it", a.Device)
	case strings.TrimSpace(reason) == "":
		return Closing{}, fmt.Errorf("close %s: no reason: say why it is harmless", a.Device)
	case a.State != Confirmed && a.State != Suspected:
		return Closing{}, fmt.Errorf("close %s: it is %v: %w", a.Device, a.State, ErrNothingToClose)
	}
	c := Closing{At: at, By: by, Reason: reason, More: a.Omitted > 0}
	for _, e := range a.Ledger {
		c.Seen = append(c.Seen, e.ref())
	}
	return c, nil
}

// ErrNothingToClose says that a device is neither confirmed nor suspected.
var ErrNothingToClose = errors.New("only confirmed and suspected devices can be closed")

// holds reports whether a person who closed so has seen all evidence there is.
func (c Closing) holds(entries []Entry) bool {
	if strings.TrimSpace(c.Reason) == "" || len(entries) == 0 {
		return false
	}
	seen := make(map[Digest]bool, len(c.Seen))
	for _, d := range c.Seen {
		seen[d] = true
	}
	for _, e := range entries {
		if !seen[e.ref()] && !(c.More && !e.At.After(c.At)) {
			return false
		}
	}
	return true
}

// judge applies the table of states, from the top.
func judge(entries []Entry, attacked, covered bool) State {
	var access, firm, stays, reaches, tripwire bool
	for _, e := range entries {
		switch e.Group {
		case Access:
			access = true
			firm = firm || !e.Hearsay
		case Persistence:
			stays = true
		case Network:
			reaches = true
		case Host:
			tripwire = tripwire || e.Kind == Tripwire
		}
	}
	switch {
	case firm && (stays || reaches):
		return Confirmed
	case access || reaches || tripwire:
		return Suspected
	case !covered:
		return Unknown
	case attacked:
		return NearMiss
	}
	return Clean
}

// Why returns what a's state rests on, in one line for a person.
func (a Assessment) Why() tocsin.Reason {
	switch a.State {
	case Confirmed, Suspected:
		return tocsin.Reason(kindsOf(a.Ledger))
	case FalsePositive:
		return tocsin.Reason(fmt.Sprintf("closed by %s: %s", a.Closing.By, a.Closing.Reason))
	case Unknown:
		if len(a.Missing) > 0 {
			return tocsin.Reason(a.Missing[0].Why.String())
		}
		return "telemetry missing"
	case NearMiss:
		return tocsin.Reason(fmt.Sprintf("attacked by %d sources, nobody was let in", a.Attack.Sources))
	case Clean:
		return "not attacked, and everything was seen"
	}
	return ""
}

// kindsOf names the kinds in a ledger, each once, in the order of the table.
func kindsOf(ledger []Entry) string {
	var have [len(rows)]bool
	for _, e := range ledger {
		have[e.Kind] = true
	}
	var words []string
	for k, ok := range have {
		if ok {
			words = append(words, Kind(k).String())
		}
	}
	return strings.Join(words, ", ")
}
