package quorum

import (
	"net/netip"
	"testing"
)

// Only one source of the public network may be ruled on.
func TestSourceKey(t *testing.T) {
	for p, want := range map[string]bool{
		"203.0.113.7/32": true, "2001:db8::/64": true, "223.255.255.255/32": true, "198.18.0.1/32": true,
		"203.0.113.0/24": false, "2001:db8::/48": false, "2001:db8::1/128": false,
		"10.0.0.1/32": false, "100.64.0.1/32": false, "127.0.0.1/32": false, "169.254.1.1/32": false,
		"0.0.0.0/32": false, "0.1.2.3/32": false, "224.0.0.1/32": false, "240.0.0.1/32": false, "255.255.255.255/32": false,
		"fe80::/64": false, "fd00::/64": false, "ff02::/64": false, "::/64": false,
	} {
		if _, got := sourceKey(netip.MustParsePrefix(p)); got != want {
			t.Errorf("sourceKey(%s): got %t, want %t", p, got, want)
		}
	}
	for _, p := range []netip.Prefix{{}, netip.PrefixFrom(netip.MustParseAddr("::ffff:203.0.113.7"), 128)} {
		if _, ok := sourceKey(p); ok {
			t.Errorf("%v is a source", p)
		}
	}
}
