package hub

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// An Authority makes certificates of devices.
type Authority interface {
	Device(request []byte, id tocsin.DeviceID, owner tocsin.OwnerID, now time.Time) ([]byte, error)
	Renew(p keys.Peer, request []byte, now time.Time) ([]byte, error)
	PEM() []byte
	Invented() bool
	Sum() [sha256.Size]byte
}

// A registry is who is enrolled, kept in memory besides the database: every
// request of a device asks it.
type registry struct {
	log       *slog.Logger
	store     store.Devices
	authority Authority
	root      func() []byte // TUF root metadata, for new devices to pin
	addresses []string      // where devices reach the hub, for tokens
	now       func() time.Time
	heads     func() map[ruleset.Position]int
	tally     func(context.Context) (map[tocsin.DeviceID]uint64, error) // of clues
	drop      func(tocsin.DeviceID)                                     // closes its connections
	followers func() map[tocsin.DeviceID]feed.Follower
	enrolled  func(ctx context.Context, id tocsin.DeviceID, sealing []byte) error
	ensure    func(ctx context.Context, owner tocsin.OwnerID) error

	changing sync.Mutex // held from reading a device to storing what it became

	mu      sync.RWMutex // guards the fields below
	devices map[tocsin.DeviceID]tocsin.Device
	states  map[tocsin.DeviceID]store.DeviceState
	until   map[tocsin.DeviceID]time.Time // end of the certificate that it last showed
	clues   map[tocsin.DeviceID]uint64    // kept of each
}

var (
	_ api.Enroller = (*registry)(nil)
	_ api.Registry = (*registry)(nil)
)

func (r *registry) load(ctx context.Context) error {
	r.devices = make(map[tocsin.DeviceID]tocsin.Device)
	r.states = make(map[tocsin.DeviceID]store.DeviceState)
	r.until = make(map[tocsin.DeviceID]time.Time)
	for d, err := range r.store.Devices(ctx) {
		if err != nil {
			return fmt.Errorf("read the devices: %w", err)
		}
		r.devices[d.ID] = d
	}
	for s, err := range r.store.States(ctx) {
		if err != nil {
			return fmt.Errorf("read the devices: %w", err)
		}
		r.states[s.Device] = s
	}
	r.clues = make(map[tocsin.DeviceID]uint64)
	return r.countClues(ctx)
}

// live returns a device that may speak.
func (r *registry) live(id tocsin.DeviceID) (tocsin.Device, error) {
	r.mu.RLock()
	d, ok := r.devices[id]
	r.mu.RUnlock()
	switch {
	case !ok:
		return d, api.Refuse(http.StatusForbidden, "this hub does not know the device: enrol it again")
	case !d.Revoked.IsZero():
		return d, api.Refuse(http.StatusForbidden, "the device was revoked: enrol it again with a new token")
	}
	return d, nil
}

// shown notes the end of the certificate that a device has shown.
func (r *registry) shown(id tocsin.DeviceID, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until[id] = until
}

// Revoked reports whether a device may no longer connect.
func (r *registry) Revoked(id tocsin.DeviceID) bool { _, err := r.live(id); return err != nil }

