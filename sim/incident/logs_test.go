package incident_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// key is an attempt as text, so that what was read can be compared with what was
// meant.
func key(d tocsin.DeviceID, a tocsin.Attempt) string {
	return fmt.Sprintf("%s %s %s %s from %v as %q, unknown %v", d, a.At.UTC().Format(time.RFC3339), a.Service, a.Outcome, a.Source, a.Account, a.Unknown)
}

// wantAttempts reads every log with the parsers of authlog, and wants exactly
// the attempts that the trace has.
func wantAttempts(t *testing.T, w *written) {
	t.Helper()
	owners := map[tocsin.DeviceID]tocsin.OwnerID{}
	for _, d := range w.inventory {
		owners[d.Device] = d.Owner
	}
	left := map[string]int{}
	for _, a := range w.trace {
		left[key(a.Device, a.Attempt)]++
		if a.Owner == "" || a.Owner != owners[a.Device] {
			t.Fatalf("%s is of %s, not of %s", a.Device, owners[a.Device], a.Owner)
		}
	}
	var counts [tocsin.Probe + 1]int
	wrong := 0
	tell := func(d tocsin.DeviceID, a tocsin.Attempt, n int) {
		for range n {
			k := key(d, a)
			counts[a.Outcome]++
			if left[k]--; left[k] < 0 {
				if wrong++; wrong < 10 {
					t.Errorf("read, but not meant: %s", k)
				}
			}
		}
	}
	for _, d := range w.inventory {
		for _, log := range d.Logs {
			p := authlog.Default().Parser(time.UTC)
			for _, line := range w.logs(t, log.Path) {
				if a, n := p.Parse(line, w.truth.End); n > 0 {
					if a.Service != log.Service {
						t.Fatalf("%s: %s in the log of %s", log.Path, a.Service, log.Service)
					}
					tell(d.Device, a, n)
				}
			}
			for a, ok := p.Overdue(w.truth.End.AddDate(1, 0, 0)); ok; a, ok = p.Overdue(w.truth.End.AddDate(1, 0, 0)) {
				tell(d.Device, a, 1)
			}
		}
	}
	for k, n := range left {
		if n > 0 {
			if wrong++; wrong < 10 {
				t.Errorf("meant, but not read: %s", k)
			}
		}
	}
	if got, want := counts, [...]int{0, w.truth.Failures, w.truth.Successes, w.truth.Probes}; got != want {
		t.Errorf("failures, successes, probes: read %v, meant %v", got[1:], want[1:])
	}
	if len(w.trace) != w.summary.Attempts {
		t.Errorf("%d attempts in the trace, %d in the summary", len(w.trace), w.summary.Attempts)
	}
}

func TestLogsAreReadAsMeant(t *testing.T) {
	for seed := range uint64(2) {
		w := write(t, incident.Config{Seed: seed, Devices: 60 + 40*int(seed)})
		wantAttempts(t, w)
		services := map[tocsin.Service]int{}
		benign := 0
		for _, a := range w.trace {
			services[a.Service]++
			if a.Benign {
				benign++
			}
		}
		if len(services) != 4 || benign < 100 {
			t.Errorf("seed %d: services %v, %d attempts of people: too few kinds", seed, services, benign)
		}
	}
}

// TestLogsShowThatTheyLive: no log is silent for longer than five minutes, unless
// lines were removed; then exactly those are missing.
func TestLogsShowThatTheyLive(t *testing.T) {
	w := write(t, incident.Config{Seed: 2, Devices: 60})
	removed := map[string]int{}
	for _, d := range w.inventory {
		truth := w.device(t, d.Device)
		for _, what := range truth.Removed {
			removed[what]++
		}
		for _, log := range d.Logs {
			lines := w.logs(t, log.Path)
			if slices.Contains(truth.Removed, "logs") {
				if len(lines) > 0 {
					t.Errorf("%s: its logs are there", d.Device)
				}
				continue
			}
			from, to := longestGap(t, lines, w.truth.Start, w.truth.End)
			switch {
			case !slices.Contains(truth.Removed, "lines"):
				if to.Sub(from) > 301*time.Second {
					t.Errorf("%s: nothing from %v to %v", log.Path, from, to)
				}
			case from.After(truth.GapFrom) || to.Before(truth.GapTo) || to.Sub(from) > truth.GapTo.Sub(truth.GapFrom)+10*time.Minute:
				t.Errorf("%s: nothing from %v to %v, want %v to %v", log.Path, from, to, truth.GapFrom, truth.GapTo)
			}
		}
	}
	for _, what := range []string{"logs", "lines", "flows"} {
		if removed[what] == 0 {
			t.Errorf("nowhere were %s removed", what)
		}
	}
}

