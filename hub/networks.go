package hub

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/nettable"
	"github.com/tocsin-io/tocsin/store"
)

// networks is the table of autonomous systems: the one that came with the
// program, or a newer one that the operator imported.
type networks struct {
	values store.Values
	table  atomic.Pointer[nettable.Table]
}

const networksValue = "networks"

func openNetworks(ctx context.Context, values store.Values, log *slog.Logger) (*networks, error) {
	n := &networks{values: values}
	n.table.Store(nettable.BuiltIn())
	b, err := values.Value(ctx, networksValue)
	if err != nil {
		return n, ignoreNotFound(err)
	}
	t, err := nettable.Open(b)
	if err != nil {
		log.Warn("the imported table of networks cannot be read: going on with the one that came with the program", "err", err)
		return n, nil
	}
	n.table.Store(t)
	return n, nil
}

func (n *networks) of(a netip.Addr) uint32 { return n.table.Load().Lookup(a).AS }

func (n *networks) info() api.NetworkTable {
	i := n.table.Load().Info()
	return api.NetworkTable{Date: i.Date, Source: i.Source, Quality: i.Quality, Ranges: i.Ranges}
}

func (n *networks) replace(ctx context.Context, csv io.Reader, now time.Time) (api.NetworkTable, error) {
	b, err := nettable.Pack(csv, nettable.Info{Date: now, Source: "imported by the operator"})
	if err != nil {
		return api.NetworkTable{}, api.Refuse(400, "%v", err)
	}
	t, err := nettable.Open(b)
	if err != nil {
		return api.NetworkTable{}, fmt.Errorf("packed table: %w", err)
	}
	if err := n.values.Put(ctx, networksValue, b); err != nil {
		return api.NetworkTable{}, err
	}
	n.table.Store(t)
	return n.info(), nil
}
