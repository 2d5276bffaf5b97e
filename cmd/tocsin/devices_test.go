package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

func TestHowADeviceIs(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	list := func(behind uint64, epoch uint64) api.InForce {
		return api.InForce{ListState: store.ListState{List: "fleet/1h", Epoch: epoch, Serial: 3}, Behind: behind}
	}
	for _, tt := range []struct {
		name          string
		device        api.Device
		state, behind string
	}{
		{"enrolled, and never heard of", api.Device{Lists: []api.InForce{list(7, 0)}}, "silent", "-"},
		{"up to date", api.Device{Connected: true, Seen: now, Lists: []api.InForce{list(0, 9)}}, "connected", "0"},
		{"the list that lags most", api.Device{Connected: true, Lists: []api.InForce{list(1, 9), list(12, 9), list(3, 9)}}, "connected", "12"},
		{"connected, with nothing in force", api.Device{Connected: true, Lists: []api.InForce{list(4, 0)}}, "connected", "4"},
		{"off", api.Device{Seen: now.Add(-3 * time.Hour), Lists: []api.InForce{list(2, 9)}}, "silent 3h00m", "2"},
		{"doubted", api.Device{Device: tocsin.Device{Suspect: true, Honeypot: true}, Connected: true}, "connected, suspect, honeypot", "-"},
		{"out", api.Device{Device: tocsin.Device{Revoked: now, Suspect: true}, Lists: []api.InForce{list(2, 9)}}, "revoked", "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if state, lag := stateOf(tt.device, now), behind(tt.device); state != tt.state || lag != tt.behind {
				t.Errorf("got %q, %q; want %q, %q", state, lag, tt.state, tt.behind)
			}
		})
	}
}

// TestADeviceCannotSteerATerminal: its name, version and note are its own words.
func TestADeviceCannotSteerATerminal(t *testing.T) {
	const evil = "\x1b]0;owned\x07\r\n\u009b31mnas"
	d := api.Device{
		Device:  tocsin.Device{ID: evil, Name: evil, Owner: evil, Groups: []string{evil}, Labels: map[string]string{evil: evil}},
		Version: evil, Note: evil, Offset: -90, Lists: []api.InForce{{ListState: store.ListState{List: evil}}},
	}
	var out strings.Builder
	if err := printDevice(&out, d, time.Now()); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\r\u009b") || strings.Count(out.String(), "\n") != 12 {
		t.Errorf("%q", out.String())
	}
	if !strings.Contains(out.String(), "1m30s behind") {
		t.Errorf("the clock is not told of: %s", out.String())
	}
}