// longestGap returns the longest time between two stamps of a log.
func longestGap(t *testing.T, lines [][]byte, start, end time.Time) (from, to time.Time) {
	t.Helper()
	last := start
	for _, line := range lines {
		at, ok := stampOf(string(line), start.Year())
		if !ok || at.Before(start) {
			continue
		}
		if at.Sub(last) > to.Sub(from) {
			from, to = last, at
		}
		last = at
	}
	if end.Sub(last) > to.Sub(from) {
		from, to = last, end
	}
	return from, to
}

// stampOf reads the stamp of a line in the forms that are written.
func stampOf(line string, year int) (time.Time, bool) {
	if strings.HasPrefix(line, "<") {
		_, line, _ = strings.Cut(line, ">")
		line = strings.TrimPrefix(line, "1 ")
	}
	line = strings.TrimPrefix(line, "[")
	for _, layout := range []string{time.Stamp, time.ANSIC, "2006/01/02 15:04:05"} {
		if len(line) < len(layout) {
			continue
		}
		if at, err := time.Parse(layout, line[:len(layout)]); err == nil {
			return at.AddDate(max(0, year-max(at.Year(), 0)), 0, 0), true
		}
	}
	word, _, _ := strings.Cut(line, " ")
	at, err := time.Parse(time.RFC3339, word)
	return at, err == nil
}

// TestKindsOfLog: heads of three kinds, both generations of one maker, both forms
// of Samba, rotated logs.
func TestKindsOfLog(t *testing.T) {
	w := write(t, incident.Config{Seed: 6})
	var all []byte
	var names []string
	for name, text := range w.files(t) {
		if strings.HasPrefix(name, "devices/") {
			all = append(all, text...)
			names = append(names, filepath.Base(name))
		}
	}
	for _, want := range []string{
		"Oct 14 18:42:", "2023-10-14T20:42:", "<38>1 2023-10-14T18:4", "qulogd[14387]: conn log", "qlogd[3310]", "QuLog@Event", "Login OK", "event log: Users: admin",
		"  Auth: [SMB2", `{"timestamp": "2023-10-14T`, "FAIL LOGIN", "OK LOGIN", "sshd-session[", "sshd[", "Invalid user", "Accepted publickey", "root from 203.0.113.250 port 22 ssh2 from",
	} {
		if !bytes.Contains(all, []byte(want)) {
			t.Errorf("no log has %q", want)
		}
	}
	for _, want := range []string{"auth.log", "auth.log.1", "auth.log.2.gz", "qulogd.log", "qulogd.log.1", "log.smbd", "vsftpd.log", "events.jsonl"} {
		if !slices.Contains(names, want) {
			t.Errorf("no device has %s", want)
		}
	}
}

func TestPeople(t *testing.T) {
	w := write(t, incident.Config{Seed: 8})
	kinds := map[string]int{}
	tries := map[string][3]int{} // source and account → failures, successes, longest run of failures
	office := map[string]bool{}
	for _, p := range w.truth.Persons {
		kinds[p.Kind]++
		if p.Kind == "office" {
			office[p.Source.String()] = true
		}
		run := 0
		var n [3]int
		for _, a := range w.trace {
			if !a.Benign || a.Device != p.Device || a.Account != p.Account || a.Source.Addr() != p.Source {
				continue
			}
			if a.Outcome == tocsin.Success {
				n[1]++
				run = 0
				continue
			}
			n[0]++
			run++
			n[2] = max(n[2], run)
		}
		tries[p.Kind+" "+p.Account+" "+string(p.Device)] = n
		if accounts.IsPublic(p.Account) {
			t.Errorf("%s is a name that everybody knows", p.Account)
		}
	}
	for _, kind := range []string{"person", "office", "phone", "device"} {
		if kinds[kind] == 0 {
			t.Errorf("nobody is a %s", kind)
		}
	}
	if kinds["office"] != 20 || len(office) != 1 || kinds["phone"] != 1 {
		t.Errorf("%v from %v", kinds, slices.Collect(maps.Keys(office)))
	}
	for who, n := range tries {
		if strings.HasPrefix(who, "phone ") && (n[0] < 30 || n[1] != 2) {
			t.Errorf("%s: %v", who, n)
		}
		if strings.HasPrefix(who, "person ") && n[2] > 8 { // two log-ins may overlap
			t.Errorf("%s: %d failures in a row", who, n[2])
		}
	}
}

