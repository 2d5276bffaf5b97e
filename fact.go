package tocsin

import "strings"

// A Fact is something worth telling besides the attempt itself.
type Fact uint8

// The values travel: add at the end, never renumber.
const (
	_                    Fact = iota
	SuccessAfterFailures      // let in after failures that were not a person's mistyping
	SuccessFromBlocked        // let in although the source was blocked
	Spray                     // many sources try one account
	AddressMissing            // all attempts of a service share one private or proxy source
	InstantAccount            // tried an account that is a decision by itself
	BlockedHere               // this device blocked the source
	// The facts below are told as a [Clue], never in a sighting.
	KeysChanged    // authorized_keys of an account
	AccountAdded   // a new account that may log in, or a new administrator
	AutorunAdded   // a new cron entry, unit or start script
	ForeignPackage // software that is not from the vendor
	PortOpened     // a new listening port
	LoggingOff     // firewall or logging switched off
	LogGap         // lines are missing that must have been written
	TripwireHit    // a canary was touched
	OutgoingScan   // this device tries many destinations
	Mining         // it talks to a mining pool
	NewOrigin      // somebody got in from a country and a network never seen before
)

var factWords = [...]string{
	SuccessAfterFailures: "success after failures",
	SuccessFromBlocked:   "success from a blocked source",
	Spray:                "many sources on one account",
	AddressMissing:       "real address missing",
	InstantAccount:       "account that nobody honest uses",
	BlockedHere:          "blocked by this device",
	KeysChanged:          "keys that may log in changed",
	AccountAdded:         "account added",
	AutorunAdded:         "autorun entry added",
	ForeignPackage:       "package not from the vendor",
	PortOpened:           "new listening port",
	LoggingOff:           "firewall or logging switched off",
	LogGap:               "log lines missing",
	TripwireHit:          "tripwire hit",
	OutgoingScan:         "scans others",
	Mining:               "contact with a mining pool",
	NewOrigin:            "success from a new country and network",
}

// String returns the words that the command line and the wire use.
func (f Fact) String() string {
	if int(f) < len(factWords) && factWords[f] != "" {
		return factWords[f]
	}
	return "invalid"
}

// A FactSet is a set of facts. The zero FactSet is empty.
type FactSet uint32

// With returns s and f.
func (s FactSet) With(f Fact) FactSet { return s | 1<<f }

// Has reports whether f is in s.
func (s FactSet) Has(f Fact) bool { return s&(1<<f) != 0 }

// String returns the facts in s, separated by commas.
func (s FactSet) String() string {
	var words []string
	for f := range factWords {
		if f > 0 && s.Has(Fact(f)) {
			words = append(words, Fact(f).String())
		}
	}
	return strings.Join(words, ", ")
}
