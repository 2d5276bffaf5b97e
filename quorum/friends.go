package quorum

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// vouchers is how many owners are remembered that somebody got in at from one
// source; the newest are.
const vouchers = 12

// friends is who vouches for a source, and who lost sessions to its block.
type friends struct {
	panel  panel // witnesses for the source, trusted ones only
	owners [vouchers]voucher
	losses [vouchers]loss
}

// A voucher is an owner where somebody got in from the source, trusted or not:
// at once it protects there.
type voucher struct{ owner, last uint32 }

// A loss is one device's word that a block cut off somebody who belongs there.
type loss struct {
	device   uint64
	owner    uint32
	network  uint32
	enrolled uint32
	at       uint32
	place    uint16
}

// vouch remembers that somebody who belongs there got in from the source.
func (t *Tally) vouch(o *observed, rulings []Ruling) []Ruling {
	v := t.known.Touch(t.policy.Seed.Hash2(o.key, o.device))
	if !within(v.last, o.last, weekSeconds) {
		v.first = o.last
	}
	v.last = max(v.last, o.last)
	f := t.friends.Touch(o.key)
	f.voucher(o.owner, o.last)
	if w := t.testify(o, &f.panel, 0); w != nil {
		w.fill(t.policy.Full, o.last)
	}
	s := t.sources.Get(o.key)
	if s == nil || s.end <= o.now {
		return rulings
	}
	if t.protected(f, o.now) {
		t.refuteAll(s)
		s.end = o.now
		r := o.ruling("", tocsin.Pass, t.policy.Passing, "somebody belongs there at as many owners as a block needs")
		r.Withdraw = true
		return append(rulings, r)
	}
	return t.except(o, s, o.owner, rulings)
}

// except lets a source that is blocked for everybody pass at an owner where
// somebody belongs, for as long as the block stands, unless the owner's own
// devices had it blocked.
func (t *Tally) except(o *observed, s *source, owner uint32, rulings []Ruling) []Ruling {
	p := t.pairs.Get(t.policy.Seed.Hash2(o.key, uint64(owner)))
	ruled := len(rulings) > 0 && rulings[0].Owner == t.standings[owner-1].id
	if p == nil || ruled || p.end > o.now || p.passed >= s.end {
		return rulings
	}
	p.passed = s.end
	return append(rulings, o.ruling(t.standings[owner-1].id, tocsin.Pass, time.Duration(s.end-o.now)*time.Second, friendly))
}

const friendly = "somebody got in from there who belongs there"

func (f *friends) voucher(owner, last uint32) {
	oldest := 0
	for i := range f.owners {
		if f.owners[i].owner == owner {
			f.owners[i].last = max(f.owners[i].last, last)
			return
		}
		if f.owners[i].last < f.owners[oldest].last {
			oldest = i
		}
	}
	f.owners[oldest] = voucher{owner, last}
}

// protected reports whether as many vouch for the source as a block needs.
func (t *Tally) protected(f *friends, now uint32) bool {
	return t.enough(t.weigh(&f.panel, now, 0))
}

// passFriends excepts the owners that vouch for the source.
func (t *Tally) passFriends(o *observed, s *source, f *friends, rulings []Ruling) []Ruling {
	for _, v := range f.owners {
		if v.owner != 0 && within(v.last, o.now, weekSeconds) {
			rulings = t.except(o, s, v.owner, rulings)
		}
	}
	return rulings
}

