package play_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/contact"
	"github.com/tocsin-io/tocsin/flows/zeek"
	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/sim/incident"
	"github.com/tocsin-io/tocsin/sim/play"
)

const speed = 200

// now is a clock that virtual time moves: it begins in 2000, and whatever is
// before that nobody believes.
func now() time.Time { return time.Now().AddDate(26, 0, 0) }

// invent writes an incident that has every kind of device.
func invent(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "incident")
	if _, err := incident.Write(t.Context(), dir, incident.Config{Seed: 3, Devices: 30}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A logged is one log with its rotated files, oldest first.
type logged struct {
	device  tocsin.DeviceID
	path    string
	lines   [][]byte
	rotated int // files
}

// logs returns the logs of an incident, as they lie below dir.
func logs(t *testing.T, inventory, dir string, path func(device, name string) string) (list []logged) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(inventory, "inventory.json"))
	if err != nil {
		t.Fatal(err)
	}
	var devices []struct {
		Device tocsin.DeviceID
		Logs   []struct{ Path string }
	}
	if err := json.Unmarshal(b, &devices); err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		for _, one := range d.Logs {
			l := logged{device: d.Device, path: path(string(d.Device), filepath.Base(one.Path))}
			for _, suffix := range []string{".2.gz", ".1", ""} {
				b, err := os.ReadFile(filepath.Join(dir, l.path+suffix))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err == nil && suffix == ".2.gz" {
					var r *gzip.Reader
					if r, err = gzip.NewReader(bytes.NewReader(b)); err == nil {
						b, err = io.ReadAll(r)
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				l.rotated++
				l.lines = append(l.lines, slices.Collect(bytes.Lines(b))...)
			}
			list = append(list, l)
		}
	}
	return list
}

// attempts reads a log as a guard does.
func attempts(l logged, zone *time.Location, end time.Time) (list []tocsin.Attempt) {
	p := authlog.Default().Parser(zone)
	for _, line := range l.lines {
		a, n := p.Parse(line, end)
		for range n {
			list = append(list, a)
		}
	}
	late := end.AddDate(1, 0, 0)
	for a, ok := p.Overdue(late); ok; a, ok = p.Overdue(late) {
		list = append(list, a)
	}
	return list
}

// TestPlayedLinesAreTheSameAttempts plays an incident in virtual time and wants
// every attempt read from it as before, at its moved time.
func TestPlayedLinesAreTheSameAttempts(t *testing.T) {
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -5*3600-1800)} {
		dir, live := invent(t), filepath.Join(t.TempDir(), "live")
		truth, err := incident.ReadTruth(dir)
		if err != nil {
			t.Fatal(err)
		}
		var s play.Summary
		synctest.Test(t, func(t *testing.T) {
			if s, err = play.Run(t.Context(), play.Config{From: dir, To: live, Speed: speed, Zone: zone, Now: now}); err != nil {
				t.Fatal(err)
			}
		})
		if took, want := s.End.Sub(s.Start), truth.End.Sub(truth.Start)/speed; took < want || took > want+time.Second {
			t.Errorf("it took %v, want %v", took, want)
		}
		moved := func(at time.Time) time.Time {
			if at.Before(truth.Start) {
				return s.Start.Add(at.Sub(truth.Start))
			}
			return s.Start.Add(at.Sub(truth.Start) / speed)
		}
		was := logs(t, dir, dir, func(d, n string) string { return filepath.Join("devices", d, n) })
		is := logs(t, dir, live, func(d, n string) string { return filepath.Join(d, n) })
		total, lines, old := 0, 0, 0
		for i := range was {
			if len(was[i].lines) != len(is[i].lines) || was[i].rotated != is[i].rotated {
				t.Fatalf("%s: %d lines in %d files, want %d in %d", is[i].path, len(is[i].lines), is[i].rotated, len(was[i].lines), was[i].rotated)
			}
			lines += len(is[i].lines)
			want, got := attempts(was[i], time.UTC, truth.End), attempts(is[i], zone, s.End)
			if len(got) != len(want) {
				t.Errorf("%s: %d attempts, want %d", is[i].path, len(got), len(want))
				continue
			}
			for k, a := range got {
				w := want[k]
				if w.At.Before(truth.Start) {
					old++
				}
				if d := moved(w.At).Sub(a.At); d < 0 || d >= time.Second {
					t.Fatalf("%s: %v, want %v: %v", is[i].path, a.At, moved(w.At), a)
				}
				if w.At = a.At; fmt.Sprint(a) != fmt.Sprint(w) {
					t.Errorf("%s: %v, want %v", is[i].path, a, w)
				}
			}
			total += len(got)
		}
		if total != truth.Failures+truth.Successes+truth.Probes || s.Lines != lines || old == 0 {
			t.Errorf("%d attempts, want %d; %d lines, told %d; %d before the start", total, truth.Failures+truth.Successes+truth.Probes, lines, s.Lines, old)
		}
		wantFlows(t, dir, live, s, moved)
		wantChanges(t, dir, live, s)
	}
}

func readFlows(t *testing.T, name string) (list []contact.Flow) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stats, err := zeek.Read(f, func(one contact.Flow) error {
		list = append(list, one)
		return nil
	})
	if err != nil {
		t.Fatalf("%v, %+v", err, stats)
	}
	return list
}

