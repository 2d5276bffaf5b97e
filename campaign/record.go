package campaign

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// Bounds of what is told of one campaign.
const (
	MaxAccounts     = 100  // the most tried
	MaxUnattributed = 1000 // the newest
)

// Campaigns returns all that are remembered, the newest first.
func (t *Tracker) Campaigns(at time.Time) []tocsin.Campaign {
	list := make([]tocsin.Campaign, 0, len(t.campaigns))
	for _, c := range slices.Backward(t.campaigns) {
		list = append(list, t.record(c, at))
	}
	return list
}

// Campaign returns the one with this id, if it is remembered.
func (t *Tracker) Campaign(id tocsin.CampaignID, at time.Time) (tocsin.Campaign, bool) {
	if c := t.find(id); c != nil {
		return t.record(c, at), true
	}
	return tocsin.Campaign{}, false
}

// Outline returns the one with this id but for why each source belongs to it, which
// for very many takes longer than the rest: [Tracker.Why] tells it of those that matter.
func (t *Tracker) Outline(id tocsin.CampaignID, at time.Time) (tocsin.Campaign, bool) {
	if c := t.find(id); c != nil {
		return t.outline(c, at), true
	}
	return tocsin.Campaign{}, false
}

// Why returns why each of these sources belongs to a campaign, if it does.
func (t *Tracker) Why(id tocsin.CampaignID, sources []netip.Prefix) [][]tocsin.Reason {
	list := make([][]tocsin.Reason, len(sources))
	if c := t.find(id); c != nil {
		for i, p := range sources {
			list[i] = t.why(c, p)
		}
	}
	return list
}

func (t *Tracker) why(c *campaign, source netip.Prefix) []tocsin.Reason {
	if key, ok := sourceKey(source); ok && c.members[key] != nil {
		return t.reasons(c.members[key])
	}
	return nil
}

// A Summary is a campaign with counts instead of what they count.
type Summary struct {
	tocsin.Campaign // without sources, targets, accounts and timeline
	Members         int
	Devices         int // that its sources tried
}

// Summaries returns all that are remembered in short, the newest first.
func (t *Tracker) Summaries(at time.Time) []Summary {
	list := make([]Summary, 0, len(t.campaigns))
	for _, c := range slices.Backward(t.campaigns) {
		s := Summary{Campaign: t.brief(c, at), Members: len(c.members)}
		for n := range c.targets {
			if _, known := t.names.devices[n]; known {
				s.Devices++
			}
		}
		list = append(list, s)
	}
	return list
}

// Memberships returns which campaign each source belongs to, of several the newest.
func (t *Tracker) Memberships() map[netip.Prefix]tocsin.CampaignID {
	of := make(map[netip.Prefix]tocsin.CampaignID, len(t.members))
	for _, c := range t.campaigns {
		for key := range c.members {
			of[window.Prefix(key)] = c.id
		}
	}
	return of
}

// Belongs returns the campaigns that a source belongs to, the newest first.
func (t *Tracker) Belongs(source netip.Prefix) (list []tocsin.CampaignID) {
	key, ok := sourceKey(source)
	for _, c := range slices.Backward(t.campaigns) {
		if ok && c.members[key] != nil {
			list = append(list, c.id)
		}
	}
	return list
}

