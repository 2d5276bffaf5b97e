package api

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// rules answers a page of one scope. The cursor is the last prefix of the page
// before.
func (a *API) rules(c *call) (any, error) {
	limit, cursor, err := c.page()
	if err != nil {
		return nil, err
	}
	q := RuleQuery{Most: limit}
	if q.Owner, err = c.owner(); err != nil {
		return nil, err
	}
	if cursor != "" {
		if q.After, err = netip.ParsePrefix(cursor); err != nil {
			return nil, badRequest("cursor: want the next of the page before, as it was")
		}
	}
	list, err := a.Fleet.Rules(c.r.Context(), q)
	p := RulePage{Rules: append([]Rule{}, list...)}
	if len(list) >= limit {
		p.Next = toCursor(list[len(list)-1].Prefix.String())
	}
	return result(p, err)
}

// events answers what is known about a source. The cursor is the last serial of
// the page before.
func (a *API) events(c *call) (any, error) {
	limit, cursor, err := c.page()
	if err != nil {
		return nil, err
	}
	source, err := parseSource(c.r.FormValue("source"))
	if err != nil {
		return nil, err
	}
	before := uint64(0)
	if cursor != "" {
		if before, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, badRequest("cursor: want the next of the page before, as it was")
		}
	}
	list, err := a.Fleet.About(c.r.Context(), source, before, limit)
	p := EventPage{Events: make([]Event, 0, len(list))}
	for _, e := range list {
		p.Events = append(p.Events, EventOf(e))
	}
	if len(list) >= limit {
		p.Next = toCursor(strconv.FormatUint(list[len(list)-1].Serial, 10))
	}
	return result(p, err)
}

// parseSource reads an address, or a prefix that is one source.
func parseSource(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return tocsin.SourcePrefix(a), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p != tocsin.SourcePrefix(p.Addr()) {
		return p, badRequest("source: want an IPv4 address, or an IPv6 address or /64")
	}
	return p, nil
}

// EventOf returns e as it travels.
func EventOf(e tocsin.Event) Event {
	out := Event{Serial: e.Serial, At: e.At}
	switch {
	case e.Received != nil:
		r := e.Received
		out.Received = &Received{
			Sighting: SightingOf(r.Sighting), Owner: r.Owner, From: r.From, Network: r.Network,
			Channel: r.Channel.String(), Suspect: r.Suspect, Offset: r.Offset.Seconds(),
		}
	case e.Order != nil:
		out.Order = orderedOf(*e.Order)
	case e.Loss != nil:
		out.Loss = &LossReceived{Device: e.Loss.Device, Owner: e.Loss.Owner, Prefix: e.Loss.Prefix}
	}
	return out
}

func orderedOf(o tocsin.Order) *Ordered {
	d := o.Decision
	out := &Ordered{Verb: Block, Owner: o.Owner, Prefix: d.Prefix, Until: d.Until, Reason: d.Reason, By: o.By}
	switch {
	case d.Action == tocsin.Pass && o.Lift:
		out.Verb = Unblock
	case d.Action == tocsin.Pass:
		out.Verb = Allow
	}
	if o.End {
		if out.Verb != Block {
			out.Verb = Allow
		}
		out.Of, out.Verb = out.Verb, End
	}
	return out
}

// list streams what devices of an owner drop: everybody's blocks and the owner's,
// without what is let pass. Who reads it knows no passes.
func (a *API) list(c *call) (any, error) {
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	scopes := []tocsin.OwnerID{""}
	if owner != "" {
		scopes = append(scopes, owner)
	}
	ctx := c.r.Context()
	passes := sheltered{}
	for _, s := range scopes {
		for r, err := range a.each(ctx, s, tocsin.Pass) {
			if err != nil {
				return nil, err
			}
			passes.add(r.Prefix)
		}
	}
	out := bufio.NewWriterSize(c.stream("text/plain; charset=utf-8", ""), 64<<10)
	for p, err := range merged(a, ctx, scopes) {
		if err != nil {
			return nil, err
		}
		if passes.touches(p) {
			continue
		}
		if _, err := out.WriteString(p.String() + "\n"); err != nil {
			return nil, err
		}
	}
	return answered, out.Flush()
}

// stream returns where a long answer is written: each piece has its own deadline,
// and the header goes out with the first, so that an error before it is still told.
func (c *call) stream(kind, name string) io.Writer {
	c.w.Header().Set("Content-Type", kind)
	if name != "" {
		c.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	}
	return &pieces{c, http.NewResponseController(c.w)}
}

type pieces struct {
	*call
	rc *http.ResponseController
}

func (p *pieces) Write(b []byte) (int, error) {
	p.begun = true
	_ = p.rc.SetWriteDeadline(time.Now().Add(writeTime)) // where there is none to set, none is needed
	return p.w.Write(b)
}

func (a *API) status(c *call) (any, error) { return result(a.Upkeep.Status(c.r.Context())) }

func (a *API) networks(c *call) (any, error) { return result(a.Upkeep.Networks(c.r.Context())) }

func (a *API) importNetworks(c *call) (any, error) {
	in := &arrivals{http.MaxBytesReader(c.w, c.r.Body, maxNetworks), http.NewResponseController(c.w)}
	t, err := a.Upkeep.ImportNetworks(c.r.Context(), in, c.by)
	return result(t, err)
}

// arrivals gives each piece of a long body its own deadline.
type arrivals struct {
	io.Reader
	rc *http.ResponseController
}

func (p *arrivals) Read(b []byte) (int, error) {
	_ = p.rc.SetReadDeadline(time.Now().Add(bodyTime)) // where there is none to set, none is needed
	return p.Reader.Read(b)
}

func (a *API) backup(c *call) (any, error) {
	name := "tocsin-" + c.at.UTC().Format("20060102T150405Z") + ".backup"
	return answered, a.Upkeep.Backup(c.r.Context(), c.stream("application/octet-stream", name))
}

func (a *API) document(c *call) (any, error) {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(Document) // whoever hung up does not want it
	return answered, nil
}

func (a *API) health(c *call) (any, error) {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(c.w, "ok\n")
	return answered, nil
}

// ready tells anybody whether the hub works, and only its log why it does not.
func (a *API) ready(c *call) (any, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), headerTime)
	defer cancel()
	if err := a.Upkeep.Ready(ctx); err != nil {
		a.Log.Warn("not ready", logkey.Err, err)
		return nil, Refuse(http.StatusServiceUnavailable, "not ready: the hub's log says why")
	}
	return a.health(c)
}
