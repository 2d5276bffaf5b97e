package hub

import (
	"context"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// Clues implements [api.Ingester].
func (in *ingester) Clues(ctx context.Context, r api.Reporter, after tocsin.ID, batch []tocsin.Clue) (api.Ingested, error) {
	d, err := in.devices.live(r.Device)
	if err != nil {
		return api.Ingested{}, err
	}
	before, err := in.store.HighestClue(ctx, d.ID)
	if err != nil {
		return api.Ingested{}, err
	}
	if above(after, before) { // restored since: what lies between is to come first
		return api.Ingested{Have: before}, nil
	}
	received := make([]store.Clue, len(batch))
	for i, c := range batch {
		// Whose it is comes from the enrolment, whatever the clue says.
		c.Device, c.ID.Device = d.ID, d.ID
		received[i] = store.Clue{Clue: c, Offset: r.Offset, Owner: d.Owner}
	}
	fresh, err := in.store.AddClues(ctx, received)
	if err != nil {
		return api.Ingested{}, err
	}
	have := before
	if n := len(fresh); n > 0 {
		have = fresh[n-1].ID
		in.metrics.clues.Add(float64(n))
		in.devices.noticed(d.ID, n)
		if in.onClues != nil {
			in.onClues(fresh)
		}
	}
	return api.Ingested{Fresh: len(fresh), Repeated: len(batch) - len(fresh), Have: have}, nil
}

// Contacts implements [api.Ingester].
func (in *ingester) Contacts(ctx context.Context, r api.Reporter, batch []tocsin.Contact) error {
	d, err := in.devices.live(r.Device)
	if err != nil {
		return err
	}
	for i := range batch {
		batch[i].Device = d.ID
		shift(&batch[i], -r.Offset.Round(mostJitter))
	}
	if err := in.store.AddContacts(ctx, batch); err != nil {
		return err
	}
	in.metrics.contacts.Add(float64(len(batch)))
	if in.onContacts != nil && len(batch) > 0 {
		in.onContacts(batch)
	}
	return nil
}

// mostJitter is what of a clock's offset may be the time that a report was on its
// way: told again, the same gap stays the same.
const mostJitter = time.Minute

// shift moves a contact to the hub's clock, by which coverage and the cases are kept,
// too: a device whose own is behind would have seen its controller long ago. It moves
// by whole steps, so that a contact told twice stays the same.
func shift(c *tocsin.Contact, by time.Duration) {
	c.First, c.Last = c.First.Add(by), c.Last.Add(by)
	c.Starts = slices.Clone(c.Starts)
	for i := range c.Starts {
		c.Starts[i].At = c.Starts[i].At.Add(by)
	}
}

// cover notes what a device read of its telemetry, by the hub's clock: a device
// whose own stands elsewhere must not cover another day. Nothing is covered that
// has not happened yet.
func (in *ingester) cover(ctx context.Context, r api.Reporter, told []tocsin.Coverage) error {
	now, offset := in.now(), r.Offset
	if offset.Abs() < mostJitter {
		offset = 0
	}
	here := func(t time.Time) time.Time {
		if t = t.Add(-offset); t.After(now) {
			return now
		}
		return t
	}
	for _, c := range told {
		c.From, c.Until = here(c.From), here(c.Until)
		gaps := make([]tocsin.Gap, len(c.Gaps))
		for i, g := range c.Gaps {
			gaps[i] = tocsin.Gap{Span: tocsin.Span{From: here(g.From), To: here(g.To)}, Reason: g.Reason}
		}
		if c.Gaps = gaps; !slices.Contains(tocsin.Streams, c.Stream) {
			continue // of a newer version
		}
		if err := in.store.Cover(ctx, r.Device, c); err != nil {
			return err
		}
	}
	return nil
}

// countClues counts the clues that are kept of each device.
func (r *registry) countClues(ctx context.Context) error {
	if r.tally == nil {
		return nil
	}
	counts, err := r.tally(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clues = counts
	return nil
}

// noticed counts clues that came.
func (r *registry) noticed(id tocsin.DeviceID, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clues[id] += uint64(n)
}
