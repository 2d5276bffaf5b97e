package nettable

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var pack = flag.String("pack", "", "folder of an unpacked @ip-location-db/asn to build in")

const sample = `
# documentation networks
192.0.2.0,192.0.2.255,64496,"Example, Inc."
198.51.100.0,198.51.100.127,64497,FR
"198.51.100.128","198.51.100.255","AS64498"
203.0.113.0,203.0.113.255,64499,Example
203.0.113.16,203.0.113.31,64500,Example
2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,64501,DE
2001:db8:8000::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,4294967295,Example
`

func open(t *testing.T, text string, info Info) *Table {
	t.Helper()
	packed, err := Pack(strings.NewReader(text), info)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookup(t *testing.T) {
	table := open(t, sample, Info{})
	for address, want := range map[string]Network{
		"192.0.1.255": {}, "192.0.2.0": {AS: 64496}, "192.0.2.255": {AS: 64496}, "192.0.3.0": {},
		"198.51.100.127": {64497, "FR"}, "198.51.100.128": {AS: 64498}, "::ffff:192.0.2.9": {AS: 64496},
		"203.0.113.15": {AS: 64499}, "203.0.113.16": {AS: 64500}, "203.0.113.31": {AS: 64500}, "0.0.0.0": {}, "255.255.255.255": {},
		"2001:db8::1": {64501, "DE"}, "2001:db8:1::": {}, "2001:db8:8000::": {AS: 1<<32 - 1}, "2001:db9::": {}, "::": {},
	} {
		if got := table.Lookup(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %+v, want %+v", address, got, want)
		}
	}
	if got := table.Lookup(netip.Addr{}); got != (Network{}) {
		t.Errorf("no address: %+v", got)
	}
	if got := new(Table).Lookup(netip.MustParseAddr("192.0.2.1")); got != (Network{}) {
		t.Errorf("the zero table knows %+v", got)
	}
}

func TestWholeSpace(t *testing.T) {
	table := open(t, "0.0.0.0,255.255.255.255,1\n::,ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,2", Info{})
	for address, want := range map[string]uint32{"0.0.0.0": 1, "255.255.255.255": 1, "::": 2, "ffff::": 2} {
		if got := table.Lookup(netip.MustParseAddr(address)).AS; got != want {
			t.Errorf("%s: got %d, want %d", address, got, want)
		}
	}
}

func TestInfoTravels(t *testing.T) {
	want := Info{Date: time.Date(2026, 6, 17, 0, 0, 0, 0, time.UTC), Source: "somewhere", Quality: "doubtful"}
	got := open(t, "192.0.2.0,192.0.2.255,1", want).Info()
	want.Ranges = 2 // and nothing after it
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPackSaysWhichLine(t *testing.T) {
	for _, bad := range []string{
		"192.0.2.0,192.0.2.255", "192.0.2.0,elsewhere,1", "nowhere,192.0.2.0,1", "192.0.2.0,192.0.2.255,x",
		"192.0.2.9,192.0.2.1,1", "192.0.2.0,2001:db8::,1", "192.0.2.0,192.0.2.255,4294967296", strings.Repeat("1", 100_000),
	} {
		_, err := Pack(strings.NewReader("192.0.2.0,192.0.2.255,1\n"+bad+"\n"), Info{})
		if err == nil || len(bad) < 1000 && !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	if _, err := Pack(strings.NewReader("# nothing\n"), Info{}); err == nil {
		t.Error("an empty table was packed")
	}
}

func TestPackIsDeterministic(t *testing.T) {
	a, err := Pack(strings.NewReader(sample), Info{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Pack(strings.NewReader(sample), Info{})
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("the same lines were packed otherwise: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	packed, err := Pack(strings.NewReader(sample), Info{Source: "here"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Open(b)
		if err != nil {
			return
		}
		for i := 1; i < len(table.start4); i++ {
			if table.start4[i] <= table.start4[i-1] {
				t.Fatal("out of order")
			}
		}
		table.Lookup(netip.MustParseAddr("192.0.2.1"))
		table.Lookup(netip.MustParseAddr("2001:db8::1"))
	})
}

// TestDamage flips, cuts and lies: always an error, or a table, never more.
func TestDamage(t *testing.T) {
	packed, err := Pack(strings.NewReader(sample), Info{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range packed {
		cut := packed[:i]
		if _, err := Open(cut); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", i, err)
		}
		flipped := bytes.Clone(packed)
		flipped[i] ^= 0x55
		if _, err := Open(flipped); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("flipped at %d: %v", i, err)
		}
	}
	if _, err := Open(make([]byte, MaxPacked+1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("too large: %v", err)
	}
}

func TestBuiltIn(t *testing.T) {
	if *pack != "" {
		if err := build(*pack); err != nil {
			t.Fatal(err)
		}
		return
	}
	table := BuiltIn()
	info := table.Info()
	if info.Date.Year() < 2025 || info.Source == "" || info.Quality == "" || info.Ranges < 100_000 {
		t.Errorf("built in: %+v", info)
	}
	if len(builtIn) > 1_500_000 {
		t.Errorf("%d bytes are built in, at most 1,500,000", len(builtIn))
	}
	for _, documentation := range []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "10.0.0.1", "127.0.0.1"} {
		if n := table.Lookup(netip.MustParseAddr(documentation)); n.AS != 0 {
			t.Errorf("%s is said to be routed by AS%d", documentation, n.AS)
		}
	}
	if n := testing.AllocsPerRun(100, func() { table.Lookup(netip.MustParseAddr("2001:db8::1")) }); n != 0 {
		t.Errorf("%v allocations a look-up", n)
	}
}

// build packs the folder of an npm package into asn.zst.
func build(dir string) error {
	about, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return err
	}
	var p struct{ Version string }
	if err := json.Unmarshal(about, &p); err != nil {
		return err
	}
	_, stamp, _ := strings.Cut(p.Version[strings.Index(p.Version, ".")+1:], ".")
	if _, err := strconv.Atoi(stamp); err != nil || len(stamp) < 8 {
		return fmt.Errorf("version %q tells no date", p.Version)
	}
	date, err := time.Parse("20060102", stamp[:8])
	if err != nil {
		return err
	}
	var both []io.Reader
	for _, name := range []string{"asn-ipv4.csv", "asn-ipv6.csv"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		both = append(both, bytes.NewReader(b))
	}
	packed, err := Pack(io.MultiReader(both...), Info{
		Date:    date,
		Source:  "npm @ip-location-db/asn " + p.Version + ": RouteViews, DB-IP (https://db-ip.com), NRO; CC BY 4.0",
		Quality: "doubtful: its author says that the data published to npm contains errors",
	})
	if err != nil {
		return err
	}
	return os.WriteFile("asn.zst", packed, 0o644)
}

func BenchmarkLookup(b *testing.B) {
	table := BuiltIn()
	a := netip.MustParseAddr("203.0.113.7")
	b.ReportAllocs()
	for b.Loop() {
		table.Lookup(a)
		a = a.Next()
	}
}
