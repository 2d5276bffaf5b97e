package incident_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/internal/nettable"
	"github.com/tocsin-io/tocsin/quorum"
	"github.com/tocsin-io/tocsin/replay"
	"github.com/tocsin-io/tocsin/sim/incident"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestTheSameSeedGivesTheSameFiles compares with what was written before, so
// that a change of what is invented is seen.
func TestTheSameSeedGivesTheSameFiles(t *testing.T) {
	c := incident.Config{Seed: 7, JSONFlows: true}
	sums := func(c incident.Config) string {
		w := write(t, c)
		files := w.files(t)
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(files)) {
			fmt.Fprintf(&b, "%x %s\n", sha256.Sum256(files[name]), name)
		}
		return b.String()
	}
	got := sums(c)
	if again := sums(c); again != got {
		t.Error("the same configuration gave other files")
	}
	c.Seed++
	if sums(c) == got {
		t.Error("another seed gave the same files")
	}
	const golden = "testdata/seed7.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("other files than in %s: if that is meant, rewrite it with -update", golden)
	}
}

var (
	numbers = regexp.MustCompile(`[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+`)
	colons  = regexp.MustCompile(`[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*`)
	// forSamba is an address by IPv6 between the words of Samba.
	forSamba = regexp.MustCompile(`ipv6:([0-9a-f:]+):[0-9]+`)
	ranges   = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/32"),
	}
)

// TestAddresses looks at everything that reads like an address, in every file.
func TestAddresses(t *testing.T) {
	w := write(t, incident.Config{Seed: 3, Devices: 20, JSONFlows: true})
	seen := 0
	for name, text := range w.files(t) {
		text = forSamba.ReplaceAll(text, []byte("$1 "))
		for _, found := range append(numbers.FindAll(text, -1), colons.FindAll(text, -1)...) {
			a, err := netip.ParseAddr(strings.TrimSuffix(string(found), ":"))
			if err != nil {
				continue // 18:42:01
			}
			seen++
			if a = a.Unmap(); !slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) }) {
				t.Fatalf("%s: %s is not of the ranges for documentation and benchmarks", name, a)
			}
		}
	}
	if seen < 10_000 {
		t.Errorf("only %d addresses were seen", seen)
	}
}

func TestNetworks(t *testing.T) {
	w := write(t, incident.Config{Seed: 4})
	packed, err := nettable.Pack(bytes.NewReader(w.read(t, "networks.csv")), nettable.Info{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := nettable.Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	networks := map[uint32]bool{}
	for _, d := range w.inventory {
		got := table.Lookup(d.Address)
		if want := (nettable.Network{AS: d.Network, Country: d.Country}); got != want || !d.Prefix.Contains(d.Address) {
			t.Errorf("%s at %v in %v: got %+v, want %+v", d.Device, d.Address, d.Prefix, got, want)
		}
		networks[d.Network] = true
	}
	if len(networks) < 4 {
		t.Errorf("devices are in %d networks: too few for witnesses", len(networks))
	}
	for _, c := range w.truth.Campaigns {
		for _, s := range c.Sources {
			if table.Lookup(s.Source).AS == 0 {
				t.Errorf("nobody owns %v", s.Source)
			}
		}
	}
	for line := range strings.Lines(string(w.read(t, "countries.csv"))) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		first, err := netip.ParseAddr(cells[0])
		if err != nil || len(cells) != 3 || table.Lookup(first).Country != cells[2] {
			t.Errorf("countries.csv: %q, and the networks say %s", line, table.Lookup(first).Country)
		}
	}
}

// TestSizes invents what is as small, as short, as long as can be.
func TestSizes(t *testing.T) {
	for _, c := range []incident.Config{
		{Devices: 1}, {Devices: 1, Span: incident.MinSpan}, {Devices: 2}, {Devices: 5, Span: 45 * time.Minute}, {Devices: 9},
		{Devices: 60, Span: incident.MinSpan}, {Devices: 10, Span: 12 * time.Hour},
	} {
		t.Run(fmt.Sprint(c.Devices, " ", c.Span), func(t *testing.T) {
			c.Seed = 5
			w := write(t, c)
			if len(w.inventory) != c.Devices || len(w.truth.Devices) != c.Devices || w.summary.Devices != c.Devices {
				t.Errorf("%d devices, want %d", len(w.inventory), c.Devices)
			}
			wantAttempts(t, w)
			wantFlowsIn(t, w)
		})
	}
}

func TestMistakes(t *testing.T) {
	for text, c := range map[string]incident.Config{
		"-1 devices":              {Devices: -1},
		"10001 devices":           {Devices: 10_001},
		"0.25 hours":              {Span: 15 * time.Minute},
		"169 hours":               {Span: 169 * time.Hour},
		"start 1999":              {Start: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)},
		"at most 48000 device ho": {Devices: 1000, Span: 49 * time.Hour},
	} {
		dir := filepath.Join(t.TempDir(), "x")
		if _, err := incident.Write(t.Context(), dir, c); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: a folder was made", text)
		}
	}
	_, err := incident.Config{Devices: -1, Span: time.Second}.Check()
	if err == nil || !strings.Contains(err.Error(), "devices") || !strings.Contains(err.Error(), "hours") {
		t.Errorf("not all mistakes at once: %v", err)
	}
}

