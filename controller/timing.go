package controller

import (
	"math"
	"slices"
	"time"
)

// drawTimes draws for each labelled device the times that stand in for its first
// attack: the same hour of another day that it was observed on.
func (a *analysis) drawTimes() {
	a.draws = make([][]instant, len(a.fleet.devices))
	for i := range a.fleet.devices {
		at, known := a.attack(int32(i))
		days := a.daysAround(a.span[i], at)
		if !known || len(days) < 2 {
			continue // there is no other day to compare with
		}
		r := stream(a.in.Seed, string(a.fleet.devices[i].ID))
		hour := at - mod(at, time.Hour)
		list := make([]instant, a.in.Rounds)
		for b := range list {
			shift := days[r.below(len(days))]
			// Whole milliseconds: an hour of them is a number on 32 bits, too.
			list[b] = hour + shift + instant(r.below(int(time.Hour/time.Millisecond)))*instant(time.Millisecond)
		}
		a.draws[i] = list
	}
}

// maxDays bounds how many days a time is drawn from.
const maxDays = 1000

// daysAround returns by how much a time may be moved, in whole days, so that it
// stays inside of what was observed.
func (a *analysis) daysAround(span interval, at instant) (shifts []instant) {
	if !span.any {
		return nil
	}
	lo := int64(math.Ceil(float64(span.from-at) / float64(day)))
	hi := int64(math.Floor(float64(span.to-at) / float64(day)))
	for d := max(lo, -maxDays); d <= min(hi, maxDays); d++ {
		shifts = append(shifts, d*instant(day))
	}
	return shifts
}

func mod(t instant, d time.Duration) instant {
	m := t % instant(d)
	if m < 0 {
		m += instant(d)
	}
	return m
}

// leads reports whether one of times, which are in order, lies in the hours
// before at.
func leads(times []instant, at instant) bool {
	i, _ := slices.BinarySearch(times, at-instant(before))
	return i < len(times) && times[i] < at
}

// precedence returns how likely it is that the labelled devices contact d before
// they attack by chance, and the smallest such probability that there could be.
// With few devices that were observed on more than one day it compares those
// that met d before with those that met it after; with more, the hours before the attack with the same hours of other
// days.
func (a *analysis) precedence(d *dest, b *beacons, c *Candidate) (p, least float64) {
	lead, drawn := 0, 0
	clear(a.hits)
	for i := range d.pairs {
		q := &d.pairs[i]
		at, known := a.attack(q.device)
		if !known {
			continue
		}
		c.LabelledTimed++
		if q.first < at {
			c.Before++
		}
		draws := a.draws[q.device]
		if draws == nil {
			continue
		}
		drawn++
		times := b.times[i]
		if leads(times, at) {
			lead++
		}
		for r, t := range draws {
			if leads(times, t) {
				a.hits[r]++
			}
		}
	}
	switch {
	case c.LabelledTimed == 0:
		return 1, 1
	case drawn < fewTimed:
		return clampP(signTest(c.Before, c.LabelledTimed)), math.Exp2(-float64(c.LabelledTimed))
	}
	reached := 0
	for _, n := range a.hits {
		if int(n) >= lead {
			reached++
		}
	}
	rounds := float64(a.in.Rounds + 1)
	return clampP(float64(1+reached) / rounds), 1 / rounds
}

// signTest is the probability that of n devices as many or more are "before" as
// were, if that is as likely as "after".
func signTest(before, n int) (p float64) {
	term := math.Exp2(-float64(n)) // C(n, x) / 2^n, from x = n downwards
	for x := n; x >= before; x-- {
		p += term
		term *= float64(x) / float64(n-x+1)
	}
	return p
}
