package quorum

import "github.com/tocsin-io/tocsin/internal/window"

// A rule is what a ruling was taken by.
type rule uint8

const (
	_          rule = iota
	byDevice        // a device blocked the source
	byFast          // failures within a short time
	byDay           // failures within a day
	bySpread        // guesses on several devices
	byHint          // fewer of them
	byWeek          // guesses on one device
	byPerson        // one account, too often
	byCrowd         // several people's accounts, or from where somebody belongs, too often
	byWitness       // independent owners agree
	byHoneypot      // a honeypot of the hub and an owner agree
	byKnocking      // blocked already, and still there
	byCampaign      // acts with others
)

// A verdict is a rule's answer.
type verdict struct {
	rule    rule // 0 is no decision
	count   int
	span    uint32 // seconds that the count is spread over
	devices int    // that the count comes from, a lower bound
	local   bool   // rests on one device's lines that its users could have written
}

type limit struct {
	count  int
	within uint32
}

type limits struct {
	fast, day, spread, hint, week, personFast, personDay, crowd, campaign limit

	sitting uint32 // what comes closer together is one sitting of one person
}

func newLimits(p Policy) limits {
	cut := func(l Limit, most int) limit {
		if !l.on() {
			return limit{}
		}
		return limit{min(l.Count, most), span(min(l.Within, MaxMemory))}
	}
	l := limits{
		fast: cut(p.Fast, keep), day: cut(p.Day, keep), spread: cut(p.Spread, keep), hint: cut(p.Hint, keep), week: cut(p.Weekly, keep),
		personFast: cut(p.PersonFast, keep), personDay: cut(p.PersonDay, 1000), crowd: cut(p.Crowd, keep),
		campaign: cut(p.Campaign, keep),
		sitting:  600,
	}
	if l.fast.within > 0 {
		l.sitting = l.fast.within
	}
	return l
}

// judge weighs what an owner's devices remember of a source.
func (l *limits) judge(list []event, now uint32, runs int, friend, member bool) verdict {
	var v verdict
	switch {
	case len(list) == 0:
		return v
	case person(list):
		if v = l.personFast.reached(list, now, byPerson); v.rule == 0 && l.personDay.within > 0 && runs >= l.personDay.count {
			v = verdict{rule: byPerson, count: runs, span: l.personDay.within}
		}
	case friend || crowd(list):
		if v = l.crowd.reached(list, now, byCrowd); v.rule == 0 && !friend {
			v = l.guessed(list, now, member)
		}
	default:
		if v = l.fast.reached(list, now, byFast); v.rule == 0 {
			v = l.day.reached(list, now, byDay)
		}
		if v.rule == 0 {
			v = l.guessed(list, now, member)
		}
	}
	if v.rule != 0 {
		v.devices = devices(list)
		v.local = v.devices < 2 && forgeable(list)
	}
	return v
}

func (l limit) reached(list []event, now uint32, by rule) verdict {
	if l.within == 0 {
		return verdict{}
	}
	young := since(list, now, l.within)
	if len(young) < l.count {
		return verdict{}
	}
	return verdict{rule: by, count: len(young), span: young[0].at - young[len(young)-1].at}
}

// person reports whether all failures concern one account that exists and is on
// no public list: somebody's own.
func person(list []event) bool {
	for _, e := range list {
		if e.tag&(unknown|listed|nameless) != 0 || !sameAccount(e.tag, list[0].tag) {
			return false
		}
	}
	return true
}

// crowd reports whether all failures concern accounts that exist and are on no
// public list: people behind one address.
func crowd(list []event) bool {
	for _, e := range list {
		if e.tag&(unknown|listed|nameless) != 0 {
			return false
		}
	}
	return true
}

// guessed counts guesses: a burst on one account of one device is one, and the
// first account that could be the source's own is none. On several devices few
// are enough, if they name nobody's own account; on one, guesses within one
// sitting are left to the limits for that, but for a member of a campaign.
func (l *limits) guessed(list []event, now uint32, member bool) verdict {
	own := ownAccount(list)
	var any, wild tries
	for i, e := range list {
		if own != 0 && sameAccount(e.tag, own) || !l.opensBurst(list[i:]) {
			continue
		}
		any.add(e)
		if e.tag&(unknown|listed|nameless) != 0 {
			wild.add(e)
		}
	}
	switch {
	case wild.devices >= 2 && wild.reach(l.spread, now):
		return verdict{rule: bySpread, count: wild.count, span: wild.span()}
	case any.reach(l.week, now) && any.span() >= l.sitting:
		return verdict{rule: byWeek, count: any.count, span: any.span()}
	case wild.devices >= 2 && wild.reach(l.hint, now):
		return verdict{rule: byHint, count: wild.count, span: wild.span()}
	case member && wild.reach(l.campaign, now):
		return verdict{rule: byCampaign, count: wild.count, span: wild.span()}
	}
	return verdict{}
}

// tries counts guesses, the newest first.
type tries struct {
	count, devices int
	newest, oldest uint32
	seen           [1 << deviceBits / 64]uint64
}

func (t *tries) add(e event) {
	if t.count++; t.count == 1 {
		t.newest = e.at
	}
	t.oldest = e.at
	if d := e.tag & deviceOf >> flagBits; t.seen[d/64]&(1<<(d%64)) == 0 {
		t.seen[d/64] |= 1 << (d % 64)
		t.devices++
	}
}

func (t *tries) span() uint32 { return t.newest - t.oldest }

// reach reports whether there are as many as l says. Older ones than l looks at
// are few: a week is all that is remembered.
func (t *tries) reach(l limit, now uint32) bool {
	return l.within > 0 && t.count >= l.count && within(t.oldest, now, l.within)
}

// ownAccount returns the first account tried that could be the source's own, or
// 0.
func ownAccount(list []event) tag {
	for i := len(list) - 1; i >= 0; i-- {
		if t := list[i].tag; t&(unknown|listed|nameless) == 0 {
			return t
		}
	}
	return 0
}

// opensBurst reports whether the first of list is not the continuation of an
// older failure on the same account of the same device.
func (l *limits) opensBurst(list []event) bool {
	for _, older := range list[1:] {
		if list[0].at-older.at >= l.sitting {
			return true
		}
		if sameAccount(list[0].tag, older.tag) && sameDevice(list[0].tag, older.tag) {
			return false
		}
	}
	return true
}

// devices counts the devices that list comes from.
func devices(list []event) (n int) {
	for i, e := range list {
		first := true
		for _, older := range list[:i] {
			first = first && !sameDevice(e.tag, older.tag)
		}
		if first {
			n++
		}
	}
	return n
}

func forgeable(list []event) bool {
	for _, e := range list {
		if e.tag&local != 0 {
			return true
		}
	}
	return false
}

// accountTag returns what is remembered of a failure on an account.
func accountTag(seed window.Seed, account string) tag {
	return tag(seed.HashBytes([]byte(account))) & accountOf
}
