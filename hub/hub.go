// Package hub is the part that many devices report to: it takes what they saw,
// has it decided upon, publishes the rules that follow as signed lists, and
// knows who is enrolled. Four parts of it do one of these each; all they share is
// the database and a loop that owns the fleet's mind.
//
// It decides nothing itself: that is the business of fleet and what that joins.
// A device is answered after the commit, and what was committed is never lost.
package hub

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/internal/window"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/live"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
)

// Config is what a hub is told.
type Config struct {
	Folder    string // keys and temporary copies
	Fleet     fleet.Config
	Addresses []string      // where devices reach it, host:port, for tokens
	Names     []string      // host names and addresses of its server certificate
	Retain    time.Duration // how long sightings and clues are kept
	Contacts  time.Duration // how long contacts are kept; 0 is 14 days
	Mirror    string        // folder that the signed lists are written to; "" is none
	Admin     func(uid uint32) bool
}

// A Store is all that a hub keeps; see package store.
type Store interface {
	store.Ingest
	store.Log
	store.Devices
	store.Frames
	store.Values
	store.Accesses
	store.Clues
	store.Contacts
	store.Coverage
	store.Records
	store.Upkeep
	store.Users
	store.Sessions
	store.Invitations
	store.Ledger
}

// Deps are what a hub works with.
type Deps struct {
	Store     Store
	Authority *keys.Authority
	Keys      *keys.Repository
	Listener  net.Listener // TCP: devices, people and programs
	Socket    net.Listener // Unix socket of this machine; nil is none
	Console   net.Listener // TCP, of this machine alone: people by plain HTTP; nil is none
	Log       *slog.Logger
	Metrics   *prometheus.Registry
	Clock     *clock.Clock     // what its timers ring by; nil is the wall clock
	Now       func() time.Time // nil is what Clock shows
	Version   string
	Ready     func() // called once, when devices are served
	// Pages are what anybody may read in a browser; see [api.Config].
	Pages map[string]http.Handler
	// Live tells consoles what happens; nil is nobody. The hub ends it when it stops.
	Live *live.Stream

	// Incident makes the part that answers to attacks, once the hub knows what
	// its log says; nil is none.
	Incident func(*Hub) (api.Incident, error)

	// Answers makes what answers the questions of pages, of the part that answers to
	// attacks; nil is none.
	Answers func(*Hub, api.Incident) (api.Console, error)

	// Demo is set where all that the hub is told is invented; nil is that it is not.
	Demo api.Demo

	// OnApplied hears of each event of the log and of what followed from it, in order
	// and also while the log is read at the start; OnPublished of each frame. Nil is
	// nobody. Both are called by the loop that decides, and must return at once.
	OnApplied   func(tocsin.Event, []fleet.Effect)
	OnPublished func(ruleset.Position, tocsin.Change)

	// OnClues and OnContacts hear what is new, after its commit; nil is nobody.
	// They are called by several goroutines at once, and must return at once; the
	// order is that of the serials. What was committed before the start, or before
	// a crash, they do not hear of: the store has it.
	OnClues    func([]store.Clue)
	OnContacts func([]tocsin.Contact)
}

// A Hub serves a fleet. Make one with [New], then [Hub.Run] it.
type Hub struct {
	cfg   Config
	deps  Deps
	log   *slog.Logger
	since time.Time

	decider   *decider
	publisher *publisher
	ingester  *ingester
	registry  *registry
	networks  *networks
	upkeep    *upkeep
	people    *orders
	passes    *passes
	feed      *feed.Server
	api       *api.API
	desk      *signin.Desk
	restored  bool

	adopting sync.Mutex   // one change of policy at a time; guards the field below
	fleet    fleet.Config // what the mind goes by
}