func (t *Tracker) find(id tocsin.CampaignID) *campaign {
	for _, c := range t.campaigns {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (t *Tracker) record(c *campaign, at time.Time) tocsin.Campaign {
	r := t.outline(c, at)
	for i := range r.Sources {
		r.Sources[i].Reasons = t.why(c, r.Sources[i].Source)
	}
	return r
}

// outline is a campaign but for why each source belongs to it.
func (t *Tracker) outline(c *campaign, at time.Time) tocsin.Campaign {
	r := t.brief(c, at)
	r.Targets, r.Accounts, r.Timeline = t.names.deviceNames(c.targets), t.tags(c.accounts), slices.Clone(c.marks)
	for _, key := range slices.Sorted(maps.Keys(c.members)) {
		r.Sources = append(r.Sources, t.member(key, c.members[key]))
	}
	slices.SortFunc(r.Sources, byPrefix)
	return r
}

// brief is a campaign but for its lists.
func (t *Tracker) brief(c *campaign, at time.Time) tocsin.Campaign {
	if c.live() {
		t.measure(c)
	}
	r := tocsin.Campaign{
		ID: c.id, Status: c.status, Into: c.into, Opened: clock(c.opened), First: clock(c.first),
		Last: clock(max(c.attempt, c.drop)), Ended: clock(c.ended), Size: c.size,
		Attempts: c.attempts, Dropped: c.dropped, Shared: c.shared, Confidence: t.confidence(c),
	}
	seen := max(c.attempt, c.drop)
	if now := max(seconds(at), t.now); c.live() && now-min(seen, now) >= span(t.policy.Silence) {
		r.Status, r.Ended = tocsin.Ended, clock(seen+span(t.policy.Silence)) // nothing came since to say so
	}
	for _, n := range slices.Sorted(maps.Keys(c.services)) {
		r.Services = append(r.Services, t.names.services[n])
	}
	slices.Sort(r.Services)
	return r
}

func byPrefix(a, b tocsin.Member) int { return a.Source.Compare(b.Source) }

// confidence is that of the member in the middle.
func (t *Tracker) confidence(c *campaign) float64 {
	if len(c.members) == 0 {
		return 0
	}
	all := make([]int32, 0, len(c.members))
	for _, m := range c.members {
		all = append(all, m.total)
	}
	slices.Sort(all)
	return t.sure(all[len(all)/2])
}

// sure is how sure evidence makes, to three digits.
func (t *Tracker) sure(total int32) float64 { return math.Round(t.posterior(total)*1000) / 1000 }

// tags returns the accounts that were tried, the most tried first.
func (t *Tracker) tags(count map[uint32]uint32) []tocsin.AccountTag {
	keys := slices.Collect(maps.Keys(count))
	slices.SortFunc(keys, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(t.names.accounts[a], t.names.accounts[b]), cmp.Compare(a, b))
	})
	var list []tocsin.AccountTag
	for _, k := range keys {
		if tag, ok := t.names.accounts[k]; ok && len(list) < MaxAccounts {
			list = append(list, tag)
		}
	}
	return list
}

func (t *Tracker) member(key uint64, m *member) tocsin.Member {
	return tocsin.Member{
		Source: window.Prefix(key), First: clock(m.first), Last: clock(m.last), Attempts: m.attempts, Devices: m.devices,
		Confidence: t.sure(m.total),
	}
}

// reasons says why a source is a member: its strongest tie.
func (t *Tracker) reasons(m *member) (list []tocsin.Reason) {
	partner := window.Prefix(m.partner).Addr()
	say := func(c Class, format string, args ...any) {
		if m.by[c] > 0 {
			text := fmt.Sprintf(format, args...)
			list = append(list, tocsin.Reason(fmt.Sprintf("%s (%.1f of %.1f nats)", text, float64(m.by[c])/1000, float64(t.need)/1000)))
		}
	}
	say(Sequence, "tried accounts in the same order as %v%s", partner, t.order(m.chain))
	say(Client, "its client looks like that of %v", partner)
	say(Targets, "tried devices that few try, as %v did", partner)
	say(Timing, "active in the same five minutes as %v, more often than chance", partner)
	say(Network, "in the same network as %v", partner)
	if m.partners > 1 {
		list = append(list, tocsin.Reason(fmt.Sprintf("agrees with %d members", m.partners)))
	}
	return list
}

// order names the accounts of a chain, as far as their names may be told.
func (t *Tracker) order(c chain) string {
	if c == (chain{}) {
		return ""
	}
	text := ":"
	for i, h := range c {
		if i > 0 {
			text += ","
		}
		tag, ok := t.names.accounts[h]
		if !ok {
			return ""
		}
		text += " " + string(tag)
	}
	return text
}

