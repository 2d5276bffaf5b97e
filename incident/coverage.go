package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/store"
)

// coverage is what of a device was read: the last word on its telemetry.
type coverage map[tocsin.DeviceID]map[tocsin.Stream][]compromise.Period

// readCoverage reads what devices told of what they read.
func (p *Part) readCoverage(ctx context.Context) (coverage, error) {
	all := coverage{}
	for c, err := range p.deps.Store.Covered(ctx) {
		if err != nil {
			return nil, err
		}
		if all[c.Device] == nil {
			all[c.Device] = map[tocsin.Stream][]compromise.Period{}
		}
		all[c.Device][c.Stream] = read(c)
	}
	return all, nil
}

// begins returns when the first log of any device was read, or zero: before that
// nobody can say anything, and nothing is asked.
func (c coverage) begins() (first time.Time) {
	for _, streams := range c {
		if spans := streams[tocsin.LogStream]; len(spans) > 0 && (first.IsZero() || spans[0].From.Before(first)) {
			first = spans[0].From
		}
	}
	return first
}

// of returns when a device was seen: when its logs were read and, where a fleet
// reads outgoing connections, those too.
func (c coverage) of(id tocsin.DeviceID, flows bool) []compromise.Period {
	logs := c[id][tocsin.LogStream]
	if !flows {
		return logs
	}
	return both(logs, c[id][tocsin.FlowStream])
}

// last returns the last stretch of a stream that was read without a gap.
func (c coverage) last(id tocsin.DeviceID, s tocsin.Stream) compromise.Period {
	if spans := c[id][s]; len(spans) > 0 {
		return spans[len(spans)-1]
	}
	return compromise.Period{}
}

// both returns what is in a and in b, which are in order and do not overlap.
func both(a, b []compromise.Period) (list []compromise.Period) {
	for len(a) > 0 && len(b) > 0 {
		from, to := a[0].From, a[0].To
		if b[0].From.After(from) {
			from = b[0].From
		}
		if b[0].To.Before(to) {
			to = b[0].To
		}
		if from.Before(to) {
			list = append(list, compromise.Period{From: from, To: to})
		}
		if a[0].To.Before(b[0].To) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return list
}

// read returns the spans read of a stream, the gaps taken out.
func read(c store.Covered) (list []compromise.Period) {
	for _, s := range c.Read {
		from := s.From
		for _, g := range c.Gaps {
			if !g.To.After(from) || !g.From.Before(s.To) {
				continue
			}
			if g.From.After(from) {
				list = append(list, compromise.Period{From: from, To: g.From})
			}
			from = g.To
		}
		if from.Before(s.To) {
			list = append(list, compromise.Period{From: from, To: s.To})
		}
	}
	return list
}

// closingKind is the kind of the documents that hold what people closed: one a
// device.
const closingKind = "closing"

func (p *Part) closings(ctx context.Context) (map[tocsin.DeviceID][]compromise.Closing, error) {
	all := map[tocsin.DeviceID][]compromise.Closing{}
	for r, err := range p.deps.Store.Records(ctx, closingKind) {
		if err != nil {
			return nil, err
		}
		var list []compromise.Closing
		if err := json.Unmarshal(r.Body, &list); err != nil {
			return nil, fmt.Errorf("closings of %s: %w", r.ID, err)
		}
		all[tocsin.DeviceID(r.ID)] = list
	}
	return all, nil
}

// mostClosings bounds those kept of a device, the newest.
const mostClosings = 50

// Dismiss notes a person's word that what was found on a device is harmless. New
// evidence opens it again.
func (p *Part) Dismiss(ctx context.Context, id tocsin.DeviceID, by, reason string) (api.Assessed, error) {
	j, err := p.judge(ctx) // what the person closes is what is known now
	if err != nil {
		return api.Assessed{}, err
	}
	a, ok := j.assessment(id)
	if !ok {
		return api.Assessed{}, store.ErrNotFound
	}
	closing, err := a.Close(j.At, by, reason)
	if err != nil {
		return api.Assessed{}, refuse(err)
	}
	var list []compromise.Closing
	err = p.change(ctx, closingKind, string(id), &list, func() error {
		list = append(list, closing)
		list = list[max(0, len(list)-mostClosings):]
		return nil
	})
	if err != nil {
		return api.Assessed{}, err
	}
	if j, err = p.judge(ctx); err != nil {
		return api.Assessed{}, err
	}
	a, _ = j.assessment(id)
	return j.show(a), nil
}

func (j judgement) assessment(id tocsin.DeviceID) (compromise.Assessment, bool) {
	for _, a := range j.Assessed {
		if a.Device == id {
			return a, true
		}
	}
	return compromise.Assessment{}, false
}

// refuse shows an error of a pure package to whoever asked: it says what is wrong
// and what to do.
func refuse(err error) error { return api.Refuse(http.StatusConflict, "%v", err) }

// tries is how often a change is tried when somebody else changes the same.
const tries = 5

// change has f change the document that doc holds, and stores it: all or nothing.
func (p *Part) change(ctx context.Context, kind, id string, doc any, f func() error) error {
	for range tries {
		r, err := p.deps.Store.Record(ctx, kind, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			r = store.Record{Kind: kind, ID: id}
		case err != nil:
			return err
		default:
			if err := json.Unmarshal(r.Body, doc); err != nil {
				return fmt.Errorf("%s %s: %w", kind, id, err)
			}
		}
		if err := f(); err != nil {
			return err
		}
		if r.Body, err = json.Marshal(doc); err != nil {
			return err
		}
		if _, err = p.deps.Store.PutRecord(ctx, r); !errors.Is(err, store.ErrChanged) {
			return err
		}
	}
	return store.ErrChanged
}
