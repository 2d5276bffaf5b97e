package console_test

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/takedown"
)

// TestWhatHappensIsOnThePage is the way of an attack through the pages: overview,
// tables, all about an address; and after a restart they say the same.
func TestWhatHappensIsOnThePage(t *testing.T) {
	w := newWorld(t)
	one, two := w.enrol("ada", "nas"), w.enrol("ada", "box")
	w.eventually("both are connected", func() bool { return rows[console.Device](w, "devices?state=connected").Total == 2 })
	one.saw("198.51.100.7/32", 9)
	one.saw("198.51.100.8/32", 4, func(s *tocsin.Sighting) { s.Service, s.Dropped = "ftp", 17 })
	var o api.Overview
	w.eventually("it was reacted to", func() bool { w.get("/v1/overview", &o); return o.Reaction.N == 2 })
	if o.Reaction.Last == nil || *o.Reaction.Last < 1 || *o.Reaction.Last > 60 || o.Reaction.SpreadP95 == nil || *o.Reaction.SpreadP95 > *o.Reaction.Last {
		t.Errorf("reaction: %+v", o.Reaction)
	}
	check := func(when string) {
		t.Helper()
		// What is dear to find out may be a second old.
		w.eventually("the pages agree", func() bool {
			w.get("/v1/overview?span=6h", &o)
			return o.Now.Blocks == 2 && o.Now.Attempts == 13 && rows[console.Rule](w, "rules?action=block").Total == 2 &&
				rows[console.Source](w, "sources?blocked=1").Total == 2
		})
		if o.Now.Attempts != 13 || o.Now.Sources != 2 || o.Now.Blocks != 2 || o.Now.Devices != 2 || o.Reaction.N != 2 {
			t.Errorf("%s: %+v, %+v", when, o.Now, o.Reaction)
		}
		var attempts, blocks uint64
		for i := range o.Series.At {
			attempts += o.Series.Attempts[i]
			blocks += uint64(o.Series.Blocks[i])
		}
		if attempts != 13 || blocks != 2 {
			t.Errorf("%s: %d attempts, %d blocks over time", when, attempts, blocks)
		}
		rules := rows[console.Rule](w, "rules?action=block&owner=ada&sort=hits&desc=1")
		if rules.Total != 2 || rules.Rows[0].Prefix.String() != "198.51.100.8/32" || rules.Rows[0].Hits != 17 || rules.Rows[0].LastHit == nil || rules.Rows[0].Reason == "" {
			t.Errorf("%s: rules %+v", when, rules)
		}
		sources := rows[console.Source](w, "sources?q=198.51.100")
		if sources.Total != 2 || sources.Rows[0].Attempts != 9 || !sources.Rows[0].Blocked || sources.Rows[0].Devices != 1 {
			t.Errorf("%s: sources %+v", when, sources)
		}
		var about api.About
		w.get("/v1/about?address=198.51.100.8", &about)
		if !about.Blocked || about.Until == nil || about.Seen == nil || about.Seen.Attempts != 4 || about.Seen.Dropped != 17 || len(about.Events) != 1 ||
			len(about.Explanations) != 2 || about.LastHit == nil {
			t.Errorf("%s: about %+v", when, about)
		}
		w.get("/v1/about?address=2001:db8::1", &about)
		if about.Blocked || about.Seen != nil || about.Prefix.String() != "2001:db8::/64" {
			t.Errorf("%s: about who was never seen: %+v", when, about)
		}
	}
	check("at once")
	services := rows[console.Device](w, "devices?q=nas%20attic&owner=ada&model=TS-999")
	if services.Total != 1 || len(services.Rows[0].Services) != 2 {
		t.Errorf("devices: %+v", services)
	}
	w.halt()
	w.start()
	w.eventually("both are back", func() bool { return rows[console.Device](w, "devices?state=connected").Total == 2 })
	check("after a restart")
	if err := second(w.admin.RevokeDevice(t.Context(), two.id)); err != nil {
		t.Error(err)
	}
	w.eventually("one is revoked", func() bool { return rows[console.Device](w, "devices?state=revoked").Total == 1 })
}

func second[T any](_ T, err error) error { return err }

