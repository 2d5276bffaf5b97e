package hub

import (
	"context"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/campaign"
	"github.com/tocsin-io/tocsin/store"
)

// Campaigns returns what is known of sources that act together, the newest first.
func (h *Hub) Campaigns(ctx context.Context) (list []tocsin.Campaign, err error) {
	err = h.decider.ask(ctx, func(now time.Time) { list = h.decider.mind.Campaigns(now) })
	return list, err
}

// Campaign returns one, or [store.ErrNotFound].
func (h *Hub) Campaign(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error) {
	return h.campaign(ctx, func(now time.Time) (tocsin.Campaign, bool) { return h.decider.mind.Campaign(id, now) })
}

// CampaignOutline returns one but for why each source belongs to it, or
// [store.ErrNotFound]: of very many that keeps the loop for long.
func (h *Hub) CampaignOutline(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error) {
	return h.campaign(ctx, func(now time.Time) (tocsin.Campaign, bool) { return h.decider.mind.CampaignOutline(id, now) })
}

func (h *Hub) campaign(ctx context.Context, find func(now time.Time) (tocsin.Campaign, bool)) (c tocsin.Campaign, err error) {
	known := false
	err = h.decider.ask(ctx, func(now time.Time) { c, known = find(now) })
	if err == nil && !known {
		err = store.ErrNotFound
	}
	return c, err
}

// CampaignReasons returns why each of these sources belongs to a campaign, if it does.
func (h *Hub) CampaignReasons(ctx context.Context, id tocsin.CampaignID, sources []netip.Prefix) (list [][]tocsin.Reason, err error) {
	err = h.decider.ask(ctx, func(time.Time) { list = h.decider.mind.CampaignReasons(id, sources) })
	return list, err
}

// CampaignLines returns what is known of campaigns in short, the newest first.
func (h *Hub) CampaignLines(ctx context.Context) ([]api.CampaignLine, error) {
	var all []campaign.Summary
	err := h.decider.ask(ctx, func(now time.Time) { all = h.decider.mind.CampaignSummaries(now) })
	list := make([]api.CampaignLine, len(all))
	for i, s := range all {
		list[i] = api.CampaignLineOf(s.Campaign)
		list[i].Sources, list[i].Targets = s.Members, s.Devices
	}
	return list, err
}

// Memberships returns which campaign each source belongs to, those that ended
// included; of several the newest.
func (h *Hub) Memberships(ctx context.Context) (of map[netip.Prefix]tocsin.CampaignID, err error) {
	err = h.decider.ask(ctx, func(time.Time) { of = h.decider.mind.Memberships() })
	return of, err
}

// MembershipsOf returns the campaigns that a source belongs to, and after them at most
// so many that it was active beside; the newest first, and why.
func (h *Hub) MembershipsOf(ctx context.Context, source netip.Prefix, beside int) (list []api.Membership, err error) {
	err = h.decider.ask(ctx, func(time.Time) {
		mind := h.decider.mind
		for _, id := range mind.Belongs(source) {
			why := mind.CampaignReasons(id, []netip.Prefix{source})[0]
			list = append(list, api.Membership{ID: id, Why: append([]tocsin.Reason{}, why...), Attributed: true})
		}
		ids, why := mind.Beside(source, beside)
		for _, id := range ids {
			list = append(list, api.Membership{ID: id, Why: append([]tocsin.Reason{}, why...)})
		}
	})
	return list, err
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
