package config

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFiles loads every testdata/*.good.toml and *.bad.toml: to cover a new
// mistake, drop a file and run go test -update. The golden file of a bad one is
// what the person reads.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(b)
			if strings.Contains(f, ".good.") {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			golden := strings.TrimSuffix(f, ".toml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(golden)
			if readErr != nil {
				t.Fatal(readErr)
			}
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFullFile(t *testing.T) {
	b, err := os.ReadFile("testdata/full.good.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{
		netip.MustParsePrefix("198.51.100.20/32"), netip.MustParsePrefix("2001:db8:7::/48"), netip.MustParsePrefix("203.0.113.9/32"),
	}
	if diff := cmp.Diff(want, c.Allow, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if c.Detect.Longest != 48*time.Hour || c.Detect.PersonFast.Within != 15*time.Minute || c.Detect.Sources != 1_000_000 || !slices.Equal(c.Spare, []uint16{7443, 8443}) || len(c.Logs) != 2 || c.Logs[1].Service != "nextcloud" {
		t.Errorf("got %+v", c)
	}
}

func TestEveryTypoIsFound(t *testing.T) {
	for _, s := range settings {
		table, key, _ := strings.Cut(s.key, ".")
		_, err := Parse([]byte("[" + table + "]\n" + key + "x = 1\n"))
		if err == nil || !strings.Contains(err.Error(), "line 2: "+s.key+"x is not known") {
			t.Errorf("%sx: %v", s.key, err)
		}
	}
}

// TestSampleIsTheDefault reads the sample with its comments and without.
func TestSampleIsTheDefault(t *testing.T) {
	sample := Sample()
	var live strings.Builder
	for line := range strings.Lines(sample) {
		if text, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(text, " = ") && !strings.Contains(text, "srv") && !strings.Contains(text, `service = "`) {
			line = text
		}
		live.WriteString(line)
	}
	opts := cmp.Options{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.FilterPath(func(p cmp.Path) bool { return strings.Contains(p.String(), "Seed") }, cmp.Ignore()),
		cmp.Transformer("empty", func(s []netip.Prefix) int { return len(s) }),
		cmp.Transformer("words", func(s []string) string { return strings.Join(s, " ") }),
	}
	for _, text := range []string{sample, live.String()} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(Default(), c, opts); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			if err.Error() == "" {
				t.Error("a mistake without a word")
			}
			return
		}
		if err := c.Detect.Validate(); err != nil || c.State == "" || c.Detect.First <= 0 {
			t.Errorf("accepted %+v: %v", c, err)
		}
	})
}
