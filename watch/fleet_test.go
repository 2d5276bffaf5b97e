package watch

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func rule(p string, a tocsin.Action, d time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: netip.MustParsePrefix(p), Action: a, Until: noon.Add(d)}
}

func TestTheFleetBlocksAndLifts(t *testing.T) {
	w, list, _ := newWatch()
	r := rule("198.51.100.7/32", tocsin.Block, time.Hour)
	c, lost := w.Enforce(tocsin.Change{Add: []tocsin.Rule{r}}, noon)
	if len(c.Add) != 1 || len(lost) != 0 || !list.Blocked(r.Prefix.Addr(), noon) {
		t.Fatalf("got %+v, lost %v", c, lost)
	}
	c, _ = w.Enforce(tocsin.Change{Remove: []tocsin.Rule{r}}, noon)
	if len(c.Remove) != 1 || list.Blocked(r.Prefix.Addr(), noon) {
		t.Errorf("not lifted: %+v", c)
	}
	if c, _ = w.Enforce(tocsin.Change{Remove: []tocsin.Rule{r}}, noon); !c.Empty() {
		t.Errorf("lifted twice: %+v", c)
	}
}

func TestABlockOfThisDeviceOutlivesTheFleets(t *testing.T) {
	w, list, _ := newWatch()
	guess(w, "198.51.100.7", 10)
	r := rule("198.51.100.7/32", tocsin.Block, time.Hour)
	at := noon.Add(10 * time.Second)
	w.Enforce(tocsin.Change{Add: []tocsin.Rule{r}}, at)
	w.Enforce(tocsin.Change{Remove: []tocsin.Rule{r}}, at)
	if !list.Blocked(r.Prefix.Addr(), at) {
		t.Error("lifted with the fleet's")
	}
	w.Enforce(tocsin.Change{Add: []tocsin.Rule{rule("198.51.100.7/32", tocsin.Pass, time.Hour)}}, at)
	if list.Blocked(r.Prefix.Addr(), at) {
		t.Error("a pass of the hub does not win")
	}
}

func TestWhoLoggedInIsNotBlockedByTheFleet(t *testing.T) {
	for _, one := range []struct {
		name   string
		before func(w *Watch)
		spared bool
	}{
		{"nobody", func(*Watch) {}, false},
		{"the owner", func(w *Watch) { w.Observe(attempt("198.51.100.7", "margaret", tocsin.Success, 0), false) }, true},
		{"a guest", func(w *Watch) { w.Observe(attempt("198.51.100.7", "guest", tocsin.Success, 0), false) }, false},
		{"a forger", func(w *Watch) {
			a := attempt("198.51.100.7", "margaret", tocsin.Success, 0)
			a.Provenance = tocsin.Local
			w.Observe(a, false)
		}, false},
		{"a log-in long ago", func(w *Watch) {
			w.Observe(attempt("198.51.100.7", "margaret", tocsin.Success, -8*24*time.Hour), false)
		}, false},
		{"who guessed afterwards", func(w *Watch) {
			w.Observe(attempt("198.51.100.7", "margaret", tocsin.Success, 0), false)
			guess(w, "198.51.100.7", 10)
		}, false},
		{"who guessed first", func(w *Watch) {
			guess(w, "198.51.100.7", 10)
			w.Observe(attempt("198.51.100.7", "margaret", tocsin.Success, time.Minute), false)
		}, false},
	} {
		t.Run(one.name, func(t *testing.T) {
			w, _, _ := newWatch()
			one.before(w)
			r := rule("198.51.100.7/32", tocsin.Block, 24*time.Hour)
			_, lost := w.Enforce(tocsin.Change{Add: []tocsin.Rule{r}}, noon.Add(time.Hour))
			if spared := len(lost) == 1; spared != one.spared {
				t.Errorf("spared: %v", spared)
			}
		})
	}
}

func TestAnOrderHereWinsOverAPassOfTheFleet(t *testing.T) {
	w, list, _ := newWatch()
	block := tocsin.Decision{
		Prefix: netip.MustParsePrefix("198.51.100.7/32"), Action: tocsin.Block, Origin: tocsin.ByOperator, At: noon, Until: noon.Add(time.Hour),
	}
	list.Decide(block, noon)
	c, _ := w.Enforce(tocsin.Change{Add: []tocsin.Rule{rule("198.51.100.7/32", tocsin.Pass, 24*time.Hour)}}, noon)
	if !c.Empty() || !list.Blocked(block.Prefix.Addr(), noon) {
		t.Errorf("the thief of a key could lift what a person ordered: %+v", c)
	}
}

func TestTheWelcomeAreBounded(t *testing.T) {
	w, _, _ := newWatch()
	for i := range 1000 {
		a := attempt("198.18.0.0", "margaret", tocsin.Success, time.Duration(i)*time.Second)
		a.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 1)
		w.Observe(a, false)
	}
	if n := len(w.Welcome()); n != maxWelcome {
		t.Errorf("%d remembered", n)
	}
}

// TestWelcomeOutlivesTheClock sets the clock after somebody logged in: he is not
// a stranger for that.
func TestWelcomeOutlivesTheClock(t *testing.T) {
	w, _, _ := newWatch()
	who := netip.MustParsePrefix("198.51.100.7/32")
	w.SetWelcome(map[netip.Prefix]time.Time{who: noon})
	const years = 50 * 365 * 24 * time.Hour
	w.Shift(years)
	r := tocsin.Rule{Prefix: who, Action: tocsin.Block, Until: noon.Add(years + time.Hour)}
	if _, lost := w.Enforce(tocsin.Change{Add: []tocsin.Rule{r}}, noon.Add(years)); len(lost) != 1 {
		t.Error("blocked after the clock was set")
	}
}