// New makes a hub of these parts and brings it to where its log says it is.
func New(ctx context.Context, cfg Config, deps Deps) (*Hub, error) {
	if deps.Now == nil {
		deps.Now = deps.Clock.Now
	}
	if deps.Authority.Invented() != deps.Clock.Invented() {
		return nil, fmt.Errorf("%w: the keys in %s are of the other kind: name another folder", keys.ErrInvented, cfg.Folder)
	}
	h := &Hub{cfg: cfg, deps: deps, log: deps.Log, since: deps.Now()}
	m := newMetrics(deps.Metrics)
	_, err := os.Stat(filepath.Join(cfg.Folder, restoredFile))
	h.restored = err == nil

	if h.networks, err = openNetworks(ctx, deps.Store, deps.Log); err != nil {
		return nil, err
	}
	if err := seed(ctx, deps.Store, &cfg.Fleet.Quorum); err != nil {
		return nil, err
	}
	h.fleet = cfg.Fleet
	h.decider = newDecider(cfg.Fleet, deps.Store, deps.Clock, deps.Now, m, deps.Log)
	h.publisher = newPublisher(deps.Store, func() (ruleset.Signer, error) { return deps.Keys.Signer(deps.Now()) }, deps.Now, deps.Log)
	secret, err := h.secret(ctx)
	if err != nil {
		return nil, err
	}
	if h.feed, err = feed.NewServer(feed.Config{Library: h.publisher, Log: deps.Log, Secret: secret}); err != nil {
		return nil, err
	}
	h.publisher.feed, h.publisher.told = h.feed, deps.OnPublished
	h.decider.heard = deps.OnApplied
	h.decider.publish = h.publisher.change
	h.decider.pace = func() time.Duration { return min(time.Duration(h.feed.Len())*pushCost, mostPace) }
	h.registry = &registry{
		log: deps.Log, store: deps.Store, authority: deps.Authority, root: deps.Keys.Root, ensure: h.publisher.ensure, addresses: cfg.Addresses,
		now: deps.Now, heads: h.publisher.heads, drop: h.feed.Drop, followers: h.followers,
		tally: deps.Store.CountClues,
	}
	if err := h.registry.load(ctx); err != nil {
		return nil, err
	}
	h.ingester = &ingester{
		log: deps.Log, store: deps.Store, devices: h.registry, networks: h.networks, decider: h.decider, now: deps.Now, metrics: m,
		onClues: deps.OnClues, onContacts: deps.OnContacts,
	}
	h.upkeep = &upkeep{hub: h}
	if h.desk, err = signin.New(ctx, signin.Config{Store: deps.Store, Now: deps.Now, Log: deps.Log}); err != nil {
		return nil, err
	}
	var answers api.Incident
	if deps.Incident != nil {
		if answers, err = deps.Incident(h); err != nil {
			return nil, err
		}
	}
	if h.api, err = h.newAPI(answers); err != nil {
		return nil, err
	}
	if err := h.decider.replay(ctx); err != nil {
		return nil, err
	}
	if err := h.publisher.load(ctx, deps.Now(), h.restored); err != nil {
		return nil, err
	}
	for _, owner := range append(h.registry.owners(), fleet.Everybody) {
		if err := h.publisher.ensure(ctx, owner); err != nil {
			return nil, err
		}
	}
	if err := h.publisher.reconcile(ctx, h.decider.mind, deps.Now()); err != nil {
		return nil, err
	}
	return h, h.begunAnew(ctx)
}

func (h *Hub) newAPI(answers api.Incident) (_ *api.API, err error) {
	ring := &keyring{values: h.deps.Store, devices: h.registry, tuf: h.deps.Keys.File}
	h.registry.enrolled = ring.enrolled
	h.people = &orders{log: h.deps.Store, decider: h.decider, release: h.feed.Hurry, now: h.deps.Now}
	h.passes = &passes{values: h.deps.Store, order: h.people.put, held: h.people.held, now: h.deps.Now}
	c := api.Config{
		Peer: h.peer, Admin: h.cfg.Admin,
		Enroller: h.registry, Ingester: h.ingester, Keyring: ring, Fleet: h.people, Registry: h.registry,
		Accesses: h.deps.Store, Upkeep: h.upkeep,
		Passes:   h.passes,
		Incident: answers,
		Keys:     &Keykeeper{Repository: h.deps.Keys, Now: h.deps.Now, Log: h.log},
		Feed:     h.feed.Poll(h.follower),
		Metrics:  promhttp.HandlerFor(h.deps.Metrics, promhttp.HandlerOpts{}),
		Pages:    h.deps.Pages,
		SignIn:   h.desk, Ledger: h.deps.Store, Noted: h.noted, Consoles: h.Consoles(), Version: h.deps.Version, Demo: h.deps.Demo,
		Log: h.log, Now: h.deps.Now,
	}
	if h.deps.Live != nil {
		c.Live = h.deps.Live
	}
	if h.deps.Answers != nil {
		if c.Console, err = h.deps.Answers(h, answers); err != nil {
			return nil, err
		}
	}
	return api.New(c), nil
}

