package hub

import (
	"context"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

// Campaigns returns what is known of sources that act together, the newest first.
func (h *Hub) Campaigns(ctx context.Context) (list []tocsin.Campaign, err error) {
	err = h.decider.ask(ctx, func(now time.Time) { list = h.decider.mind.Campaigns(now) })
	return list, err
}

// Beside returns the campaigns that a source was active beside and belongs to none
// of, the newest first, and why it belongs to none.
func (h *Hub) Beside(ctx context.Context, source netip.Prefix, most int) (list []tocsin.CampaignID, why []tocsin.Reason, err error) {
	err = h.decider.ask(ctx, func(time.Time) { list, why = h.decider.mind.Beside(source, most) })
	return list, why, err
}

// Unattributed returns sources that were active beside a campaign and that nothing
// joins to it.
func (h *Hub) Unattributed(ctx context.Context, id tocsin.CampaignID) (list []tocsin.Member, err error) {
	err = h.decider.ask(ctx, func(time.Time) { list = h.decider.mind.Unattributed(id) })
	return list, err
}

// Blocked reports whether the hub's rules have the devices of an owner drop what
// comes from a.
func (h *Hub) Blocked(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (blocked bool, err error) {
	err = h.decider.ask(ctx, func(now time.Time) {
		e, _, ok := h.decider.mind.Lookup(owner, a, now)
		blocked = ok && e.Action == tocsin.Block
	})
	return blocked, err
}

// Suspect says whether a device may be compromised: its word binds nobody then.
func (h *Hub) Suspect(ctx context.Context, id tocsin.DeviceID, suspect bool) error {
	_, err := h.registry.Change(ctx, id, api.DeviceChange{Suspect: &suspect}, "tocsin")
	return err
}
