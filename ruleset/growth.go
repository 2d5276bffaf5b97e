package ruleset

import "time"

// growth counts new rules over the hour before, in slots of five minutes, and
// never forgets one too early: the slot that is being filled counts besides the
// twelve full ones. It is a value.
type growth struct {
	at    int64 // Unix time at which the slot being filled began
	slots [13]uint32
}

const slot = int64(unit / time.Second)

// since returns g as of now. A clock that goes back lets no time pass.
func (g growth) since(now time.Time) growth {
	t := now.Unix()
	n := (t - g.at) / slot
	switch {
	case t < g.at:
		g.at = t
	case n >= int64(len(g.slots)):
		g = growth{at: t}
	case n > 0:
		copy(g.slots[n:], g.slots[:int64(len(g.slots))-n])
		clear(g.slots[:n])
		g.at += n * slot
	}
	return g
}

func (g growth) sum() (n int) {
	for _, s := range g.slots {
		n += int(s)
	}
	return n
}

// add returns g with n more, unless that would be more than most.
func (g growth) add(n, most int, now time.Time) (growth, bool) {
	if n == 0 {
		return g, true
	}
	g = g.since(now)
	if n > most || g.sum() > most-n {
		return g, false
	}
	g.slots[0] += uint32(n)
	return g, true
}
