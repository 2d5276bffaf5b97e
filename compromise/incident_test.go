package compromise_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/compromise"
)

// truth is what became of a device of an invented fleet.
type truth uint8

const (
	untouched truth = iota
	attacked
	entered
	silenced
)

// invent makes a fleet: people who mistype on all devices, one in ten attacked,
// one in twenty entered, one in twenty without telemetry for part of the time.
// Of those entered, each sign is there with the chance that it is noticed.
func invent(seed uint64, size int) (devices []compromise.Device, truths map[tocsin.DeviceID]truth) {
	rng := rand.New(rand.NewPCG(seed, 7))
	truths = map[tocsin.DeviceID]truth{}
	hour := func() time.Duration { return time.Duration(rng.Float64() * 700 * float64(time.Hour)) }
	for i := range size {
		id := tocsin.DeviceID(fmt.Sprintf("nas-%04d", i))
		d := device(id)
		for day := range 30 { // the owner and the phones
			home := sight(id, fmt.Sprintf("192.0.2.%d/32", i%200), time.Duration(day)*24*time.Hour+time.Hour)
			if rng.Float64() < 0.2 {
				home = failed(home, "#owner", 1+rng.Uint32N(3))
			}
			d.Sightings = append(d.Sightings, letIn(home, "#owner"))
		}
		if rng.Float64() < 0.03 { // gives up and asks for a new password
			d.Sightings = append(d.Sightings, failed(sight(id, "198.51.100.9/32", hour()), "#owner", 1+rng.Uint32N(4)))
		}
		if rng.Float64() < 0.1 { // an update writes a timer
			d.Clues = append(d.Clues, clue(id, tocsin.AutorunAdded, hour()))
		}
		what := untouched
		switch p := rng.Float64(); {
		case p < 0.05:
			what = silenced
			from := hour()
			d.Coverage.Read = []compromise.Period{{From: month.From, To: at(from)}, {From: at(from + 10*time.Hour), To: month.To}}
		case p < 0.10:
			what = entered
			at := 24*time.Hour + time.Duration(rng.IntN(20))*time.Hour
			in := letIn(sight(id, "203.0.113.66/32", at), "#owner")
			if rng.Float64() < 0.6 {
				in = failed(in, "#owner", 6)
				in.Facts = in.Facts.With(tocsin.SuccessAfterFailures)
			}
			d.Sightings = append(d.Sightings, in)
			if rng.Float64() < 0.7 {
				d.Clues = append(d.Clues, clue(id, tocsin.KeysChanged, at+time.Duration(rng.IntN(20))*time.Minute))
			}
			if rng.Float64() < 0.6 {
				d.Contacts = append(d.Contacts, contact(id, "198.18.0.1:6667", at+time.Hour))
			}
		case p < 0.20:
			what = attacked
			d.Sightings = append(d.Sightings, failed(sight(id, "203.0.113.66/32", 30*time.Hour), "root", 1))
		}
		truths[id] = what
		devices = append(devices, d)
	}
	return devices, truths
}

// TestInventedFleets holds the shares that an incident must be told with.
func TestInventedFleets(t *testing.T) {
	var of, right [silenced + 1]int
	for seed := range uint64(20) {
		devices, truths := invent(seed, 400)
		for _, a := range compromise.Assess(month, devices, bots, []tocsin.Controller{controller}) {
			what := truths[a.Device]
			of[what]++
			ok := false
			switch what {
			case untouched:
				ok = a.State == compromise.Clean
			case attacked:
				ok = a.State == compromise.NearMiss
			case entered:
				ok = a.State == compromise.Confirmed || a.State == compromise.Suspected
			case silenced:
				ok = a.State == compromise.Unknown
			}
			if ok {
				right[what]++
			}
			if (a.State == compromise.Unknown) != (what == silenced) {
				t.Errorf("seed %d: %s is %v", seed, a.Device, a.State)
			}
		}
	}
	for what, least := range map[truth]float64{untouched: 0.95, attacked: 0.95, entered: 0.90, silenced: 1} {
		share := float64(right[what]) / float64(of[what])
		t.Logf("%d: %d of %d right, %.4f", what, right[what], of[what], share)
		if share < least {
			t.Errorf("%d: %.3f right, want at least %.2f", what, share, least)
		}
	}
}

func BenchmarkAssess(b *testing.B) {
	devices, _ := invent(1, 1000)
	b.ReportAllocs()
	for b.Loop() {
		compromise.Assess(month, devices, bots, []tocsin.Controller{controller})
	}
}