// TestCampaigns: both are as they are said to be, and only devices that the
// internet reaches see them.
func TestCampaigns(t *testing.T) {
	w := write(t, incident.Config{Seed: 9, Devices: 70})
	by := map[string][]tocsin.Attempt{}
	for _, a := range w.trace {
		by[a.Source.Addr().String()] = append(by[a.Source.Addr().String()], a.Attempt)
	}
	names := map[string]bool{}
	for _, c := range w.truth.Campaigns {
		order := map[string]int{}
		for i, name := range c.Accounts {
			order[name] = i
			names[name] = true
		}
		step, steps, active := 0, 0, 0
		for _, s := range c.Sources {
			list := by[s.Source.String()]
			if len(list) != s.Attempts {
				t.Errorf("%s: %v tried %d times, %d by the truth", c.Name, s.Source, len(list), s.Attempts)
			}
			if len(list) > 0 && list[0].At.Before(c.Begins) {
				t.Errorf("%s: %v begins at %v", c.Name, s.Source, list[0].At)
			}
			if len(list) > 0 {
				active++
			}
			if c.Name == "slow" && (s.Devices < 5 || s.Attempts > s.Devices+1) {
				t.Errorf("%v tried %d devices %d times", s.Source, s.Devices, s.Attempts)
			}
			for i := 1; i < len(list); i++ {
				steps++
				if order[list[i].Account] == (order[list[i-1].Account]+1)%len(order) {
					step++
				}
			}
		}
		// A name out of order spoils two steps: 0.8² of them are left, less what
		// removed telemetry hides.
		if share := float64(step) / float64(steps); c.Name == "slow" && (share < 0.5 || share > 0.75) {
			t.Errorf("%.2f of the steps follow the dictionary", share)
		}
		if active < 100 {
			t.Errorf("%s: %d sources", c.Name, active)
		}
	}
	if got := w.truth.Campaigns[0].Begins; got.Format("15:04") != "18:42" {
		t.Errorf("the loud campaign begins at %v", got)
	}
	others := 0
	members := map[string]bool{}
	for _, c := range w.truth.Campaigns {
		for _, s := range c.Sources {
			members[s.Source.String()] = true
		}
	}
	for source, list := range by {
		if !members[source] && len(list) > 0 && names[list[0].Account] && list[0].Outcome == tocsin.Failure {
			others++
		}
	}
	if others < 100 {
		t.Errorf("only %d others use the same dictionary", others)
	}
}

// TestEvents: what a break-in leaves, and nothing that is no fact.
func TestEvents(t *testing.T) {
	w := write(t, incident.Config{Seed: 10, Devices: 70})
	known := map[string]bool{}
	for _, f := range []tocsin.Fact{tocsin.KeysChanged, tocsin.AccountAdded, tocsin.AutorunAdded, tocsin.LogGap} {
		known[f.String()] = true
	}
	chores := 0
	for _, d := range w.truth.Devices {
		b, err := os.ReadFile(filepath.Join(w.dir, "devices", string(d.Device), "events.jsonl"))
		if slices.Contains(d.Removed, "logs") {
			if err == nil {
				t.Errorf("%s: events of a device without telemetry", d.Device)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		persists := false
		for line := range bytes.Lines(b) {
			var e struct {
				At            time.Time
				Fact, Subject string
			}
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			if !known[e.Fact] || e.Subject == "" || len(e.Subject) > tocsin.MaxSubject || e.At.Before(w.truth.Start) || e.At.After(w.truth.End) {
				t.Errorf("%s: %+v", d.Device, e)
			}
			after := e.At.Sub(d.Entered)
			persists = persists || d.Compromised && after > 0 && after < 30*time.Minute
			if !d.Compromised && e.Fact != tocsin.LogGap.String() {
				chores++
			}
		}
		if persists != slices.Contains(d.Shows, "persistence") {
			t.Errorf("%s: events %s, and it shows %v", d.Device, b, d.Shows)
		}
	}
	if chores == 0 {
		t.Error("no owner changed anything himself")
	}
}