var little = incident.Config{Seed: 1, Devices: 5, Span: incident.MinSpan}

// TestFolderThatHoldsSomething: nothing of somebody else is ever overwritten.
func TestFolderThatHoldsSomething(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine")
	put(t, mine, "mine")
	if _, err := incident.Write(t.Context(), dir, little); err == nil || !strings.Contains(err.Error(), "holds something already") {
		t.Fatalf("got %v", err)
	}
	c := little
	c.Force = true
	for _, name := range []string{"README.md", "devices/nas-0001/auth.log"} {
		way := filepath.Join(dir, name)
		put(t, way, "mine")
		if _, err := incident.Write(t.Context(), dir, c); err == nil || !strings.Contains(err.Error(), "in the way") {
			t.Fatalf("got %v", err)
		}
		if b, err := os.ReadFile(way); err != nil || string(b) != "mine" {
			t.Errorf("%s: %q, %v", way, b, err)
		}
		if err := os.RemoveAll(filepath.Join(dir, strings.Split(name, "/")[0])); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := incident.Write(t.Context(), dir, c); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(mine); err != nil || string(b) != "mine" {
		t.Errorf("somebody's own file: %q, %v", b, err)
	}
}

// TestForceReplaces: nothing of the incident before is left, and what is not of
// it is.
func TestForceReplaces(t *testing.T) {
	dir := t.TempDir()
	c := little
	c.Devices = 9
	if _, err := incident.Write(t.Context(), dir, c); err != nil {
		t.Fatal(err)
	}
	mine := filepath.Join(dir, "notes.txt")
	put(t, mine, "mine")
	c = little
	c.Force = true
	if _, err := incident.Write(t.Context(), dir, c); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(filepath.Join(dir, "devices"))
	if err != nil || len(list) != little.Devices {
		t.Errorf("%d devices are left, want %d (%v)", len(list), little.Devices, err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestFileInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "x")
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := incident.Write(t.Context(), dir, little); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}

// TestInterrupted: whoever stops it is left with nothing.
func TestInterrupted(t *testing.T) {
	for _, phase := range []string{"inventing connections", "writing logs", "writing connections"} {
		ctx, cancel := context.WithCancel(t.Context())
		dir := filepath.Join(t.TempDir(), "a", "b")
		c := incident.Config{Seed: 1, Devices: 20, Progress: func(p string, _, _ int) {
			if p == phase {
				cancel()
			}
		}}
		_, err := incident.Write(ctx, dir, c)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", phase, err)
		}
		if _, err := os.Stat(filepath.Dir(dir)); err == nil {
			t.Errorf("%s: something is left", phase)
		}
		cancel()
	}
}

// TestReplay: the production code stops much of it, and nobody who belongs there.
func TestReplay(t *testing.T) {
	w := write(t, incident.Config{Seed: 13})
	p, err := replay.New(replay.Config{Detect: detect.Default(), Fleet: fleet.Config{Quorum: quorum.Default()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range w.trace {
		if err := p.Play(a); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.End(); s.Attempts != w.summary.Attempts || s.Stopped < s.Attempts/10 || s.BenignBlocked > 0 {
		t.Errorf("%+v", s)
	}
}

func TestReadTruth(t *testing.T) {
	dir := t.TempDir()
	if _, err := incident.ReadTruth(dir); err == nil {
		t.Error("there is no truth")
	}
	put(t, filepath.Join(dir, incident.TruthFile), "{")
	if _, err := incident.ReadTruth(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	w := write(t, little)
	var raw struct{ Note string }
	if err := json.Unmarshal(w.read(t, incident.TruthFile), &raw); err != nil || !strings.Contains(raw.Note, "tests only") {
		t.Errorf("note %q, %v", raw.Note, err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkThousandDevices(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		s, err := incident.Write(b.Context(), filepath.Join(b.TempDir(), "x"), incident.Config{Seed: 1, Devices: 1000})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Flows), "flows")
	}
}
