package campaign_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
)

// quiet is a fleet with people and unrelated scanners, enough of them for an
// alarm.
func quiet(seed uint64) *world {
	w := newWorld(seed, 500)
	w.people(8000, start, 5*day)
	return w
}

// unmerged fails if sources that nothing planted were joined, but for a few.
func unmerged(t *testing.T, w *world, tr *campaign.Tracker) {
	t.Helper()
	listed := 0
	for _, c := range tr.Campaigns(w.end()) {
		listed += len(c.Sources)
		if len(c.Sources) > 0 {
			t.Logf("%d sources: %v", len(c.Sources), c.Sources[0].Reasons)
		}
	}
	if listed*100 > len(w.truth) {
		t.Errorf("%d unrelated sources joined", listed)
	}
}

func TestOnePopularTool(t *testing.T) {
	w := quiet(1)
	w.scanners(500, dictionary(1, 100), shuffled, start.Add(day), 4*day)
	w.client = func(p netip.Prefix) string {
		if p.Addr().As4()[2]%100 < 72 {
			return "libssh, curve25519"
		}
		return p.String()
	}
	tr, _ := w.play(campaign.Default())
	unmerged(t, w, tr)
}

func TestEverybodysDictionary(t *testing.T) {
	w := quiet(2)
	w.scanners(500, dictionary(2, 12), popularOfFew, start.Add(day), 4*day)
	tr, _ := w.play(campaign.Default())
	unmerged(t, w, tr)
}

// TestOneDefaultList has 300 of 800 scanners run the same tool with the list that
// it comes with, from the top.
func TestOneDefaultList(t *testing.T) {
	w := quiet(3)
	w.scanners(500, dictionary(3, 100), shuffled, start, 5*day)
	w.scanners(300, dictionary(4, 30), fromTop, start, 5*day)
	tr, _ := w.play(campaign.Default())
	unmerged(t, w, tr)
}

// TestOneHostingNetwork has all sources be neighbours, as at one provider or
// behind one carrier's translator.
func TestOneHostingNetwork(t *testing.T) {
	w := quiet(4)
	w.scanners(300, dictionary(5, 100), shuffled, start.Add(day), 4*day)
	w.pool = true
	w.scanners(240, dictionary(5, 100), popular, start.Add(day), 4*day)
	tr, _ := w.play(campaign.Default())
	unmerged(t, w, tr)
}

// TestOneBotnetTwoCampaigns has the same machines work through two lists in the
// same hours: to take that for one campaign is right, if it says so.
func TestOneBotnetTwoCampaigns(t *testing.T) {
	w := quiet(5)
	w.scanners(500, dictionary(6, 100), shuffled, start, 5*day)
	first, second := dictionary(7, 12), dictionary(8, 12)
	for range 120 {
		s := w.source("botnet")
		at := start.Add(2*day + time.Duration(w.rand.IntN(36))*time.Hour)
		for i := range 12 {
			at = at.Add(time.Duration(w.rand.IntN(600)) * time.Second)
			list := first
			if i%2 == 1 {
				list = second
			}
			w.try(at, s, w.rand.IntN(w.devices), list[i/2], tocsin.Failure)
			if i%2 == 1 {
				w.list[len(w.list)-1].Service = "ftp"
			}
		}
	}
	tr, _ := w.play(campaign.Default())
	q := w.judge(tr)
	t.Log(q)
	shared := false
	for _, c := range tr.Campaigns(w.end()) {
		shared = shared || c.Shared && len(c.Sources) > 60
	}
	if !shared || q.Recall < 0.9 {
		t.Errorf("shared machines are not labelled: %v", q)
	}
}

// TestGuardOfLargeGroups joins sources by client and network alone: that never
// makes more than fifty of them one campaign.
func TestGuardOfLargeGroups(t *testing.T) {
	p := campaign.Default()
	p.Weights[campaign.Client].Cap, p.Weights[campaign.Network].Cap = 8, 8
	w := quiet(6)
	w.scanners(600, dictionary(9, 100), shuffled, start, 5*day)
	w.pool = true
	w.scanners(200, dictionary(9, 100), shuffled, start.Add(day), 4*day)
	w.client = func(s netip.Prefix) string {
		if w.pooled[s] {
			return "rare client"
		}
		return fmt.Sprint(s)
	}
	tr, _ := w.play(p)
	for _, c := range tr.Campaigns(w.end()) {
		if len(c.Sources) > 70 {
			t.Errorf("client and network alone joined %d sources", len(c.Sources))
		}
	}
}
