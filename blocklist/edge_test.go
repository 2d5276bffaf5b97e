package blocklist

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// TestProtectionOutlivesAPass orders a short pass for what is protected anyway:
// the kernel must go on passing it when the pass ends or is taken back.
func TestProtectionOutlivesAPass(t *testing.T) {
	gateway := netip.MustParsePrefix("192.0.2.254/32")
	at := time.Unix(1_700_000_000, 0)
	l := New(DefaultLimits, false)
	l.Protect([]netip.Prefix{gateway}, at)
	pass := tocsin.Decision{Prefix: gateway, Action: tocsin.Pass, At: at, Until: at.Add(time.Minute), Origin: tocsin.ByOperator}
	c, v := l.Lift(pass, at)
	if v != Enforced {
		t.Fatal(v)
	}
	for _, r := range c.Add {
		if r.Until.Before(at.AddDate(9, 0, 0)) {
			t.Errorf("the kernel would pass the gateway only until %v", r.Until)
		}
	}
	c, ok := l.End(gateway, tocsin.Pass, tocsin.ByOperator, at)
	if !ok || len(c.Remove) > 0 {
		t.Errorf("taking the pass back removes %v, %v", c.Remove, ok)
	}
}

// TestALiftThatEndedStillLifts replays an unblock after the guard was down for
// longer than its pass.
func TestALiftThatEndedStillLifts(t *testing.T) {
	p := netip.MustParsePrefix("203.0.113.7/32")
	at := time.Unix(1_700_000_000, 0)
	l := New(DefaultLimits, false)
	l.Decide(tocsin.Decision{Prefix: p, Action: tocsin.Block, At: at, Until: at.Add(24 * time.Hour), Origin: tocsin.ByDevice}, at)
	later := at.Add(2 * time.Hour)
	c, v := l.Lift(tocsin.Decision{Prefix: p, At: at, Until: at.Add(time.Hour), Origin: tocsin.ByOperator}, later)
	if v != Ended || len(c.Remove) != 1 || l.Blocked(p.Addr(), later) {
		t.Errorf("got %v, %+v: a block that was lifted came back", v, c)
	}
}

// TestABlockUnderAPassIsRestored keeps a block that a pass covers for a while.
func TestABlockUnderAPassIsRestored(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	p := netip.MustParsePrefix("203.0.113.7/32")
	l := New(DefaultLimits, false)
	l.Decide(tocsin.Decision{Prefix: p, Action: tocsin.Block, At: at, Until: at.Add(24 * time.Hour), Origin: tocsin.ByOperator}, at)
	l.Decide(tocsin.Decision{
		Prefix: netip.MustParsePrefix("203.0.113.0/24"), Action: tocsin.Pass, At: at, Until: at.Add(time.Hour), Origin: tocsin.ByOperator,
	}, at)
	again := New(DefaultLimits, false)
	for d := range l.Decisions(at) {
		again.Decide(d, at)
	}
	if !again.Blocked(p.Addr(), at.Add(2*time.Hour)) {
		t.Error("a restart forgot an order to block")
	}
}

// TestAFullListStaysBounded decides about ever new sources.
func TestAFullListStaysBounded(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	l := New(Limits{Device: 100, Operator: 10, Passes: 10}, false)
	for i := range 20_000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		l.Decide(tocsin.Decision{Prefix: p, Action: tocsin.Block, At: at, Until: at.Add(10 * time.Minute), Origin: tocsin.ByDevice}, at)
	}
	n := 0
	for _, keys := range l.due {
		n += len(keys)
	}
	if blocks, _ := l.Len(); blocks != 100 || n > 200 {
		t.Errorf("%d blocks, %d ends to look at", blocks, n)
	}
}