// TestEveryTable asks each for a page sorted by each of its columns, and for its file.
func TestEveryTable(t *testing.T) {
	w := newWorld(t)
	d := w.enrol("ada", "=cmd|' /C calc'!A0")
	d.saw("198.51.100.7/32", 9)
	_, err := w.admin.NewPasses(t.Context(), "ada")
	w.must(err)
	_, err = w.admin.NewAccess(t.Context(), api.AccessWish{Name: "grafana", Role: "viewer"})
	w.must(err)
	_, err = w.admin.OpenCase(t.Context(), api.CaseWish{Kind: takedown.Controller, Source: netip.MustParsePrefix("198.51.100.7/32"), Port: 443, Why: "seen"})
	w.must(err)
	w.eventually("a rule is in force", func() bool { return rows[console.Rule](w, "rules").Total == 1 })
	w.eventually("it was judged", func() bool { return rows[api.Assessed](w, "compromise").Total == 1 })
	for name, least := range map[string]int{
		"rules": 1, "devices": 1, "sources": 1, "campaigns": 0, "controllers": 0, "compromise": 1, "cases": 1, "notices": 1, "passes": 10, "accesses": 1,
	} {
		list, err := csv.NewReader(strings.NewReader(string(w.read("/v1/tables/" + name + "?format=csv")))).ReadAll()
		w.must(err)
		if len(list) < least+1 {
			t.Errorf("%s: %d lines", name, len(list)-1)
		}
		for _, column := range list[0] {
			if p := rows[map[string]any](w, name+"?desc=1&sort="+column); p.Total < least {
				t.Errorf("%s by %s: %d rows", name, column, p.Total)
			}
		}
		for _, line := range list[1:] {
			for _, cell := range line {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("%s: %q would be run in a spreadsheet", name, cell)
				}
			}
		}
	}
	for _, name := range []string{"members", "targets"} {
		if status, b := w.ask(http.MethodGet, "/v1/tables/"+name, "", nil); status != http.StatusBadRequest {
			t.Errorf("%s of no campaign: %d %s", name, status, b)
		}
		if status, b := w.ask(http.MethodGet, "/v1/tables/"+name+"?campaign=none", "", nil); status != http.StatusNotFound {
			t.Errorf("%s of none: %d %s", name, status, b)
		}
	}
	if p := rows[console.Pass](w, "passes?owner=nobody"); p.Total != 0 {
		t.Errorf("nobody has passes: %+v", p)
	}
}

// TestConsolesHearAtOnce: what happens is told within a second.
func TestConsolesHearAtOnce(t *testing.T) {
	w := newWorld(t)
	d := w.enrol("ada", "nas")
	w.eventually("it is connected", func() bool { return rows[console.Device](w, "devices?state=connected").Total == 1 })
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://hub/v1/live", nil)
	w.must(err)
	resp, err := w.http.Do(req)
	w.must(err)
	defer resp.Body.Close()
	got := make(chan [2]string, 1000)
	go func() {
		defer close(got)
		kind := ""
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			if kind = strings.TrimSpace(kind); field == "event" {
				kind = value
			} else if field == "data" {
				got <- [2]string{kind, value}
			}
		}
	}()
	want := map[string]bool{"hello": true, "rule": true, "now": true, "table": true}
	told := time.Now()
	d.saw("198.51.100.7/32", 9)
	for len(want) > 0 {
		select {
		case m := <-got:
			delete(want, m[0])
			if m[0] != "rule" {
				continue
			}
			var r console.RuleNews
			w.must(json.Unmarshal([]byte(m[1]), &r))
			if r.Prefix.String() != "198.51.100.7/32" || r.Verb != "decided" || r.Action != "block" || r.Owner != "ada" {
				t.Errorf("told: %+v", r)
			}
			t.Logf("told after %v", time.Since(told))
		case <-time.After(time.Minute):
			t.Fatalf("not told: %v", want)
		}
	}
	w.halt()
	last := ""
	for m := range got {
		last = m[0]
	}
	if last != "bye" {
		t.Errorf("the last was %q", last)
	}
}

// TestAListOf100000 is imported whole while the hub works, and every page about it
// answers.
func TestAListOf100000(t *testing.T) {
	w := newWorld(t)
	d := w.enrol("ada", "nas")
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "198.%d.%d.%d\n", 18+i>>16, i>>8&255, i&255)
	}
	begun := time.Now()
	status, answer := w.ask(http.MethodPost, "/v1/lists/import?verb=block&note=feed", "text/plain", strings.NewReader(b.String()))
	var got api.ListImport
	w.must(json.Unmarshal(answer, &got))
	t.Logf("imported in %v", time.Since(begun))
	if status != http.StatusOK || got.Taken != 100_000 || got.RefusedCount != 0 {
		t.Fatalf("%d %+v", status, got)
	}
	d.saw("203.0.113.9/32", 9)
	w.eventually("another rule is in force", func() bool { return rows[console.Rule](w, "rules?q=203.0.113.9").Total == 1 })
	for _, path := range []string{
		"/v1/tables/rules", "/v1/tables/rules?sort=until&desc=1&page=900", "/v1/tables/rules?q=198.18.77", "/v1/tables/rules?sort=reason", "/v1/overview", "/v1/about?address=198.18.7.7",
		"/v1/tables/sources",
	} {
		begun := time.Now()
		w.read(path)
		t.Logf("%s: %v", path, time.Since(begun))
	}
}
