package compromise_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

var anyFact = []tocsin.Fact{
	tocsin.KeysChanged, tocsin.AccountAdded, tocsin.AutorunAdded, tocsin.ForeignPackage, tocsin.PortOpened, tocsin.LoggingOff,
	tocsin.LogGap, tocsin.TripwireHit, tocsin.OutgoingScan, tocsin.Mining, tocsin.NewOrigin, tocsin.Spray, 0, 200,
}

func hours(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(-100, 1000).Draw(t, "hour"))*time.Hour + time.Duration(rapid.IntRange(0, 59).Draw(t, "minute"))*time.Minute
}

// history draws whatever can be known of a device.
func history(t *rapid.T, id tocsin.DeviceID) compromise.Device {
	d := compromise.Device{Facts: compromise.Facts{Device: id}}
	for range rapid.IntRange(0, 6).Draw(t, "sightings") {
		d.Sightings = append(d.Sightings, anySighting(t, id))
	}
	for range rapid.IntRange(0, 6).Draw(t, "clues") {
		d.Clues = append(d.Clues, clue(id, rapid.SampledFrom(anyFact).Draw(t, "fact"), hours(t)))
	}
	for range rapid.IntRange(0, 3).Draw(t, "contacts") {
		d.Contacts = append(d.Contacts, anyContact(t, id))
	}
	if rapid.Bool().Draw(t, "heard") {
		d.Coverage.Heard = at(hours(t))
	}
	for range rapid.IntRange(0, 3).Draw(t, "spans") {
		d.Coverage.Read = append(d.Coverage.Read, compromise.Period{From: at(hours(t)), To: at(hours(t))})
	}
	if rapid.Bool().Draw(t, "whole") {
		d.Coverage = whole
	}
	return d
}

func anySighting(t *rapid.T, id tocsin.DeviceID) tocsin.Received {
	r := sight(id, rapid.SampledFrom([]string{"203.0.113.66/32", "203.0.113.7/32", "2001:db8::/64"}).Draw(t, "source"), hours(t))
	r.Facts = tocsin.FactSet(rapid.Uint32Range(0, 1<<8).Draw(t, "facts"))
	r.Provenance = rapid.SampledFrom([]tocsin.Provenance{0, tocsin.Attested, tocsin.Local, tocsin.Network, 9}).Draw(t, "provenance")
	if rapid.Bool().Draw(t, "in") {
		r = letIn(r, rapid.SampledFrom([]tocsin.AccountTag{"#x", "root", "guest"}).Draw(t, "account"))
	}
	if rapid.Bool().Draw(t, "failed") {
		r = failed(r, rapid.SampledFrom([]tocsin.AccountTag{"#x", "root", "guest"}).Draw(t, "tried"), rapid.Uint32().Draw(t, "failures"))
	}
	return r
}

func anyContact(t *rapid.T, id tocsin.DeviceID) tocsin.Contact {
	return contact(id, rapid.SampledFrom([]string{"198.18.0.1:6667", "198.18.0.1:22", "[2001:db8::1]:443"}).Draw(t, "to"), hours(t))
}

// worse orders states by what is known to have happened.
func worse(s compromise.State) int {
	switch s {
	case compromise.Confirmed:
		return 2
	case compromise.Suspected:
		return 1
	}
	return 0
}

var bots = []tocsin.Campaign{campaign("203.0.113.66/32")}

// TestMetAController: whatever controllers there are and whomever a device
// contacted, its label is the same; meeting one can at most suspect it.
func TestMetAController(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := history(t, "nas")
		d.Contacts = nil
		label := compromise.Label(month, []compromise.Facts{d.Facts}, bots)[0]
		without := compromise.Assess(month, []compromise.Device{d}, bots, nil)[0]
		d.Contacts = []tocsin.Contact{contact("nas", "198.18.0.1:6667", time.Hour), anyContact(t, "nas")}
		d.Facts.Clues = append(d.Facts.Clues, compromise.OutgoingScans(d.Contacts)...)
		if again := compromise.Label(month, []compromise.Facts{d.Facts}, bots)[0]; again != label {
			t.Fatalf("contacts changed the label from %+v to %+v", label, again)
		}
		with := compromise.Assess(month, []compromise.Device{d}, bots, []tocsin.Controller{controller})[0]
		if with.P < without.P || worse(with.State) < max(1, worse(without.State)) {
			t.Fatalf("%v (%g) became %v (%g) by a controller", without.State, without.P, with.State, with.P)
		}
		if without.State == compromise.Clean && with.State == compromise.Confirmed {
			t.Fatal("contact alone confirmed a device")
		}
	})
}

// TestUnknownIsNeverClean: without complete telemetry no device is clean or a
// near miss; with it none is unknown.
func TestUnknownIsNeverClean(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := history(t, "nas")
		a := compromise.Assess(month, []compromise.Device{d}, bots, []tocsin.Controller{controller})[0]
		all := a.State == compromise.Clean || a.State == compromise.NearMiss
		if all && !a.Covered || a.State == compromise.Unknown && a.Covered || a.Covered != (len(a.Missing) == 0) {
			t.Fatalf("%v, covered %v: %v", a.State, a.Covered, a.Missing)
		}
		if a.State == compromise.Clean && a.Attacked() {
			t.Fatal("attacked, and clean")
		}
		if s := compromise.Count(month, []compromise.Assessment{a}); !a.Covered && (s.Covered != 0 || s.Confirmed != 0 || s.Share.High != 1) {
			t.Fatalf("not covered, but counted: %+v", s)
		}
	})
}

