package hub

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/feed"
	"github.com/tocsin-io/tocsin/internal/nettable"
)

// AllRules returns every rule in force, of everybody and of each owner, by prefix,
// then action, then owner. The loop is asked once, and only for what it holds: why the
// fleet decided is for [Hub.Reasons] to add.
func (h *Hub) AllRules(ctx context.Context) ([]api.Rule, error) {
	type scope struct {
		owner   tocsin.OwnerID
		entries []blocklist.Entry
	}
	var scopes []scope
	err := h.decider.ask(ctx, func(now time.Time) {
		for _, owner := range h.decider.mind.Owners() {
			scopes = append(scopes, scope{owner, slices.Collect(h.decider.mind.Entries(owner, now))})
		}
	})
	n := 0
	for _, s := range scopes {
		n += len(s.entries)
	}
	list := make([]api.Rule, 0, n)
	for _, s := range scopes {
		for _, e := range s.entries {
			list = append(list, ruleOf(e, s.owner))
		}
	}
	slices.SortFunc(list, func(a, b api.Rule) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Owner, b.Owner))
	})
	return list, err
}

// Blocks returns how many blocks are in force, those that just ended included.
func (h *Hub) Blocks(ctx context.Context) (n int, err error) {
	err = h.decider.ask(ctx, func(time.Time) {
		for _, owner := range h.decider.mind.Owners() {
			n += h.decider.mind.Blocks(owner)
		}
	})
	return n, err
}

// Reasons adds why the fleet decided to rules that do not say.
func (h *Hub) Reasons(ctx context.Context, list []api.Rule) error {
	return h.people.reasons(ctx, list)
}

// Explain says why an address is blocked for an owner, or is not.
func (h *Hub) Explain(ctx context.Context, owner tocsin.OwnerID, a netip.Addr) (api.Explanation, error) {
	return h.people.Explain(ctx, owner, a)
}

// About returns the newest events about a source.
func (h *Hub) About(ctx context.Context, source netip.Prefix, most int) ([]tocsin.Event, error) {
	return h.people.About(ctx, source, 0, most)
}

// AllDevices returns every device, revoked ones included, by ID.
func (h *Hub) AllDevices(ctx context.Context) ([]api.Device, error) {
	return h.registry.Devices(ctx, "", "", 1<<31-1)
}

// Connected returns the devices that follow the feed, with what they enforce.
func (h *Hub) Connected() (list []feed.Follower) { return slices.Collect(h.feed.Connected()) }

// Lagging returns the devices that are connected and lack what was published longer
// ago than grace.
func (h *Hub) Lagging(grace time.Duration) map[tocsin.DeviceID]bool {
	all := map[tocsin.DeviceID]bool{}
	for lag := range h.feed.Lagging(grace) {
		all[lag.Device] = true
	}
	return all
}

// PassesOf returns an owner's one-time passes, without their codes.
func (h *Hub) PassesOf(ctx context.Context, owner tocsin.OwnerID) ([]api.Pass, error) {
	return h.passes.Passes(ctx, owner)
}

// Owners returns who has devices that are not revoked.
func (h *Hub) Owners() []tocsin.OwnerID { return h.registry.owners() }

// Network returns what the table of networks knows of an address.
func (h *Hub) Network(a netip.Addr) nettable.Network { return h.networks.table.Load().Lookup(a) }

// Warnings are what a person should do about the hub's keys.
func (h *Hub) Warnings() []string { return h.warnings() }
