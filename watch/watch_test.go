package watch

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/sighting"
)

var noon = time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)

func newWatch() (*Watch, *blocklist.List, *sighting.Book) {
	list := blocklist.New(blocklist.DefaultLimits, false)
	book := sighting.New([]byte("key"), "nas", 1, sighting.Caps{})
	proxies := []netip.Prefix{netip.MustParsePrefix("203.0.113.99/32")}
	return New(detect.New(detect.Default()), list, book, proxies), list, book
}

func attempt(source, account string, o tocsin.Outcome, after time.Duration) tocsin.Attempt {
	return tocsin.Attempt{
		At: noon.Add(after), Service: "ssh", Outcome: o, Account: account, Provenance: tocsin.Attested,
		Source: netip.AddrPortFrom(netip.MustParseAddr(source), 40000),
	}
}

// guess tries accounts from one source, a second apart.
func guess(w *Watch, source string, n int) (last Event) {
	for i := range n {
		last = w.Observe(attempt(source, fmt.Sprint("user", i), tocsin.Failure, time.Duration(i)*time.Second), false)
		if last.Decided {
			return last
		}
	}
	return last
}

func TestGuessesBecomeAChange(t *testing.T) {
	w, list, book := newWatch()
	e := guess(w, "198.51.100.7", 10)
	if !e.Decided || e.Verdict != blocklist.Enforced || len(e.Change.Add) != 1 || e.Change.Add[0].Prefix.String() != "198.51.100.7/32" {
		t.Fatalf("got %+v", e)
	}
	if !list.Blocked(netip.MustParseAddr("198.51.100.7"), noon.Add(time.Minute)) {
		t.Error("the list does not know")
	}
	w.Dropped(netip.MustParseAddr("198.51.100.7"), 3, noon.Add(time.Minute))
	failures, dropped := uint32(0), uint32(0)
	for _, s := range book.Flush() {
		failures += s.Failures
		dropped += s.Dropped
	}
	if failures != 5 || dropped != 3 {
		t.Errorf("the sightings tell %d failures, %d dropped", failures, dropped)
	}
}

func TestOldLinesNeverBlock(t *testing.T) {
	w, list, _ := newWatch()
	for i := range 100 {
		if e := w.Observe(attempt("198.51.100.7", fmt.Sprint("user", i), tocsin.Failure, 0), true); e.Decided {
			t.Fatalf("an old line led to %+v", e.Decision)
		}
	}
	if blocks, _ := list.Len(); blocks != 0 {
		t.Errorf("%d blocks", blocks)
	}
	if e := w.Observe(attempt("198.51.100.7", "root", tocsin.Failure, time.Minute), false); !e.Decided {
		t.Error("the old lines were not remembered")
	}
}

func TestPrivateSourcesAreReported(t *testing.T) {
	w, _, _ := newWatch()
	if e := guess(w, "192.168.1.20", 10); !e.Decided || e.Verdict != blocklist.Spared || !e.Change.Empty() {
		t.Errorf("got %+v", e)
	}
}

func TestSuccessFromABlockedSource(t *testing.T) {
	w, list, _ := newWatch()
	list.Decide(tocsin.Decision{
		Prefix: netip.MustParsePrefix("198.51.100.0/24"), Action: tocsin.Block, Origin: tocsin.ByFleet, At: noon, Until: noon.Add(time.Hour),
	}, noon)
	e := w.Observe(attempt("198.51.100.7", "anna", tocsin.Success, time.Second), false)
	if !e.Facts.Has(tocsin.SuccessFromBlocked) {
		t.Errorf("facts: %v", e.Facts)
	}
}

func TestUnblockForgives(t *testing.T) {
	w, list, _ := newWatch()
	guess(w, "198.51.100.7", 10)
	source := netip.MustParsePrefix("198.51.100.7/32")
	at := noon.Add(time.Minute)
	c, v := w.Unblock(tocsin.Decision{Prefix: source, At: at, Until: at.Add(time.Second), Origin: tocsin.ByOperator})
	if v != blocklist.Enforced || len(c.Remove) != 1 || list.Blocked(source.Addr(), at) {
		t.Errorf("unblock: %+v, %v", c, v)
	}
	after := at.Add(2 * time.Second).Sub(noon)
	for i := range 4 {
		if e := w.Observe(attempt("198.51.100.7", "root", tocsin.Failure, after+time.Duration(i)*time.Second), false); e.Decided {
			t.Fatalf("failure %d after forgiveness: %s", i, e.Decision.Reason)
		}
	}
}

func TestAddressMissing(t *testing.T) {
	accounts := []string{"anna", "bert", "carl", "dora"}
	tests := []struct {
		name     string
		sources  []string
		accounts int
		want     int
	}{
		{"all from a Docker gateway", []string{"172.17.0.1"}, 4, 1},
		{"all from a listed proxy", []string{"203.0.113.99"}, 4, 1},
		{"all from one stranger", []string{"198.51.100.7"}, 4, 0},
		{"one laptop at home", []string{"192.168.1.5"}, 2, 0},
		{"a second source", []string{"172.17.0.1", "198.51.100.7"}, 4, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, _, _ := newWatch()
			told := 0
			for i := range 50 {
				a := attempt(tt.sources[i%len(tt.sources)], accounts[i%tt.accounts], tocsin.Failure, time.Duration(i)*time.Hour)
				if w.Observe(a, false).Facts.Has(tocsin.AddressMissing) {
					told++
				}
			}
			if told != tt.want {
				t.Errorf("told %d times, want %d", told, tt.want)
			}
		})
	}
}

func TestShift(t *testing.T) {
	w, list, _ := newWatch()
	guess(w, "198.51.100.7", 10)
	w.Shift(24 * time.Hour)
	if !list.Blocked(netip.MustParseAddr("198.51.100.7"), noon.Add(24*time.Hour+time.Minute)) {
		t.Error("the block ended because the clock was set")
	}
}

// TestAPassThatEnds blocks a source that went on guessing under it.
func TestAPassThatEnds(t *testing.T) {
	w, list, _ := newWatch()
	source := netip.MustParsePrefix("198.51.100.7/32")
	list.Decide(tocsin.Decision{Prefix: source, Action: tocsin.Pass, Origin: tocsin.ByOperator, At: noon, Until: noon.Add(time.Hour)}, noon)
	refused, blocked := 0, time.Duration(0)
	for after := time.Duration(0); after < 3*time.Hour && blocked == 0; after += 30 * time.Second {
		e := w.Observe(attempt("198.51.100.7", "root", tocsin.Failure, after), false)
		switch {
		case e.Decided && e.Verdict == blocklist.Passed:
			refused++
		case e.Decided && e.Verdict == blocklist.Enforced:
			blocked = after
		}
	}
	if refused == 0 || refused > 7 || blocked < time.Hour || blocked > time.Hour+2*later {
		t.Errorf("refused %d times, blocked after %v", refused, blocked)
	}
}

// TestRoomIsMadeHonestly lets a source whose block made room be blocked again.
func TestRoomIsMadeHonestly(t *testing.T) {
	list := blocklist.New(blocklist.Limits{Device: 1}, false)
	w := New(detect.New(detect.Default()), list, nil, nil)
	guess(w, "198.51.100.7", 10)
	guess(w, "198.51.100.8", 10)
	if list.Blocked(netip.MustParseAddr("198.51.100.7"), noon.Add(time.Minute)) {
		t.Fatal("no room was made")
	}
	if e := w.Observe(attempt("198.51.100.7", "root", tocsin.Failure, time.Minute), false); !e.Decided {
		t.Error("free until its block would have ended")
	}
}
