// Package quorum decides at the hub whom to block: for one owner, by what all of
// the owner's devices saw together, and for everybody, by what independent
// witnesses agree on. It promises that no one owner and no two networks can have
// an address blocked at a stranger's, that who got in somewhere is not blocked
// there for the mistakes of others, and that its memory stays bounded whatever
// devices send.
//
// It is pure: time comes from what the hub stamped, so the same log always gives
// the same rulings. It enforces nothing and does not know the allowlist: that is
// kept by fleet, which tells it what was refused. The rules are explained in
// docs/adr/0064 to 0066, what a wrong block costs in docs/quorum.md.
package quorum

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/addrspace"
	"github.com/tocsin-io/tocsin/internal/window"
)

// A Ruling is a decision of the hub for the devices of Owner; "" is everybody's.
// Its Origin is [tocsin.ByFleet]. The hub has made at most one block and one pass
// of a prefix in a scope; a later one stands instead, even if it ends earlier.
type Ruling struct {
	Owner tocsin.OwnerID
	tocsin.Decision
	// Withdraw takes back the hub's block of this prefix in this scope. The
	// decision is then a pass, short, for whoever cannot take back; nobody is to
	// guess freely because of it.
	Withdraw bool
}

// A Tally remembers what each source did, at each owner and to all. Make one
// with [New]. It is not safe for concurrent use.
type Tally struct {
	policy Policy
	limits limits
	shared prefixes

	owners    map[tocsin.OwnerID]uint32 // number of an owner, from 1
	standings []owner                   // by number - 1
	devices   *window.Table[device]
	pairs     *window.Table[pair]    // by source and owner
	sources   *window.Table[source]  // by source: what all saw
	successes *window.Table[success] // by source, owner and account
	friends   *window.Table[friends] // by source: who vouches, and who lost sessions
	known     *window.Table[visit]   // by source and device: got in from there
}

// New returns an empty Tally for policy p, which should be one that
// [Policy.Validate] accepts; what is beyond the bounds is cut to them.
func New(p Policy) *Tally {
	bound := func(n int) int { return min(max(n, 1), maxEntries) }
	return &Tally{
		policy: p, limits: newLimits(p), shared: newPrefixes(p.Shared),
		owners:    map[tocsin.OwnerID]uint32{},
		devices:   window.NewHashed[device](bound(p.Devices)),
		pairs:     window.NewHashed[pair](bound(p.Pairs)),
		sources:   window.New[source](bound(p.Sources), p.Seed),
		successes: window.NewHashed[success](bound(p.Successes)),
		friends:   window.New[friends](bound(p.Friends), p.Seed),
		known:     window.NewHashed[visit](bound(p.Successes)),
	}
}

// Observe takes what the hub received, once each and in the order of receipt,
// and returns what follows from it: a ruling for the reporter's owner, one for
// everybody, and passes for owners that vouch for a source that is blocked for
// everybody: at most one for each scope. It is mostly nothing.
func (t *Tally) Observe(r tocsin.Received) []Ruling { return t.observe(&r, false) }

// ObserveMember is [Tally.Observe] for a sighting of a source that is known to
// act with others: [Policy].Campaign holds for it, besides all other rules.
func (t *Tally) ObserveMember(r tocsin.Received) []Ruling { return t.observe(&r, true) }

func (t *Tally) observe(r *tocsin.Received, member bool) []Ruling {
	o, ok := t.observed(r)
	if !ok {
		return nil
	}
	o.member = member
	var rulings []Ruling
	if o.owner != 0 {
		rulings = t.atOwner(&o, rulings)
	}
	return t.atAll(&o, rulings)
}

// Warm tells which sightings are about to be observed, so that the processor
// fetches what is remembered of their sources meanwhile. It changes nothing. The
// best batch is 64.
func (t *Tally) Warm(batch []tocsin.Received) {
	var pairs, sources [64]uint64
	n := 0
	for i := range batch {
		if key, ok := sourceKey(batch[i].Source); ok {
			sources[n], pairs[n] = key, t.policy.Seed.Hash2(key, uint64(t.owners[batch[i].Owner]))
			n++
		}
		if n == len(sources) || i == len(batch)-1 {
			t.pairs.Warm(pairs[:n])
			t.sources.Warm(sources[:n])
			n = 0
		}
	}
}

