package quorum

import (
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/accounts"
)

// pair is what is remembered of a source at an owner. Times are seconds since
// 1970; 0 is never.
type pair struct {
	failures ring
	source   uint64 // key
	owner    uint32
	start    uint32 // of the last block
	end      uint32 // of the last block
	runStart uint32 // of the window that a person's failures are counted in
	friend   uint32 // when somebody got in from there who belongs there
	passed   uint32 // until when the source is excepted from the block for everybody
	runs     uint16
	strikes  uint8 // blocks so far, each of which doubled the next
	by       rule  // of the last block
	count    uint16
	devices  uint8
	kind     kind // of the last block
}

// A kind of block says how long it is, and who may renew it.
type kind uint8

const (
	_        kind = iota
	fleeting      // shared, or with friends: short, never longer the next time
	personal      // may be a person: what knocks is the person
	doubtful      // of what one or two devices saw: renewed by what knocks at others
	firm          // renewed by whatever knocks
)

// success is remembered of one account that got in from one source.
type success struct {
	at      uint32
	excused uint16 // failures it has excused since
	local   bool   // any user of the device could have written it
}

// atOwner takes o into what its owner's devices know, and rules for them.
func (t *Tally) atOwner(o *observed, rulings []Ruling) []Ruling {
	var p *pair
	if o.Failures+o.Successes > 0 || o.strong {
		p = t.pairs.Touch(o.pair)
	} else if p = t.pairs.See(o.pair); p == nil {
		o.points = t.probes(o)
		return rulings
	}
	p.source, p.owner = o.key, o.owner
	failed := t.failed(o, p)
	t.succeeded(o, p)
	friend := p.friendly(o.last)
	if !friend {
		o.points = min(o.points+t.probes(o), maxPoints)
	}
	if !o.live {
		return rulings
	}
	v := verdict{}
	all := p.failures.events(o.now, weekSeconds)
	o.person = len(all) == 0 || person(all)
	switch {
	case o.strong:
		v = verdict{rule: byDevice, devices: 1, local: o.local}
	case failed:
		v = t.limits.judge(all, o.now, int(p.runs), friend, o.member)
	}
	if v.rule == 0 && o.Dropped > 0 && p.end != 0 && o.now < p.end+fresh && (p.kind == firm || p.kind == doubtful && !p.met(o)) {
		v = verdict{rule: byKnocking, count: int(min(o.Dropped, 1<<15)), devices: 1}
	}
	if v.rule == 0 {
		return rulings
	}
	return t.block(o, p, v, friend, rulings)
}

// failed remembers the failures of o that no success excuses, and reports
// whether there were any.
func (t *Tally) failed(o *observed, p *pair) bool {
	told, any := uint32(0), false
	for i := range o.Accounts {
		a := &o.Accounts[i]
		told += min(a.Failures, o.Failures)
		if a.Failures == 0 || a.Successes > 0 && t.provesSomething(o, a) {
			continue
		}
		class, account := t.classify(o, a)
		if n := a.Failures - t.excuse(o, p, account, class, a.Failures); n > 0 {
			t.fail(o, p, class, account, n)
			any = true
		}
	}
	if rest := o.Failures - min(told, o.Failures); rest > 0 {
		t.fail(o, p, nameless, 0, rest)
		any = true
	}
	return any
}

// probes is what connections that never tried to log in weigh: little, and
// nothing from where somebody belongs.
func (t *Tally) probes(o *observed) int {
	return min(t.policy.Points.Probe*int(min(o.Probes, maxPoints)), maxPoints)
}

// provesSomething reports whether a success on a excuses its failures in the
// same sighting: not that of a guest, nor what came after guessing or from who
// was blocked.
func (t *Tally) provesSomething(o *observed, a *tocsin.Tried) bool {
	return !accounts.IsGuest(string(a.Tag)) &&
		!o.Facts.Has(tocsin.SuccessAfterFailures) && !o.Facts.Has(tocsin.SuccessFromBlocked)
}

