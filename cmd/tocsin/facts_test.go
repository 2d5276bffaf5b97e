package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/hostfacts"
)

// TestALookThatFails must not take the protection of the gateway away.
func TestALookThatFails(t *testing.T) {
	gateway, other := netip.MustParseAddr("192.0.2.254"), netip.MustParseAddr("192.0.2.253")
	f := newFacts(config.Default(), slog.New(slog.DiscardHandler))
	protects := func(a netip.Addr) bool { return slices.Contains(f.read(), netip.PrefixFrom(a, 32)) }
	f.look = func(string) (hostfacts.Facts, error) { return hostfacts.Facts{Gateways: []netip.Addr{gateway}}, nil }
	if !protects(gateway) {
		t.Fatal("the gateway is not protected")
	}
	f.look = func(string) (hostfacts.Facts, error) { return hostfacts.Facts{}, errors.New("interrupted") }
	if !protects(gateway) {
		t.Error("the gateway is not protected any more, because the kernel did not answer")
	}
	f.look = func(string) (hostfacts.Facts, error) { return hostfacts.Facts{Gateways: []netip.Addr{other}}, nil }
	if protects(gateway) || !protects(other) {
		t.Error("the gateway of before is still protected")
	}
}

func TestNeedRestart(t *testing.T) {
	old, now := config.Default(), config.Default()
	now.DryRun, now.Services, now.Targets = true, []string{"ssh"}, []string{"mail.example"}
	if got := needRestart(old, now); !slices.Equal(got, []string{"guard.dry_run", "read.services"}) {
		t.Errorf("got %v", got)
	}
}
