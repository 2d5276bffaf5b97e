package detect

import (
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// renew is how long before its end a block is renewed, if attempts still arrive:
// the kernel's element would lapse between two of them otherwise.
const renew = 60

// decide turns a verdict into a decision, unless one stands.
func (d *Detector) decide(s *source, o *observed, v verdict, all *window.Recent, r *Result) {
	if s.blockEnd > o.at && s.blockEnd-o.at > renew && s.blockEnd-o.at <= span(d.policy.Longest) {
		return
	}
	length := d.length(s, o.at, v.local)
	if d.policy.Shared > 0 && length > d.policy.Shared && d.mayBeShared(o) {
		length = d.policy.Shared
	}
	if length < time.Second {
		return
	}
	s.blockEnd = uint32(min(uint64(o.at)+uint64(length/time.Second), maxSecond))
	r.Decided = true
	r.Decision = tocsin.Decision{
		Prefix: window.Prefix(o.key),
		Action: tocsin.Block,
		At:     o.At,
		Until:  o.At.Add(length),
		Origin: tocsin.ByDevice,
		Reason: d.reason(o, v, all),
	}
}

// length returns how long the block is, and counts it as a strike. Strikes are
// forgotten after a week without a block. What could be forged neither doubles
// nor counts, so that nobody on the device can have a stranger blocked for long.
func (d *Detector) length(s *source, at uint32, local bool) time.Duration {
	if !within(s.blockEnd, at, weekSeconds) {
		s.strikes = 0
	}
	if local {
		return min(d.policy.First, d.policy.Forgeable)
	}
	length := d.policy.First
	for range s.strikes {
		if length *= 2; length >= d.policy.Longest {
			break
		}
	}
	if s.strikes < 63 {
		s.strikes++
	}
	return min(length, d.policy.Longest)
}