// observed is a sighting and what was found out about it.
type observed struct {
	*tocsin.Received
	key    uint64 // of the source
	pair   uint64 // of the source at the owner
	device uint64
	owner  uint32 // number, 0 is none
	now    uint32 // by the hub's clock
	last   uint32 // of what is told, by the hub's clock, at most a week ago
	short  bool   // the source is shared: no long block
	local  bool   // any user of the device could have written it
	member bool   // of a campaign

	points int  // what its unexcused failures weigh
	benign bool // somebody got in who belongs there
	strong bool // this device decided by itself
	person bool // no more than a person's failing on one account
	live   bool // happened just now: may decide
}

// fresh is how old what a device did may be for its decision to bind others, in
// seconds.
const fresh = 600

func (t *Tally) observed(r *tocsin.Received) (observed, bool) {
	key, ok := sourceKey(r.Source)
	if !ok || r.Suspect || r.Provenance < tocsin.Attested || r.Provenance >= tocsin.Network {
		return observed{}, false
	}
	o := observed{
		Received: r, key: key, now: seconds(r.At),
		device: t.policy.Seed.HashBytes([]byte(r.ID.Device)),
		owner:  t.ownerNumber(r.Owner),
		local:  r.Provenance == tocsin.Local,
		short:  t.shared.contains(r.Source.Addr()),
	}
	o.last = min(max(seconds(r.Last.Add(-r.Offset)), o.now-min(o.now-1, weekSeconds-1)), o.now)
	o.live = r.Channel != tocsin.Imported
	o.strong = o.live && r.Facts.Has(tocsin.BlockedHere) && o.now-o.last < fresh
	o.pair = t.policy.Seed.Hash2(key, uint64(o.owner))
	return o, true
}

// sourceKey returns the key of a prefix that may be blocked: one IPv4 address or
// one /64, of the public network.
func sourceKey(p netip.Prefix) (uint64, bool) {
	a := p.Addr()
	if !a.IsValid() || a.Is4In6() || p != tocsin.SourcePrefix(a) || !public(a) {
		return 0, false
	}
	return window.Key(a)
}

// public leaves out, besides, what was never given to anybody: no attack comes
// from there.
func public(a netip.Addr) bool {
	if a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) {
		return false
	}
	return addrspace.Public(a)
}

// ruling makes a ruling about the source of o.
func (o *observed) ruling(owner tocsin.OwnerID, action tocsin.Action, length time.Duration, reason tocsin.Reason) Ruling {
	return ruling(owner, o.key, action, o.At, length, reason)
}

func ruling(owner tocsin.OwnerID, key uint64, action tocsin.Action, at time.Time, length time.Duration, reason tocsin.Reason) Ruling {
	return Ruling{Owner: owner, Decision: tocsin.Decision{
		Prefix: window.Prefix(key), Action: action, At: at, Until: at.Add(length), Origin: tocsin.ByFleet, Reason: reason,
	}}
}

// Refused says that r was not enforced, or will not be from until on: the next
// sighting may rule again.
func (t *Tally) Refused(r Ruling, until time.Time) {
	key, ok := sourceKey(r.Prefix)
	if !ok {
		return
	}
	end := seconds(until)
	if r.Owner == "" {
		if s := t.sources.Get(key); s != nil && r.Action == tocsin.Block {
			s.end = min(s.end, end)
		}
		return
	}
	p := t.pairs.Get(t.policy.Seed.Hash2(key, uint64(t.owners[r.Owner])))
	switch {
	case p == nil:
	case r.Action == tocsin.Pass:
		p.passed = 0
	default:
		p.end = min(p.end, end)
	}
}

// Bytes returns the memory held in tables; owners' names come on top.
func (t *Tally) Bytes() int {
	return t.devices.Bytes() + t.pairs.Bytes() + t.sources.Bytes() + t.successes.Bytes() +
		t.friends.Bytes() + t.known.Bytes() + cap(t.standings)*int(ownerBytes)
}

// Len returns how many sources are remembered to all, and how many at owners.
func (t *Tally) Len() (sources, pairs int) { return t.sources.Len(), t.pairs.Len() }

const (
	maxSecond   = 1<<32 - 1
	daySeconds  = 24 * 3600
	weekSeconds = 7 * daySeconds
)

// seconds returns t as it is remembered. A time out of range becomes the nearest
// in range: 0 means none.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 1), maxSecond)) }

func span(d time.Duration) uint32 { return uint32(min(max(d/time.Second, 0), maxSecond)) }

// within reports whether then is a time at most span before at.
func within(then, at, span uint32) bool { return then != 0 && (then >= at || at-then < span) }
