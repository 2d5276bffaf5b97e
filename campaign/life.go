package campaign

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
)

// Bounds of one campaign.
const (
	maxMarks   = 64
	firstMarks = 16 // that are always kept
	maxCounted = 4096
	maxMisses  = 6    // passes with new attempts that do not confirm a member
	heldAfter  = 3600 // seconds with drops only
)

// A campaign is what is remembered of one.
type campaign struct {
	id       tocsin.CampaignID
	status   tocsin.CampaignStatus
	into     tocsin.CampaignID
	opened   uint32
	first    uint32
	attempt  uint32 // last
	drop     uint32 // last
	ended    uint32
	alarm    int    // number of the service whose alarm opened it, plus 1; 0 is none
	since    uint32 // of that alarm's epoch, or of the first attempt
	attempts uint64
	dropped  uint64
	members  map[uint64]*member
	services map[uint8]uint32
	targets  map[uint32]uint32 // how often, by device
	accounts map[uint32]uint32
	marks    []tocsin.Mark
	shared   bool
	told     int    // members when its growth was last told
	found    uint32 // when sources were first attributed; 0 is not yet
	moved    int    // members that another campaign took in this pass
	size     tocsin.Estimate
}

// A member is a source of a campaign, and by what.
type member struct {
	first, last uint32
	attempts    uint32
	devices     uint32
	total       int32 // of the best edge
	by          [classes]int16
	partner     uint64 // the other end of it
	partners    int32  // edges into the campaign
	chain       chain  // accounts that both tried, in that order
	misses      uint8
	found       uint32 // when it was attributed
}

func (t *Tracker) open(id tocsin.CampaignID, first uint32) *campaign {
	if !t.room() {
		return nil
	}
	c := &campaign{
		id: id, status: tocsin.Open, opened: t.now, first: first, attempt: t.now, since: first,
		members: map[uint64]*member{}, services: map[uint8]uint32{}, targets: map[uint32]uint32{}, accounts: map[uint32]uint32{},
	}
	t.campaigns = append(t.campaigns, c)
	return c
}

// room makes room for one more campaign: the one that ended first is forgotten.
func (t *Tracker) room() bool {
	if len(t.campaigns) < t.policy.Campaigns {
		return true
	}
	return t.forgetOne()
}

