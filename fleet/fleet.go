// Package fleet is everything the hub concludes from what all devices tell: it
// joins the counting of witnesses and the search for campaigns with one list of
// rules for every owner and one for all. It has no clock, no socket and no lock: the same log of events gives
// the same rules, byte for byte, which is why replay and the console's what-if
// are the production code.
//
// It publishes nothing: whoever owns it carries its changes to the signed lists.
package fleet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/campaign"
	"github.com/tocsin-io/tocsin/quorum"
)

// Everybody is the scope of rules that bind every owner's devices.
const Everybody tocsin.OwnerID = ""

// Config is what a fleet is told; the zero Limits are those of a hub.
type Config struct {
	Quorum quorum.Policy
	Allow  []netip.Prefix   // never blocked, whoever says so
	Limits blocklist.Limits // of each scope
	// Campaigns says when sources act together. The zero Policy is the default
	// one, with the seed of Quorum.
	Campaigns campaign.Policy
}

// DefaultLimits are those of each scope. A device follows two, and takes 1000
// passes of both together.
var DefaultLimits = blocklist.Limits{Fleet: 1 << 20, Operator: 100_000, Passes: 500}

// A Fleet is the hub's mind. It is not safe for concurrent use.
type Fleet struct {
	config Config
	tally  *quorum.Tally
	track  *campaign.Tracker
	events []campaign.Event // not told yet
	scopes map[tocsin.OwnerID]*scope
	swept  time.Time
}

// A scope is the rules that bind one owner's devices, or everybody's.
type scope struct {
	list    *blocklist.List
	pending map[place]tocsin.Rule // not told yet; a zero Until is a removal
}

type place struct {
	prefix netip.Prefix
	action tocsin.Action
}

// New returns a Fleet that has seen nothing.
func New(c Config) *Fleet {
	if c.Limits == (blocklist.Limits{}) {
		c.Limits = DefaultLimits
	}
	if c.Campaigns == (campaign.Policy{}) {
		c.Campaigns = campaign.Default()
		c.Campaigns.Seed = c.Quorum.Seed
	}
	return &Fleet{
		config: c, tally: quorum.New(c.Quorum), track: campaign.New(c.Campaigns), scopes: make(map[tocsin.OwnerID]*scope),
	}
}

// An Effect is what became of one decision.
type Effect struct {
	Owner     tocsin.OwnerID // [Everybody], or whose devices it binds
	Decision  tocsin.Decision
	Verdict   blocklist.Verdict
	Withdrawn bool // the block is taken back because it hit somebody who belongs there
}

// Apply takes the next event of the log.
func (f *Fleet) Apply(e tocsin.Event) []Effect {
	f.sweep(e.At)
	switch {
	case e.Received != nil:
		return f.received(*e.Received, e.At)
	case e.Order != nil:
		return f.order(*e.Order, e.At)
	case e.Loss != nil:
		return f.rule(f.tally.Lost(*e.Loss, e.At), e.At)
	}
	return nil
}

// again is when a ruling that could not be enforced is looked at anew.
const again = 10 * time.Minute

func (f *Fleet) rule(rulings []quorum.Ruling, at time.Time) (effects []Effect) {
	for _, r := range rulings {
		s := f.scope(r.Owner, at)
		if r.Withdraw {
			effects = append(effects, s.withdraw(r, at)...)
			continue
		}
		c, v := f.decide(s, r.Decision, at)
		s.note(c)
		if v != blocklist.Enforced {
			f.tally.Refused(r, at.Add(again))
		}
		effects = append(effects, Effect{Owner: r.Owner, Decision: r.Decision, Verdict: v})
	}
	return effects
}

// decide carries a decision to the rules of a scope. Devices do not know what is
// never blocked here, so no block may hold even a part of that.
func (f *Fleet) decide(s *scope, d tocsin.Decision, at time.Time) (tocsin.Change, blocklist.Verdict) {
	if d.Action == tocsin.Block && slices.ContainsFunc(f.config.Allow, d.Prefix.Overlaps) {
		return tocsin.Change{}, blocklist.Spared
	}
	return s.list.Decide(d, at)
}

