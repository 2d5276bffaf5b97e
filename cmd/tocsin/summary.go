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
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/watch"
)

// top is how many sources and accounts a summary names.
const top = 10

// Bounds of what a summary remembers: beyond, the source seen longest ago is
// forgotten, and only accounts seen before are counted. The busiest sources, of
// which a summary tells, are seen again before so many others.
const (
	maxSources  = 1 << 20
	maxAccounts = 1 << 18
)

// batch is how many attempts are taken together, so that memory is fetched for
// all of them at once.
const batch = 64

// summary counts attempts and plays them to the detection of a guard.
type summary struct {
	w        *bufio.Writer
	json     bool
	watch    *watch.Watch
	list     *blocklist.List
	swept    time.Time // when ended blocks were last forgotten
	waiting  []tocsin.Attempt
	services map[tocsin.Service]*outcomes
	sources  *window.Table[sourceRow]
	seen     int // sources, forgotten ones included
	accounts map[string]*outcomes
	total    outcomes
	read     int
	first    time.Time
	last     time.Time
	blocked  map[netip.Prefix]tocsin.Reason
	stopped  int // attempts that a block would have stopped
	facts    map[tocsin.Fact]int
}

// sourceRow is what is counted of one source.
type sourceRow struct {
	outcomes
	until uint32 // seconds since 1970: blocked until then
}

type outcomes struct {
	Failures  uint32 `json:"failures"`
	Successes uint32 `json:"successes"`
	Probes    uint32 `json:"probes"`
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

func (o *outcomes) sum() uint32 { return o.Failures + o.Successes + o.Probes }

func newSummary(w *bufio.Writer, asJSON bool) *summary {
	policy := detect.Default() // with the zero seed: the same log gives the same summary
	policy.Sources = maxSources
	list := blocklist.New(blocklist.Limits{Device: maxSources, Passes: 1}, false)
	return &summary{
		w: w, json: asJSON, list: list, watch: watch.New(detect.New(policy), list, nil, nil),
		waiting: make([]tocsin.Attempt, 0, batch), sources: window.New[sourceRow](maxSources, policy.Seed),
		services: map[tocsin.Service]*outcomes{}, accounts: map[string]*outcomes{},
		blocked: map[netip.Prefix]tocsin.Reason{}, facts: map[tocsin.Fact]int{},
	}
}

func (s *summary) lines(n int) { s.read += n }

func (s *summary) attempt(_ int, a tocsin.Attempt, n int) error {
	for range n {
		s.waiting = append(s.waiting, a)
		if len(s.waiting) == batch {
			s.flush()
		}
	}
	return nil
}

// flush takes the attempts that wait.
func (s *summary) flush() {
	var keys [batch]uint64
	for i := range s.waiting {
		keys[i], _ = window.Key(s.waiting[i].Source.Addr()) // every attempt has a valid source
	}
	s.sources.Warm(keys[:len(s.waiting)])
	s.watch.Warm(s.waiting)
	for i := range s.waiting {
		s.take(s.waiting[i], keys[i])
	}
	s.waiting = s.waiting[:0]
}

func (s *summary) take(a tocsin.Attempt, key uint64) {
	if s.first.IsZero() || a.At.Before(s.first) {
		s.first = a.At
	}
	if a.At.After(s.last) {
		s.last = a.At
	}
	row := s.sources.Touch(key)
	if row.sum() == 0 {
		s.seen++
	}
	row.add(a.Outcome)
	s.total.add(a.Outcome)
	tally(s.services, a.Service, maxAccounts).add(a.Outcome)
	if a.Account != "" {
		tally(s.accounts, a.Account, maxAccounts).add(a.Outcome)
	}
	if int64(row.until) > a.At.Unix() {
		s.stopped++
		return // it would never have come
	}
	s.conclude(s.watch.Observe(a, false), row)
}

// conclude counts what a guard would have done.
func (s *summary) conclude(e watch.Event, row *sourceRow) {
	if e.Facts != 0 {
		for f := tocsin.SuccessAfterFailures; f <= tocsin.InstantAccount; f++ {
			if e.Facts.Has(f) {
				s.facts[f]++
			}
		}
	}
	if !e.Decided || e.Verdict != blocklist.Enforced {
		return
	}
	row.until = uint32(e.Decision.Until.Unix())
	s.blocked[e.Decision.Prefix] = e.Decision.Reason
	if at := e.Attempt.At; at.Sub(s.swept) > 6*time.Hour {
		s.swept = at
		s.list.Expire(at)
	}
}

func tally[K comparable](m map[K]*outcomes, k K, most int) *outcomes {
	o := m[k]
	if o == nil {
		o = new(outcomes)
		if len(m) < most {
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

// topSources returns the sources with the most attempts first.
func (s *summary) topSources() map[netip.Prefix]*outcomes {
	best := map[netip.Prefix]*outcomes{}
	least := uint32(0)
	for key, row := range s.sources.All() {
		if len(best) >= 4*top && row.sum() <= least {
			continue
		}
		best[window.Prefix(key)] = &row.outcomes
		if len(best) < 8*top {
			continue
		}
		for _, p := range ranked(best, netip.Prefix.Compare)[4*top:] {
			delete(best, p)
		}
		least = best[ranked(best, netip.Prefix.Compare)[4*top-1]].sum()
	}
	return best
}

func (s *summary) end() error {
	s.flush()
	if s.json {
		return s.endJSON()
	}
	w := s.w
	fmt.Fprintf(w, "%s read, %s", count(s.read, "line"), count(int(s.total.sum()), "attempt"))
	if s.total.sum() > 0 {
		fmt.Fprintf(w, " from %s to %s", s.first.Format("2006-01-02 15:04:05"), s.last.Format("2006-01-02 15:04:05"))
	}
	fmt.Fprintf(w, "\n%s failed, %d let in, %s; %s on %s\n", count(int(s.total.Failures), "attempt"), s.total.Successes,
		count(int(s.total.Probes), "probe"), count(s.seen, "source"), count(len(s.accounts), "account"))
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nSERVICE\tFAILED\tLET IN\tPROBES")
	for _, k := range ranked(s.services, cmp.Compare[tocsin.Service]) {
		o := s.services[k]
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\n", k, o.Failures, o.Successes, o.Probes)
	}
	fmt.Fprintln(tab, "\nSOURCE\tFAILED\tLET IN\tPROBES\tA GUARD WOULD")
	sources := s.topSources()
	for _, k := range first(ranked(sources, netip.Prefix.Compare)) {
		o := sources[k]
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
		fmt.Fprintf(w, "Worth a look: %s, %s.\n", f, count(s.facts[f], "time"))
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
		Attempts uint32         `json:"attempts"`
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
		NSources: s.seen, Blocked: len(s.blocked), Stopped: s.stopped, Facts: map[string]int{},
	}
	for _, k := range ranked(s.services, cmp.Compare[tocsin.Service]) {
		out.Services = append(out.Services, row{Name: string(k), outcomes: s.services[k]})
	}
	sources := s.topSources()
	for _, k := range first(ranked(sources, netip.Prefix.Compare)) {
		_, blocked := s.blocked[k]
		out.Sources = append(out.Sources, row{show(k), sources[k], blocked})
	}
	for _, k := range first(ranked(s.accounts, cmp.Compare[string])) {
		out.Accounts = append(out.Accounts, row{Name: k, outcomes: s.accounts[k]})
	}
	for f, n := range s.facts {
		out.Facts[f.String()] = n
	}
	return json.NewEncoder(s.w).Encode(out)
}
