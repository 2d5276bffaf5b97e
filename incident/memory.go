package incident

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of what is remembered of one device. That it was attacked shows from any
// of its failures; who was let in is what counts.
const (
	mostFailing = 200 // sources and days that only failed, the newest
	mostTelling = 400 // sightings that tell of a success or a fact, the newest
	mostNames   = 16  // accounts of one source on one day

	// Of a large fleet less is remembered of each device: a kilobyte each at worst.
	mostOfAll = 300_000
	least     = 20
)

// room returns how much of one device is remembered, of at most so much.
func (m *memory) room(most int) int {
	return min(most, max(least, mostOfAll/max(1, len(m.devices))))
}

// A memory holds what devices told, summed up as far as compromise allows: the
// log of weeks is not read anew for each judgement.
type memory struct {
	serial  uint64 // of the newest event taken
	begun   bool
	devices map[tocsin.DeviceID]*recalled
}

type recalled struct {
	from    netip.Addr // where the hub saw it last
	drops   time.Time  // when it last told of dropped packets
	telling []tocsin.Received
	failing map[dayOf]*tocsin.Received
}

// A dayOf is one source on one day.
type dayOf struct {
	source netip.Prefix
	day    int64
}

// read takes what came since, and forgets what was before from.
func (m *memory) read(ctx context.Context, log Store, from time.Time) error {
	if m.devices == nil {
		m.devices = make(map[tocsin.DeviceID]*recalled)
	}
	m.forget(from)
	list := log.Since(ctx, m.serial)
	if !m.begun && m.serial == 0 { // what was read before somebody hung up is not taken twice
		list = log.From(ctx, from)
	}
	for e, err := range list {
		if err != nil {
			return err
		}
		m.serial = max(m.serial, e.Serial)
		if e.Received != nil {
			m.take(*e.Received)
		}
	}
	m.begun = true
	return nil
}

func (m *memory) take(r tocsin.Received) {
	d := m.devices[r.ID.Device]
	if d == nil {
		d = &recalled{failing: make(map[dayOf]*tocsin.Received)}
		m.devices[r.ID.Device] = d
	}
	d.from = r.From
	if last := r.Last.Add(-r.Offset); r.Dropped > 0 && last.After(d.drops) {
		d.drops = last
	}
	if r.Successes > 0 || r.Facts&^(tocsin.FactSet(0).With(tocsin.BlockedHere)) != 0 {
		d.telling = append(d.telling, r)
		for len(d.telling) > m.room(mostTelling) {
			d.dropLeast()
		}
		return
	}
	at := dayOf{tocsin.SourcePrefix(r.Source.Addr()), r.First.Unix() / (24 * 60 * 60)}
	if have := d.failing[at]; have != nil {
		merge(have, r)
		return
	}
	for len(d.failing) >= m.room(mostFailing) {
		d.dropOldest()
	}
	d.failing[at] = &r
}

// merge adds r, which tells of failures only, to what is known of its source and
// day.
func merge(have *tocsin.Received, r tocsin.Received) {
	have.Failures += min(r.Failures, 1<<31)
	have.Probes += min(r.Probes, 1<<31)
	have.Dropped += min(r.Dropped, 1<<31)
	have.Facts |= r.Facts
	have.Provenance = max(have.Provenance, r.Provenance)
	if r.First.Before(have.First) {
		have.First = r.First
	}
	if r.Last.After(have.Last) {
		have.Last = r.Last
	}
	if r.At.After(have.At) {
		have.At, have.Offset = r.At, r.Offset
	}
	have.Accounts = slices.Clone(have.Accounts) // of the event: not ours to change
	for _, t := range r.Accounts {
		i := slices.IndexFunc(have.Accounts, func(one tocsin.Tried) bool { return one.Tag == t.Tag })
		switch {
		case i >= 0:
			have.Accounts[i].Failures += t.Failures
			have.Accounts[i].Unknown = have.Accounts[i].Unknown || t.Unknown
		case len(have.Accounts) < mostNames:
			have.Accounts = append(have.Accounts, t)
		}
	}
}

// dropLeast forgets the oldest sighting of those that tell least: whoever got in
// must not have that forgotten by guessing on.
func (d *recalled) dropLeast() {
	tells := func(r *tocsin.Received) int {
		switch {
		case r.Successes == 0:
			return 0
		case !r.Facts.Has(tocsin.SuccessAfterFailures) && !r.Facts.Has(tocsin.SuccessFromBlocked):
			return 1
		}
		return 2
	}
	worst := 0
	for i := range d.telling {
		if tells(&d.telling[i]) < tells(&d.telling[worst]) {
			worst = i
		}
	}
	d.telling = slices.Delete(d.telling, worst, worst+1)
}

func (d *recalled) dropOldest() {
	var oldest dayOf
	var last time.Time
	for at, r := range d.failing {
		if last.IsZero() || r.Last.Before(last) || r.Last.Equal(last) && at.source.Compare(oldest.source) < 0 {
			oldest, last = at, r.Last
		}
	}
	delete(d.failing, oldest)
}

// forget drops what ended before from.
func (m *memory) forget(from time.Time) {
	old := func(r tocsin.Received) bool { return r.Last.Add(-r.Offset).Before(from) }
	for id, d := range m.devices {
		d.telling = slices.DeleteFunc(d.telling, old)
		for at, r := range d.failing {
			if old(*r) {
				delete(d.failing, at)
			}
		}
		if len(d.telling)+len(d.failing) == 0 {
			delete(m.devices, id)
		}
	}
}

// of returns what is known of a device, by time.
func (m *memory) of(id tocsin.DeviceID) []tocsin.Received {
	d := m.devices[id]
	if d == nil {
		return nil
	}
	list := slices.Clone(d.telling)
	for _, r := range d.failing {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b tocsin.Received) int {
		return cmp.Or(a.First.Compare(b.First), a.Source.Compare(b.Source), cmp.Compare(a.ID.Counter, b.ID.Counter))
	})
	return list
}