// secretValue names what decides the order in which devices get bulk.
const secretValue = "feed-secret"

func (h *Hub) secret(ctx context.Context) ([]byte, error) {
	s := keys.NewSecret()
	return h.deps.Store.PutNew(ctx, secretValue, s[:])
}

// seedValue names what keys the hashes of quorum: drawn once, since the same log
// must give the same rules.
const seedValue = "quorum-seed"

func seed(ctx context.Context, values store.Values, p *quorum.Policy) error {
	fresh := keys.NewSecret()
	b, err := values.PutNew(ctx, seedValue, fresh[:16])
	if err != nil || len(b) < 16 {
		return errors.Join(err, ctx.Err())
	}
	p.Seed = window.Seed{K0: binary.LittleEndian.Uint64(b), K1: binary.LittleEndian.Uint64(b[8:])}
	return nil
}

// Invite makes a token with which a device of owner may enrol, and tells until
// when.
func (h *Hub) Invite(ctx context.Context, owner tocsin.OwnerID) (token string, until time.Time, err error) {
	t, err := h.registry.NewToken(ctx, api.TokenWish{Owner: owner}, "the hub itself")
	return t.Token, t.Until, err
}

// A push costs a hub some 25 µs of a processor for each device that is connected:
// it may take about that share of the time, and no rule waits longer than half a
// second.
const (
	pushCost = 25 * time.Microsecond
	mostPace = 500 * time.Millisecond
)

// Alive returns once the loop that decides has answered.
func (h *Hub) Alive(ctx context.Context) error {
	return h.decider.ask(ctx, func(time.Time) {})
}

// Devices returns how many devices are enrolled.
func (h *Hub) Devices() int { n, _, _, _ := h.registry.counts(); return n }

// peer says who the device at the other end of a connection is.
func (h *Hub) peer(state tls.ConnectionState) (api.Peer, error) {
	p, err := keys.PeerOf(state, h.deps.Now())
	if err != nil {
		return api.Peer{}, err
	}
	if _, err := h.registry.live(p.Device); err != nil {
		return api.Peer{}, err
	}
	h.registry.shown(p.Device, p.Until)
	return api.Peer{Device: p.Device, Owner: p.Owner, Expired: p.Expired, Key: p.Key}, nil
}

// identify says who wants the feed, and what of it.
func (h *Hub) identify(state tls.ConnectionState) (tocsin.DeviceID, []ruleset.Ref, error) {
	p, err := h.peer(state)
	switch {
	case err != nil:
		return "", nil, err
	case p.Expired:
		return "", nil, errors.New("the certificate ran out: renew it first")
	}
	return p.Device, ruleset.Refs(p.Owner), nil
}

// follower says who polls the feed.
func (h *Hub) follower(r *http.Request) (feed.Device, error) {
	if r.TLS == nil {
		return feed.Device{}, errors.New("only devices follow the feed")
	}
	id, lists, err := h.identify(*r.TLS)
	return feed.Device{ID: id, Lists: lists}, err
}

// followers returns the devices that are connected, and what they have in force.
func (h *Hub) followers() map[tocsin.DeviceID]feed.Follower {
	all := make(map[tocsin.DeviceID]feed.Follower)
	for f := range h.feed.Connected() {
		all[f.Device] = f
	}
	return all
}

