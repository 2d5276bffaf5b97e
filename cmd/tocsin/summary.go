package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/watch"
)

// top is how many sources and accounts a summary names.
const top = 10

// maxTallied bounds the sources and accounts counted: beyond, only those seen
// before are.
const maxTallied = 1 << 20

// summary counts attempts and plays them to the detection of a guard.
type summary struct {
	w        *bufio.Writer
	json     bool
	watch    *watch.Watch
	services map[tocsin.Service]*outcomes
	sources  map[netip.Prefix]*outcomes
	accounts map[string]*outcomes
	total    outcomes
	read     int
	first    time.Time
	last     time.Time
	blocked  map[netip.Prefix]tocsin.Reason
	stopped  int // attempts that a block would have stopped
	list     *blocklist.List
	facts    map[tocsin.Fact]int
}

type outcomes struct {
	Failures  int `json:"failures"`
	Successes int `json:"successes"`
	Probes    int `json:"probes"`
}

func (o *outcomes) add(a tocsin.Outcome) {
	switch a {
	case tocsin.Failure:
		o.Failures++
	case tocsin.Success:
		o.Successes++
	case tocsin.Probe:
		o.Probes++
	}
}

func (o *outcomes) sum() int { return o.Failures + o.Successes + o.Probes }

func newSummary(w *bufio.Writer, asJSON bool) *summary {
	policy := detect.Default() // with the zero seed: the same log gives the same summary
	policy.Sources = 1 << 20
	list := blocklist.New(blocklist.Limits{Device: 1 << 20, Passes: 1}, false)
	return &summary{
		w: w, json: asJSON, list: list, watch: watch.New(detect.New(policy), list, nil, nil),
		services: map[tocsin.Service]*outcomes{}, sources: map[netip.Prefix]*outcomes{},
		accounts: map[string]*outcomes{}, blocked: map[netip.Prefix]tocsin.Reason{}, facts: map[tocsin.Fact]int{},
	}
}

func (s *summary) lines(n int) { s.read += n }

func (s *summary) attempt(_ int, a tocsin.Attempt) error {
	if s.first.IsZero() || a.At.Before(s.first) {
		s.first = a.At
	}
	if a.At.After(s.last) {
		s.last = a.At
	}
	s.total.add(a.Outcome)
	tally(s.services, a.Service).add(a.Outcome)
	tally(s.sources, tocsin.SourcePrefix(a.Source.Addr())).add(a.Outcome)
	if a.Account != "" {
		tally(s.accounts, a.Account).add(a.Outcome)
	}
	if s.list.Blocked(a.Source.Addr(), a.At) {
		s.stopped++
		return nil // it would never have come
	}
	e := s.watch.Observe(a, false)
	for _, f := range []tocsin.Fact{tocsin.SuccessAfterFailures, tocsin.SuccessFromBlocked, tocsin.Spray, tocsin.InstantAccount, tocsin.AddressMissing} {
		if e.Facts.Has(f) {
			s.facts[f]++
		}
	}
	if e.Decided && e.Verdict == blocklist.Enforced {
		s.blocked[e.Decision.Prefix] = e.Decision.Reason
		s.list.Expire(a.At)
	}
	return nil
}

func tally[K comparable](m map[K]*outcomes, k K) *outcomes {
	o := m[k]
	if o == nil {
		o = new(outcomes)
		if len(m) < maxTallied {
			m[k] = o
		}
	}
	return o
}

// ranked returns the keys with the most attempts first.
func ranked[K comparable](m map[K]*outcomes, less func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int {
		return cmp.Or(cmp.Compare(m[b].sum(), m[a].sum()), less(a, b))
	})
}

func (s *summary) end() error {
	if s.json {
		return s.endJSON()
	}
	w := s.w
	fmt.Fprintf(w, "%s read, %s", count(s.read, "line"), count(s.total.sum(), "attempt"))
	if s.total.sum() > 0 {
		fmt.Fprintf(w, " from %s to %s", s.first.Format("2006-01-02 15:04:05"), s.last.Format("2006-01-02 15:04:05"))
	}
	fmt.Fprintf(w, "\n%s failed, %d let in, %s; %s on %s\n", count(s.total.Failures, "attempt"), s.total.Successes,
		count(s.total.Probes, "probe"), count(len(s.sources), "source"), count(len(s.accounts), "account"))
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nSERVICE\tFAILED\tLET IN\tPROBES")
	for _, k := range ranked(s.services, cmp.Compare[tocsin.Service]) {
		o := s.services[k]
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\n", k, o.Failures, o.Successes, o.Probes)
	}
	fmt.Fprintln(tab, "\nSOURCE\tFAILED\tLET IN\tPROBES\tA GUARD WOULD")
	for _, k := range first(ranked(s.sources, netip.Prefix.Compare)) {
		o := s.sources[k]
		would := "watch"
		if reason, ok := s.blocked[k]; ok {
			would = "block: " + string(reason)
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\t%s\n", show(k), o.Failures, o.Successes, o.Probes, would)
	}
	fmt.Fprintln(tab, "\nACCOUNT\tFAILED\tLET IN")
	for _, k := range first(ranked(s.accounts, cmp.Compare[string])) {
		fmt.Fprintf(tab, "%s\t%d\t%d\n", account(k), s.accounts[k].Failures, s.accounts[k].Successes)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nA guard would have blocked %s and stopped %s.\n", count(len(s.blocked), "source"), count(s.stopped, "attempt"))
	for _, f := range slices.Sorted(maps.Keys(s.facts)) {
		fmt.Fprintf(w, "Worth a look: %s, %d times.\n", f, s.facts[f])
	}
	return nil
}

func first[T any](list []T) []T { return list[:min(len(list), top)] }

func (s *summary) endJSON() error {
	type row struct {
		Name string `json:"name"`
		*outcomes
		Blocked bool `json:"blocked,omitempty"`
	}
	out := struct {
		Lines    int            `json:"lines"`
		Attempts int            `json:"attempts"`
		First    time.Time      `json:"first,omitzero"`
		Last     time.Time      `json:"last,omitzero"`
		Total    outcomes       `json:"total"`
		NSources int            `json:"sources"`
		Services []row          `json:"services"`
		Sources  []row          `json:"top_sources"`
		Accounts []row          `json:"top_accounts"`
		Blocked  int            `json:"sources_blocked"`
		Stopped  int            `json:"stopped"`
		Facts    map[string]int `json:"facts"`
	}{
		Lines: s.read, Attempts: s.total.sum(), First: s.first, Last: s.last, Total: s.total,
		NSources: len(s.sources), Blocked: len(s.blocked), Stopped: s.stopped, Facts: map[string]int{},
	}
	for _, k := range ranked(s.services, cmp.Compare[tocsin.Service]) {
		out.Services = append(out.Services, row{Name: string(k), outcomes: s.services[k]})
	}
	for _, k := range first(ranked(s.sources, netip.Prefix.Compare)) {
		_, blocked := s.blocked[k]
		out.Sources = append(out.Sources, row{show(k), s.sources[k], blocked})
	}
	for _, k := range first(ranked(s.accounts, cmp.Compare[string])) {
		out.Accounts = append(out.Accounts, row{Name: k, outcomes: s.accounts[k]})
	}
	for f, n := range s.facts {
		out.Facts[f.String()] = n
	}
	return json.NewEncoder(s.w).Encode(out)
}
