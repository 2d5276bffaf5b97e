// Package campaign finds sources that act together, at the whole fleet, even if
// each of them tries once in a while only. It watches whether failures rise
// beyond what people make, and while they do it joins the sources whose evidence
// of at least two kinds agrees: the order of accounts, the client, the devices,
// the times, the network. It promises that the same log gives the same campaigns
// by the same names, and that its memory stays bounded whatever devices send.
//
// It blocks nobody: fleet tells quorum who belongs to an open campaign, and all
// of quorum's rules for people hold for them too. It is pure: time comes from
// what the hub stamped. What it concludes and how sure that is: docs/campaigns.md.
package campaign

import (
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/internal/window"
)

// A Tracker remembers what sources tried, and the campaigns found. Make one with
// [New]. It is not safe for concurrent use.
type Tracker struct {
	policy Policy
	need   int32          // evidence in thousandths of a nat that joins two sources
	caps   [classes]int32 // thousandths of a nat

	sources *window.Table[profile] // by source
	singles *window.Table[single]  // by source
	welcome *window.Table[uint32]  // by source, device and account: when somebody got in
	names   names
	changes []*change // by number of the service

	campaigns []*campaign // in the order of opening
	members   map[uint64]*campaign
	now       uint32
	passed    uint32 // when the last pass was
	size      int    // sources in it
	news      int    // attempts since
	events    []Event
	scratch   index // of the last pass, for its memory
}

// New returns a Tracker that has seen nothing, for a policy that
// [Policy.Validate] accepts.
func New(p Policy) *Tracker {
	t := &Tracker{
		policy:  p,
		sources: window.New[profile](p.Sources, p.Seed),
		singles: window.New[single](p.Singles, p.Seed),
		welcome: window.NewHashed[uint32](p.Welcome),
		names:   newNames(p),
		members: map[uint64]*campaign{},
	}
	t.need = milli(logit(p.Posterior) - logit(p.Prior))
	for c, w := range p.Weights {
		t.caps[c] = milli(w.Cap)
	}
	return t
}

// Kind says what became of a campaign.
type Kind uint8

// The zero Kind is invalid.
const (
	_        Kind = iota
	Opened        // noticed
	Grew          // its sources doubled
	Held          // it still knocks, and is dropped
	Reopened      // attempts go on
	Joined        // it became part of another
	Split         // a part of it became a campaign of its own
	Ended         // silent for long
)

var kindWords = [...]string{Opened: "opened", Grew: "grew", Held: "held", Reopened: "reopened", Joined: "joined", Split: "split", Ended: "ended"}

// String returns the word for k.
func (k Kind) String() string {
	if int(k) < len(kindWords) && k > 0 {
		return kindWords[k]
	}
	return "invalid"
}

// An Event is a change of a campaign, for whoever tells people.
type Event struct {
	Campaign tocsin.CampaignID
	At       time.Time
	Kind     Kind
	Text     tocsin.Reason
}

// observed is a sighting and what was found out about it.
type observed struct {
	*tocsin.Received
	source  uint64
	device  uint32
	service uint8
	at      uint32 // of the first attempt, by the hub's clock, at most a week ago
	last    uint32
}

const (
	daySeconds  = 24 * 3600
	weekSeconds = 7 * daySeconds
	// sitting is how long before a success failures of the same account are
	// mistyping.
	sitting = 3600
)

// Observe takes what the hub received, once each and in the order of receipt,
// and returns what became of campaigns: mostly nothing.
func (t *Tracker) Observe(r tocsin.Received) []Event {
	o, ok := t.observed(&r)
	if !ok {
		return nil
	}
	t.events = nil
	if o.Dropped > 0 {
		t.dropped(&o)
	}
	alarm := false
	if o.tried() {
		t.attempts(&o)
		if o.Channel == tocsin.Enrolled || o.Channel == tocsin.Agentless {
			alarm = t.watch(&o)
		}
	}
	if t.due(alarm) {
		t.pass()
	}
	return t.events
}