// withdraw takes a block back. It makes no pass: whoever lost a session is not
// thereby free to guess.
func (s *scope) withdraw(r quorum.Ruling, at time.Time) []Effect {
	c, ok := s.list.End(r.Prefix, tocsin.Block, tocsin.ByFleet, at)
	if !ok {
		return nil
	}
	s.note(c)
	return []Effect{{Owner: r.Owner, Decision: r.Decision, Verdict: blocklist.Enforced, Withdrawn: true}}
}

// Widest prefixes that an order may name: devices take none wider.
const (
	Widest4 = 24
	Widest6 = 48
)

// Check returns why an order cannot be carried out, before it goes into the log.
func Check(o tocsin.Order) error {
	p := o.Decision.Prefix
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
		return fmt.Errorf("%v is not a masked prefix", p)
	case p.Addr().Is4() && p.Bits() < Widest4, p.Addr().Is6() && p.Bits() < Widest6:
		return fmt.Errorf("%v is wider than /%d (IPv6 /%d): devices take nothing that wide", p, Widest4, Widest6)
	case o.Decision.Action != tocsin.Block && o.Decision.Action != tocsin.Pass:
		return errors.New("an order blocks or passes")
	case o.Decision.Action == tocsin.Pass && !o.End && !single(p):
		return fmt.Errorf("%v: a pass that travels names one host, or a /64 of IPv6", p)
	case p.Addr().Is6() && p.Bits() > 64:
		return fmt.Errorf("%v: of IPv6 a /64 is the least", p)
	case o.Lift && (o.Decision.Action != tocsin.Pass || o.End):
		return errors.New("only a pass lifts")
	case !o.End && !o.Decision.Until.After(o.Decision.At):
		return errors.New("the order is over before it begins")
	}
	return nil
}

// single reports whether p is one host or one customer's network.
func single(p netip.Prefix) bool {
	return p.Addr().Is4() && p.Bits() == 32 || p.Addr().Is6() && p.Bits() == 64
}

// order carries out what a person decided. One that [Check] would refuse does
// nothing: the log may have been written by another version.
func (f *Fleet) order(o tocsin.Order, at time.Time) []Effect {
	if Check(o) != nil {
		return nil
	}
	s := f.scope(o.Owner, at)
	d := o.Decision
	d.Origin = tocsin.ByOperator
	var c tocsin.Change
	v := blocklist.Enforced
	switch {
	case o.End:
		var ok bool
		if c, ok = s.list.End(d.Prefix, d.Action, tocsin.ByOperator, at); !ok {
			v = blocklist.Ended
		}
	case o.Lift:
		f.tally.Forgive(o.Owner, d.Prefix, at)
		if o.Owner == Everybody { // one owner's word takes nobody out of a campaign against all
			f.track.Forgive(d.Prefix, at)
		}
		c, v = s.list.Lift(d, at)
	default:
		c, v = f.decide(s, d, at)
	}
	s.note(c)
	return []Effect{{Owner: o.Owner, Decision: d, Verdict: v}}
}

// scope returns the rules of an owner, made if need be.
func (f *Fleet) scope(owner tocsin.OwnerID, at time.Time) *scope {
	s := f.scopes[owner]
	if s == nil {
		s = &scope{list: blocklist.New(f.config.Limits, false), pending: make(map[place]tocsin.Rule)}
		s.list.Protect(f.config.Allow, at)
		f.scopes[owner] = s
	}
	s.list.Expire(at)
	return s
}

func (s *scope) note(c tocsin.Change) {
	for _, r := range c.Remove {
		r.Until = time.Time{}
		s.pending[place{r.Prefix, r.Action}] = r
	}
	for _, r := range c.Add {
		s.pending[place{r.Prefix, r.Action}] = r
	}
}

// sweep forgets what has ended, each minute of the log's time.
func (f *Fleet) sweep(at time.Time) {
	if at.Sub(f.swept) < time.Minute {
		return
	}
	f.swept = at
	for owner, s := range f.scopes {
		s.list.Expire(at)
		if blocks, passes := s.list.Len(); blocks+passes+len(s.pending) == 0 {
			delete(f.scopes, owner)
		}
	}
}