func (t *Tally) classify(o *observed, a *tocsin.Tried) (class, account tag) {
	if a.Unknown {
		class |= unknown
	}
	if len(a.Tag) > 0 && a.Tag[0] != '#' && accounts.IsPublic(string(a.Tag)) {
		class |= listed
	}
	return class, accountTag(t.policy.Seed, string(a.Tag))
}

func (t *Tally) fail(o *observed, p *pair, class, account tag, n uint32) {
	weight := t.policy.Points.Own
	switch {
	case class&nameless != 0:
		weight = t.policy.Points.Nameless
	case class&unknown != 0:
		weight = t.policy.Points.Unknown
	case class&listed != 0:
		weight = t.policy.Points.Public
	}
	o.points = min(o.points+weight*int(min(n, maxPoints)), maxPoints)
	if o.local {
		class |= local
	}
	p.failures.add(event{at: o.last, tag: account | class | tag(o.device)<<flagBits&deviceOf}, n)
	within := t.limits.personDay.within
	if p.runs == 0 || o.last < p.runStart || o.last-p.runStart >= within {
		p.runs, p.runStart = 0, o.last
	}
	p.runs = uint16(min(uint32(p.runs)+min(n, 1<<15), 1<<16-1))
}

// excuse returns how many of n failures an earlier success of the same account
// excuses: a phone that still has the old password.
func (t *Tally) excuse(o *observed, p *pair, account, class tag, n uint32) uint32 {
	if class&unknown != 0 || p.friend == 0 {
		return 0
	}
	s := t.successes.See(t.policy.Seed.Hash2(o.pair, uint64(account)))
	if s == nil || s.local && !o.local || !within(s.at, o.last, weekSeconds) || p.end > o.last {
		return 0
	}
	if s.at >= o.last { // told late: the mistyping just before it
		if s.at-o.last < t.limits.sitting {
			return n
		}
		return 0
	}
	n = min(n, uint32(max(t.policy.Excused-int(s.excused), 0)))
	s.excused += uint16(n)
	return n
}

// succeeded remembers who got in and belongs there, and forgets the mistyping
// just before it.
func (t *Tally) succeeded(o *observed, p *pair) {
	if o.Successes == 0 || o.Channel == tocsin.Honeypot || p.end > o.last && p.kind != personal {
		return
	}
	for i := range o.Accounts {
		a := &o.Accounts[i]
		if a.Successes == 0 || a.Unknown || !t.provesSomething(o, a) {
			continue
		}
		account := accountTag(t.policy.Seed, string(a.Tag))
		p.failures.drop(func(e event) bool {
			return e.tag&nameless == 0 && sameAccount(e.tag, account) && within(e.at, o.last, t.limits.sitting) &&
				(!o.local || e.tag&local != 0)
		})
		if t.others(o, p, account) {
			continue
		}
		p.runs = 0
		s := t.successes.Touch(t.policy.Seed.Hash2(o.pair, uint64(account)))
		if s.at <= o.last && (!o.local || s.local || !within(s.at, o.last, weekSeconds)) {
			*s = success{at: o.last, local: o.local}
		}
		p.friend = max(p.friend, 1) // somebody is in the table of successes
		if !o.local {
			p.friend = max(p.friend, o.last)
			o.benign = o.live
		}
	}
}

// others reports whether, within a week, the source failed on another account
// that did not itself get in from there.
func (t *Tally) others(o *observed, p *pair, account tag) bool {
	for _, e := range p.failures.events(o.last, weekSeconds) {
		if e.tag&nameless != 0 || sameAccount(e.tag, account) {
			continue
		}
		s := t.successes.Get(t.policy.Seed.Hash2(o.pair, uint64(e.tag&accountOf)))
		if s == nil || !within(s.at, o.last, weekSeconds) {
			return true
		}
	}
	return false
}

