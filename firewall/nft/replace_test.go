package nft

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

var old = netip.MustParsePrefix("203.0.113.0/24")

func block(p netip.Prefix, ttl time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: p, Action: tocsin.Block, Until: time.Now().Add(ttl)}
}

func add(t *testing.T, f *Filter, r ...tocsin.Rule) {
	t.Helper()
	if err := f.Change(t.Context(), tocsin.Change{Add: r}); err != nil {
		t.Fatal(err)
	}
}

func wantHeld(t *testing.T, f *Filter, p netip.Prefix, want bool) {
	t.Helper()
	if got, err := f.Holds(t.Context(), p); got != want || err != nil {
		t.Errorf("Holds(%v): got %v, %v, want %v", p, got, err, want)
	}
}

// TestUrgentFirst proves, without a clock, that the first 20,000 rules are in
// force before the rest is even read.
func TestUrgentFirst(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	add(t, f, block(old, time.Hour))
	for _, wreck := range []bool{false, true} {
		if wreck {
			nft(t, n, "flush ruleset")
		}
		i := 0
		err := f.Replace(t.Context(), func(yield func(tocsin.Rule) bool) {
			for r := range blocks(3 * perFlush) {
				if !yield(r) {
					return
				}
				if i++; i == perFlush+1 {
					// The Filter is busy: ask the kernel past it.
					gen := 3 - f.state.gens[0]
					if wreck {
						gen = 1
					}
					for _, at := range []int{0, perFlush - 1} {
						p := netip.PrefixFrom(addr(at), 32)
						if held, err := f.ask.holds(setID{gen: gen, bits: 32}, p); !held || err != nil {
							t.Errorf("wrecked %v: rule %d not in force yet: %v", wreck, at, err)
						}
					}
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wantHeld(t, f, old, false)
		wantHeld(t, f, netip.PrefixFrom(addr(3*perFlush-1), 32), true)
	}
}

// TestReplaceStops breaks Replace off after its first transactions.
func TestReplaceStops(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	add(t, f, block(old, time.Hour))
	before := nft(t, n, "list chains")
	for name, stop := range map[string]func(context.CancelFunc) tocsin.Rule{
		"an invalid rule":   func(context.CancelFunc) tocsin.Rule { return tocsin.Rule{} },
		"its context ended": func(c context.CancelFunc) tocsin.Rule { c(); return block(old, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := f.Replace(ctx, func(yield func(tocsin.Rule) bool) {
				i := 0
				for r := range blocks(2*perFlush + 5) {
					if i++; i == perFlush+7 {
						r = stop(cancel)
					}
					if !yield(r) {
						return
					}
				}
			})
			if err == nil {
				t.Fatal("no error")
			}
			wantHeld(t, f, old, true)
			wantHeld(t, f, netip.PrefixFrom(addr(3), 32), false)
			if after := nft(t, n, "list chains"); after != before {
				t.Errorf("chains: got %s, want %s", after, before)
			}
			add(t, f, block(old, time.Hour)) // and it goes on
		})
	}
}

// TestReplaceKilled leaves two generations behind, as a process does that is
// killed half-way.
func TestReplaceKilled(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	first := netip.PrefixFrom(addr(0), 32)
	add(t, f, block(old, time.Hour), block(first, time.Hour))
	r := &replacing{f: f, old: f.state, gen: f.state.next(), made: make(map[setID]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	err := r.run(ctx, func(yield func(tocsin.Rule) bool) {
		i := 0
		for rule := range blocks(2 * perFlush) {
			if i++; i == perFlush+2 {
				cancel()
			}
			if !yield(rule) {
				return
			}
		}
	})
	if err == nil || !r.begun {
		t.Fatalf("not stopped half-way: %v", err)
	}
	f.Close()

	g := open(t, n, Options{KeepSockets: true})
	if len(g.state.gens) != 2 {
		t.Fatalf("generations: got %v, want two", g.state.gens)
	}
	wantHeld(t, g, old, true)
	wantHeld(t, g, first, true)
	if err := g.Change(t.Context(), tocsin.Change{Remove: []tocsin.Rule{block(first, 0)}}); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, g, first, false) // in neither
	if err := g.Replace(t.Context(), blocks(5)); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, g, old, false)
	wantHeld(t, g, first, true)
	if got := strings.Count(nft(t, n, "list chains"), "chain "); got != 9 {
		t.Errorf("chains: got %d, want 9", got)
	}
}

// TestSabotage changes our table in every way, and wants Replace to mend it.
func TestSabotage(t *testing.T) {
	testnet.Need(t, "nft")
	for name, script := range map[string]string{
		"table deleted":    "delete table inet tocsin",
		"table dormant":    "add table inet tocsin { flags dormant; }",
		"gate emptied":     "flush chain inet tocsin gate",
		"everything empty": "flush table inet tocsin",
		"accept first":     "insert rule inet tocsin gate accept",
		"accept last":      "insert rule inet tocsin caught accept",
		"set emptied":      "flush set inet tocsin b4_24_1",
		"element deleted":  "delete element inet tocsin b4_24_1 { 203.0.113.0 }",
		"gate elsewhere":   "delete chain inet tocsin gate; add chain inet tocsin gate { type filter hook input priority 5; }",
		"gate is gone":     "delete chain inet tocsin gate",
		"set is gone":      "flush chain inet tocsin b4_1; delete set inet tocsin b4_24_1",
		"foreign set":      "add set inet tocsin b4_xx_1 { type ipv4_addr; }",
		"foreign kind":     "flush chain inet tocsin b4_1; delete set inet tocsin b4_24_1; add set inet tocsin b4_24_1 { type inet_service; }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := testnet.New(t)
			f := open(t, n, Options{KeepSockets: true})
			add(t, f, block(old, time.Hour))
			told := make(chan struct{}, 100)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			watching(t, ctx, n, f, told)
			nft(t, n, strings.ReplaceAll(script, "; ", "\n"))
			select {
			case <-told:
			case <-time.After(10 * time.Second):
				t.Error("not told")
			}
			if err := f.Replace(t.Context(), func(yield func(tocsin.Rule) bool) { yield(block(old, time.Hour)) }); err != nil {
				t.Fatal(err)
			}
			wantHeld(t, f, old, true)
			c, err := n.World.Dial(ctxShort(t), "tcp", netip.MustParseAddr("203.0.113.9"), listener(t, n))
			if err == nil {
				c.Close()
				t.Errorf("not enforced after Replace:\n%s", nft(t, n, "list ruleset"))
			}
		})
	}
}

func listener(t *testing.T, n *testnet.Net) netip.AddrPort {
	t.Helper()
	l, err := n.Device.Listen(netip.AddrPortFrom(testnet.Device4, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return netip.MustParseAddrPort(l.Addr().String())
}

func ctxShort(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
