package nft

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// watching starts Watch and returns when it is known to listen: a canary table
// under our name would not be seen otherwise, so it adds elements of its own
// until it is told of one.
func watching(t *testing.T, ctx context.Context, n *testnet.Net, f *Filter, told chan struct{}) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		ended <- f.Watch(ctx, func() {
			select {
			case told <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	})
	for range 200 {
		nft(t, n, "add chain inet tocsin canary\ndelete chain inet tocsin canary")
		select {
		case <-told:
			for { // news of the canary that comes late
				select {
				case <-told:
					continue
				case <-time.After(50 * time.Millisecond):
					return
				}
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatal("Watch tells nothing")
}

func TestWatchOnlyOurs(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	told := make(chan struct{}, 100)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watching(t, ctx, n, f, told)

	var s strings.Builder
	s.WriteString("table inet tocsin-other {\n set s { type ipv4_addr; elements = {")
	for i := range 300 {
		fmt.Fprintf(&s, "%v,", addr(i))
	}
	s.WriteString("192.0.2.1 }\n }\n}\ntable ip tocsin {\n}\n")
	nft(t, n, s.String())
	if err := f.Replace(t.Context(), blocks(2*perFlush)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-told:
		t.Error("told of tables of others, or of its own changes")
	case <-time.After(200 * time.Millisecond):
	}
	// One deletion among many of others, in one transaction.
	nft(t, n, "flush ruleset")
	<-told
}

// TestWatchOverrun lets more news come than the socket has room for.
func TestWatchOverrun(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	if err := f.events.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	var calls int
	first, goOn, again := make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- f.Watch(ctx, func() {
			if calls++; calls == 1 {
				close(first)
				<-goOn
				return
			}
			select {
			case again <- struct{}{}:
			default:
			}
		})
	}()
	for done := false; !done; {
		nft(t, n, "add chain inet tocsin canary")
		nft(t, n, "delete chain inet tocsin canary")
		select {
		case <-first:
			done = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	for i := range 30 {
		nft(t, n, fmt.Sprintf("table inet noise%d {\n set a { type ipv4_addr; }\n set b { type ipv4_addr; }\n}", i))
	}
	nft(t, n, "flush ruleset") // there is no room for this
	close(goOn)
	<-again
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch: %v", err)
	}
}

func TestWatchStartsLate(t *testing.T) {
	testnet.Need(t, "nft")
	n := testnet.New(t)
	f := open(t, n, Options{KeepSockets: true})
	nft(t, n, "flush ruleset")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 2 { // Watch may be called again after it has ended
		ctx, stop := context.WithCancel(ctx)
		if err := f.Watch(ctx, stop); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	}
}

// TestManyIPv6 is the largest transaction there is: with the sockets' usual
// room it fails with EMSGSIZE.
func TestManyIPv6(t *testing.T) {
	testnet.Need(t)
	for name, small := range map[string]bool{"one transaction": false, "without the power to enlarge": true} {
		t.Run(name, func(t *testing.T) {
			f := open(t, testnet.New(t), Options{KeepSockets: true, oldKernel: true})
			if f.most != perFlush {
				t.Fatalf("rules in a transaction: got %d, want %d", f.most, perFlush)
			}
			if small {
				f.most = perCall / 4
			}
			var c tocsin.Change
			for i := range perFlush {
				a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 9, byte(i >> 8), byte(i)})
				c.Add = append(c.Add, block(netip.PrefixFrom(a, 64), time.Hour))
			}
			for range 2 {
				if err := f.Change(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			for i := 0; i < len(c.Add); i += 9 { // of every call, and both ends of all
				if held, err := f.Holds(t.Context(), c.Add[i].Prefix); !held || err != nil {
					t.Fatalf("%v: got %v, %v", c.Add[i].Prefix, held, err)
				}
			}
			if err := f.Change(t.Context(), tocsin.Change{Remove: c.Add}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestShortLife adds rules that end before the kernel's clock can tell: they
// must not last for ever.
func TestShortLife(t *testing.T) {
	testnet.Need(t)
	f := open(t, testnet.New(t), Options{KeepSockets: true})
	add(t, f, block(old, 100*time.Microsecond), block(netip.MustParsePrefix("192.0.2.9/32"), 3*time.Millisecond))
	for _, p := range []string{"203.0.113.0/24", "192.0.2.9/32"} {
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			held, err := f.Holds(t.Context(), netip.MustParsePrefix(p))
			if err != nil {
				t.Fatal(err)
			}
			if !held {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s never ends", p)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 11, 0, 1, 0, 't', 'o', 'c', 's', 'i', 'n', 0, 0, 8, 0, 2, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 3, 0, 1, 0})
	f.Add([]byte{1, 0, 0, 0, 255, 255, 1, 0})
	f.Add([]byte{1, 0, 0, 0, 24, 0, 3, 0x80, 20, 0, 1, 0x80, 12, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := textOf(b, 1); ok && len(s) > len(b) {
			t.Errorf("text longer than the message: %q", s)
		}
		lifeOf(b)
	})
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{"b4_32_1", "p6_128_9", "b4_33_1", "b6_129_1", "b4_032_1", "b4_-1_1", "x4_1_1", "b4_1_10", "__set0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := parseSet(s)
		if !ok {
			return
		}
		if id.String() != s || id.number() == 0 || id.bits > 128 || !id.six && id.bits > 32 {
			t.Errorf("parseSet(%q) = %+v", s, id)
		}
	})
}