// A Scoped change is what changed for one owner's devices, or for everybody's.
type Scoped struct {
	Owner tocsin.OwnerID
	tocsin.Change
	Bulk bool // not to all devices at once: many additions, or prefixes of many hosts
}

// bulk is how many additions go to all devices at once.
const bulk = 100

// Changes returns what changed since the last call, in the order of owners and
// prefixes.
func (f *Fleet) Changes() (list []Scoped) {
	for _, owner := range f.Owners() {
		s := f.scopes[owner]
		if len(s.pending) == 0 {
			continue
		}
		one := Scoped{Owner: owner}
		for _, r := range slices.SortedFunc(maps.Values(s.pending), byPrefix) {
			if r.Until.IsZero() {
				one.Remove = append(one.Remove, r)
				continue
			}
			one.Add = append(one.Add, r)
			one.Bulk = one.Bulk || !single(r.Prefix)
		}
		one.Bulk = one.Bulk || len(one.Add) > bulk
		clear(s.pending)
		list = append(list, one)
	}
	return list
}

func byPrefix(a, b tocsin.Rule) int {
	if c := a.Prefix.Compare(b.Prefix); c != 0 {
		return c
	}
	return int(a.Action) - int(b.Action)
}

// Owners returns who has rules, [Everybody] first.
func (f *Fleet) Owners() []tocsin.OwnerID { return slices.Sorted(maps.Keys(f.scopes)) }

// Blocks returns how many blocks bind an owner's devices alone, or everybody's; those
// that just ended may be among them.
func (f *Fleet) Blocks(owner tocsin.OwnerID) int {
	s := f.scopes[owner]
	if s == nil {
		return 0
	}
	n, _ := s.list.Len()
	return n
}

// Entries returns what is in force for an owner's devices alone, or for
// [Everybody]: passes, then blocks, newest first.
func (f *Fleet) Entries(owner tocsin.OwnerID, at time.Time) iter.Seq[blocklist.Entry] {
	if s := f.scopes[owner]; s != nil {
		return s.list.Entries(at)
	}
	return func(func(blocklist.Entry) bool) {}
}

// Rules returns the rules that the lists of an owner must hold.
func (f *Fleet) Rules(owner tocsin.OwnerID, at time.Time) iter.Seq[tocsin.Rule] {
	return func(yield func(tocsin.Rule) bool) {
		for e := range f.Entries(owner, at) {
			if !yield(tocsin.Rule{Prefix: e.Prefix, Action: e.Action, Until: e.Until}) {
				return
			}
		}
	}
}

// Lookup returns what decides about a for an owner's devices: the owner's own
// rules and everybody's, a pass before a block.
func (f *Fleet) Lookup(owner tocsin.OwnerID, a netip.Addr, at time.Time) (e blocklist.Entry, by tocsin.OwnerID, ok bool) {
	for _, o := range []tocsin.OwnerID{owner, Everybody} {
		s := f.scopes[o]
		if s == nil {
			continue
		}
		found, is := s.list.Lookup(a, at)
		if is && (!ok || found.Action == tocsin.Pass && e.Action == tocsin.Block) {
			e, by, ok = found, o, true
		}
	}
	return e, by, ok
}

// Explain returns what is known about a and what follows from it for an owner.
func (f *Fleet) Explain(owner tocsin.OwnerID, a netip.Addr, at time.Time) quorum.Explanation {
	return f.tally.Explain(owner, tocsin.SourcePrefix(a), at)
}

// Hash is of all rules in force, in one order: the same log has the same hash.
func (f *Fleet) Hash(at time.Time) [sha256.Size]byte {
	h := sha256.New()
	for _, owner := range f.Owners() {
		rules := slices.SortedFunc(f.Rules(owner, at), byPrefix)
		if len(rules) == 0 {
			continue
		}
		fmt.Fprintf(h, "%q %d\n", string(owner), len(rules))
		for _, r := range rules {
			b, _ := r.Prefix.MarshalBinary() // fails for no valid prefix
			b = append(b, byte(r.Action))
			b = binary.BigEndian.AppendUint64(b, uint64(r.Until.Unix()))
			h.Write(b)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
