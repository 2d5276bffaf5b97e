package main

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

func TestResults(t *testing.T) {
	r := results{}
	r.line("BenchmarkLoad/20000-2   \t       1\t 131000000 ns/op\t         0.1310 s/load\t         1.05 x-bare\n")
	r.line("BenchmarkLoad/20000-2   \t       1\t 120000000 ns/op\t         0.1200 s/load\t         0.95 x-bare\n")
	r.line("ok  \tgithub.com/tocsin-io/tocsin/firewall/nft\t9.1s\n")
	got, err := r.best("BenchmarkLoad/20000", "s/load")
	if got != 0.12 || err != nil {
		t.Errorf("best: got %v, %v", got, err)
	}
	if span := r.span("BenchmarkLoad/20000", "x-bare"); span != "0.95..1.05" {
		t.Errorf("span: got %s", span)
	}
	if _, err := r.best("BenchmarkLoad/20000", "miles"); err == nil {
		t.Error("a unit that nobody reported has a best")
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	for i := range 100 {
		l = append(l, time.Duration(100-i)*time.Millisecond)
	}
	if want := "p50 51.00 ms, p99 100.00 ms, max 100.00 ms (100 samples)"; l.String() != want {
		t.Errorf("got %v, want %s", l, want)
	}
	calm := latencies{time.Millisecond}
	if got := quietest([]latencies{l, calm}); len(got) != 1 {
		t.Errorf("the quietest is %v", got)
	}
}

func TestPage(t *testing.T) {
	s := []section{{
		rows:   []row{{figure: "speed", must: "≥ 1", measured: "0.5", verdict: judge(false), known: "0.1"}},
		detail: "## Speed", commands: []string{"go faster"},
	}}
	got := page(host{"a machine", "abc"}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), s)
	for _, want := range []string{"2026-01-02, at commit abc", "| speed | ≥ 1 | 0.5 | **missed** | 0.1 |", "## Speed\n", "go faster\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
}

func TestFail2banMatched(t *testing.T) {
	if got := fail2banMatched([]byte("x\nLines: 300 lines, 0 ignored, 123 matched, 177 missed\n")); got != 123 {
		t.Errorf("got %d", got)
	}
}

// TestLandings adds elements to a set of a real kernel and waits to be told.
func TestLandings(t *testing.T) {
	n := testnet.New(t)
	got, stop, err := landings(n.Device)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := nftables.New(nftables.WithNetNSFd(n.Device.NS()))
	if err != nil {
		t.Fatal(err)
	}
	table := c.AddTable(&nftables.Table{Name: "t", Family: nftables.TableFamilyINet})
	set := &nftables.Set{Table: table, Name: "s", KeyType: nftables.TypeIPAddr, HasTimeout: true}
	want := []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2")}
	elements := []nftables.SetElement{{Key: want[0].AsSlice(), Timeout: time.Hour}, {Key: want[1].AsSlice(), Timeout: time.Hour}}
	if err := c.AddSet(set, elements); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	var told []netip.Addr
	for range want {
		select {
		case l := <-got:
			told = append(told, l.addr)
		case <-time.After(10 * time.Second):
			t.Fatalf("told of %v", told)
		}
	}
	if diff := cmp.Diff(want, told, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("want -, told +\n%s", diff)
	}
}

func TestElementsOfBrokenMessages(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 16), append([]byte{255, 255, 0, 0}, make([]byte, 20)...)} {
		if got := elements(b); got != nil {
			t.Errorf("%v: got %v", b, got)
		}
	}
}

func TestLook(t *testing.T) {
	s, err := look(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.rss < 1<<20 || s.threads < 1 || s.anon+s.file > s.rss {
		t.Errorf("got %+v", s)
	}
}
