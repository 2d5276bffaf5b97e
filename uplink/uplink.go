// Package uplink is a device's line to its hub: it hands in what the guard saw,
// receives signed frames and proves who made them, keeps certificate and keys
// young, and passes the owner's key on to the owner's other devices. It promises
// that nothing the guard tells is lost while the hub is away, within its bounds,
// and that nothing of the hub takes effect whose signature does not hold.
//
// It decides nothing and enforces nothing: frames go to the [Device], which
// checks order and limits. The hub being gone changes nothing for the guard.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/internal/run"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/spool"
)

// A Device is what the hub's frames are for: a guard.
type Device interface {
	// Frame takes a message whose signature was proved, and returns once it is
	// enforced. Its errors are those of package ruleset.
	Frame(ctx context.Context, m ruleset.Message) error
	// Positions returns how far the hub's lists are in force.
	Positions(ctx context.Context) ([]ruleset.Position, error)
	// Key returns the key that account names are told under.
	Key() ([]byte, error)
	// Rekey takes the owner's.
	Rekey(ctx context.Context, key []byte) error
}

// Config is what an uplink is told.
type Config struct {
	Folder  string       // of the enrolment
	Version string       // of the guard
	Class   string       // of the device, for its limits; "" is the usual
	Mirror  string       // URL of an export of the lists, where the hub cannot be reached
	Clock   *clock.Clock // nil is the wall clock
}

// An Uplink connects one device. Make one with [Open], then [Uplink.Run] it.
type Uplink struct {
	cfg     Config
	log     *slog.Logger
	about   enrolment
	id      *keys.Identity
	sealing *keys.SealingKey
	trust   *keys.Trust
	clock   *keys.Clock
	wall    func() time.Time // by which sightings are dated

	more      chan struct{} // there is something to send, or to send again
	mu        sync.Mutex    // guards the fields below
	spool     *spool.Spool[tocsin.Sighting]
	clues     *lane[tocsin.Clue]
	contacts  *lane[spool.Contact]
	lost      []netip.Prefix // told to the hub when it can be
	hub       string         // the address that answered last
	have      tocsin.ID      // the newest sighting that the hub has, or refused
	said      tocsin.ID      // the newest one that it said it has
	asked     bool           // the hub said what it has
	epochs    map[ruleset.Ref]uint64
	client    *feed.Client
	askedKeys time.Time // because of a message that no known key signed
	fault     string    // why nothing gets through, for people; "" is all well
}

// Open reads the enrolment in the folder. Without one the error is
// [ErrNotEnrolled]. Where the configuration names a clock, now is not asked.
func Open(cfg Config, log *slog.Logger, now func() time.Time) (*Uplink, error) {
	about, err := load(cfg.Folder)
	if err != nil {
		return nil, err
	}
	if cfg.Clock.Invented() {
		now = cfg.Clock.Now
	}
	u := &Uplink{cfg: cfg, log: log, about: about, more: make(chan struct{}, 1), hub: about.Addresses[0], epochs: make(map[ruleset.Ref]uint64), wall: now}
	if u.id, err = keys.OpenIdentity(cfg.Folder); err != nil {
		return nil, err
	}
	if u.sealing, err = keys.OpenSealingKey(cfg.Folder); err != nil {
		return nil, err
	}
	if u.trust, err = keys.OpenTrust(cfg.Folder); err != nil {
		return nil, err
	}
	u.clock = judging(cfg.Clock, now, about.Floor)
	var warning string
	if u.spool, warning, err = spool.Open(filepath.Join(cfg.Folder, "spool"), spool.Limits{}, now()); err != nil {
		return nil, err
	}
	if warning != "" {
		log.Warn(warning)
	}
	return u, u.openLanes(now())
}

// Device returns who this device is.
func (u *Uplink) Device() tocsin.DeviceID { return u.about.Device }

// Owner returns whose device this is.
func (u *Uplink) Owner() tocsin.OwnerID { return u.about.Owner }

// Addresses returns where the hub is, host:port.
func (u *Uplink) Addresses() []string { return u.about.Addresses }

// Limits returns what the device accepts of the hub.
func (u *Uplink) Limits() ruleset.Limits { return u.trust.Limits(u.cfg.Class) }

// Now returns the time by which the hub's frames are judged.
func (u *Uplink) Now(time.Time) time.Time { return u.clock.Now() }

// Tell takes sightings in the order of their IDs, and returns at once.
func (u *Uplink) Tell(batch []tocsin.Sighting) {
	u.mu.Lock()
	u.spool.Add(batch, u.clock.Now())
	u.mu.Unlock()
	u.wake()
}

