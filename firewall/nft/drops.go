package nft

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin/firewall"
)

// Drops implements [firewall.Sampler]. The kernel gathers samples for up to a
// second; each stands for at least one packet. Where this kernel has no log
// groups the error is [firewall.ErrUnsupported].
func (f *Filter) Drops(ctx context.Context, dropped func(firewall.Drop)) error {
	if f.nflog == nil {
		return fmt.Errorf("nft: sample drops: %w: no log groups", firewall.ErrUnsupported)
	}
	return f.nflog.Read(ctx, func(source netip.Addr, at time.Time) {
		dropped(firewall.Drop{Source: source, At: at, Count: 1})
	})
}
