// Package controller ranks the addresses that a fleet contacts by how much each
// looks like what commands the compromised devices: contacted by more of those
// that are labelled than chance explains among devices of the same model and
// firmware, before they attacked, regularly, and by few others. Each number that
// speaks is in the result.
//
// It is pure: the same input and seed always give the same ranking. It labels no
// device (a controller must not prove itself through devices that are labelled
// for having met it), opens no case and contacts nobody: a person does, knowing
// the limits told in docs/controllers.md.
package controller

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Alpha is the level at which a test speaks for its feature, and Level the
// q-value up to which a candidate is admitted.
const (
	Alpha = 0.05
	Level = 0.01
)

// What the analysis takes for granted; docs/controllers.md gives the reasons.
const (
	smallStratum  = 20             // devices; smaller strata become one
	before        = 6 * time.Hour  // how long ahead of the first attack a contact counts as leading to it
	fewTimed      = 5              // devices; with fewer, precedence is a sign test
	scanFanOut    = 100            // destinations of a port without answer, above which it is a scan
	longLived     = 0.8            // share of the observed time that a connection lasted to count as regular
	shortestSpan  = 6 * time.Hour  // of all contacts, below which no connection counts as long-lived
	defaultRounds = 999            // of the permutation tests
	maxRounds     = 1<<16 - 1      // a round is numbered by 16 bits
	day           = 24 * time.Hour // in which a time of day comes again
	smallestP     = 1e-300         // where float64 ends
	largestP      = 1 - 1e-12      // or its normal quantile would be endless
)

// A Device is one of the fleet, as far as ranking needs it.
type Device struct {
	ID          tocsin.DeviceID
	Owner       tocsin.OwnerID // "" is unknown
	Model       string
	Firmware    string
	Compromised bool      // labelled: likely compromised, by facts about the device alone
	FirstAttack time.Time // the first thing it did against others; zero is unknown, or none
}

// Input is what a ranking is made of.
type Input struct {
	Devices  []Device // the whole fleet that contacts are known of, each once
	Contacts []tocsin.Contact
	Allow    []netip.Prefix // vendor, time, name and content servers: never candidates
	Seed     uint64         // of the permutation tests
	Rounds   int            // of the permutation tests; zero is 999
}

// A Candidate is one address of a [Ranking].
type Candidate struct {
	tocsin.Controller
	Owners        int     `json:"owners"`       // of the labelled devices that contacted it
	MayPropose    bool    `json:"may_propose"`  // a case: admitted, no target, and not the matter of one device, model and owner
	PRegularity   float64 `json:"p_regularity"` // that random labels meet as many as regular contacts
	P             float64 `json:"p"`            // prevalence and precedence together: what q is made of
	LabelledTimed int     `json:"timed"`        // labelled devices whose first attack is known
	Before        int     `json:"before"`       // of those, in contact before it
}

// A Ranking is every candidate, best first.
type Ranking struct {
	Candidates []Candidate
	Observed   int // external destinations in all: what q is corrected for
	Devices    int
	Labelled   int
	Seed       uint64
	Rounds     int
	Lacking    tocsin.Reason // what evidence is missing, if there is no candidate
}

// Controllers returns the ranking without what only the analysis knows.
func (r Ranking) Controllers() []tocsin.Controller {
	list := make([]tocsin.Controller, len(r.Candidates))
	for i, c := range r.Candidates {
		list[i] = c.Controller
	}
	return list
}

// Rank ranks every address that at least two labelled devices contacted and
// that passes the filters of docs/controllers.md. Contacts of devices that are
// not in the input, and those inside of networks, are left out.
func Rank(in Input) Ranking {
	if in.Rounds <= 0 {
		in.Rounds = defaultRounds
	}
	in.Rounds = min(in.Rounds, maxRounds)
	a := newAnalysis(in)
	r := Ranking{
		Observed: len(a.dests), Devices: len(a.fleet.devices), Labelled: a.fleet.labelled, Seed: in.Seed, Rounds: in.Rounds,
	}
	for i := range a.dests {
		if a.candidate(&a.dests[i]) {
			r.Candidates = append(r.Candidates, a.examine(&a.dests[i]))
		}
	}
	admit(r.Candidates, r.Observed)
	sortBest(r.Candidates)
	r.Lacking = a.lacking(r)
	return r
}

// lacking says in one sentence what is missing where nothing could be ranked.
func (a *analysis) lacking(r Ranking) tocsin.Reason {
	const not = "not enough evidence: "
	switch {
	case len(r.Candidates) > 0:
		return ""
	case r.Devices < 2:
		return not + "a single device cannot be compared with others"
	case r.Labelled == 0:
		return not + "no device is labelled as compromised"
	case r.Labelled == 1:
		return not + "one device only is labelled as compromised; what is common to two is looked for"
	case r.Observed == 0:
		return not + "no contact with any external destination is known of these devices"
	}
	return not + "no external destination was contacted by two compromised devices, and by one of them before it attacked"
}