// Told returns the sightings that end at t or later and were told before.
func (u *Uplink) Told(t time.Time) ([]tocsin.Sighting, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.spool.Since(t)
}

// maxLost bounds the losses that wait for the hub.
const maxLost = api.MaxLosses

// Lost takes prefixes that the fleet blocks although somebody who belongs here
// came from there.
func (u *Uplink) Lost(prefixes []netip.Prefix) {
	u.mu.Lock()
	u.lost = append(u.lost, prefixes...)
	u.lost = u.lost[:min(len(u.lost), maxLost)]
	u.mu.Unlock()
	u.wake()
}

func (u *Uplink) wake() {
	select {
	case u.more <- struct{}{}:
	default: // it is awake already
	}
}

// Run connects d to the hub until ctx ends.
func (u *Uplink) Run(ctx context.Context, d Device) error {
	err := run.All(ctx, u.log,
		run.Part{Name: "feed", Run: func(ctx context.Context) error { return u.follow(ctx, d) }},
		run.Part{Name: "send", Run: u.send},
		run.Part{Name: "clues", Run: u.clues.run},
		run.Part{Name: "contacts", Run: u.contacts.run},
		run.Part{Name: "keys", Run: func(ctx context.Context) error { return u.upkeep(ctx, d) }},
	)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.about.Floor = u.clock.Floor()
	return errors.Join(err, u.spool.Close(), u.clues.spool.Close(), u.contacts.spool.Close(), keep(u.cfg.Folder, u.about))
}

// client returns how to ask the hub, at the address that answered last.
func (u *Uplink) ask() (*api.Client, error) {
	config, err := u.id.TLS(u.clock)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return api.AsDevice(u.hub, config), nil
}

// failed notes that an address did not answer: the next one is tried.
func (u *Uplink) failed(err error) {
	var refused *api.Error
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = err.Error()
	if errors.As(err, &refused) {
		return // it did answer
	}
	for i, a := range u.about.Addresses {
		if a == u.hub {
			u.hub = u.about.Addresses[(i+1)%len(u.about.Addresses)]
			return
		}
	}
}

func (u *Uplink) well() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = ""
}

// lookAgain is how long the feed may be silent on one address.
const lookAgain = 5 * time.Minute

// follow receives frames. Where an address does not answer the others are tried.
func (u *Uplink) follow(ctx context.Context, d Device) error {
	if err := u.renewKeys(ctx); err != nil {
		u.log.Warn("the hub's keys could not be asked for: those known go on", logkey.Err, err)
		u.failed(err)
	}
	for ctx.Err() == nil {
		hub, err := u.reachable(ctx)
		if err != nil {
			return err
		}
		config, err := u.id.TLS(u.clock)
		if err != nil {
			return err
		}
		client, err := feed.NewClient(feed.ClientConfig{Hub: hub, TLS: config, Log: u.log, Mirror: u.cfg.Mirror})
		if err != nil {
			return err
		}
		u.mu.Lock()
		u.client = client
		u.mu.Unlock()
		u.onAddress(ctx, client, d)
	}
	return ctx.Err()
}

// onAddress follows until the feed is silent for too long, or the certificate was
// renewed.
func (u *Uplink) onAddress(ctx context.Context, client *feed.Client, d Device) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if list, err := d.Positions(ctx); err == nil {
		client.Report(list)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Run(ctx, u.positions(ctx, d), func(s ruleset.Sealed) error { return u.take(ctx, client, d, s) }) // only ctx ends it
	}()
	t := time.NewTicker(lookAgain)
	defer t.Stop()
	until := u.id.Until()
	for silent := 0; silent < 2; {
		select {
		case <-ctx.Done():
			<-done
			return
		case <-t.C:
		}
		if silent++; client.Via() != "" {
			silent = 0
		}
		if !u.id.Until().Equal(until) {
			break
		}
	}
	stop()
	<-done
}