// wantFlows wants the same connections at their moved times.
func wantFlows(t *testing.T, dir, live string, s play.Summary, moved func(time.Time) time.Time) {
	t.Helper()
	was, is := readFlows(t, filepath.Join(dir, "flows", "conn.log")), readFlows(t, filepath.Join(live, "conn.log"))
	if len(is) != len(was) || s.Flows != len(is) {
		t.Fatalf("%d connections, told %d, want %d", len(is), s.Flows, len(was))
	}
	for i, got := range is {
		want := was[i]
		for _, d := range []time.Duration{moved(want.Start).Sub(got.Start), moved(want.End).Sub(got.End)} {
			if d.Abs() > 5*time.Microsecond {
				t.Fatalf("%v to %v, want %v to %v", got.Start, got.End, moved(want.Start), moved(want.End))
			}
		}
		want.Start, want.End = got.Start, got.End
		if got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// wantChanges wants everything that happened on devices done to their files.
func wantChanges(t *testing.T, dir, live string, s play.Summary) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "devices", "*", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	for _, name := range names {
		device := filepath.Base(filepath.Dir(name))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var e struct{ Fact, Subject string }
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatal(err)
			}
			changes++
			if e.Fact == tocsin.LogGap.String() {
				if b, err := os.ReadFile(filepath.Join(live, device, "root/var/log/messages")); err != nil || bytes.Count(b, []byte("\n")) > 12 {
					t.Errorf("%s: no log was cut: %q, %v", device, b, err)
				}
				continue
			}
			file, word := e.Subject, ""
			if e.Fact == tocsin.AccountAdded.String() {
				file, word = "/etc/passwd", "\n"+e.Subject+":"
			}
			b, err := os.ReadFile(filepath.Join(live, device, "root", file))
			if err != nil || len(b) == 0 || !strings.Contains(string(b), word) {
				t.Errorf("%s: %s of %s is not to be seen: %q, %v", device, e.Fact, e.Subject, b, err)
			}
		}
	}
	if changes == 0 || s.Changes != changes {
		t.Errorf("%d changes, want %d", s.Changes, changes)
	}
}

// TestStopped ends it in the middle: lines are whole, and it can be told how far
// it came.
func TestStopped(t *testing.T) {
	dir, live := invent(t), filepath.Join(t.TempDir(), "live")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		s, err := play.Run(ctx, play.Config{From: dir, To: live, Speed: speed, Now: now})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "stay in") || s.Lines == 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	for _, l := range logs(t, dir, live, func(d, n string) string { return filepath.Join(d, n) }) {
		for _, line := range l.lines {
			if !bytes.HasSuffix(line, []byte("\n")) {
				t.Errorf("%s: half a line: %q", l.path, line)
			}
		}
	}
	if _, err := play.Run(t.Context(), play.Config{From: dir, To: live, Speed: speed}); err == nil || !strings.Contains(err.Error(), "holds something already") {
		t.Errorf("played into the same folder twice: %v", err)
	}
}

// TestPrepared makes everything but what happens.
func TestPrepared(t *testing.T) {
	dir, live := invent(t), filepath.Join(t.TempDir(), "live")
	s, err := play.Run(t.Context(), play.Config{From: dir, To: live, Prepare: true})
	if err != nil || !s.Prepared || s.Lines == 0 || s.Flows > 0 || s.Changes > 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(live, "conn.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("connections before the start: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		played, err := play.Run(t.Context(), play.Config{From: dir, To: live, Speed: 1000, Now: now})
		if err != nil || played.Lines == 0 || played.Flows == 0 {
			t.Errorf("%+v, %v", played, err)
		}
	})
}

// TestRefused wants a clear error for what cannot be played, and nothing written.
func TestRefused(t *testing.T) {
	whole := invent(t)
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := func(name, text string) string {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"no incident", t.TempDir(), "new", "holds no invented incident"},
		{"not there", filepath.Join(other, "none"), "new", "no such file"},
		{"something of others", whole, other, "holds something already"},
		{"connections cut off", broken("flows/conn.log", "#open\t2023-10-14-18-00-00\n"), "new", "must be whole"},
		{"times that are none", broken("flows/conn.log", "#open\tyesterday\n"), "new", "yesterday"},
		{"inventory", broken("inventory.json", "["), "new", "inventory.json"},
		{"names that lead out", broken("inventory.json", `[{"device":"../../x","logs":[]}]`), "new", "escapes"},
	} {
		to := c.to
		if to == "new" {
			to = filepath.Join(t.TempDir(), "live")
		}
		_, err := play.Run(t.Context(), play.Config{From: c.from, To: to, Speed: play.MaxSpeed})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := play.Run(t.Context(), play.Config{From: whole, To: other, Speed: 0}); err == nil {
		t.Error("a speed of 0 is taken")
	}
}

// TestAtItsOwnTime plays by an invented clock that shows the time at which the
// incident happened: every line says what it said.
func TestAtItsOwnTime(t *testing.T) {
	dir, live := invent(t), filepath.Join(t.TempDir(), "live")
	truth, err := incident.ReadTruth(dir)
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.New(clock.State{Shows: truth.Start.Add(-time.Hour), Speed: 50_000})
	s, err := play.Run(t.Context(), play.Config{From: dir, To: live, Speed: 1, Clock: clk, Start: truth.Start})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Start.Equal(truth.Start) || s.End.Before(truth.End.Add(-5*time.Minute)) {
		t.Errorf("played from %v to %v", s.Start, s.End)
	}
	names, err := filepath.Glob(filepath.Join(dir, "devices", "*", "auth.log"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		was, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(filepath.Join(live, filepath.Base(filepath.Dir(name)), "auth.log"))
		if err != nil || !bytes.Equal(was, is) {
			t.Errorf("%s is not what it was: %v", name, err)
		}
	}
}
