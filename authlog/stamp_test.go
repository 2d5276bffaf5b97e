package authlog

import (
	"testing"
	"time"
)

var stampCases = []struct {
	text, want, rest string // want "" is received; rest is what is left
}{
	{"Jan 15 20:54:01 host", "2026-01-15T20:54:01Z", " host"},
	{"Jan  5 20:54:01 host", "2026-01-05T20:54:01Z", " host"},
	{"Jan 5 20:54:01 host", "2026-01-05T20:54:01Z", " host"},
	{"Dec 31 23:59:59 host", "2025-12-31T23:59:59Z", " host"},
	{"Jan 16 10:00:00 host", "2026-01-16T10:00:00Z", " host"},
	{"Jan 17 10:00:00 host", "2025-01-17T10:00:00Z", " host"},
	{"Feb 29 10:00:00 host", "2024-02-29T10:00:00Z", " host"},
	{"Feb 30 10:00:00 host", "", " host"},
	{"2026-01-15T20:54:01+01:00 x", "2026-01-15T19:54:01Z", " x"},
	{"2026-01-15T20:54:01.023984-0130 x", "2026-01-15T22:24:01.023984Z", " x"},
	{"2026-01-15T20:54:01Z x", "2026-01-15T20:54:01Z", " x"},
	{"2026-01-15 20:54:02,399 nas05", "2026-01-15T20:54:02.399Z", " nas05"},
	{"2026-01-15 20:54:02.5 +00:00 [WRN]", "2026-01-15T20:54:02.5Z", " [WRN]"},
	{"2026/01/15 20:54:02 [error]", "2026-01-15T20:54:02Z", " [error]"},
	{"1768510442.03 x", "2026-01-15T20:54:02.03Z", " x"},
	{"1768510442 x", "2026-01-15T20:54:02Z", " x"},
	{"1768510442030 x", "2026-01-15T20:54:02.03Z", " x"},
	{"[15/Jan/2026:20:54:03 +0100] x", "2026-01-15T19:54:03Z", " x"},
	{"Thu Jan 15 20:54:02 2026 [pid", "2026-01-15T20:54:02Z", " [pid"},
	{"[Thu Jan 15 20:54:02.000001 2026] [x", "2026-01-15T20:54:02.000001Z", " [x"},
	{"[2026/01/15 20:54:02.023984,  3] x", "2026-01-15T20:54:02.023984Z", " x"},
	{"Thu, 15 Jan 2026 20:54:02.5 UTC", "2026-01-15T20:54:02.5Z", ""},
	{"1970-01-01T00:00:00Z x", "", " x"},
	{"2100-01-01T00:00:00Z x", "", " x"},
	{"2026-13-01T00:00:00Z x", "", " x"},
	{"0000000000 x", "", " x"},
}

func TestParseStamp(t *testing.T) {
	received := time.Date(2026, 1, 15, 21, 0, 0, 0, time.UTC)
	for _, c := range stampCases {
		want := received
		if c.want != "" {
			var err error
			if want, err = time.Parse(time.RFC3339Nano, c.want); err != nil {
				t.Fatal(err)
			}
		}
		got, rest, ok := ParseStamp([]byte(c.text), time.UTC, received)
		if !ok || !got.Equal(want) || string(rest) != c.rest {
			t.Errorf("%q: got %v, rest %q, %v; want %v, rest %q", c.text, got, rest, ok, want, c.rest)
		}
	}
	for _, text := range []string{"", "x", "Jan 15", "Jan 15 25:00:00 x", "Jänner 15 20:54:01", "123 x", "2026-01-15", "[", "[["} {
		if at, _, ok := ParseStamp([]byte(text), nil, received); ok {
			t.Errorf("%q: got %v, want no stamp", text, at)
		}
	}
}

// A stamp without a zone is in that of the device, and one without a year in
// the year next to its receipt.
func TestStampInZone(t *testing.T) {
	zone := time.FixedZone("x", 2*3600)
	for _, c := range []struct{ text, received, want string }{
		{"Jan  1 00:30:00 h", "2025-12-31T22:31:00Z", "2025-12-31T22:30:00Z"},
		{"Dec 31 23:59:00 h", "2026-01-01T00:01:00Z", "2025-12-31T21:59:00Z"},
		{"Jan  1 00:01:00 h", "2025-12-31T21:59:00Z", "2025-12-31T22:01:00Z"},
	} {
		received, err := time.Parse(time.RFC3339, c.received)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _ := ParseStamp([]byte(c.text), zone, received)
		if s := got.UTC().Format(time.RFC3339); s != c.want {
			t.Errorf("%q received %s: got %s, want %s", c.text, c.received, s, c.want)
		}
	}
}

// The memory of the last stamp must not outlive what it depends on.
func TestStampIsNotRemembered(t *testing.T) {
	p := Default().Parser(nil)
	const line = "Jan 15 20:54:01 h sshd[1]: Failed password for root from 203.0.113.7 port 1 ssh2"
	for _, year := range []int{2025, 2026, 2025} {
		a, n := p.Parse([]byte(line), time.Date(year, 1, 15, 21, 0, 0, 0, time.UTC))
		if n != 1 || a.At.Year() != year {
			t.Errorf("received %d: got %d × at %v", year, n, a.At)
		}
	}
	// 1 is a start of 10: the digits after the remembered stamp count.
	p = Default().Parser(nil)
	for _, s := range []string{"2026-01-15T20:54:01", "2026-01-15T20:54:01.5", "2026-01-15T20:54:01+02:00"} {
		at, _, _ := ParseStamp([]byte(s+" h"), nil, fuzzReceived)
		a, _ := p.Parse([]byte(s+" h sshd[1]: Failed password for root from 203.0.113.7 port 1 ssh2"), fuzzReceived)
		if !a.At.Equal(at) {
			t.Errorf("%s: got %v, want %v", s, a.At, at)
		}
	}
}

// What a parser remembers of the lines before must not change what it reads:
// it must agree with one that remembers nothing.
func TestMemoryAgreesWithNone(t *testing.T) {
	zone := time.FixedZone("x", -5*3600)
	old := Default().Parser(zone)
	forms := []string{
		"Jan _2 15:04:05", "2006-01-02T15:04:05.000000-07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05,000",
		"2006-01-02T15:04:05.000000Z", "Jan _2 15:04:05",
	}
	received := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for i := range 4_000 {
		// Steps of all sizes, so that hours, days, years and the limits of what
		// is believed are crossed by stamp and receipt alike.
		received = received.Add(time.Duration(i%7*i%13) * 11 * time.Minute)
		at := received.Add(time.Duration(i*i%401-200) * 17 * time.Minute).Add(time.Duration(i) * time.Second)
		line := []byte(at.In(zone).Format(forms[i/5%len(forms)]) + " host sshd[7]: Failed password for root from 203.0.113.7 port 1 ssh2")
		a, n := old.Parse(line, received)
		want, m := Default().Parser(zone).Parse(line, received)
		if n != m || !a.At.Equal(want.At) {
			t.Fatalf("%s received %v: got %d × at %v, want %d × at %v", line, received, n, a.At, m, want.At)
		}
	}
}
