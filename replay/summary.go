package replay

import (
	"encoding/hex"
	"math"
	"time"
)

// A Summary says what became of a trace. The JSON is stable.
type Summary struct {
	Attempts      int     `json:"attempts"`
	Stopped       int     `json:"stopped"`       // whose source was blocked at their device
	StoppedShare  float64 `json:"stopped_share"` // of the attempts
	Ceiling       float64 `json:"ceiling"`       // share stopped by a rule that blocks every source for ever at its first attempt
	Sources       int     `json:"sources"`       // IPv4 addresses, and /64 of IPv6
	Blocked       int     `json:"sources_blocked"`
	BenignBlocked int     `json:"benign_blocked"` // see docs/replay.md
	RulesetSHA256 string  `json:"ruleset_sha256"` // of the fleet's rules in force at the end

	// For people.
	First, Last     time.Time `json:"-"`
	Owners, Devices int       `json:"-"`
	Benign          int       `json:"-"` // attempts
	BenignSources   int       `json:"-"`
	BenignStopped   int       `json:"-"` // attempts
	Permanent       float64   `json:"-"` // share stopped by a rule that blocks every source for ever at its second attempt within 7 days
}

// source is what is counted of one.
type source struct {
	last      int64 // attempt, in nanoseconds since 1970
	seen      bool
	permanent bool // two within 7 days
	blocked   bool // ever, anywhere
	benign    bool // some attempts are
	other     bool // some are not
	wronged   bool // a long block stopped a benign attempt
}

const (
	week = 7 * 24 * time.Hour
	// short is how long a block may be that hits somebody who shares an address
	// with an attacker: no rule could tell them apart.
	short = time.Hour
)

// count counts an attempt, and what simple rules would have made of it.
func (p *Player) count(s *source, a Attempt) {
	sum := &p.sum
	if sum.Attempts == 0 {
		sum.First = a.At
	}
	sum.Last = a.At
	sum.Attempts++
	at := a.At.UnixNano()
	if s.seen {
		sum.Ceiling++ // a count until [Player.End]
	}
	if s.permanent {
		sum.Permanent++
	}
	s.permanent = s.permanent || s.seen && time.Duration(at-s.last) < week
	s.seen, s.last = true, at
	s.benign, s.other = s.benign || a.Benign, s.other || !a.Benign
	if a.Benign {
		sum.Benign++
	}
}

func (p *Player) stopped(s *source, d *device, a Attempt) {
	p.sum.Stopped++
	if !a.Benign {
		return
	}
	p.sum.BenignStopped++
	if e, ok := d.list.Lookup(a.Source.Addr(), a.At); ok && e.Until.Sub(e.At) > short {
		s.wronged = true
	}
}

// End lets time run until all is told and enforced, and returns what became of
// the trace. The Player is of no use afterwards.
func (p *Player) End() Summary {
	for len(p.due)+len(p.pushed) > 0 {
		p.advance(p.now.Add(push))
	}
	sum := p.sum
	hash := p.fleet.Hash(p.now)
	sum.RulesetSHA256 = hex.EncodeToString(hash[:])
	sum.Sources, sum.Owners, sum.Devices = len(p.sources), len(p.order), p.devices
	for _, s := range p.sources {
		if s.blocked {
			sum.Blocked++
		}
		if s.benign {
			sum.BenignSources++
		}
		if s.benign && (s.blocked && !s.other || s.wronged) {
			sum.BenignBlocked++
		}
	}
	share := func(n float64) float64 {
		return math.Round(n/float64(max(sum.Attempts, 1))*1e6) / 1e6
	}
	sum.StoppedShare, sum.Ceiling, sum.Permanent = share(float64(sum.Stopped)), share(sum.Ceiling), share(sum.Permanent)
	return sum
}