// tried reports whether somebody tried to log in.
func (o *observed) tried() bool { return o.Failures > 0 || o.Successes > 0 }

// watch tells the service's detector of o, and reports whether an epoch began.
func (t *Tracker) watch(o *observed) bool {
	c := t.changes[o.service]
	before := c.epoch
	alarm := t.add(c, o.source, o.Failures, o.Successes, t.now)
	if alarm {
		t.noticed(o.service)
	}
	if o.Failures > 0 && c.epoch && c.campaign != nil && c.campaign.live() && c.campaign.found == 0 {
		t.rises(c.campaign, o)
	}
	return alarm && !before
}

func (t *Tracker) observed(r *tocsin.Received) (observed, bool) {
	t.now = max(t.now, seconds(r.At))
	source, ok := sourceKey(r.Source)
	if !ok || r.Suspect || r.Provenance < tocsin.Attested || r.Provenance >= tocsin.Network {
		return observed{}, false
	}
	o := observed{Received: r, source: source, device: t.names.device(r.ID.Device)}
	clamp := func(at time.Time) uint32 {
		return min(max(seconds(at.Add(-r.Offset)), t.now-min(t.now-1, weekSeconds-1)), t.now)
	}
	o.at, o.last = clamp(r.First), clamp(r.Last)
	if o.tried() {
		o.service = t.names.service(r.Service)
		for int(o.service) >= len(t.changes) {
			t.changes = append(t.changes, t.newChange(t.now))
		}
	}
	return o, true
}

// sourceKey returns the key of a prefix that can be a source of the public
// network: one IPv4 address or one /64.
func sourceKey(p netip.Prefix) (uint64, bool) {
	a := p.Addr()
	if !a.IsValid() || a.Is4In6() || p != tocsin.SourcePrefix(a) || !a.IsGlobalUnicast() || a.IsPrivate() {
		return 0, false
	}
	return window.Key(a)
}

// dropped takes packets that the kernel dropped: a blocked source still knocks.
func (t *Tracker) dropped(o *observed) {
	p := t.sources.Get(o.source)
	if p == nil {
		return
	}
	p.dropped += min(o.Dropped, 1<<32-1-p.dropped)
	p.lastDrop = max(p.lastDrop, o.last)
	if c := t.members[o.source]; c != nil {
		c.knocked(o.last, o.Dropped)
		t.review(c)
	}
}

// attempts takes what was tried, but for what people mistype.
func (t *Tracker) attempts(o *observed) {
	told := uint32(0)
	for i := range o.Accounts {
		a := &o.Accounts[i]
		told += min(a.Failures, o.Failures-told)
		account := t.names.account(a.Tag)
		place := t.policy.Seed.Hash2(o.source, uint64(o.device)<<32|uint64(account))
		switch {
		case a.Successes > 0 && t.belongs(o, a, account):
			*t.welcome.Touch(place) = o.last
			t.excuse(o, account)
		case a.Failures == 0 && a.Successes == 0:
		case t.excused(place, o.last):
		default:
			clear := a.Tag != "" && a.Tag[0] != '#'
			wild := a.Unknown || a.Tag == "" || clear && accounts.IsPublic(string(a.Tag))
			t.try(o, step{at: o.at, account: account, device: o.device, service: o.service, wild: wild, clear: clear}, max(a.Failures, 1))
		}
	}
	if rest := o.Failures - told; rest > 0 {
		t.try(o, step{at: o.at, device: o.device, service: o.service, wild: true}, rest)
	}
}

// belongs reports whether a success on a is of somebody who belongs there: not a
// guest's, and not of a source that guesses.
func (t *Tracker) belongs(o *observed, a *tocsin.Tried, account uint32) bool {
	if a.Unknown || o.Channel == tocsin.Honeypot || accounts.IsGuest(string(a.Tag)) ||
		o.Facts.Has(tocsin.SuccessAfterFailures) || o.Facts.Has(tocsin.SuccessFromBlocked) {
		return false
	}
	since := o.last - min(o.last, weekSeconds)
	if p := t.sources.Get(o.source); p != nil {
		return !p.others(account, since)
	}
	s := t.singles.Get(o.source)
	return s == nil || s.account == account || s.at < since
}