// Run serves until ctx ends.
func (h *Hub) Run(ctx context.Context) error {
	config, err := h.deps.Authority.ServerTLS(h.cfg.Names, h.deps.Now, h.registry.Revoked)
	if err != nil {
		return err
	}
	port := h.feed.Listen(h.deps.Listener, config, h.identify)
	server := h.api.Server()
	if h.deps.Live != nil {
		server.RegisterOnShutdown(h.deps.Live.Close) // else it would wait for the consoles
	}
	parts := []run.Part{
		{Name: "decide", Run: func(ctx context.Context) error {
			return h.decider.loop(ctx, func(ctx context.Context, now time.Time) error {
				return h.publisher.reconcile(ctx, h.decider.mind, now)
			})
		}},
		{Name: "feed", Run: h.feed.Run},
		{Name: "port", Run: port.Run},
		{Name: "heartbeats", Run: func(ctx context.Context) error { return h.publisher.heartbeats(ctx, h.deps.Clock) }},
		{Name: "retention", Run: h.upkeep.retain},
		{Name: "states", Run: func(ctx context.Context) error { return h.registry.keep(ctx, h.deps.Clock) }},
		{Name: "keys", Run: h.keys},
		{Name: "api", Run: func(ctx context.Context) error { return serve(ctx, server, port.API(), h.deps.Socket) }},
	}
	if h.deps.Console != nil {
		local := h.api.Server()
		local.Handler = h.api.Local()
		parts = append(parts, run.Part{Name: "console", Run: func(ctx context.Context) error { return serve(ctx, local, h.deps.Console) }})
	}
	if h.cfg.Mirror != "" {
		parts = append(parts, run.Part{Name: "mirror", Run: h.mirror})
	}
	if h.deps.Ready != nil {
		h.deps.Ready()
	}
	return run.All(ctx, h.log, parts...)
}

// serve answers on all listeners until ctx ends, then lets requests end.
func serve(ctx context.Context, server *http.Server, listeners ...net.Listener) error {
	var wg sync.WaitGroup
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		if l != nil {
			wg.Go(func() { errs <- server.Serve(l) })
		}
	}
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-errs:
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), run.Grace/2)
	defer cancel()
	if e := server.Shutdown(stop); e != nil {
		err = errors.Join(err, server.Close())
	}
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// keysEvery is how often keys are looked after: renewed files, the next online
// key, and who must be told that a person is needed.
const keysEvery = time.Hour

func (h *Hub) keys(ctx context.Context) error {
	t := h.deps.Clock.NewTicker(keysEvery)
	defer t.Stop()
	for {
		if err := h.deps.Keys.Upkeep(h.deps.Now()); err != nil {
			h.log.Error("keys not renewed: trying again in an hour", logkey.Err, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// mirrorEvery is how often the lists are written out.
const mirrorEvery = 30 * time.Second

func (h *Hub) mirror(ctx context.Context) error {
	t := time.NewTicker(mirrorEvery)
	defer t.Stop()
	for {
		if err := feed.Export(ctx, h.publisher, h.cfg.Mirror); err != nil && ctx.Err() == nil {
			h.log.Error("lists not written out: trying again", logkey.Path, h.cfg.Mirror, logkey.Err, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Addresses returns where a hub that listens on an address can be reached from
// outside of this machine, the most likely first, and the names for its
// certificate.
func Addresses(listens netip.AddrPort) (list, names []string, err error) {
	if a := listens.Addr().Unmap(); !a.IsUnspecified() {
		return []string{netip.AddrPortFrom(a, listens.Port()).String()}, []string{a.String(), "localhost"}, nil
	}
	port := strconv.Itoa(int(listens.Port()))
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		names = append(names, p.Addr().String())
		if !p.Addr().IsLoopback() {
			list = append(list, net.JoinHostPort(p.Addr().String(), port))
		}
	}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if len(list) == 0 {
		list = []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return list, append(names, "localhost"), nil
}

// warnings are what a person should do about the keys.
func (h *Hub) warnings() []string {
	if text := h.deps.Keys.Due(h.deps.Now()).Sentence; text != "" {
		return []string{text}
	}
	return nil
}
