package addrspace_test

import (
	"net/netip"
	"testing"

	"github.com/tocsin-io/tocsin/internal/addrspace"
)

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"203.0.113.7": true, "2001:db8::7": true, "::ffff:203.0.113.7": true, "2001:db8::7%eth0": true,
		"100.63.255.255": true, "100.64.0.0": false, "100.127.255.255": false, "100.128.0.0": true, "::ffff:100.64.0.1": false,
		"9.255.255.255": true, "10.0.0.0": false, "10.255.255.255": false, "11.0.0.0": true, "::ffff:10.0.0.1": false,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"192.167.255.255": true, "192.168.0.0": false, "192.168.255.255": false, "192.169.0.0": true,
		"127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false, "::": false,
		"169.254.1.1": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false,
		"224.0.0.251": false, "239.255.255.255": false, "255.255.255.255": false, "ff02::2": false,
		// Others may ask for more.
		"0.1.2.3": true, "192.0.0.8": true, "192.0.2.1": true, "198.18.0.1": true, "240.0.0.1": true, "fec0::1": true,
		"64:ff9b::7f00:1": true, "2002:7f00:1::": true,
	} {
		if got := addrspace.Public(netip.MustParseAddr(a)); got != want {
			t.Errorf("Public(%s): got %t, want %t", a, got, want)
		}
	}
	if addrspace.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}
