package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// TestJSONSink compares what is written by hand with what the standard library
// reads.
func TestJSONSink(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := &jsonSink{w: &out}
	type row struct {
		Line    int
		Time    time.Time
		Outcome string
		Account string
		Source  netip.Addr
	}
	var want []row
	at := time.Date(1969, 12, 31, 23, 58, 0, 0, time.UTC)
	for i, account := range []string{"", "root", `a"b\c`, "tab\there", "\x7f", "ünïcode", "\u2028", "x"} {
		for step := range 400 {
			zone := []*time.Location{time.UTC, berlin}[step/7%2]
			outcome := tocsin.Failure + tocsin.Outcome(step/5%3)
			r := row{i*1000 + step, at.Add(time.Duration(step*17+i*86400*2000) * time.Second).In(zone), outcome.String(), account, netip.MustParseAddr("2001:db8::7")}
			n := 1 + step%3
			want = append(want, slices.Repeat([]row{r}, n)...)
			a := tocsin.Attempt{At: r.Time, Service: "ssh", Outcome: outcome, Account: account, Source: netip.AddrPortFrom(r.Source, 22)}
			if err := s.attempt(r.Line, a, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	for _, w := range want {
		var got row
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if got.Line != w.Line || !got.Time.Equal(w.Time) || got.Time.Format(time.RFC3339) != w.Time.Format(time.RFC3339) || got.Outcome != w.Outcome || got.Account != w.Account || got.Source != w.Source {
			t.Fatalf("got %+v, want %+v", got, w)
		}
	}
}