// Lost takes a device's word that a rule of the fleet cut off somebody who
// belongs there, and returns what is withdrawn or excepted. It counts only from a
// device that somebody got into from there before the block, once a day for
// each device. Two devices of an owner withdraw the owner's block, and have the
// owner excepted from everybody's; owners and networks as many and trusted as a
// block needs withdraw everybody's.
func (t *Tally) Lost(l tocsin.Loss, at time.Time) []Ruling {
	key, ok := sourceKey(l.Prefix)
	owner := t.owners[l.Owner]
	if !ok || owner == 0 {
		return nil
	}
	now := seconds(at)
	deviceKey := t.policy.Seed.HashBytes([]byte(l.Device))
	v := t.known.Get(t.policy.Seed.Hash2(key, deviceKey))
	s, p := t.sources.Get(key), t.pairs.Get(t.policy.Seed.Hash2(key, uint64(owner)))
	f := t.friends.Get(key)
	if v == nil || f == nil || !within(v.last, now, weekSeconds) {
		return nil
	}
	all, own := s != nil && s.end > now && v.first < s.start, p != nil && p.end > now && v.first < p.start
	d := t.devices.Touch(deviceKey)
	if !all && !own || within(d.lossAt, now, daySeconds) {
		return nil
	}
	d.lossAt = now
	f.lose(loss{deviceKey, owner, l.Network, enrolledSeconds(l.Enrolled), now, t.place(l.From)})
	var rulings []Ruling
	const why = "two devices lost sessions to the block"
	twice := f.lostAt(owner, now) >= 2
	if twice && own {
		p.end = now
		r := ruling(l.Owner, key, tocsin.Pass, at, t.policy.Passing, why)
		r.Withdraw = true
		rulings = append(rulings, r)
	}
	if twice && all && p != nil && p.passed < s.end {
		p.passed = s.end
		rulings = append(rulings, ruling(l.Owner, key, tocsin.Pass, at, time.Duration(s.end-now)*time.Second, why))
	}
	if all && t.enough(t.weighLosses(f, now)) {
		t.refuteAll(s)
		s.end = now
		r := ruling("", key, tocsin.Pass, at, t.policy.Passing, "devices of several owners lost sessions to the block")
		r.Withdraw = true
		rulings = append(rulings, r)
	}
	return rulings
}

func (f *friends) lose(l loss) {
	oldest := 0
	for i := range f.losses {
		if f.losses[i].device == l.device {
			oldest = i
			break
		}
		if f.losses[i].at < f.losses[oldest].at {
			oldest = i
		}
	}
	f.losses[oldest] = l
}

func (f *friends) lostAt(owner, now uint32) (devices int) {
	for _, l := range f.losses {
		if l.owner == owner && within(l.at, now, daySeconds) {
			devices++
		}
	}
	return devices
}

// weighLosses weighs lost sessions as witnesses are weighed.
func (t *Tally) weighLosses(f *friends, now uint32) score {
	var p panel
	for _, l := range f.losses {
		trust := t.trust(l.owner, l.enrolled, now)
		if !within(l.at, now, daySeconds) || trust == 0 {
			continue
		}
		w := p.find(l.owner, l.network, l.place)
		if w == nil {
			if w = t.room(&p, l.network, trust, now); w == nil {
				continue
			}
			*w = witness{owner: l.owner, network: l.network, enrolled: l.enrolled, place: l.place}
		}
		w.fill(t.policy.Full, l.at)
	}
	return t.weigh(&p, now, 0)
}

// Forgive forgets the failures, blocks and strikes up to at of every source in
// prefix, at owner or, if that is "", at everybody: an operator has said that
// they are welcome, which refutes who witnessed against them. Who got in stays
// known.
func (t *Tally) Forgive(id tocsin.OwnerID, prefix netip.Prefix, at time.Time) {
	if !prefix.IsValid() {
		return
	}
	number, known := t.owners[id]
	if id != "" && !known {
		return
	}
	prefix = unmapped(prefix)
	now := seconds(at)
	single := prefix.Addr().Is4() && prefix.Bits() == 32 || prefix.Addr().Is6() && prefix.Bits() >= 64
	key, ok := window.Key(prefix.Addr())
	if id != "" && single {
		if p := t.pairs.Get(t.policy.Seed.Hash2(key, uint64(number))); ok && p != nil {
			p.forgive(now)
		}
		return
	}
	inside := func(k uint64) bool { return single && k == key || !single && prefix.Contains(window.Prefix(k).Addr()) }
	for _, p := range t.pairs.All() {
		if (id == "" || p.owner == number) && inside(p.source) {
			p.forgive(now)
		}
	}
	if id != "" {
		return
	}
	for k, s := range t.sources.All() {
		if inside(k) {
			t.refuteAll(s)
			*s = source{}
		}
	}
}

func unmapped(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() {
		return netip.PrefixFrom(a.Unmap(), max(p.Bits()-96, 0)).Masked()
	}
	return p.Masked()
}

func (p *pair) forgive(until uint32) {
	p.failures.drop(func(e event) bool { return e.at <= until })
	p.start, p.end, p.runStart, p.runs, p.strikes, p.by, p.kind = 0, 0, 0, 0, 0, 0, 0
}
