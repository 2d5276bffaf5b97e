// Package guard is the part that runs on a device: it joins what reads logs,
// what concludes and what enforces. One loop owns everything remembered, without
// locks; into it come lines, orders of people, and the tick of the next
// deadline.
//
// It decides nothing itself: deciding is the business of watch and what that
// joins. It opens nothing itself: log sources and firewall are handed to it.
package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/operator"
	"github.com/tocsin-io/tocsin/sighting"
	"github.com/tocsin-io/tocsin/watch"
)

// Config is what a guard is told. [Guard.Reload] takes a changed one; what says
// "at the start" then has no effect.
type Config struct {
	State   string          // folder of what is remembered; at the start
	Device  tocsin.DeviceID // at the start
	Policy  detect.Policy
	Limits  blocklist.Limits // at the start
	Private bool             // whether private sources may be blocked; at the start
	DryRun  bool             // the filter is one that blocks nothing; at the start
	Protect []netip.Prefix   // never blocked, because the configuration says so
	Facts   []netip.Prefix   // never blocked, because the machine depends on it; later by [Guard.Protect]
	Proxies []netip.Prefix   // stand for others: never blocked
}

// An Input is one log to read.
type Input struct {
	Name    string         // names its marks in the state: stable
	Service tocsin.Service // the only one that writes it; "" is any
	Trust   string         // for people: attested, local
	Open    func(marks []logsource.Mark) (logsource.Source, error)
}

// Deps are what a guard works with.
type Deps struct {
	Filter  firewall.Filter
	Backend string // name of the filter, for people
	Inputs  []Input
	Matcher *authlog.Matcher
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Clock   *clock.Clock         // what its timers ring by; nil is the wall clock
	Now     func() time.Time     // nil is what Clock shows
	Steady  func() time.Duration // a clock that nobody sets; nil is the system's
	Zone    *time.Location
	Version string
	User    string   // whom the guard runs as, for people
	Power   []string // capabilities it has, for people
	Hub     *Hub     // whom it belongs to; nil is nobody
	// Clues and Contacts notice things about this device besides log-ins. They run
	// as parts of the guard; one that is a [Coverer] tells what it read, too.
	Clues    []ClueSource
	Contacts []ContactSource
	// HubStatus tells how the line to the hub is, for people; nil is none.
	HubStatus func() *operator.HubStatus
	// Ready is called once, when logs are read and rules are in force.
	Ready func()
}

// A Guard protects one device. Make one with [New], then [Guard.Run] it.
type Guard struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	clock    settable
	state    *state
	detector *detect.Detector
	list     *blocklist.List
	book     *sighting.Book
	watch    *watch.Watch
	metrics  *metrics
	boot     uint64
	since    time.Time
	kept     []tocsin.Sighting // closed, the newest
	fleet    fleet
	told     map[telling]time.Time
	clues    clues
	read     reading // what was read of the logs

	mu       sync.Mutex // guards the fields below
	streams  []*stream
	warnings []string

	seen    chan seen
	waiting []seen           // taken from it together: see burst
	warming []tocsin.Attempt // and what they tell
	orders  chan func(context.Context)
	drops   chan firewall.Drop
	drifted chan struct{}
	reload  chan reloading
	restart chan []Input

	dirty     bool      // something is remembered that the snapshot lacks
	saveAt    time.Time // when the next snapshot is due, if dirty
	mendAt    time.Time // when Replace is tried again, zero if it need not be
	drifts    uint64
	decisions uint64
	facts     []netip.Prefix // protected because of what the machine depends on
}

// New opens the state folder and puts every rule it remembers into force. It
// fails if another guard holds the folder or the filter cannot enforce.
func New(ctx context.Context, cfg Config, deps Deps) (*Guard, error) {
	if deps.Now == nil {
		deps.Now = deps.Clock.Now
	}
	st, mem, warning, err := openState(cfg.State)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		cfg: cfg, deps: deps, log: deps.Log, clock: newSettable(deps), state: st,
		since: deps.Now(), metrics: newMetrics(deps.Metrics),
		seen: make(chan seen, 1024), orders: make(chan func(context.Context)), drops: make(chan firewall.Drop, 256),
		drifted: make(chan struct{}, 1), told: make(map[telling]time.Time), reload: make(chan reloading), restart: make(chan []Input, 1),
		facts: cfg.Facts,
	}
	if warning != "" {
		g.warn(warning)
	}
	if g.boot, err = st.begin(mem.Boot, g.since); err != nil {
		g.warn(fmt.Sprintf("the number of this start cannot be written down: make room (%v)", err))
	}
	if err := g.remember(mem); err != nil {
		return nil, errors.Join(err, st.close())
	}
	g.streams = g.newStreams(deps.Inputs, mem.Marks)
	g.read.resume(mem.Read, g.streams, g.since)
	if err := g.loadLists(); err != nil {
		return nil, errors.Join(err, st.close())
	}
	if err := deps.Filter.Replace(ctx, g.list.Rules(g.since)); err != nil {
		return nil, errors.Join(fmt.Errorf("put the rules into force: %w", err), st.close())
	}
	return g, nil
}

