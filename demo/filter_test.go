package demo

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/internal/clock"
)

var guesser = netip.MustParsePrefix("203.0.113.7/32")

// TestPaced has rules of an invented clock end by the wall clock when that one says
// so, and never while it is paused.
func TestPaced(t *testing.T) {
	var now time.Time // of the system whose firewall it is
	inner := memory.New(func() time.Time { return now })
	clk := clock.New(clock.State{Shows: time.Date(2023, 10, 14, 18, 0, 0, 0, time.UTC), Speed: 100})
	f := newPaced(inner, clk)
	held := func(after time.Duration) bool {
		t.Helper()
		now = time.Now().Add(after)
		yes, err := f.Holds(t.Context(), guesser)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	now = time.Now()
	rule := tocsin.Rule{Action: tocsin.Block, Prefix: guesser, Until: clk.Now().Add(time.Hour)}
	if err := f.Change(t.Context(), tocsin.Change{Add: []tocsin.Rule{rule}}); err != nil {
		t.Fatal(err)
	}
	if !held(30*time.Second) || held(37*time.Second) {
		t.Error("an hour at a hundred times the speed are not 36 seconds")
	}
	now = time.Now()
	if err := f.Replace(t.Context(), slices.Values([]tocsin.Rule{rule})); err != nil || !held(30*time.Second) || held(37*time.Second) {
		t.Errorf("replaced, it does not end after 36 seconds: %v", err)
	}
	now = time.Now()
	clk.Pause()
	if err := f.again(t.Context()); err != nil || !held(time.Hour) {
		t.Errorf("it ends while the clock is paused: %v", err)
	}
	now = time.Now()
	clk.Resume()
	if err := f.again(t.Context()); err != nil || !held(30*time.Second) || held(37*time.Second) {
		t.Errorf("after the pause it does not end after 36 seconds: %v", err)
	}
}

func TestTold(t *testing.T) {
	inner := memory.New(time.Now)
	var heard []netip.Prefix
	f := &told{inner, func(p netip.Prefix, _ time.Time) { heard = append(heard, p) }}
	later := time.Now().Add(time.Hour)
	err := f.Change(t.Context(), tocsin.Change{Add: []tocsin.Rule{
		{Action: tocsin.Block, Prefix: guesser, Until: later},
		{Action: tocsin.Pass, Prefix: netip.MustParsePrefix("203.0.113.8/32"), Until: later},
		{Action: tocsin.Block, Prefix: netip.MustParsePrefix("203.0.113.9/32"), Until: time.Now().Add(-time.Hour)},
	}})
	if err != nil || !slices.Equal(heard, []netip.Prefix{guesser}) {
		t.Errorf("heard %v, %v: want what the firewall holds", heard, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := f.Change(ctx, tocsin.Change{Add: []tocsin.Rule{{Action: tocsin.Block, Prefix: guesser, Until: later}}}); err == nil || len(heard) != 1 {
		t.Errorf("heard %v of what failed, %v", heard, err)
	}
}
