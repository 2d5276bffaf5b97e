package fleet

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
	"github.com/tocsin-io/tocsin/quorum"
)

// maxEvents bounds what waits for [Fleet.CampaignEvents]; the newest are kept.
const maxEvents = 1000

// received takes a sighting: whether its source acts with others is found out
// first, and then what follows from what it tried. A source of a campaign is
// decided upon earlier, never by other rules: those for people hold for it, too.
func (f *Fleet) received(r tocsin.Received, at time.Time) []Effect {
	f.events = append(f.events, f.track.Observe(r)...)
	if n := len(f.events) - maxEvents; n > 0 {
		f.events = append(f.events[:0], f.events[n:]...)
	}
	var rulings []quorum.Ruling
	if _, member := f.track.Of(r.Source); member {
		rulings = f.tally.ObserveMember(r)
	} else {
		rulings = f.tally.Observe(r)
	}
	return f.rule(rulings, at)
}

// CampaignEvents returns what became of campaigns since the last call, for
// whoever tells people. What nobody asks for is forgotten in the end.
func (f *Fleet) CampaignEvents() []campaign.Event {
	events := f.events
	f.events = nil
	return events
}

// Campaigns returns all campaigns that are remembered, the newest first.
func (f *Fleet) Campaigns(at time.Time) []tocsin.Campaign { return f.track.Campaigns(at) }

// Campaign returns the one with this id, if it is remembered.
func (f *Fleet) Campaign(id tocsin.CampaignID, at time.Time) (tocsin.Campaign, bool) {
	return f.track.Campaign(id, at)
}

// CampaignOutline returns the one with this id but for why each source belongs to it,
// which [Fleet.CampaignReasons] tells.
func (f *Fleet) CampaignOutline(id tocsin.CampaignID, at time.Time) (tocsin.Campaign, bool) {
	return f.track.Outline(id, at)
}

// CampaignReasons returns why each of these sources belongs to a campaign, if it does.
func (f *Fleet) CampaignReasons(id tocsin.CampaignID, sources []netip.Prefix) [][]tocsin.Reason {
	return f.track.Why(id, sources)
}

// CampaignSummaries returns all campaigns that are remembered in short, the newest
// first.
func (f *Fleet) CampaignSummaries(at time.Time) []campaign.Summary { return f.track.Summaries(at) }

// Memberships returns which campaign each source belongs to, those that ended
// included; of several the newest.
func (f *Fleet) Memberships() map[netip.Prefix]tocsin.CampaignID { return f.track.Memberships() }

// Belongs returns the campaigns that a source belongs to, those that ended included;
// the newest first.
func (f *Fleet) Belongs(source netip.Prefix) []tocsin.CampaignID { return f.track.Belongs(source) }

// CampaignOf returns the campaign that a source is a member of, if it has not
// ended.
func (f *Fleet) CampaignOf(source netip.Prefix) (tocsin.CampaignID, bool) { return f.track.Of(source) }

// Unattributed returns sources that were active while a campaign was, and that
// nothing joins to it.
func (f *Fleet) Unattributed(id tocsin.CampaignID) []tocsin.Member { return f.track.Unattributed(id) }

// Beside returns the campaigns that a source was active beside and belongs to none
// of, the newest first, and why it belongs to none.
func (f *Fleet) Beside(source netip.Prefix, most int) ([]tocsin.CampaignID, []tocsin.Reason) {
	return f.track.Beside(source, most)
}
