package console

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/overview"
)

// What narrows a table to what a number elsewhere counts, and is no column of it.

// reachedBy returns the devices that an address and port is counted for as a candidate:
// those judged that contacted it.
func (p *Part) reachedBy(ctx context.Context, to string) (map[tocsin.DeviceID]bool, error) {
	at, protocol, err := destination(to)
	if err != nil {
		return nil, err
	}
	return p.reached.of(to).get(func() (map[tocsin.DeviceID]bool, error) {
		c, err := p.compromiseNow(ctx)
		if err != nil {
			return nil, err
		}
		judged := make(map[tocsin.DeviceID]bool, len(c.Devices))
		for _, d := range c.Devices {
			judged[d.Device] = true
		}
		found := map[tocsin.DeviceID]bool{}
		for one, err := range p.deps.Store.Contacts(ctx, "", c.Summary.From) {
			if err != nil {
				return nil, err
			}
			if one.To == at && one.Protocol == protocol && judged[one.Device] {
				found[one.Device] = true
			}
		}
		return found, nil
	})
}

// destination reads an address and port such as 203.0.113.7:443, or 203.0.113.7:53/udp.
func destination(text string) (netip.AddrPort, uint8, error) {
	where, protocol, _ := strings.Cut(text, "/")
	at, err := netip.ParseAddrPort(where)
	number, ok := map[string]uint8{"": 6, "tcp": 6, "udp": 17}[protocol]
	if err != nil || !ok {
		return at, 0, api.Refuse(http.StatusBadRequest, "controller: want an address with its port, such as 203.0.113.7:443, or 203.0.113.7:53/udp")
	}
	return at, number, nil
}

// triedBy returns the devices that a source did something at.
func (p *Part) triedBy(source string) (map[tocsin.DeviceID]bool, error) {
	prefix, err := netip.ParsePrefix(source)
	if err != nil {
		a, err := netip.ParseAddr(source)
		if err != nil {
			return nil, api.Refuse(http.StatusBadRequest, "source: want an address or a prefix, such as 203.0.113.7")
		}
		prefix = tocsin.SourcePrefix(a)
	}
	found := map[tocsin.DeviceID]bool{}
	for _, t := range p.touches([]netip.Prefix{prefix}) {
		found[t.Device] = true
	}
	return found, nil
}

// sourcesAt returns the sources that did something at a device in the last week, each
// with what it did there.
func (p *Part) sourcesAt(ctx context.Context, id tocsin.DeviceID) ([]Source, error) {
	var touches []overview.Touch
	p.with(func(l *overview.Ledger) { touches = l.At(id) })
	list := make([]Source, len(touches))
	for i, t := range touches {
		list[i] = Source{
			Prefix: t.Source, Attempts: uint64(t.Attempts), Devices: 1, Owners: 1, Services: t.Services, First: t.First, Last: t.Last,
		}
	}
	return list, p.describe(ctx, list)
}

// membersAt keeps of a campaign's sources those that did something at a device.
func (p *Part) membersAt(list []Member, id tocsin.DeviceID) []Member {
	sources := make([]netip.Prefix, len(list))
	for i := range list {
		sources[i] = list[i].Source
	}
	there := map[netip.Prefix]bool{}
	for _, t := range p.touches(sources) {
		if t.Device == id {
			there[t.Source] = true
		}
	}
	return slices.DeleteFunc(list, func(m Member) bool { return !there[m.Source] })
}

// seenBetween keeps the sources that may have been active between two moments; an
// empty text is no bound.
func seenBetween(list []Source, from, until string) ([]Source, error) {
	if from == "" && until == "" {
		return list, nil
	}
	var bounds [2]time.Time
	for i, text := range []string{from, until} {
		var err error
		if bounds[i], err = time.Parse(time.RFC3339, text); text != "" && err != nil {
			return nil, api.Refuse(http.StatusBadRequest, "from and until: want times such as 2023-10-14T06:00:00Z")
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(s Source) bool {
		return s.Last.Before(bounds[0]) || until != "" && s.First.After(bounds[1])
	}), nil
}

// only keeps the rows about certain devices.
func only[R any](list []R, wanted map[tocsin.DeviceID]bool, id func(*R) tocsin.DeviceID) []R {
	return slices.DeleteFunc(slices.Clone(list), func(r R) bool { return !wanted[id(&r)] })
}
