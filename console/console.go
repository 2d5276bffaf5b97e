// Package console is the part of a hub that answers what only pages ask: how things
// stand, tables of everything, all about one address, a campaign as a graph, and what
// another policy would have done. It hears what the hub applies and publishes through
// two small hooks, sums that up in memory (package overview), and tells open consoles
// what happens (package live).
//
// It decides nothing. What it shows follows from the hub's log, so that it shows the
// same after a restart. It asks the loop that decides at most once a second for what
// pages show, and only while somebody looks.
package console

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/nettable"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/live"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// A Hub is what the part asks of the hub.
type Hub interface {
	AllRules(ctx context.Context) ([]api.Rule, error)
	Blocks(ctx context.Context) (int, error)
	Reasons(ctx context.Context, list []api.Rule) error
	Explain(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (api.Explanation, error)
	About(ctx context.Context, source netip.Prefix, most int) ([]tocsin.Event, error)
	AllDevices(ctx context.Context) ([]api.Device, error)
	Connected() []feed.Follower
	Lagging(grace time.Duration) map[tocsin.DeviceID]bool
	PassesOf(ctx context.Context, owner tocsin.OwnerID) ([]api.Pass, error)
	Owners() []tocsin.OwnerID
	CampaignLines(ctx context.Context) ([]api.CampaignLine, error)
	CampaignOutline(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error)
	CampaignReasons(ctx context.Context, id tocsin.CampaignID, sources []netip.Prefix) ([][]tocsin.Reason, error)
	Memberships(ctx context.Context) (map[netip.Prefix]tocsin.CampaignID, error)
	MembershipsOf(ctx context.Context, source netip.Prefix, beside int) ([]api.Membership, error)
	Unattributed(ctx context.Context, id tocsin.CampaignID) ([]tocsin.Member, error)
	Network(a netip.Addr) nettable.Network
	Warnings() []string
	FleetConfig() fleet.Config
	Adopt(ctx context.Context, p quorum.Policy) error
}

// A Store is what the part reads of the hub's database.
type Store interface {
	store.Values
	Accesses(ctx context.Context) ([]store.Access, error)
	Since(ctx context.Context, after uint64) iter.Seq2[tocsin.Event, error]
	Contacts(ctx context.Context, device tocsin.DeviceID, t time.Time) iter.Seq2[tocsin.Contact, error]
}

// Deps are what the part works with.
type Deps struct {
	Store    Store
	Live     *live.Stream
	Notified []api.Notified // who is told of what happens
	File     config.Hub     // the hub's file: what is saved here goes over its policy
	Log      *slog.Logger
	Now      func() time.Time // the hub's clock
}

// A Part answers pages. Make one with [New], hand its hooks to the hub, then
// [Part.Join] it to the hub and [Part.Run] it.
type Part struct {
	deps     Deps
	log      *slog.Logger
	hub      Hub
	incident api.Incident // nil: the hub does not answer to attacks
	tables   map[string]api.Table
	running  atomic.Bool // the log was read: what comes now is news

	mu      sync.Mutex // guards what the hub's loop hands over; held for moments only
	pending []applied
	decided map[scoped]time.Time // blocks decided, and not published yet: when
	waiting map[ruleset.Ref][]wait
	wake    chan struct{}
	reach   chan struct{}

	ledgering sync.Mutex // guards the ledger
	ledger    *overview.Ledger

	rules     snapshot[[]Rule]
	devices   snapshot[[]Device]
	campaigns snapshot[[]api.CampaignLine]
	members   snapshot[map[netip.Prefix]tocsin.CampaignID]
	judged    snapshot[api.Compromise]
	ranking   snapshot[api.Ranking]
	cases     snapshot[[]api.CaseLine]
	sources   snapshot[[]Source]
	nows      snapshot[api.Now]
	tried     snapshots[tocsin.CampaignID, []Target]
	overviews snapshots[time.Duration, api.Overview]
	outlines  snapshots[tocsin.CampaignID, tocsin.Campaign]
	beside    snapshots[tocsin.CampaignID, []tocsin.Member]
	reached   snapshots[string, map[tocsin.DeviceID]bool]

	telling telling
	trying  sync.Mutex // one reads the whole log at a time
}

var _ api.Console = (*Part)(nil)

// An applied event, with what followed from it.
type applied struct {
	event   tocsin.Event
	effects []fleet.Effect
}

// New returns a part that has heard nothing.
func New(deps Deps) (*Part, error) {
	if deps.Store == nil || deps.Live == nil || deps.Log == nil || deps.Now == nil {
		return nil, errors.New("console: a store, a stream, a log and a clock are needed")
	}
	p := &Part{
		deps: deps, log: deps.Log, ledger: overview.New(), wake: make(chan struct{}, 1), reach: make(chan struct{}, 1),
		decided: map[scoped]time.Time{}, waiting: map[ruleset.Ref][]wait{},
	}
	p.telling.changed = map[string]bool{}
	p.tables = p.allTables()
	return p, nil
}

// Join tells the part which hub it answers for, and what of it answers to attacks, if
// anything does. It comes before any question.
func (p *Part) Join(h Hub, incident api.Incident) { p.hub, p.incident = h, incident }

// Run keeps the numbers, and tells open consoles what happens, until ctx ends.
func (p *Part) Run(ctx context.Context) error {
	p.drain()
	p.recall(ctx)
	p.running.Store(true)
	return run.All(ctx, p.log,
		run.Part{Name: "sums", Run: p.sum},
		run.Part{Name: "reactions", Run: p.react},
		run.Part{Name: "coverage", Run: p.cover},
		run.Part{Name: "telling", Run: p.tell},
	)
}

// tooMany is how much may wait before the hub's loop has to sum up itself: as while the
// log is read at the start.
const tooMany = 1 << 14

// Applied is the hook for [hub.Deps.OnApplied].
func (p *Part) Applied(e tocsin.Event, effects []fleet.Effect) {
	news := p.running.Load()
	p.mu.Lock()
	p.pending = append(p.pending, applied{e, effects})
	n := len(p.pending)
	if news {
		p.decide(effects)
	}
	p.mu.Unlock()
	if e.Order != nil {
		p.rules.spoil()
	}
	if n >= tooMany {
		p.drain()
		return
	}
	ring(p.wake)
}

// ring wakes a part; one that is awake will look again.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sum takes what the hub applied.
func (p *Part) sum(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		}
		p.drain()
	}
}