// reachable returns the first address that accepts a connection.
func (u *Uplink) reachable(ctx context.Context) (string, error) {
	u.mu.Lock()
	hub := u.hub
	u.mu.Unlock()
	for range u.about.Addresses {
		dialer := net.Dialer{Timeout: 5 * time.Second}
		c, err := dialer.DialContext(ctx, "tcp", hub)
		if err == nil {
			return hub, c.Close()
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		u.failed(err)
		u.mu.Lock()
		hub = u.hub
		u.mu.Unlock()
	}
	return hub, nil // the feed waits and tries again
}

func (u *Uplink) positions(ctx context.Context, d Device) func() []ruleset.Position {
	return func() []ruleset.Position {
		list, err := d.Positions(ctx)
		if err != nil {
			return nil
		}
		return list
	}
}

// keysAgain is how often an unknown key may have the hub's keys asked for.
const keysAgain = time.Minute

// take proves a message and hands it to the device.
func (u *Uplink) take(ctx context.Context, client *feed.Client, d Device, s ruleset.Sealed) error {
	m, err := u.open(s)
	if (errors.Is(err, ruleset.ErrForged) || errors.Is(err, ruleset.ErrExpired)) && u.mayAskForKeys() {
		if e := u.renewKeys(ctx); e != nil {
			u.log.Warn("the hub's keys could not be asked for", logkey.Err, e)
		}
		m, err = u.open(s)
	}
	if err != nil {
		u.log.Warn("a message of the hub is not accepted", logkey.Err, err)
		return err
	}
	h, err := ruleset.Peek(s)
	if err != nil {
		return err
	}
	u.clock.Heard(h.Created)
	if err := d.Frame(ctx, m); err != nil {
		if !errors.Is(err, ruleset.ErrStale) && !errors.Is(err, ruleset.ErrGap) {
			u.log.Warn("rules of the hub are not accepted", "list", h.Position.String(), logkey.Err, err)
		}
		return err
	}
	u.well()
	u.newEpoch(h.Position)
	if h.Kind != ruleset.Beat {
		list, err := d.Positions(ctx)
		if err != nil {
			return err
		}
		client.Report(list)
	}
	return nil
}

// open proves a message. A device whose wall clock is impossible, that is before
// the build, knows the time by what the hub signs: it believes a message whose
// signature held when it says that it was made.
func (u *Uplink) open(s ruleset.Sealed) (ruleset.Message, error) {
	now := u.clock.Now()
	if h, err := ruleset.Peek(s); err == nil && !u.clock.Possible(u.wall()) && h.Created.After(now) {
		now = h.Created
	}
	return ruleset.Open(s, u.trust.Keys(now), now)
}

// mayAskForKeys reports whether keys may be asked for because one is not known:
// a thief who sends what nobody can open must not have the hub asked all the
// time.
func (u *Uplink) mayAskForKeys() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.clock.Now()
	if now.Sub(u.askedKeys).Abs() < keysAgain {
		return false
	}
	u.askedKeys = now
	return true
}

// newEpoch has the hub asked what it has: one that was restored from a backup has
// less than it once acknowledged.
func (u *Uplink) newEpoch(p ruleset.Position) {
	u.mu.Lock()
	before := u.epochs[p.Ref]
	u.epochs[p.Ref] = p.Epoch
	again := before != 0 && p.Epoch > before && u.asked
	if again {
		u.asked = false
	}
	u.mu.Unlock()
	if again {
		u.clues.again()
		u.contacts.again()
		u.log.Info("the hub begins a new epoch: asking what it has of this device")
		u.wake()
	}
}

// Status is how the line is, for people.
type Status struct {
	Hub         string          `json:"hub"`
	Device      tocsin.DeviceID `json:"device"`
	Owner       tocsin.OwnerID  `json:"owner"`
	Via         string          `json:"via,omitempty"` // push, poll, mirror; "" is out of reach
	Certificate time.Time       `json:"certificate_until"`
	Unsent      int             `json:"unsent"` // sightings that wait, at most a thousand counted
	Lost        uint64          `json:"lost"`   // sightings that there was no room for
	Warnings    []string        `json:"warnings,omitempty"`

	UnsentClues    int    `json:"unsent_clues,omitempty"`    // that wait, at most a thousand counted
	UnsentContacts int    `json:"unsent_contacts,omitempty"` // the same
	LostClues      uint64 `json:"lost_clues,omitempty"`      // that there was no room for
	LostContacts   uint64 `json:"lost_contacts,omitempty"`   // the same
}

// Status tells how the line is.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := Status{Hub: u.hub, Device: u.about.Device, Owner: u.about.Owner, Certificate: u.id.Until(), Lost: u.spool.Lost()}
	if u.client != nil {
		s.Via = string(u.client.Via())
	}
	if list, err := u.spool.After(u.have, 1000); err == nil {
		s.Unsent = len(list)
	}
	s.UnsentClues, s.LostClues = u.clues.waiting()
	s.UnsentContacts, s.LostContacts = u.contacts.waiting()
	if err := u.clues.broken(); err != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("clues wait in memory only: %v", err))
	}
	for _, text := range []string{u.fault, u.trust.Warning(u.clock.Now())} {
		if text != "" {
			s.Warnings = append(s.Warnings, text)
		}
	}
	if err := u.spool.Broken(); err != nil {
		s.Warnings = append(s.Warnings, fmt.Sprintf("sightings wait in memory only: %v", err))
	}
	return s
}
