package incident

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/flows/zeek"
)

// addressLabel is the label by which a person says at which address flow records
// show a device, where that is not the one that the hub sees.
const addressLabel = "address"

// mostSpool is how many contacts of one import are kept in memory.
const mostSpool = 1 << 20

// ImportFlows takes a conn.log of Zeek, and keeps what the fleet's devices opened.
// Connections of other machines, and those inside of networks, are left out.
func (p *Part) ImportFlows(ctx context.Context, r io.Reader) (api.FlowsImport, error) {
	j, err := p.newest(ctx)
	if err != nil {
		return api.FlowsImport{}, err
	}
	of := j.addresses()
	if len(of) == 0 {
		return api.FlowsImport{}, api.Refuse(http.StatusConflict, "no device's address is known: wait until devices reported, or label them: tocsin devices label DEVICE address=192.0.2.10")
	}
	var done api.FlowsImport
	spans := map[tocsin.DeviceID]tocsin.Span{}
	now := p.deps.Now()
	book := contact.NewBook(contact.Limits{Contacts: mostSpool})
	stats, err := zeek.Read(r, func(f contact.Flow) error {
		id, known := of[f.From]
		if !known {
			done.Others++
			return nil
		}
		if f.End.After(now) { // of a clock that was ahead: it would cover what is to come
			done.Ahead++
			return nil
		}
		s := spans[id]
		if s.From.IsZero() || f.Start.Before(s.From) {
			s.From = f.Start
		}
		if f.End.After(s.To) {
			s.To = f.End
		}
		spans[id] = s
		if contact.Public(f.To.Addr()) {
			book.Add(id, f)
			done.Taken++
		}
		return ctx.Err()
	})
	if errors.Is(err, zeek.ErrNoHeader) {
		return done, api.Refuse(http.StatusBadRequest, "%v", err)
	}
	if err != nil && ctx.Err() != nil {
		return done, err
	}
	done.Lines, done.Flows, done.Bad = stats.Lines, stats.Flows, stats.Bad
	if stats.FirstBad != nil {
		done.FirstBad = stats.FirstBad.Error()
	}
	if err != nil { // what could be read is kept all the same
		done.Cut = err.Error()
	}
	return done, p.keepFlows(ctx, &done, book.TakeAll(), spans)
}

// addresses says whose an address of flow records is.
func (j judgement) addresses() map[netip.Addr]tocsin.DeviceID {
	of := map[netip.Addr]tocsin.DeviceID{}
	for _, d := range j.Devices { // by ID: the first wins where two share one
		a := j.addressOf(d)
		if _, taken := of[a]; a.IsValid() && !taken {
			of[a] = d.ID
		}
	}
	return of
}

// addressOf is the address of a device as others see it: the one that its label
// tells, or else the one the hub saw it at, which may be of a private network.
func (j judgement) addressOf(d tocsin.Device) netip.Addr {
	if said, err := netip.ParseAddr(d.Labels[addressLabel]); err == nil {
		return said.Unmap()
	}
	return j.From[d.ID].Unmap()
}

// perAppend is how many contacts are committed together.
const perAppend = 1000

// keepFlows commits what was read, and that it was.
func (p *Part) keepFlows(ctx context.Context, done *api.FlowsImport, list []tocsin.Contact, spans map[tocsin.DeviceID]tocsin.Span) error {
	per := map[tocsin.DeviceID][]tocsin.Contact{}
	for _, c := range list {
		per[c.Device] = append(per[c.Device], c)
	}
	for _, id := range slices.Sorted(maps.Keys(per)) {
		for part := range slices.Chunk(per[id], perAppend) {
			if err := p.deps.Store.AddContacts(ctx, part); err != nil {
				return err
			}
			done.Contacts += len(part)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(spans)) {
		s := spans[id]
		if s.To = s.To.Add(time.Second); s.To.After(p.deps.Now()) { // a record has its end in it
			s.To = p.deps.Now()
		}
		if err := p.deps.Store.Cover(ctx, id, tocsin.Coverage{Stream: tocsin.FlowStream, From: s.From, Until: s.To}); err != nil {
			return err
		}
	}
	done.Devices = len(spans)
	p.Look()
	return nil
}
