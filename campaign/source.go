package campaign

import (
	"math"
	"math/bits"
	"slices"
)

// Bounds of what is remembered of one source.
const (
	maxSteps   = 16
	maxBins    = 16
	maxTargets = 16
)

const binSeconds = 300

// A step is one account that a source tried. Times are seconds since 1970.
type step struct {
	at      uint32
	account uint32 // hash of the tag; 0 is a line that told none
	device  uint32 // hash
	service uint8
	wild    bool // nobody's own account: unknown, public, or not told
	clear   bool // the name is told in clear: every owner's devices tell the same
}

// A profile is what is remembered of a source with two attempts or more.
type profile struct {
	steps       [maxSteps]step     // in order of time, the newest ones
	bins        [maxBins]uint32    // five minutes it was active in, ascending, the newest ones
	targets     [maxTargets]uint32 // distinct devices, the newest last
	sketch      [4]uint64          // of all devices, to count them
	client      uint64             // hash of what its client looks like; 0 is unknown
	first, last uint32             // of its attempts
	lastDrop    uint32
	attempts    uint32
	dropped     uint32
	told        uint32 // attempts at the last pass
	nSteps      uint8
	nBins       uint8
	nTargets    uint8
}

// single is what is remembered of a source with one attempt in all.
type single struct{ step }

// try remembers an attempt: one account, however often in this sighting.
func (p *profile) try(s step, n uint32) {
	p.attempts += min(n, math.MaxUint32-p.attempts)
	if p.first == 0 || s.at < p.first {
		p.first = s.at
	}
	p.last = max(p.last, s.at)
	p.bin(s.at / binSeconds)
	p.target(s.device)
	p.step(s)
}

// step puts s where it belongs in the order of time. The same account again, at
// whatever device, says nothing about the order of accounts.
func (p *profile) step(s step) {
	i := int(p.nSteps)
	for i > 0 && p.steps[i-1].at > s.at {
		i--
	}
	if i > 0 && p.steps[i-1].account == s.account && p.steps[i-1].service == s.service {
		return
	}
	if i < int(p.nSteps) && p.steps[i].account == s.account && p.steps[i].service == s.service {
		return
	}
	if p.nSteps == maxSteps {
		if i == 0 {
			return // older than all that is kept
		}
		copy(p.steps[:], p.steps[1:])
		p.nSteps--
		i--
	}
	copy(p.steps[i+1:], p.steps[i:p.nSteps])
	p.steps[i] = s
	p.nSteps++
}

func (p *profile) bin(b uint32) {
	list := p.bins[:p.nBins]
	i, found := slices.BinarySearch(list, b)
	if found {
		return
	}
	if p.nBins == maxBins {
		if i == 0 {
			return
		}
		copy(list, list[1:i])
		p.bins[i-1] = b
		return
	}
	copy(p.bins[i+1:], list[i:])
	p.bins[i] = b
	p.nBins++
}

func (p *profile) target(device uint32) {
	bit := device >> 24
	p.sketch[bit/64] |= 1 << (bit % 64)
	list := p.targets[:p.nTargets]
	if slices.Contains(list, device) {
		return
	}
	if p.nTargets == maxTargets {
		copy(list, list[1:])
		p.nTargets--
	}
	p.targets[p.nTargets] = device
	p.nTargets++
}

// devices counts the devices that were tried: exactly up to 16, beyond by
// linear counting.
func (p *profile) devices() uint32 {
	if p.nTargets < maxTargets {
		return uint32(p.nTargets)
	}
	zero := 256
	for _, w := range p.sketch {
		zero -= bits.OnesCount64(w)
	}
	return max(maxTargets, uint32(math.Round(256*math.Log(256/max(float64(zero), 1)))))
}

// excuse forgets the failures on an account at a device since a time: somebody
// mistyped.
func (p *profile) excuse(account, device, since uint32) {
	kept := 0
	for _, s := range p.steps[:p.nSteps] {
		if s.account == account && s.device == device && s.at >= since {
			p.attempts -= min(p.attempts, 1)
			continue
		}
		p.steps[kept] = s
		kept++
	}
	p.nSteps = uint8(kept)
}

// others reports whether the source tried another account since a time.
func (p *profile) others(account, since uint32) bool {
	for _, s := range p.steps[:p.nSteps] {
		if s.account != account && s.at >= since {
			return true
		}
	}
	return false
}

// suspect reports whether the source may be one of many that act together:
// somebody who tries one account of their own is a person.
func (p *profile) suspect() bool {
	if p.attempts < 2 {
		return false
	}
	for _, s := range p.steps[:p.nSteps] {
		if s.wild || s.account != p.steps[0].account {
			return true
		}
	}
	return false
}

// A chain is four accounts that were tried one after the other, with at most one
// other between them.
type chain [4]uint32

// chains yields the chains of p at each service: of all accounts, which devices of
// one owner tell alike, and of those told in clear, which all do.
func (p *profile) chains(yield func(service uint8, c chain)) {
	var list, clear [maxSteps]uint32
	var done [maxSteps]bool
	for i := range int(p.nSteps) {
		if done[i] {
			continue
		}
		n, m := 0, 0
		for j := i; j < int(p.nSteps); j++ {
			if s := &p.steps[j]; s.service == p.steps[i].service {
				done[j] = true
				if s.account != 0 {
					list[n] = s.account
					n++
				}
				if s.clear {
					clear[m] = s.account
					m++
				}
			}
		}
		chains(list[:n], func(c chain) { yield(p.steps[i].service, c) })
		if m < n {
			chains(clear[:m], func(c chain) { yield(p.steps[i].service, c) })
		}
	}
}

func chains(list []uint32, yield func(chain)) {
	for i := 0; i+4 <= len(list); i++ {
		a := list[i:]
		distinct(chain{a[0], a[1], a[2], a[3]}, yield)
		if len(a) > 4 {
			distinct(chain{a[0], a[2], a[3], a[4]}, yield)
			distinct(chain{a[0], a[1], a[3], a[4]}, yield)
			distinct(chain{a[0], a[1], a[2], a[4]}, yield)
		}
	}
}

// distinct leaves out chains that name an account twice: root and admin in turn
// are everybody's.
func distinct(c chain, yield func(chain)) {
	if c[0] != c[1] && c[0] != c[2] && c[0] != c[3] && c[1] != c[2] && c[1] != c[3] && c[2] != c[3] {
		yield(c)
	}
}