// remember builds everything from what the state folder holds.
func (g *Guard) remember(mem remembered) error {
	key, err := ownerKey(g.cfg.State)
	if err != nil {
		return err
	}
	if g.cfg.Policy.Seed, err = randomSeed(); err != nil {
		return err
	}
	g.detector = detect.New(g.cfg.Policy) // a snapshot brings its own seed
	if len(mem.detector) > 0 {
		if err := g.detector.UnmarshalBinary(mem.detector); err != nil {
			g.warn(fmt.Sprintf("what sources did before cannot be read: %v", err))
		}
		if by := g.since.Sub(mem.Saved); by < -jump && !mem.Saved.IsZero() {
			g.detector.Shift(by)
		}
	}
	g.list = blocklist.New(g.cfg.Limits, g.cfg.Private)
	g.list.Protect(g.protected(), g.since)
	for _, d := range mem.decisions {
		g.list.Decide(rebase(d, g.since), g.since)
	}
	for _, r := range mem.records {
		g.redo(r)
	}
	g.book = newBook(key, g.cfg.Device, g.boot, g.deps.Hub != nil)
	g.leaveOut(mem.Saved)
	g.watch = watch.New(g.detector, g.list, g.book, g.cfg.Proxies)
	g.watch.SetWelcome(mem.Welcome)
	g.dirty = len(mem.records) > 0
	return nil
}

// redo repeats a decision of before a crash.
func (g *Guard) redo(r record) {
	r.Decision = rebase(r.Decision, g.since)
	switch r.Kind {
	case decide:
		g.list.Decide(r.Decision, g.since)
	case lift:
		g.detector.Forgive(r.Decision.Prefix, r.Decision.At)
		g.list.Lift(r.Decision, g.since)
	case end:
		g.list.End(r.Decision.Prefix, r.Decision.Action, r.Decision.Origin, g.since)
	}
}

// built is a time before which no clock that is right can be.
var built = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)

// rebase moves a decision to the clock of now where that stands before it, as
// after a boot without a battery, or where the clock it was taken by did: it
// still lasts as long as it was meant to. Without, ten minutes would become
// decades once the clock is set, and an order of a person be over.
func rebase(d tocsin.Decision, now time.Time) tocsin.Decision {
	if d.At.After(now.Add(jump)) || d.At.Before(built) && now.After(built) {
		d.At, d.Until = now, now.Add(d.Until.Sub(d.At))
	}
	return d
}

func (g *Guard) protected() []netip.Prefix {
	all := append([]netip.Prefix{}, g.cfg.Protect...)
	all = append(all, g.cfg.Proxies...)
	return append(all, g.facts...)
}

func (g *Guard) warn(text string) {
	g.log.Warn(text)
	const most = 20
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.warnings) < most {
		g.warnings = append(g.warnings, text)
	}
}

// reading returns the streams that are read now.
func (g *Guard) reading() []*stream {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.streams)
}

// Run guards until ctx ends, then writes down what it remembers. The rules stay
// in force and end by themselves.
func (g *Guard) Run(ctx context.Context) error {
	parts := []run.Part{
		{Name: "loop", Run: g.loop},
		{Name: "readers", Run: g.readers},
		{Name: "drift", Run: func(ctx context.Context) error {
			return g.deps.Filter.Watch(ctx, func() {
				select {
				case g.drifted <- struct{}{}:
				default: // one is waiting already
				}
			})
		}},
	}
	if s, ok := g.deps.Filter.(firewall.Sampler); ok {
		parts = append(parts, run.Part{Name: "samples", Run: func(ctx context.Context) error {
			return g.sample(ctx, s)
		}})
	}
	parts = append(parts, g.noticing()...)
	err := run.All(ctx, g.log, parts...)
	g.keep(g.book.Flush())
	g.saveLists(g.clock.last, true)
	g.save()
	return errors.Join(err, g.state.close())
}

// sample takes what the filter dropped. A kernel without the means is told once
// and is no reason to stop guarding.
func (g *Guard) sample(ctx context.Context, s firewall.Sampler) error {
	err := s.Drops(ctx, func(d firewall.Drop) {
		select {
		case g.drops <- d:
		default: // a sample may be lost, the loop may not wait
		}
	})
	if errors.Is(err, firewall.ErrUnsupported) {
		g.log.Warn("dropped packets cannot be sampled: a blocked attacker will look gone", logkey.Err, err)
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

var _ operator.Handler = (*Guard)(nil)