func (t *Tracker) excused(place uint64, at uint32) bool {
	w := t.welcome.See(place)
	return w != nil && within(*w, at, weekSeconds)
}

// excuse takes back what the same account mistyped on the same device just
// before.
func (t *Tracker) excuse(o *observed, account uint32) {
	since := o.last - min(o.last, sitting)
	if p := t.sources.Get(o.source); p != nil {
		p.excuse(account, o.device, since)
	}
	t.release(o.source, "is somebody who belongs there")
	if s := t.singles.Get(o.source); s != nil && s.account == account && s.device == o.device && s.at >= since {
		t.singles.Delete(o.source)
	}
}

// try remembers n attempts on one account. What a source tried once only is kept
// apart: whoever has a million addresses must not push out what others did.
func (t *Tracker) try(o *observed, s step, n uint32) {
	t.news++
	p := t.sources.See(o.source)
	if p == nil {
		one := t.singles.Get(o.source)
		if one == nil && n == 1 {
			t.singles.Touch(o.source).step = s
			return
		}
		p = t.sources.Touch(o.source)
		if one != nil {
			p.try(one.step, 1)
			t.singles.Delete(o.source)
		}
	}
	p.try(s, n)
	if c := t.members[o.source]; c != nil {
		c.tried(o.source, p, s, n, o.last)
		t.review(c)
	}
}

// Describe tells what the client program of a source looks like, as a relay, a
// honeypot or a flow record shows it: key exchange and banner as one text. NAS
// logs do not tell it.
func (t *Tracker) Describe(source netip.Prefix, client string) {
	key, ok := sourceKey(source)
	if p := t.sources.Get(key); ok && p != nil {
		p.client = 0
		if client != "" {
			p.client = t.policy.Seed.HashBytes([]byte(client)) | 1
		}
	}
}

// Forgive forgets what the sources in prefix did: an operator has said that they
// are welcome. They are no longer members of a campaign.
func (t *Tracker) Forgive(prefix netip.Prefix, at time.Time) {
	if !prefix.IsValid() {
		return
	}
	prefix = prefix.Masked()
	t.now = max(t.now, seconds(at))
	var keys []uint64
	if key, ok := sourceKey(tocsin.SourcePrefix(prefix.Addr())); ok && prefix.Bits() >= tocsin.SourcePrefix(prefix.Addr()).Bits() {
		keys = append(keys, key)
	} else {
		for k := range t.sources.All() {
			if prefix.Contains(window.Prefix(k).Addr()) {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range keys {
		t.sources.Delete(k)
		t.singles.Delete(k)
		if c := t.members[k]; c != nil {
			c.lose(k)
			delete(t.members, k)
			c.mark(t.now, tocsin.Reason(window.Prefix(k).String()+" is welcome: an operator said so"))
		}
	}
}

// Of returns the campaign that a source is a member of, if it has not ended.
func (t *Tracker) Of(source netip.Prefix) (tocsin.CampaignID, bool) {
	key, ok := sourceKey(source)
	if c := t.members[key]; ok && c != nil && c.live() {
		return c.id, true
	}
	return "", false
}

// name returns a name that follows from the content.
func (t *Tracker) name(a, b uint64) tocsin.CampaignID {
	h := t.policy.Seed.Hash2(a, b)
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(h >> (8 * i))
	}
	return tocsin.CampaignID("c" + hex.EncodeToString(raw[:6]))
}

const maxSecond = 1<<32 - 1

// seconds returns t as it is remembered: 0 means none.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 1), maxSecond)) }

func span(d time.Duration) uint32 { return uint32(min(max(d/time.Second, 0), maxSecond)) }

func within(then, at, span uint32) bool { return then != 0 && (then >= at || at-then < span) }

func clock(s uint32) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