// TestMoreEvidenceNeverLowers: another fact never makes a state better, nor the
// probability smaller.
func TestMoreEvidenceNeverLowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := history(t, "nas")
		controllers := []tocsin.Controller{controller}
		before := compromise.Assess(month, []compromise.Device{d}, bots, controllers)[0]
		if rapid.Bool().Draw(t, "clue") {
			d.Clues = append(slices.Clone(d.Clues), clue("nas", rapid.SampledFrom(anyFact).Draw(t, "more"), hours(t)))
		} else {
			d.Sightings = append(slices.Clone(d.Sightings), anySighting(t, "nas"))
		}
		after := compromise.Assess(month, []compromise.Device{d}, bots, controllers)[0]
		if worse(after.State) < worse(before.State) || after.P < before.P-1e-12 {
			t.Fatalf("%v (%g) became %v (%g)", before.State, before.P, after.State, after.P)
		}
		if after.State == compromise.Clean && before.State != compromise.Clean {
			t.Fatalf("%v became clean", before.State)
		}
	})
}

// TestOrderDoesNotMatter: the same facts in any order give the same answer, byte
// for byte.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		devices := []compromise.Device{history(t, "b"), history(t, "a"), history(t, "c")}
		controllers := []tocsin.Controller{controller}
		first, err := json.Marshal(compromise.Assess(month, devices, bots, controllers))
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for i := range devices {
			d := &devices[i]
			rng.Shuffle(len(d.Sightings), func(i, j int) { d.Sightings[i], d.Sightings[j] = d.Sightings[j], d.Sightings[i] })
			rng.Shuffle(len(d.Clues), func(i, j int) { d.Clues[i], d.Clues[j] = d.Clues[j], d.Clues[i] })
			rng.Shuffle(len(d.Contacts), func(i, j int) { d.Contacts[i], d.Contacts[j] = d.Contacts[j], d.Contacts[i] })
			rng.Shuffle(len(d.Coverage.Read), func(i, j int) {
				d.Coverage.Read[i], d.Coverage.Read[j] = d.Coverage.Read[j], d.Coverage.Read[i]
			})
			d.Clues = append(d.Clues, d.Clues...) // told twice is told once
		}
		rng.Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
		second, err := json.Marshal(compromise.Assess(month, devices, bots, controllers))
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Fatalf("%s\nbecame\n%s", first, second)
		}
	})
}

// TestClosingHoldsUntilNews: a person's closing goes before all, and any new
// fact that weighs something opens the device again.
func TestClosingHoldsUntilNews(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := history(t, "nas")
		d.Clues = append(d.Clues, clue("nas", tocsin.OutgoingScan, time.Hour))
		controllers := []tocsin.Controller{controller}
		assess := func() compromise.Assessment {
			return compromise.Assess(month, []compromise.Device{d}, bots, controllers)[0]
		}
		open := assess()
		closing, err := open.Close(month.To, "ann", "known")
		if err != nil {
			t.Fatal(err)
		}
		d.Closings = []compromise.Closing{closing}
		if a := assess(); a.State != compromise.FalsePositive {
			t.Fatalf("closed, but %v", a.State)
		}
		d.Clues = append(slices.Clone(d.Clues), clue("nas", tocsin.TripwireHit, 5*time.Hour))
		if a := assess(); worse(a.State) < worse(open.State) {
			t.Fatalf("%v, closed, became %v by a new fact", open.State, a.State)
		}
	})
}

// TestSaw: keeping the times together neither covers more than they do, nor
// grows without end.
func TestSaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var kept, apart compromise.Coverage
		apart.Heard = month.To
		for range rapid.IntRange(0, 40).Draw(t, "spans") {
			p := compromise.Period{From: at(hours(t))}
			p.To = p.From.Add(time.Duration(rapid.IntRange(-10, 100).Draw(t, "length")) * time.Hour)
			kept.Saw(p, month.To)
			apart.Read = append(apart.Read, p)
		}
		kept.Heard = month.To
		d := device("nas")
		d.Coverage = kept
		a := compromise.Assess(month, []compromise.Device{d}, nil, nil)[0]
		d.Coverage = apart
		b := compromise.Assess(month, []compromise.Device{d}, nil, nil)[0]
		if a.State != b.State || len(a.Missing) != len(b.Missing) || len(kept.Read) > len(apart.Read) {
			t.Fatalf("kept %v: %v; apart: %v", kept.Read, a.Missing, b.Missing)
		}
	})
	var c compromise.Coverage
	for i := range 2000 {
		from := at(time.Duration(i) * time.Hour)
		c.Saw(compromise.Period{From: from, To: from.Add(time.Minute)}, from)
	}
	if len(c.Read) > 256 || !c.Heard.Equal(at(1999*time.Hour)) {
		t.Errorf("%d spans, heard %v", len(c.Read), c.Heard)
	}
}

// TestCountAddsUp: every device is in one state, and the share lies in its
// interval.
func TestCountAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var devices []compromise.Device
		for i := range rapid.IntRange(0, 8).Draw(t, "devices") {
			devices = append(devices, history(t, tocsin.DeviceID(rune('a'+i))))
		}
		s := compromise.Count(month, compromise.Assess(month, devices, bots, []tocsin.Controller{controller}))
		sum, uncovered := 0, 0
		for _, n := range s.States {
			sum += n
		}
		for _, u := range s.Uncovered {
			uncovered += u.Devices
		}
		if sum != len(devices) || s.Covered+uncovered != len(devices) || s.Confirmed > s.Covered ||
			s.Share.Low > s.Share.Value || s.Share.Value > s.Share.High || s.Share.Low < 0 || s.Share.High > 1 {
			t.Fatalf("%+v", s)
		}
	})
}
