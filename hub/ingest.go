package hub

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/logkey"
	"github.com/tocsin-io/tocsin/store"
)

// An ingester takes what devices say: it stamps it with what the hub knows of the
// reporter, commits it and hands it on.
type ingester struct {
	log      *slog.Logger
	store    ingestStore
	devices  *registry
	networks *networks
	decider  *decider
	now      func() time.Time
	metrics  *metrics

	onClues    func([]store.Clue)
	onContacts func([]tocsin.Contact)

	mu     sync.Mutex // guards the fields below
	lost   uint64     // sightings that a restored hub did not get again
	losses map[tocsin.DeviceID]lossCount
}

// What one device may say of rules that cut off people: the log keeps it for
// ever.
const (
	mostLosses = 4 * api.MaxLosses
	lossSpan   = time.Hour
)

type lossCount struct {
	since time.Time
	n     int
}

// mayLose reports whether a device may say so much more, and counts it.
func (in *ingester) mayLose(id tocsin.DeviceID, n int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := in.now()
	c := in.losses[id]
	if now.Sub(c.since).Abs() >= lossSpan {
		c = lossCount{since: now}
	}
	if c.n += n; c.n > mostLosses {
		return false
	}
	if in.losses == nil {
		in.losses = make(map[tocsin.DeviceID]lossCount)
	}
	in.losses[id] = c
	return true
}

type ingestStore interface {
	store.Ingest
	store.Log
	store.Clues
	store.Contacts
	store.Coverage
}

var _ api.Ingester = (*ingester)(nil)

// Ingest implements [api.Ingester].
func (in *ingester) Ingest(ctx context.Context, r api.Reporter, after tocsin.ID, batch []tocsin.Sighting) (api.Ingested, error) {
	d, err := in.devices.live(r.Device)
	if err != nil {
		return api.Ingested{}, err
	}
	before, err := in.store.Highest(ctx, r.Device)
	if err != nil {
		return api.Ingested{}, err
	}
	if above(after, before) { // restored since: what lies between is to come first
		return api.Ingested{Have: before}, nil
	}
	network := in.networks.of(r.From)
	received := make([]tocsin.Received, len(batch))
	for i, s := range batch {
		received[i] = tocsin.Received{
			Sighting: s, From: r.From, Network: network, Offset: r.Offset, Channel: channelOf(d),
			Owner: d.Owner, Enrolled: d.Enrolled, Suspect: d.Suspect,
		}
	}
	fresh, err := in.store.Append(ctx, received)
	if err != nil {
		in.decider.look()
		return api.Ingested{}, err
	}
	in.gap(before, batch)
	in.decider.committed(ctx, fresh)
	in.metrics.sightings.Add(float64(len(fresh)))
	have := before
	if n := len(fresh); n > 0 {
		have = fresh[n-1].Received.ID
	}
	return api.Ingested{Fresh: len(fresh), Repeated: len(batch) - len(fresh), Have: have}, nil
}

func above(a, b tocsin.ID) bool {
	return a.Boot > b.Boot || a.Boot == b.Boot && a.Counter > b.Counter
}

// gap counts what a device had to throw away before the hub got it: numbers that
// are missing between what is known and what came.
func (in *ingester) gap(before tocsin.ID, batch []tocsin.Sighting) {
	if len(batch) == 0 || !above(batch[0].ID, before) {
		return
	}
	n := batch[0].ID.Counter - 1 // each start of a guard counts from one
	if batch[0].ID.Boot == before.Boot {
		n -= before.Counter
	}
	if n == 0 {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.lost += n
	in.metrics.missing.Add(float64(n))
	in.log.Warn("sightings are missing: the device kept them no longer", logkey.Device, batch[0].ID.Device, logkey.Count, n)
}

// missing returns how many sightings devices could not offer again.
func (in *ingester) missing() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.lost
}

func channelOf(d tocsin.Device) tocsin.Channel {
	if d.Honeypot {
		return tocsin.Honeypot
	}
	return tocsin.Enrolled
}

// Lose implements [api.Ingester].
func (in *ingester) Lose(ctx context.Context, r api.Reporter, rules []netip.Prefix) error {
	d, err := in.devices.live(r.Device)
	if err != nil {
		return err
	}
	if !in.mayLose(r.Device, len(rules)) {
		return api.Refuse(http.StatusTooManyRequests, "this device lost more sessions within an hour than anybody believes")
	}
	network := in.networks.of(r.From)
	var events []tocsin.Event
	defer func() { in.decider.committed(ctx, events) }() // also those before an error
	for _, p := range rules {
		e, err := in.store.Add(ctx, tocsin.Event{Loss: &tocsin.Loss{
			Device: d.ID, Owner: d.Owner, Network: network, From: r.From, Enrolled: d.Enrolled, Prefix: p.Masked(),
		}})
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	return nil
}

// Report implements [api.Ingester].
func (in *ingester) Report(ctx context.Context, r api.Reporter, s api.State) error {
	if _, err := in.devices.live(r.Device); err != nil {
		return err
	}
	if err := in.cover(ctx, r, s.Coverage); err != nil {
		return err
	}
	return in.devices.reported(ctx, store.DeviceState{
		Device: r.Device, At: in.now(), Version: s.Version, Lists: s.Lists, Offset: r.Offset, Note: s.Note,
	})
}
