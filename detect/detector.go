// Package detect decides, on one device, which sources are guessing passwords:
// by how often they failed within ten minutes, a day and a week, by what they
// tried, and by who else tries the same. It promises that a person who mistypes
// is not taken for an attacker, that nobody is excused by a success that is not
// theirs, and that its memory stays bounded whatever attackers do.
//
// It is pure: time comes from the attempts, so a month of traffic replays in
// seconds, and the same attempts always give the same decisions. It sees one
// device only; attacks spread thinly over a fleet are the business of quorum.
// It blocks nothing and does not know what is blocked: that is kept by blocklist.
package detect

import (
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// A Detector remembers what each source did. Make one with [New]. It is not
// safe for concurrent use.
type Detector struct {
	policy    Policy
	limits    limits
	names     names
	sources   *window.Table[source]
	successes *window.Table[success]
	sprayed   *window.Table[sprayed]
	rumours   *window.Table[rumour]
}

// A Result is what one attempt led to.
type Result struct {
	Decision tocsin.Decision
	Decided  bool // Decision holds one
	Facts    tocsin.FactSet
}

// New returns a Detector for policy p, which should be one that
// [Policy.Validate] accepts; what is beyond the bounds is cut to them.
func New(p Policy) *Detector {
	d := &Detector{policy: p, limits: newLimits(p)}
	d.forgetAll(p.Seed)
	return d
}

func (d *Detector) forgetAll(seed window.Seed) {
	d.policy.Seed = seed
	d.names = newNames(d.policy)
	d.sources = window.New[source](d.policy.Sources, seed)
	d.successes = window.NewHashed[success](d.policy.Successes)
	d.sprayed = window.NewHashed[sprayed](d.policy.Accounts)
	d.rumours = window.NewHashed[rumour](rumours * min(d.policy.Accounts, maxEntries))
}

// Observe takes an attempt that happens now and returns the decision it tips
// over, if any, and what else is worth telling. Blocked is asked, where that
// matters, whether the source is blocked at this moment, by whomever: whoever
// gets in then gets no excuse. A nil blocked says never.
//
// The caller sees to it that a.At is now, within minutes: a block ends that much
// after a.At, and the time in a line may be forged with the rest of it. Older
// lines are for [Detector.Recall].
func (d *Detector) Observe(a tocsin.Attempt, blocked func(tocsin.Attempt) bool) Result {
	return d.observe(a, blocked, true)
}

// Recall takes an attempt read back from before: it is remembered, and its
// facts are told, but an old line never leads to a block.
func (d *Detector) Recall(a tocsin.Attempt) Result {
	r := d.observe(a, nil, false)
	return Result{Facts: r.Facts}
}

func (d *Detector) observe(a tocsin.Attempt, blocked func(tocsin.Attempt) bool, live bool) Result {
	key, ok := window.Key(a.Source.Addr())
	if !ok || a.Tentative || a.Provenance < tocsin.Attested || a.Provenance > tocsin.Network {
		return Result{}
	}
	o := observed{Attempt: &a, key: key, at: seconds(a.At), askBlocked: blocked, live: live}
	switch a.Outcome {
	case tocsin.Failure:
		o.account = d.names.account(a)
		return d.failure(&o)
	case tocsin.Success:
		o.account = d.names.account(a)
		return Result{Facts: d.success(&o)}
	case tocsin.Probe:
		return d.probe(&o)
	}
	return Result{}
}

// observed is an attempt and what was found out about it.
type observed struct {
	*tocsin.Attempt
	account
	key  uint64 // of the source
	at   uint32
	live bool

	askBlocked func(tocsin.Attempt) bool
}

func (o *observed) blocked() bool { return o.askBlocked != nil && o.askBlocked(*o.Attempt) }

func (o *observed) local() bool { return o.Provenance != tocsin.Attested }

// Warm tells which attempts are about to be observed, so that the processor
// fetches what is remembered of their sources meanwhile. It changes nothing;
// with hundreds of thousands of sources it halves the time of what follows. The
// best batch is 64.
func (d *Detector) Warm(batch []tocsin.Attempt) {
	var keys [64]uint64
	n := 0
	for i := range batch {
		if key, ok := window.Key(batch[i].Source.Addr()); ok {
			keys[n] = key
			n++
		}
		if n == len(keys) || i == len(batch)-1 {
			d.sources.Warm(keys[:n])
			n = 0
		}
	}
}

// Forgive forgets the failures, probes and strikes, up to at, of every source
// in p: an operator has said that they are welcome. Successes stay.
func (d *Detector) Forgive(p netip.Prefix, at time.Time) {
	if !p.IsValid() {
		return
	}
	until := seconds(at)
	one := 64
	if a := p.Addr().Unmap(); a.Is4() {
		one = 32
		p = netip.PrefixFrom(a, max(p.Bits()-(p.Addr().BitLen()-32), 0))
	}
	if p.Bits() >= one {
		if key, ok := window.Key(p.Addr()); ok {
			if s := d.sources.Get(key); s != nil {
				s.forgive(until)
			}
		}
		return
	}
	for key, s := range d.sources.All() {
		if p.Contains(window.Prefix(key).Addr()) {
			s.forgive(until)
		}
	}
}

// Lapse says that the block of source p is not in force, or will not be from
// until on: from then, its next failure may decide again.
func (d *Detector) Lapse(p netip.Prefix, until time.Time) {
	key, ok := window.Key(p.Addr())
	if !ok {
		return
	}
	if s := d.sources.Get(key); s != nil {
		s.blockEnd = min(s.blockEnd, seconds(until))
	}
}

// Shift moves every remembered time: the clock has been set by that much, and
// the times remembered are those of the old clock.
func (d *Detector) Shift(by time.Duration) {
	move := func(at *uint32) {
		if *at != 0 {
			*at = uint32(min(max(int64(*at)+int64(by/time.Second), 1), maxSecond))
		}
	}
	for _, s := range d.sources.All() {
		s.shift(move)
	}
	for _, s := range d.successes.All() {
		move(&s.at)
		move(&s.seen)
	}
	for _, s := range d.sprayed.All() {
		move(&s.start)
		move(&s.told)
	}
	for _, s := range d.rumours.All() {
		move(&s.at)
	}
}

// Len returns how many sources are remembered.
func (d *Detector) Len() int { return d.sources.Len() }

// Cap returns how many sources can be remembered.
func (d *Detector) Cap() int { return d.sources.Cap() }

// Bytes returns the memory held.
func (d *Detector) Bytes() int {
	return d.sources.Bytes() + d.successes.Bytes() + d.sprayed.Bytes() + d.rumours.Bytes()
}

const maxSecond = 1<<32 - 1

// seconds returns t as it is remembered. A time out of range becomes the nearest
// in range: 0 means none.
func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 1), maxSecond)) }

func span(d time.Duration) uint32 { return uint32(min(max(d/time.Second, 0), maxSecond)) }
