package takedown

import (
	"cmp"
	"slices"
	"time"
)

// The hours of the clock, from the first mail of a round.
const (
	Answer       = 4 * time.Hour // without one: a second channel
	ToUpstream   = 12 * time.Hour
	ToRegistrar  = 24 * time.Hour
	BenchmarkEnd = 48 * time.Hour // what the fleet of 2023 needed
)

// A Proposal is a step that a person may take. Nothing takes it by itself.
type Proposal struct {
	Step Step      `json:"step"`
	Due  time.Time `json:"due"`
}

// A Clock is where a case stands in time.
type Clock struct {
	Now      time.Time     `json:"now"`
	Sent     time.Time     `json:"sent,omitzero"`
	Elapsed  time.Duration `json:"elapsed_ns,omitempty"` // since sent; until down, once that is verified
	Due      []Proposal    `json:"due,omitempty"`        // first due first
	Next     []Proposal    `json:"next,omitempty"`       // that will be due if nothing happens
	Deadline time.Time     `json:"deadline,omitzero"`    // of the benchmark
	Verdict  Verdict       `json:"verdict"`              // met only by what was verified
}

// Clock returns where c stands at now.
func (c Case) Clock(now time.Time) Clock {
	k := Clock{Now: now.UTC(), Sent: c.Sent}
	if c.Sent.IsZero() {
		return k
	}
	k.Deadline = c.Sent.Add(BenchmarkEnd)
	end := k.Now
	if !c.Down.IsZero() {
		end = c.Down
	}
	k.Elapsed = max(end.Sub(c.Sent), 0)
	switch {
	case !c.Down.IsZero() && !c.Down.After(k.Deadline):
		k.Verdict = Met
	case end.After(k.Deadline):
		k.Verdict = Missed
	default:
		k.Verdict = Pending
	}
	for _, p := range c.proposals() {
		if p.Due.After(now) {
			k.Next = append(k.Next, p)
		} else {
			k.Due = append(k.Due, p)
		}
	}
	return k
}

// Proposals returns the steps that are due at now and were not taken, first due
// first. As long as nothing happens, later ones only join at the end.
func (c Case) Proposals(now time.Time) []Proposal { return c.Clock(now).Due }

// proposals returns every step that is still to come or due.
func (c Case) proposals() []Proposal {
	if !slices.Contains(waiting, c.State) {
		return nil
	}
	var list []Proposal
	add := func(s Step, due time.Time) {
		if !slices.Contains(c.Steps, s) {
			list = append(list, Proposal{Step: s, Due: due})
		}
	}
	if c.State != Acknowledged && c.State != Action {
		second := c.Sent.Add(Answer)
		if !c.Bounced.IsZero() && c.Bounced.Before(second) {
			second = c.Bounced
		}
		add(SecondChannel, second)
	}
	// A provider that says it acted is given the time that the proof takes.
	patience := time.Time{}
	if !c.Acted.IsZero() {
		patience = c.Acted.Add(Quiet)
	}
	add(Upstream, latest(c.Sent.Add(ToUpstream), patience))
	add(NationalCERT, latest(c.Sent.Add(ToUpstream), patience))
	if c.Domain != "" {
		add(Registrar, latest(c.Sent.Add(ToRegistrar), patience))
	}
	add(Benchmark, c.Sent.Add(BenchmarkEnd))
	slices.SortFunc(list, func(a, b Proposal) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.Step, b.Step)) })
	return list
}