// friendly reports whether somebody who belongs there got in from the source
// lately. It outlives by a week whatever else is remembered: of two who share an
// address, the failures of the one must not outlast the good name of the other.
func (p *pair) friendly(at uint32) bool { return p.friend > 1 && within(p.friend, at, 2*weekSeconds) }

// block rules v for the owner, unless a block stands or the rates are used up.
func (t *Tally) block(o *observed, p *pair, v verdict, friend bool, rulings []Ruling) []Ruling {
	if peace(p.start, p.end, o.now) {
		return rulings
	}
	if p.passed > o.now {
		// The exception ends first: a pass wins over the devices' own blocks, too.
		p.passed = 0
		return append(rulings, o.ruling(o.Owner, tocsin.Pass, time.Second, "somebody belongs there, and somebody else guesses"))
	}
	if !within(p.end, o.now, weekSeconds) {
		if !t.mayBlock(o, v) {
			return rulings
		}
		p.strikes = 0
	}
	p.kind = kindOf(o, p, v, friend)
	length := t.ownerLength(p, v, o)
	if length < time.Second {
		return rulings
	}
	p.start, p.end = o.now, o.now+span(length)
	if v.rule != byKnocking || p.by == 0 {
		p.by, p.count, p.devices = v.rule, uint16(min(v.count, 1<<15)), uint8(v.devices)
	}
	return append(rulings, o.ruling(o.Owner, tocsin.Block, length, v.reason()))
}

func kindOf(o *observed, p *pair, v verdict, friend bool) kind {
	switch {
	case v.rule == byKnocking:
		return p.kind
	case friend || o.short:
		return fleeting
	case v.rule == byPerson || v.rule == byCrowd || v.rule == byDevice && o.person:
		return personal
	case v.devices < 2 || v.rule == byHint || v.rule == byCampaign:
		return doubtful
	}
	return firm
}

// ownerLength returns how long a block is. What rests on lines that any user of
// one device can write is short and never doubles: nobody there can have a
// stranger blocked for long.
func (t *Tally) ownerLength(p *pair, v verdict, o *observed) time.Duration {
	first := t.policy.Firm
	switch p.kind {
	case fleeting:
		return t.policy.Short
	case personal:
		first = t.policy.First
	case doubtful:
		first = t.policy.Doubt
	}
	if v.local {
		return min(first, t.policy.Forgeable)
	}
	return t.length(first, &p.strikes, p.end, o.now)
}

// met reports whether o's device is among those that the source failed at.
func (p *pair) met(o *observed) bool {
	for _, e := range p.failures.events(o.now, weekSeconds) {
		if sameDevice(e.tag, tag(o.device)<<flagBits) {
			return true
		}
	}
	return false
}

// length doubles with each strike and counts one more. A day without a block
// takes a strike back.
func (t *Tally) length(first time.Duration, strikes *uint8, end, now uint32) time.Duration {
	if end != 0 && now > end {
		*strikes -= uint8(min(uint32(*strikes), (now-end)/daySeconds))
	}
	longest := min(t.policy.Longest, MaxLength)
	length := first
	for range *strikes {
		if length >= longest {
			break
		}
		length *= 2
	}
	*strikes = uint8(min(uint32(*strikes)+1, 63))
	return min(length, longest)
}

// peace reports whether a block stands that need not be renewed: more than three
// quarters of it are left.
func peace(start, end, now uint32) bool {
	return end > now && now >= start && end-start > 0 && uint64(end-now)*4 > uint64(end-start)*3
}

// mayBlock counts a new address against the rates of whoever had it blocked.
func (t *Tally) mayBlock(o *observed, v verdict) bool {
	if v.devices < 2 {
		d := t.devices.Touch(o.device)
		if !d.blocks.take(o.now, t.policy.DeviceHour, t.policy.DeviceDay) {
			return false
		}
	}
	return t.standings[o.owner-1].blocks.take(o.now, t.policy.OwnerHour, t.policy.OwnerDay)
}
