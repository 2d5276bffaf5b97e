package incident_test

import (
	"slices"
	"testing"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// TestTruthAddsUp: of each device it says what the logs show, and whether anybody
// but its people was there.
func TestTruthAddsUp(t *testing.T) {
	w := write(t, incident.Config{Seed: 14, Devices: 100})
	counts := map[tocsin.DeviceID][4]int{} // by outcome; 0: not by its people
	for _, a := range w.trace {
		n := counts[a.Device]
		n[a.Outcome]++
		if !a.Benign {
			n[0]++
		}
		counts[a.Device] = n
	}
	untouched, compromised, hidden := 0, 0, 0
	for _, d := range w.truth.Devices {
		n := counts[d.Device]
		if got := [3]int{d.Failures, d.Successes, d.Probes}; got != [3]int(n[1:]) {
			t.Errorf("%s: failures, successes, probes: %v in the trace, %v by the truth", d.Device, n[1:], got)
		}
		if logs := !slices.Contains(d.Removed, "logs"); logs && d.Attacked != (n[0] > 0) || !logs && n != [4]int{} {
			t.Errorf("%s: attacked %v, and %d attempts show it", d.Device, d.Attacked, n[0])
		}
		if !d.Attacked {
			untouched++
		}
		if !d.Compromised {
			continue
		}
		compromised++
		if len(d.Removed) > 0 {
			hidden++
			if len(d.Shows) > 0 || len(d.Removed) != 2 {
				t.Errorf("%s: of %v is removed, and it shows %v", d.Device, d.Removed, d.Shows)
			}
			continue
		}
		wantEntry(t, w, d)
	}
	if untouched < 15 || compromised != 8 || hidden != 1 {
		t.Errorf("%d untouched, %d compromised, %d of them without telemetry", untouched, compromised, hidden)
	}
}

// wantEntry: a source of the campaign got in at the time that the truth says, on
// an account that it had guessed at, or at once.
func wantEntry(t *testing.T, w *written, d incident.TrueDevice) {
	t.Helper()
	before, entries := 0, 0
	for _, a := range w.trace {
		if a.Device != d.Device || a.Source.Addr() != d.By {
			continue
		}
		switch {
		case a.Outcome == tocsin.Success:
			entries++
			if !a.At.Equal(d.Entered) || a.Account != "admin" || a.Benign {
				t.Errorf("%s: %+v, entered %v", d.Device, a, d.Entered)
			}
		case a.At.Before(d.Entered):
			before++
		}
	}
	guessed := slices.Contains(d.Shows, "guessed")
	if entries != 1 || guessed && before < 5 || !guessed && before > 0 || !d.FirstAct.After(d.Entered) {
		t.Errorf("%s: %d entries after %d failures, shows %v", d.Device, entries, before, d.Shows)
	}
	for _, c := range w.truth.Campaigns {
		member := slices.ContainsFunc(c.Sources, func(s incident.TrueSource) bool { return s.Source == d.By })
		if member != (c.Name == d.Campaign) {
			t.Errorf("%s: entered by %v of the %s campaign, which the other one has", d.Device, d.By, d.Campaign)
		}
	}
}