func (t *Tracker) forgetOne() bool {
	oldest := -1
	for i, c := range t.campaigns {
		if !c.live() && (oldest < 0 || c.ended < t.campaigns[oldest].ended) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	for key := range t.campaigns[oldest].members {
		if t.members[key] == t.campaigns[oldest] {
			delete(t.members, key)
		}
	}
	t.campaigns = slices.Delete(t.campaigns, oldest, oldest+1)
	return true
}

func (c *campaign) live() bool { return c.status == tocsin.Open || c.status == tocsin.Held }

// tell adds an entry to the timeline, and an event.
func (t *Tracker) tell(c *campaign, k Kind, text string) {
	c.mark(t.now, tocsin.Reason(text))
	t.events = append(t.events, Event{Campaign: c.id, At: clock(t.now), Kind: k, Text: tocsin.Reason(text)})
}

// mark adds an entry to the timeline; of more than it holds, how it began and
// the newest stay.
func (c *campaign) mark(at uint32, text tocsin.Reason) {
	if len(c.marks) >= maxMarks {
		c.marks = slices.Delete(c.marks, firstMarks, firstMarks+1)
	}
	c.marks = append(c.marks, tocsin.Mark{At: clock(at), Text: text})
}

// noticed opens a campaign because failures at a service rose, unless one is
// there for it. Nobody is attributed yet.
func (t *Tracker) noticed(service uint8) {
	ch := t.changes[service]
	if ch.nFailing < t.policy.Members || t.covered(service) {
		return
	}
	c := t.open(t.name(uint64(ch.start)<<8|uint64(service), uint64(t.now)), ch.start)
	if c == nil {
		return
	}
	c.alarm, c.services[service], ch.campaign = int(service)+1, 1, c
	t.tell(c, Opened, fmt.Sprintf("failures at %s rose beyond what people mistype, since %s: nobody is attributed yet",
		t.names.services[service], clock(ch.start).Format(time.RFC3339)))
}

// covered reports whether a campaign is known that a rise at a service belongs
// to.
func (t *Tracker) covered(service uint8) bool {
	for _, c := range t.campaigns {
		if n := uint64(c.services[service]); c.live() && n > 0 && n*10 >= c.attempts {
			return true
		}
	}
	return false
}

// rises takes a failure while failures rise and nobody is attributed.
func (t *Tracker) rises(c *campaign, o *observed) {
	c.attempt = max(c.attempt, o.last)
	c.attempts += uint64(o.Failures)
	c.services[o.service] += min(o.Failures, 1<<32-1-c.services[o.service])
	bump(c.targets, o.device, o.Failures)
	for _, a := range o.Accounts {
		if h := t.names.account(a.Tag); h != 0 && a.Failures > 0 {
			bump(c.accounts, h, a.Failures)
		}
	}
}

// explained forgets what was counted while nobody was attributed.
func (c *campaign) explained() {
	c.attempts = 0
	clear(c.targets)
	clear(c.accounts)
}

// tried takes an attempt of a member.
func (c *campaign) tried(key uint64, p *profile, s step, n, last uint32) {
	c.attempt = max(c.attempt, last)
	c.attempts += uint64(n)
	m := c.members[key]
	m.attempts += min(n, 1<<32-1-m.attempts)
	m.last = max(m.last, last)
	m.devices = max(m.devices, p.devices())
	c.count(s, n)
}

func (c *campaign) count(s step, n uint32) {
	bump(c.targets, s.device, n)
	if s.account != 0 {
		bump(c.accounts, s.account, n)
	}
	c.services[s.service] += min(n, 1<<32-1-c.services[s.service])
}

// bump counts, as far as there is room.
func bump(m map[uint32]uint32, key, n uint32) {
	have, ok := m[key]
	if ok || len(m) < maxCounted {
		m[key] = have + min(n, 1<<32-1-have)
	}
}

func (c *campaign) knocked(last, n uint32) {
	c.drop = max(c.drop, last)
	c.dropped += uint64(n)
}

// lose takes a member out; what it tried stays counted.
func (c *campaign) lose(key uint64) { delete(c.members, key) }

// review says how a campaign stands. One whose sources are dropped has not
// ended.
func (t *Tracker) review(c *campaign) {
	if !c.live() {
		t.revive(c)
		return
	}
	seen := max(c.attempt, c.drop)
	switch {
	case t.now-min(seen, t.now) >= span(t.policy.Silence):
		t.measure(c)
		c.status, c.ended = tocsin.Ended, t.now
		t.tell(c, Ended, fmt.Sprintf("nothing was seen of it since %s, dropped packets included", clock(seen).Format(time.RFC3339)))
	case c.status == tocsin.Open && c.drop > c.attempt && c.drop-c.attempt >= heldAfter:
		c.status = tocsin.Held
		t.tell(c, Held, "its sources still knock, and are dropped")
	case c.status == tocsin.Held && c.attempt >= c.drop:
		c.status = tocsin.Open
		t.tell(c, Reopened, "attempts go on")
	}
}

// revive opens a campaign again whose members are back.
func (t *Tracker) revive(c *campaign) {
	if c.status == tocsin.Ended && max(c.attempt, c.drop) > c.ended {
		c.status, c.ended = tocsin.Open, 0
		t.tell(c, Reopened, "its sources are back")
	}
}

// reviewAll does so for each campaign, and forgets the sources of those that
// ended if there are too many.
func (t *Tracker) reviewAll() {
	for _, c := range t.campaigns {
		if c.live() {
			t.review(c)
		}
	}
}

// merge makes from a part of c.
func (t *Tracker) merge(c, from *campaign, why string) {
	t.measure(from)
	for _, key := range slices.Sorted(maps.Keys(from.members)) {
		if c.members[key] == nil {
			c.members[key] = from.members[key]
		}
		t.members[key] = c
	}
	from.members = map[uint64]*member{}
	if from.found == 0 {
		from.explained()
	}
	for k, n := range from.services {
		c.services[k] += n
	}
	for _, k := range slices.Sorted(maps.Keys(from.targets)) {
		bump(c.targets, k, from.targets[k])
	}
	for _, k := range slices.Sorted(maps.Keys(from.accounts)) {
		bump(c.accounts, k, from.accounts[k])
	}
	c.attempts += from.attempts
	c.dropped += from.dropped
	c.first, c.since = min(c.first, from.first), min(c.since, from.since)
	c.attempt, c.drop = max(c.attempt, from.attempt), max(c.drop, from.drop)
	from.status, from.into, from.ended = tocsin.Joined, c.id, t.now
	t.tell(from, Joined, "became part of "+string(c.id)+": "+why)
	c.mark(t.now, tocsin.Reason(string(from.id)+" became part of it: "+why))
}
