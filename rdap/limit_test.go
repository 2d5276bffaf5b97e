package rdap

import (
	"net/netip"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBucket(t *testing.T) {
	b := &bucket{name: "server", tokens: burst, at: start}
	for i := range burst {
		if d, ok := b.take(start, 60); d != 0 || !ok {
			t.Errorf("question %d waits %v", i, d)
		}
	}
	for i := range 3 {
		want := time.Duration(i+1) * time.Second
		if d, ok := b.take(start, 60); d.Round(time.Millisecond) != want || !ok {
			t.Errorf("question %d waits %v, want %v", burst+i, d, want)
		}
	}
	// After long silence there is the burst again, and no more.
	later := start.Add(time.Hour)
	for range burst {
		b.take(later, 60)
	}
	if d, _ := b.take(later, 60); d == 0 {
		t.Error("silence saved up more than the burst")
	}
	b.until = later.Add(time.Minute)
	if _, ok := b.take(later.Add(59*time.Second), 60); ok {
		t.Error("asked within the pause")
	}
	if _, ok := b.take(later.Add(61*time.Second), 60); !ok {
		t.Error("not asked after the pause")
	}
}

func TestPause(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              time.Minute,
		"soon":                          time.Minute,
		"-5":                            time.Minute,
		"0":                             time.Second,
		"120":                           2 * time.Minute,
		"99999999999999999999":          time.Minute,
		"2000000000":                    maxPatience,
		"Sun, 01 Mar 2026 12:05:00 GMT": 5 * time.Minute,
		"Sun, 01 Mar 2020 12:05:00 GMT": time.Second,
	} {
		if got := pause(header, start); got != want {
			t.Errorf("Retry-After %q: got %v, want %v", header, got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "::ffff:192.0.2.1": true, "64:ff9b::c000:201": true,
		"127.0.0.1": false, "127.8.9.1": false, "::1": false, "10.0.0.1": false, "172.31.0.1": false, "192.168.1.1": false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false,
		"224.0.0.1": false, "240.0.0.1": false, "198.18.0.1": false, "192.0.0.8": false,
		"::": false, "fe80::1": false, "fd00::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false,
		"2002:7f00:1::": false, "2002:a00:1::": false, "2002:c000:201::": true,
	} {
		if got := public(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: got %v, want %v", a, got, want)
		}
	}
}
