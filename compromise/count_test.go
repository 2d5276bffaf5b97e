package compromise_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		x, n      int
		low, high float64
	}{
		{0, 10, 0, 0.2775},
		{10, 100, 0.0552, 0.1744},
		{100, 100, 0.9630, 1},
		{1, 1, 0.2065, 1},
		{0, 0, 0, 1},
	} {
		e := compromise.Wilson(c.x, c.n)
		if math.Abs(e.Low-c.low) > 5e-5 || math.Abs(e.High-c.high) > 5e-5 {
			t.Errorf("%d of %d: got %.4f to %.4f, want %.4f to %.4f", c.x, c.n, e.Low, e.High, c.low, c.high)
		}
	}
}

func TestCount(t *testing.T) {
	in := func(id tocsin.DeviceID) compromise.Device {
		d := device(id)
		d.Sightings = []tocsin.Received{sight(id, "203.0.113.7/32", time.Hour, tocsin.SuccessAfterFailures)}
		d.Clues = []tocsin.Clue{clue(id, tocsin.KeysChanged, time.Hour)}
		return d
	}
	blind := in("d")
	blind.Coverage.Heard = at(48 * time.Hour)
	never := device("e")
	never.Coverage = compromise.Coverage{}
	all := compromise.Assess(month, []compromise.Device{never, in("a"), device("b"), device("c"), blind}, nil, nil)
	got := compromise.Count(month, all)
	want := compromise.Summary{
		Period: month, Rule: compromise.RuleVersion, Devices: 5,
		States: map[compromise.State]int{
			compromise.Confirmed: 2, compromise.Suspected: 0, compromise.NearMiss: 0,
			compromise.Clean: 2, compromise.Unknown: 1, compromise.FalsePositive: 0,
		},
		Attacked: 2, Covered: 3, Coverage: 0.6, Confirmed: 1, Share: compromise.Wilson(1, 3),
		Uncovered: []compromise.Uncovered{{Why: compromise.NeverHeard, Devices: 1}, {Why: compromise.Silent, Devices: 1}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCountOfNothing(t *testing.T) {
	s := compromise.Count(month, nil)
	if s.Share.Low != 0 || s.Share.High != 1 || s.Coverage != 0 {
		t.Errorf("of no device something is known: %+v", s)
	}
}

func TestCoverage(t *testing.T) {
	hour := func(from, to float64) compromise.Period {
		return compromise.Period{From: at(time.Duration(from * float64(time.Hour))), To: at(time.Duration(to * float64(time.Hour)))}
	}
	end := 30 * 24.0
	for _, c := range []struct {
		name string
		in   compromise.Coverage
		want []compromise.Hole
	}{
		{"whole", whole, nil},
		{"pieces in any order", compromise.Coverage{Read: []compromise.Period{hour(100, end), hour(-5, 60), hour(50, 100.2)}, Heard: month.To}, nil},
		{"a short hole", compromise.Coverage{Read: []compromise.Period{hour(0, 60), hour(60.2, end)}, Heard: month.To}, nil},
		{"a hole", compromise.Coverage{Read: []compromise.Period{hour(0, 60), hour(60.3, end)}, Heard: month.To}, []compromise.Hole{compromise.NotRead}},
		{"inverted", compromise.Coverage{Read: []compromise.Period{hour(end, 0)}, Heard: month.To}, []compromise.Hole{compromise.NotRead}},
		{"nothing read", compromise.Coverage{Heard: month.To}, []compromise.Hole{compromise.NotRead}},
		{"silent", compromise.Coverage{Read: []compromise.Period{hour(0, 60)}, Heard: at(60 * time.Hour)}, []compromise.Hole{compromise.Silent}},
		{"silent since before", compromise.Coverage{Heard: at(-time.Hour)}, []compromise.Hole{compromise.Silent}},
		{"silent, and a hole", compromise.Coverage{Read: []compromise.Period{hour(0, 10)}, Heard: at(60 * time.Hour)}, []compromise.Hole{compromise.Silent, compromise.NotRead}},
		{"just before the end", compromise.Coverage{Read: []compromise.Period{hour(0, end-0.2)}, Heard: month.To.Add(-12 * time.Minute)}, nil},
		{"never", compromise.Coverage{Read: []compromise.Period{month}}, []compromise.Hole{compromise.NeverHeard}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := device("nas")
			d.Coverage = c.in
			a := one(d)
			var got []compromise.Hole
			for _, m := range a.Missing {
				got = append(got, m.Why)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %v", diff, a.Missing)
			}
			if a.Covered != (len(c.want) == 0) || a.Covered == (a.State == compromise.Unknown) {
				t.Errorf("covered %v, state %v", a.Covered, a.State)
			}
		})
	}
}

func TestAttacked(t *testing.T) {
	const id = "nas"
	many := func(n int) (all []tocsin.Received) {
		for i := range n {
			r := failed(sight(id, "198.51.100.0/32", time.Duration(i)*time.Minute), "#ann", 1)
			r.Source = netipFrom(i)
			all = append(all, r)
		}
		return all
	}
	unknown := failed(sight(id, "198.51.100.1/32", time.Hour), "oracle", 1)
	unknown.Accounts[0].Unknown = true
	dropped := sight(id, "198.51.100.1/32", time.Hour)
	dropped.Dropped = 3
	for _, c := range []struct {
		name      string
		sightings []tocsin.Received
		want      bool
	}{
		{"nothing", nil, false},
		{"a person mistypes, then gets in", []tocsin.Received{failed(sight(id, "198.51.100.1/32", time.Hour), "#ann", 7), letIn(sight(id, "198.51.100.1/32", 2*time.Hour), "#ann")}, false},
		{"a person gives up", []tocsin.Received{failed(sight(id, "198.51.100.1/32", time.Hour), "#ann", 4)}, false},
		{"five guesses", []tocsin.Received{failed(sight(id, "198.51.100.1/32", time.Hour), "#ann", 5)}, true},
		{"five, one a day", []tocsin.Received{
			failed(sight(id, "198.51.100.1/32", 24*time.Hour), "#ann", 1), failed(sight(id, "198.51.100.1/32", 48*time.Hour), "#ann", 1),
			failed(sight(id, "198.51.100.1/32", 72*time.Hour), "#ann", 1), failed(sight(id, "198.51.100.1/32", 96*time.Hour), "#ann", 2),
		}, true},
		{"two names", []tocsin.Received{failed(failed(sight(id, "198.51.100.1/32", time.Hour), "#ann", 1), "#bob", 1)}, true},
		{"a default name that is not there", []tocsin.Received{unknown}, true},
		{"blocked", []tocsin.Received{sight(id, "198.51.100.1/32", time.Hour, tocsin.BlockedHere)}, true},
		{"dropped", []tocsin.Received{dropped}, true},
		{"a campaign's source, once", []tocsin.Received{failed(sight(id, "203.0.113.66/32", 2*time.Hour), "#ann", 1)}, true},
		{"nine sources once", many(9), false},
		{"ten sources once", many(10), true},
		{"of another device", []tocsin.Received{failed(sight("other", "198.51.100.1/32", time.Hour), "root", 50)}, false},
		{"in another month", []tocsin.Received{failed(sight(id, "198.51.100.1/32", -time.Hour), "root", 50)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := device(id)
			d.Sightings = c.sightings
			a := one(d)
			if a.Attacked() != c.want {
				t.Errorf("got %v (%+v), want %v", a.Attacked(), a.Attack, c.want)
			}
		})
	}
}