// measure estimates how many sources a campaign has: when somebody asks, and for
// the last time when it ends.
func (t *Tracker) measure(c *campaign) {
	if len(c.members) == 0 {
		if c.alarm > 0 {
			c.size = t.rise(c)
		}
		return
	}
	once, twice := 0, 0
	for _, m := range c.members {
		switch m.devices {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	c.size = c.estimate(len(c.members), once, twice)
}

// rise estimates how many sources are behind an alarm that nobody is attributed
// to: all that tried the service since, but for people.
func (t *Tracker) rise(c *campaign) tocsin.Estimate {
	seen, once, twice := 0, 0, 0
	for _, m := range t.unattributed(c) {
		seen++
		switch m.Devices {
		case 1:
			once++
		case 2:
			twice++
		}
	}
	return c.estimate(seen, once, twice)
}

// estimate is [Size], where there are devices enough to be seen twice.
func (c *campaign) estimate(seen, once, twice int) tocsin.Estimate {
	if len(c.targets) < leastTargets {
		once = 0
	}
	return Size(seen, once, twice)
}

// leastTargets is how many devices it takes to tell from them who was not seen.
const leastTargets = 5

// Unattributed returns sources that were active at the services of a campaign
// since it began and that nothing joins to it: the newest [MaxUnattributed], by
// prefix. They are not blocked for that.
func (t *Tracker) Unattributed(id tocsin.CampaignID) []tocsin.Member {
	c := t.find(id)
	if c == nil {
		return nil
	}
	list := t.unattributed(c)
	if len(list) > MaxUnattributed {
		list = list[len(list)-MaxUnattributed:]
	}
	for i := range list {
		list[i].Reasons = alone(list[i].Attempts)
	}
	slices.SortFunc(list, byPrefix)
	return list
}

// alone is why nothing joins a source to others.
func alone(attempts uint32) []tocsin.Reason {
	if attempts == 1 {
		return []tocsin.Reason{"one attempt in all"}
	}
	return []tocsin.Reason{"no two kinds of evidence join it to others"}
}

// Beside returns the campaigns that a source was active beside, the newest first, at
// most so many, and why it belongs to none: those that have it among their
// [Tracker.Unattributed], however many others they have there.
func (t *Tracker) Beside(source netip.Prefix, most int) (list []tocsin.CampaignID, why []tocsin.Reason) {
	key, ok := sourceKey(source)
	if !ok || t.members[key] != nil {
		return nil, nil
	}
	var steps []step
	attempts := uint32(1)
	if p := t.sources.Get(key); p != nil {
		if !p.suspect() {
			return nil, nil
		}
		steps, attempts = p.steps[:p.nSteps], p.attempts
	} else if s := t.singles.Get(key); s != nil && s.wild {
		steps = []step{s.step}
	}
	for _, c := range slices.Backward(t.campaigns) {
		if len(list) == most {
			break
		}
		if c.status == tocsin.Joined {
			continue
		}
		if slices.ContainsFunc(steps, func(s step) bool { return s.at >= c.since && c.services[s.service] > 0 }) {
			list = append(list, c.id)
		}
	}
	return list, alone(attempts)
}

// unattributed lists them, the one seen last at the end.
func (t *Tracker) unattributed(c *campaign) (list []tocsin.Member) {
	for key, s := range t.singles.All() {
		if s.at >= c.since && s.wild && c.services[s.service] > 0 {
			list = append(list, tocsin.Member{Source: window.Prefix(key), First: clock(s.at), Last: clock(s.at), Attempts: 1, Devices: 1})
		}
	}
	for key, p := range t.sources.All() {
		at := func(s step) bool { return s.at >= c.since && c.services[s.service] > 0 }
		if t.members[key] == nil && p.suspect() && slices.ContainsFunc(p.steps[:p.nSteps], at) {
			list = append(list, tocsin.Member{Source: window.Prefix(key), First: clock(p.first), Last: clock(p.last), Attempts: p.attempts, Devices: p.devices()})
		}
	}
	slices.SortStableFunc(list, func(a, b tocsin.Member) int { return a.Last.Compare(b.Last) })
	return list
}

// Bytes returns the memory held in tables and lists, about.
func (t *Tracker) Bytes() int {
	const entry, listed, name = 12, 160, 80
	n := t.sources.Bytes() + t.singles.Bytes() + t.welcome.Bytes() + len(t.members)*listed +
		(len(t.names.devices)+len(t.names.accounts))*name
	for _, c := range t.campaigns {
		n += (len(c.targets)+len(c.accounts))*2*entry + len(c.marks)*100
	}
	x := &t.scratch
	return n + 16*(cap(x.features)+cap(x.buckets)) + 4*cap(x.starts) + 48*(cap(x.runs)+cap(x.candidates)) + 4*(cap(x.postings)+cap(x.lists)) + 8*cap(x.pairs)
}
