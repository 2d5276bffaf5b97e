package conntrack

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// TestSource sums up what a device really opens, and says since when it reads.
func TestSource(t *testing.T) {
	n := testnet.New(t)
	track(t, n.Device)
	served := netip.MustParseAddrPort("203.0.113.7:4433")
	serve(t, n.World, served)
	// By a clock that is ahead every window is over.
	s := NewSource(Config{Own: func(a netip.Addr) bool { return a == testnet.Device4 }}, func() time.Time { return time.Now().Add(3 * time.Hour) })
	s.every = 20 * time.Millisecond
	if c := s.Coverage(); !c.From.IsZero() {
		t.Errorf("before it runs: %+v", c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got := make(chan tocsin.Contact, 1000)
	done := make(chan error, 1)
	go func() {
		done <- n.Device.Do(func() error {
			return s.Run(ctx, func(c tocsin.Contact) error { got <- c; return nil })
		})
	}()
	knock := time.NewTicker(100 * time.Millisecond)
	defer knock.Stop()
	for found := false; !found; {
		select {
		case c := <-got:
			found = c.To == served && c.Count > 0 && c.Protocol == tcp
		case <-knock.C:
			end(t, n.Device)
			talk(n.Device, ctx, served)
		case err := <-done:
			t.Fatalf("Run ended: %v", err)
		}
	}
	if c := s.Coverage(); c.Stream != tocsin.FlowStream || !c.From.Before(c.Until) {
		t.Errorf("while it runs: %+v", c)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run after its context ended: %v", err)
	}
	if c := s.Coverage(); !c.From.IsZero() {
		t.Errorf("after it ran: %+v", c)
	}
}

// TestGapsAfterARestart: a reader that starts anew counts anew what was lost.
func TestGapsAfterARestart(t *testing.T) {
	s := NewSource(Config{}, time.Now)
	s.begin()
	s.note(5)
	s.end()
	s.begin()
	s.note(0)
	if n := len(s.Coverage().Gaps); n != 1 {
		t.Errorf("%d gaps, and nothing was lost since", n)
	}
	s.note(5)
	if n := len(s.Coverage().Gaps); n != 2 {
		t.Errorf("%d gaps, and as much was lost as before", n)
	}
}
