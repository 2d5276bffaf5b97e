package controller

import (
	"fmt"
	"slices"

	"github.com/tocsin-io/tocsin"
)

// Where one class ends and the next begins. A random order of contacts has a
// regularity of about 0.5, one with a pause that varies by a half about 0.87.
const (
	steady    = 0.7      // regularity from which contacts are called regular
	manyBytes = 64 << 10 // received, from which something may have been fetched
	manyTries = 10       // destinations tried in vain after the first attack
)

// class says what a candidate seems to be, by what most of the labelled devices
// did. Those without a known attack did everything before it.
func (a *analysis) class(d *dest, b *beacons, c *Candidate) tocsin.ControllerClass {
	var early, late, once, fetched, vain, regular int
	for i := range d.pairs {
		p := &d.pairs[i]
		if !a.labelled(p.device) {
			continue
		}
		if at, known := a.attack(p.device); known && p.first >= at {
			late++
		} else {
			early++
		}
		once += one(p.count <= 1)
		fetched += one(p.received >= manyBytes)
		vain += one(2*p.failed >= p.count && p.failed > 0 && a.victims[p.device] >= manyTries)
		regular += one(b.scores[i] >= steady)
	}
	most := func(n int) bool { return 2*n > c.Labelled }
	switch {
	case most(regular) && c.Regularity >= steady && most(early):
		return tocsin.Commands
	case most(once) && most(fetched) && most(early):
		return tocsin.Payload
	case most(late) && most(vain):
		return tocsin.Target
	}
	return tocsin.OtherClass
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reasons tells a person why c stands where it does.
func reasons(c *Candidate, labelled, all int) []tocsin.Reason {
	say := func(format string, args ...any) tocsin.Reason { return tocsin.Reason(fmt.Sprintf(format, args...)) }
	list := []tocsin.Reason{say("contacted by %d of %d compromised devices and %d of %d others (p %.2g)",
		c.Labelled, labelled, c.Devices-c.Labelled, all-labelled, c.Prevalence)}
	switch {
	case c.LabelledTimed == 0:
		list = append(list, "no first attack is known: that contacts came before it says nothing")
	default:
		list = append(list, say("in contact before the first attack: %d of %d (p %.2g)%s",
			c.Before, c.LabelledTimed, c.Precedence, vote(c.Gates[1])))
	}
	list = append(list, say("regularity %.2f more than others (p %.2g)%s", c.Regularity, c.PRegularity, vote(c.Gates[2])))
	return slices.Clip(list)
}

func vote(gate float64) string {
	switch {
	case gate == 0:
		return ": has no vote"
	case gate < 1:
		return fmt.Sprintf(": too few to know, votes by %.0f %%", 100*gate)
	}
	return ""
}
