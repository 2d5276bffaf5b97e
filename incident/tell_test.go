package incident

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin"
)

func TestTitle(t *testing.T) {
	nobody := tocsin.Campaign{ID: "c-1", Targets: []tocsin.DeviceID{"d-1", "d-2"}}
	if title := titleOf(nobody); strings.Contains(title, "0 sources") || !strings.Contains(title, "c-1") {
		t.Errorf("nobody is attributed, and: %s", title)
	}
	some := nobody
	some.Sources = []tocsin.Member{{}, {}, {}}
	if title := titleOf(some); !strings.Contains(title, "3 sources") || !strings.Contains(title, "2 devices") {
		t.Errorf("three sources, two devices, and: %s", title)
	}
}

func TestAddressOf(t *testing.T) {
	seen, said := netip.MustParseAddr("::ffff:192.0.2.7"), "198.51.100.9"
	j := judgement{From: map[tocsin.DeviceID]netip.Addr{"d-1": seen, "d-2": seen}}
	for _, c := range []struct {
		device tocsin.Device
		want   string
	}{
		{tocsin.Device{ID: "d-1"}, "192.0.2.7"},
		{tocsin.Device{ID: "d-2", Labels: map[string]string{addressLabel: said}}, said},
		{tocsin.Device{ID: "d-1", Labels: map[string]string{addressLabel: "the office"}}, "192.0.2.7"},
		{tocsin.Device{ID: "d-3"}, "invalid IP"},
	} {
		if got := j.addressOf(c.device); got.String() != c.want {
			t.Errorf("%s labelled %v: %s, want %s", c.device.ID, c.device.Labels, got, c.want)
		}
	}
}
