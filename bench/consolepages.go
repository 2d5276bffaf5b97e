package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// pageRounds is how often each question is asked.
const pageRounds = 30

// mostPage is how long a page's answer may take, of twenty the slowest but one.
const mostPage = 300 * time.Millisecond

// A question is what pages ask, in one of its forms each time.
type question struct {
	name  string
	paths []string
}

// consoleTables are those that a page shows, with a column to sort by, a text that
// some rows have, and a filter.
var consoleTables = []struct{ name, sort, text, filter string }{
	{"rules", "until", "198.18.12", "action=block&origin=operator"},
	{"devices", "name", "nas-012", "owner=owner-123"},
	{"campaigns", "attempts", "ssh", "status=open"},
	{"sources", "attempts", "198.19.7", ""},
	{"controllers", "score", "198.51", "class=other"},
	{"compromise", "state", "nas-01", "state=confirmed"},
	{"cases", "id", "case", "state=draft"},
	{"notices", "to", "owner", ""},
	{"users", "name", "a", ""},
	{"log", "at", "block", ""},
	{"accesses", "name", "bench", ""},
}

// pages asks what each page of the console asks.
func (h *consoleHub) pages(ctx context.Context, s *section) error {
	questions, err := h.questions(ctx)
	if err != nil {
		return err
	}
	var failed []error
	var slowest latencies
	detail := "## Pages of the console\n\n" +
		fmt.Sprintf("Answers of the API over TLS to one reader, until the last byte; %d rounds each, the forms of a question in turn. ", pageRounds) +
		h.holds(ctx) + "\n\n| question | p50 | p95 | slowest | bytes |\n|---|---|---|---|---|\n"
	for _, q := range questions {
		took, size, err := h.timed(ctx, q)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		slowest = append(slowest, took.at(0.95))
		detail += fmt.Sprintf("| %s | %s | %s | %s | %d |\n", q.name, ms(took.at(0.5)), ms(took.at(0.95)), ms(slices.Max(took)), size)
	}
	s.detail += detail
	if len(slowest) > 0 {
		worst := slices.Max(slowest)
		s.rows = append(s.rows, row{
			figure:   fmt.Sprintf("console: %d questions of its pages at a hub with 100,000 rules, 10,000 devices, 1 M sightings, p95 of the slowest", len(slowest)),
			must:     "≤ 300 ms",
			measured: fmt.Sprintf("%s (median of all p95s %s)", ms(worst), ms(slowest.at(0.5))), verdict: judge(worst <= mostPage && len(failed) == 0),
		})
	}
	export, size, err := h.timed(ctx, question{"rules as CSV", []string{"/v1/tables/rules?format=csv"}})
	if err == nil {
		s.rows = append(s.rows, row{figure: "… all rules as CSV", measured: fmt.Sprintf("%s, %d bytes", ms(export.at(0.5)), size)})
	}
	return errors.Join(append(failed, err)...)
}

// holds says what is in the database, by the hub's own count.
func (h *consoleHub) holds(ctx context.Context) string {
	text := "The hub's own counts:"
	for _, name := range []string{"rules", "devices", "sources", "campaigns"} {
		var t struct{ All int }
		if err := h.read(ctx, "/v1/tables/"+name+"?size=1", &t); err != nil {
			return err.Error()
		}
		text += fmt.Sprintf(" %d %s,", t.All, name)
	}
	return text + fmt.Sprintf(" of %d sightings.", seededSightings)
}

// questions are those of all pages.
func (h *consoleHub) questions(ctx context.Context) (list []question, err error) {
	one := func(name string, paths ...string) { list = append(list, question{name, paths}) }
	one("overview", "/v1/overview?span=1h", "/v1/overview?span=6h", "/v1/overview?span=24h", "/v1/overview?span=7d")
	for _, t := range consoleTables {
		path := "/v1/tables/" + t.name
		var page struct{ All int }
		if err := h.read(ctx, path+"?size=1", &page); err != nil {
			one(t.name, path) // which says again what is wrong
			continue
		}
		one(t.name, path, path+"?size=100")
		one(t.name+", sorted", path+"?sort="+t.sort, path+"?desc=1&sort="+t.sort)
		one(t.name+", searched", path+"?q="+url.QueryEscape(t.text), path+"?q=zzz")
		if t.filter != "" {
			one(t.name+", filtered", path+"?"+t.filter)
		}
		if deep := page.All / 50; deep > 2 {
			one(t.name+", far down", path+"?page="+strconv.Itoa(deep), path+"?desc=1&sort="+t.sort+"&page="+strconv.Itoa(deep/2))
		}
	}
	one("about an address", "/v1/about?address=198.19.0.1", "/v1/about?address=198.18.0.8", "/v1/about?address=203.0.113.7",
		"/v1/about?address=198.51.100.250", "/v1/about?address=2001:db8::1", "/v1/about?address=192.0.2.250")
	one("one device", "/v1/devices/"+string(seededDevice(61)), "/v1/devices/"+string(seededDevice(122)))
	one("policy", "/v1/policy")
	one("notifications", "/v1/notifications")
	id, err := h.largest(ctx)
	if err != nil {
		return nil, err
	}
	one("largest campaign", "/v1/campaigns/"+id+"?brief=1")
	one("… its graph", "/v1/campaigns/"+id+"/graph?most=300", "/v1/campaigns/"+id+"/graph?most=100")
	one("… its timeline", "/v1/campaigns/"+id+"/timeline")
	one("… its networks", "/v1/campaigns/"+id+"/networks")
	one("… its sources", "/v1/tables/members?campaign="+id, "/v1/tables/members?sort=attempts&desc=1&campaign="+id)
	one("… its targets", "/v1/tables/targets?campaign="+id)
	return list, nil
}

// largest names the campaign with the most attempts.
func (h *consoleHub) largest(ctx context.Context) (string, error) {
	var t struct{ Rows []struct{ ID string } }
	if err := h.read(ctx, "/v1/tables/campaigns?sort=attempts&desc=1&size=1", &t); err != nil {
		return "", err
	}
	if len(t.Rows) == 0 {
		return "", errors.New("the hub sees no campaign")
	}
	return t.Rows[0].ID, nil
}

// timed asks one question again and again, and says how long the answers took and
// how large the last was.
func (h *consoleHub) timed(ctx context.Context, q question) (took latencies, size int64, err error) {
	for i := range pageRounds {
		start := time.Now()
		resp, err := h.ask(ctx, q.paths[i%len(q.paths)])
		if err != nil {
			return nil, 0, err
		}
		size, err = io.Copy(io.Discard, resp.Body)
		took = append(took, time.Since(start))
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return nil, 0, err
		}
	}
	return took, size, nil
}
