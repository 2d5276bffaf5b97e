package compromise

import (
	"math"

	"github.com/tocsin-io/tocsin"
)

// A Summary answers for the whole fleet: how many, how sure, what is not covered.
type Summary struct {
	Period
	Rule     string        `json:"rule"` // version of the table
	Devices  int           `json:"devices"`
	States   map[State]int `json:"states"` // every state, those with none too
	Attacked int           `json:"attacked"`
	Covered  int           `json:"covered"`  // devices with complete telemetry
	Coverage float64       `json:"coverage"` // share of them
	// Confirmed counts the confirmed devices among those covered; States counts
	// them among all.
	Confirmed int `json:"confirmed_covered"`
	// Share of confirmed devices among the covered ones, by Wilson's interval.
	// It says nothing about devices that are not covered.
	Share     tocsin.Estimate `json:"share"`
	Uncovered []Uncovered     `json:"uncovered,omitempty"`
}

// Uncovered counts devices that are not covered, each under its first reason.
type Uncovered struct {
	Why     Hole `json:"why"`
	Devices int  `json:"devices"`
}

// Count sums up what [Assess] returned for p.
func Count(p Period, all []Assessment) Summary {
	s := Summary{Period: p, Rule: RuleVersion, Devices: len(all), States: map[State]int{}}
	for _, state := range States() {
		s.States[state] = 0
	}
	holes := map[Hole]int{}
	for _, a := range all {
		s.States[a.State]++
		if a.Attacked() {
			s.Attacked++
		}
		if !a.Covered {
			if len(a.Missing) > 0 {
				holes[a.Missing[0].Why]++
			}
			continue
		}
		s.Covered++
		if a.State == Confirmed {
			s.Confirmed++
		}
	}
	if s.Devices > 0 {
		s.Coverage = float64(s.Covered) / float64(s.Devices)
	}
	s.Share = Wilson(s.Confirmed, s.Covered)
	for _, h := range Holes() {
		if holes[h] > 0 {
			s.Uncovered = append(s.Uncovered, Uncovered{h, holes[h]})
		}
	}
	return s
}

// Wilson returns the share of x in n with Wilson's 95 % interval. Of nothing,
// nothing is known: 0 to 1.
func Wilson(x, n int) tocsin.Estimate {
	if n <= 0 {
		return tocsin.Estimate{Low: 0, High: 1}
	}
	const z = 1.96
	size, share := float64(n), float64(x)/float64(n)
	scale := 1 + z*z/size
	centre := (share + z*z/(2*size)) / scale
	half := z * math.Sqrt(share*(1-share)/size+z*z/(4*size*size)) / scale
	e := tocsin.Estimate{Value: share, Low: max(0, centre-half), High: min(1, centre+half)}
	// Rounding must not leave the share itself outside.
	e.Low, e.High = min(e.Low, share), max(e.High, share)
	return e
}