// newID returns a name that nobody can guess or own before.
func newID() tocsin.DeviceID {
	var b [10]byte
	rand.Read(b[:]) // never fails
	return tocsin.DeviceID("d-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

// Enrol implements [api.Enroller].
func (r *registry) Enrol(ctx context.Context, e api.Enrolment, from netip.Addr) (api.Enrolled, error) {
	switch {
	case r.authority.Invented() && !e.Invented:
		return api.Enrolled{}, api.Refuse(http.StatusForbidden, "this hub is tocsin demo's, whose time is invented: enrol the device with a real hub")
	case e.Invented && !r.authority.Invented():
		return api.Enrolled{}, api.Refuse(http.StatusForbidden, "the device is tocsin demo's, whose time is invented: this hub takes real devices only")
	}
	now := r.now()
	d := tocsin.Device{ID: newID(), Name: e.Name, Enrolled: now, Labels: map[string]string{}}
	if e.Model != "" {
		d.Labels["model"] = e.Model
	}
	if e.Firmware != "" {
		d.Labels["firmware"] = e.Firmware
	}
	// The request is looked at before the token is spent: a mistake in it must not
	// cost the token. The owner in this trial does not matter.
	if _, err := r.authority.Device([]byte(e.CSR), d.ID, "trial", now); err != nil {
		return api.Enrolled{}, api.Refuse(http.StatusBadRequest, "certificate request: %v", err)
	}
	secret, err := keys.ParseSecret(e.Secret)
	if err != nil {
		return api.Enrolled{}, api.Refuse(http.StatusBadRequest, "the token is damaged: copy it again")
	}
	if d, err = r.store.Redeem(ctx, secret.Hash(), now, d); err != nil {
		return api.Enrolled{}, err
	}
	certificate, err := r.authority.Device([]byte(e.CSR), d.ID, d.Owner, now)
	if err != nil {
		return api.Enrolled{}, fmt.Errorf("certificate of %v: %w", d.ID, err)
	}
	if err := r.enrolled(ctx, d.ID, e.SealingKey); err != nil {
		return api.Enrolled{}, err
	}
	r.put(d)
	if err := r.ensure(ctx, d.Owner); err != nil {
		return api.Enrolled{}, err
	}
	r.log.Info("enrolled", logkey.Device, d.ID, "owner", d.Owner, "name", d.Name, logkey.Source, from, "honeypot", d.Honeypot)
	enrolled := api.Enrolled{
		Device: d.ID, Owner: d.Owner, Certificates: string(certificate), CA: string(r.authority.PEM()), Root: r.root(), Honeypot: d.Honeypot,
	}
	for _, ref := range ruleset.Refs(d.Owner) {
		enrolled.Lists = append(enrolled.Lists, ref.String())
	}
	return enrolled, nil
}

// Renew implements [api.Enroller].
func (r *registry) Renew(_ context.Context, p api.Peer, csr string) (api.Renewed, error) {
	if _, err := r.live(p.Device); err != nil {
		return api.Renewed{}, err
	}
	certificate, err := r.authority.Renew(keys.Peer{Device: p.Device, Owner: p.Owner, Expired: p.Expired, Key: p.Key}, []byte(csr), r.now())
	if err != nil {
		return api.Renewed{}, api.Refuse(http.StatusForbidden, "%v", err)
	}
	return api.Renewed{Certificates: string(certificate), CA: string(r.authority.PEM())}, nil
}

func (r *registry) put(d tocsin.Device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices[d.ID] = d
}

// reported notes what a device says of itself.
func (r *registry) reported(ctx context.Context, s store.DeviceState) error {
	if err := r.store.Reported(ctx, s.Device, s); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states[s.Device] = s
	return nil
}

// statesEvery is how often it is written down what connected devices have in
// force: while they are connected, the feed knows.
const statesEvery = 10 * time.Minute

// keep writes down what connected devices have in force.
func (r *registry) keep(ctx context.Context, clk *clock.Clock) error {
	t := clk.NewTicker(statesEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		for id, f := range r.followers() {
			r.mu.RLock()
			s := r.states[id]
			r.mu.RUnlock()
			s.Device, s.At, s.Lists = id, r.now(), listStates(f.InForce)
			if err := r.reported(ctx, s); err != nil && ctx.Err() == nil {
				r.log.Error("what a device has in force not written down: trying again", logkey.Device, id, logkey.Err, err)
				break
			}
		}
	}
}

func listStates(list []ruleset.Position) (out []store.ListState) {
	for _, p := range list {
		out = append(out, store.ListState{List: p.Ref.String(), Epoch: p.Epoch, Serial: p.Serial})
	}
	return out
}

// owners returns who has devices.
func (r *registry) owners() []tocsin.OwnerID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make(map[tocsin.OwnerID]bool)
	for _, d := range r.devices {
		if d.Revoked.IsZero() {
			all[d.Owner] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Devices implements [api.Registry].
func (r *registry) Devices(_ context.Context, owner tocsin.OwnerID, after tocsin.DeviceID, most int) ([]api.Device, error) {
	v := r.view()
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []api.Device
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		d := r.devices[id]
		if id > after && (owner == "" || d.Owner == owner) && len(list) < most {
			list = append(list, r.show(d, v))
		}
	}
	return list, nil
}

// Device implements [api.Registry].
func (r *registry) Device(_ context.Context, id tocsin.DeviceID) (api.Device, error) {
	v := r.view()
	r.mu.RLock()
	defer r.mu.RUnlock()
	d, ok := r.devices[id]
	if !ok {
		return api.Device{}, store.ErrNotFound
	}
	return r.show(d, v), nil
}

// A view is what of a device is not kept here.
type view struct {
	heads     map[ruleset.Ref]ruleset.Position
	followers map[tocsin.DeviceID]feed.Follower
}

func (r *registry) view() view {
	v := view{heads: make(map[ruleset.Ref]ruleset.Position), followers: r.followers()}
	for p := range r.heads() {
		v.heads[p.Ref] = p
	}
	return v
}

// show adds what the device last said. The caller holds the lock.
func (r *registry) show(d tocsin.Device, v view) api.Device {
	s := r.states[d.ID]
	f, connected := v.followers[d.ID]
	if connected {
		s.At, s.Lists = r.now(), listStates(f.InForce)
	}
	out := api.Device{
		Device: d, Connected: connected, Seen: s.At, Version: s.Version, Note: s.Note, Offset: s.Offset.Seconds(),
		Certificate: r.until[d.ID], Clues: r.clues[d.ID],
	}
	have := make(map[string]store.ListState)
	for _, l := range s.Lists {
		have[l.List] = l
	}
	for _, ref := range ruleset.Refs(d.Owner) {
		head, ok := v.heads[ref]
		if !ok {
			continue
		}
		l := api.InForce{ListState: store.ListState{List: ref.String()}, Behind: head.Serial}
		if got, ok := have[l.List]; ok {
			l.ListState = got
		}
		if l.Epoch == head.Epoch {
			l.Behind = head.Serial - min(l.Serial, head.Serial)
		}
		out.Lists = append(out.Lists, l)
	}
	slices.SortFunc(out.Lists, func(a, b api.InForce) int { return cmp.Compare(a.List, b.List) })
	return out
}

// Change implements [api.Registry].
func (r *registry) Change(ctx context.Context, id tocsin.DeviceID, c api.DeviceChange, by string) (api.Device, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.RLock()
	d, ok := r.devices[id]
	r.mu.RUnlock()
	if !ok {
		return api.Device{}, store.ErrNotFound
	}
	if c.Name != nil {
		d.Name = *c.Name
	}
	if c.Groups != nil {
		d.Groups = *c.Groups
	}
	if c.Labels != nil {
		d.Labels = *c.Labels
	}
	if c.Suspect != nil {
		d.Suspect = *c.Suspect
	}
	if err := r.store.Change(ctx, d); err != nil {
		return api.Device{}, err
	}
	r.put(d)
	r.log.Info("device changed", logkey.Device, id, logkey.User, by)
	return r.Device(ctx, id)
}

// Revoke implements [api.Registry].
func (r *registry) Revoke(ctx context.Context, id tocsin.DeviceID, by string) (api.Device, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	r.mu.RLock()
	d, ok := r.devices[id]
	r.mu.RUnlock()
	if !ok {
		return api.Device{}, store.ErrNotFound
	}
	if d.Revoked.IsZero() {
		d.Revoked = r.now()
		if err := r.store.Change(ctx, d); err != nil {
			return api.Device{}, err
		}
		r.put(d)
		r.log.Warn("device revoked", logkey.Device, id, logkey.User, by)
	}
	r.drop(id)
	return r.Device(ctx, id)
}

// tokenLife is how long a token may be redeemed unless the operator says less.
const tokenLife = time.Hour

// NewToken implements [api.Registry].
func (r *registry) NewToken(ctx context.Context, w api.TokenWish, by string) (api.Token, error) {
	now := r.now()
	life := tokenLife
	if w.Seconds > 0 {
		life = min(life, time.Duration(w.Seconds)*time.Second)
	}
	if len(r.addresses) == 0 {
		return api.Token{}, api.Refuse(http.StatusConflict, "the hub does not know by which address devices reach it: set hub.addresses in its configuration")
	}
	t := keys.Token{
		Addresses: r.addresses, Authority: r.authority.Sum(), Owner: w.Owner, Groups: w.Groups,
		Secret: keys.NewSecret(), Expires: now.Add(life).Truncate(time.Second),
	}
	text, err := t.Text()
	if err != nil {
		return api.Token{}, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	err = r.store.AddToken(ctx, store.Token{
		Hash: t.Secret.Hash(), Owner: w.Owner, Groups: w.Groups, Honeypot: w.Honeypot, Made: now, Until: t.Expires, By: by,
	})
	return api.Token{Token: text, Until: t.Expires}, err
}

// counts returns how many devices and owners there are, and how many devices
// have not yet enforced what is published.
func (r *registry) counts() (devices, connected, lagging, owners int) {
	v := r.view()
	r.mu.RLock()
	defer r.mu.RUnlock()
	seen := make(map[tocsin.OwnerID]bool)
	for _, d := range r.devices {
		if !d.Revoked.IsZero() {
			continue
		}
		devices++
		seen[d.Owner] = true
		shown := r.show(d, v)
		if shown.Connected {
			connected++
		}
		if slices.ContainsFunc(shown.Lists, func(l api.InForce) bool { return l.Behind > 0 }) {
			lagging++
		}
	}
	return devices, connected, lagging, len(seen)
}