// drain sums up what waits, in its order.
func (p *Part) drain() {
	p.ledgering.Lock()
	defer p.ledgering.Unlock()
	p.mu.Lock()
	list := p.pending
	p.pending = nil
	p.mu.Unlock()
	for _, a := range list {
		p.ledger.Event(a.event)
		for _, f := range a.effects {
			if blocks(f) {
				p.ledger.Blocked(a.event.At)
			}
		}
	}
	if p.running.Load() {
		p.telling.heard(list)
	}
}

// blocks reports whether an effect is a block that came into force.
func blocks(f fleet.Effect) bool {
	return f.Decision.Action == tocsin.Block && f.Verdict == blocklist.Enforced && !f.Withdrawn && f.Decision.Until.After(f.Decision.At)
}

// with lends the ledger out.
func (p *Part) with(do func(l *overview.Ledger)) {
	p.drain()
	p.ledgering.Lock()
	defer p.ledgering.Unlock()
	do(p.ledger)
}

// A snapshot is something that is dear to find out, kept for as long as asking anew
// would cost too much: twenty times what it took, at most a second.
type snapshot[T any] struct {
	taking sync.Mutex // held by who finds out anew
	mu     sync.Mutex // guards the fields below
	value  T
	at     time.Time
	lasts  time.Duration
	stale  atomic.Bool
}

const (
	mostStale  = time.Second
	leastStale = 50 * time.Millisecond // also of what a person changed meanwhile
)

// get returns what was found out a moment ago, or finds it out. While somebody does so
// already, the others go on with what they have, unless a person changed it.
func (s *snapshot[T]) get(take func() (T, error)) (T, error) {
	value, fresh, usable := s.look()
	if fresh {
		return value, nil
	}
	if !s.taking.TryLock() {
		if usable {
			return value, nil
		}
		s.taking.Lock()
	}
	defer s.taking.Unlock()
	if value, fresh, _ = s.look(); fresh {
		return value, nil
	}
	s.stale.Store(false)
	begun := time.Now()
	value, err := take()
	if err != nil {
		return value, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.at = value, time.Now()
	s.lasts = min(20*s.at.Sub(begun), mostStale)
	return value, nil
}

// look returns what is kept, whether it is as good as new, and whether it will do while
// somebody finds it out.
func (s *snapshot[T]) look() (value T, fresh, usable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age, spoilt := time.Since(s.at), s.stale.Load()
	fresh = !s.at.IsZero() && age < s.lasts && (age < leastStale || !spoilt)
	return s.value, fresh, !s.at.IsZero() && age < 2*mostStale && !spoilt
}

// snapshots are those of several things of one kind, of which few are asked for.
type snapshots[K comparable, T any] struct {
	mu  sync.Mutex
	all map[K]*snapshot[T]
}

// mostSnapshots bounds what is kept of one kind.
const mostSnapshots = 16

func (s *snapshots[K, T]) of(key K) *snapshot[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.all[key]; one != nil {
		return one
	}
	if s.all == nil || len(s.all) >= mostSnapshots {
		s.all = make(map[K]*snapshot[T])
	}
	one := new(snapshot[T])
	s.all[key] = one
	return one
}

// spoil has the next one who asks look anew.
func (s *snapshot[T]) spoil() { s.stale.Store(true) }
