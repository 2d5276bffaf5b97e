package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/flows/conntrack"
	"github.com/tocsin-io/tocsin/footprints"
	"github.com/tocsin-io/tocsin/guard"
)

// evidence returns what the guard looks at besides logs: changes on this machine,
// and, where that is switched on, the connections that it opens.
func evidence(cfg config.Config, device tocsin.DeviceID, log *slog.Logger) (clues []guard.ClueSource, contacts []guard.ContactSource, err error) {
	if cfg.Changes {
		w, err := footprints.New(footprints.Config{Root: cfg.Root, State: cfg.State, Device: device, Now: time.Now, Log: log})
		if err != nil {
			return nil, nil, err
		}
		clues = append(clues, &changes{watch: w, now: time.Now})
	}
	if cfg.Flows {
		contacts = append(contacts, conntrack.NewSource(conntrack.Config{Own: (&ownAddresses{}).has}, time.Now))
	}
	return clues, contacts, nil
}

// changes tells how long changes were looked for, too.
type changes struct {
	watch *footprints.Watch
	now   func() time.Time

	mu    sync.Mutex // guards the field below
	since time.Time  // zero is not now
}

func (c *changes) Run(ctx context.Context, emit func(tocsin.Clue) error) error {
	c.from(c.now())
	defer c.from(time.Time{})
	return c.watch.Run(ctx, emit)
}

func (c *changes) from(t time.Time) { c.mu.Lock(); defer c.mu.Unlock(); c.since = t }

func (c *changes) Coverage() tocsin.Coverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return tocsin.Coverage{Stream: tocsin.HostStream}
	}
	return tocsin.Coverage{Stream: tocsin.HostStream, From: c.since, Until: c.now()}
}

// ownAddresses are those of this machine, looked at anew once a minute.
type ownAddresses struct {
	mu   sync.Mutex // guards the fields below
	read time.Time
	all  map[netip.Addr]bool
}

func (o *ownAddresses) has(a netip.Addr) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.all == nil || now.Sub(o.read).Abs() > time.Minute {
		o.read, o.all = now, map[netip.Addr]bool{}
		list, err := net.InterfaceAddrs()
		if err != nil {
			return false // asked again in a minute
		}
		for _, one := range list {
			if p, err := netip.ParsePrefix(one.String()); err == nil {
				o.all[p.Addr().Unmap()] = true
			}
		}
	}
	return o.all[a]
}
