package campaign_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/campaign"
)

// loud is a fleet with one campaign of 60 sources within half a day.
func loud(seed uint64) *world {
	w := newWorld(seed, 300)
	dict := dictionary(seed, 100)
	w.people(6000, start, 5*day)
	w.scanners(400, dict, shuffled, start, 5*day)
	w.campaign("loud", 60, dict, chunkOf(20), w.all(), start.Add(3*day), day/2)
	return w
}

// chunkOf runs through a part of the first k names.
func chunkOf(k int) order {
	return func(r *rand.Rand, dict []string, n int) []string { return chunk(r, dict[:k], n) }
}

// the returns the campaign that has most sources.
func the(t *testing.T, tr *campaign.Tracker, at time.Time) tocsin.Campaign {
	t.Helper()
	list := tr.Campaigns(at)
	if len(list) == 0 {
		t.Fatal("no campaign")
	}
	c := slices.MaxFunc(list, func(a, b tocsin.Campaign) int { return len(a.Sources) - len(b.Sources) })
	if len(c.Sources) < 3 {
		t.Fatalf("nobody is attributed: %+v", c)
	}
	return c
}

func TestARecordExplainsItself(t *testing.T) {
	w := loud(1)
	tr, events := w.play(campaign.Default())
	q := w.judge(tr)
	t.Log(q)
	c := the(t, tr, w.end())
	if c.Status != tocsin.Open || len(c.Sources) < 50 || c.Confidence < 0.9 || len(c.Targets) < 100 || !slices.Equal(c.Services, []tocsin.Service{"ssh"}) {
		t.Errorf("got %v, %d sources, %d targets, %v, confidence %v", c.Status, len(c.Sources), len(c.Targets), c.Services, c.Confidence)
	}
	if c.Attempts < 400 || c.Size.Low > c.Size.Value || c.Size.High < c.Size.Value || c.Size.Value < float64(len(c.Sources)) {
		t.Errorf("attempts %d, size %+v", c.Attempts, c.Size)
	}
	if len(c.Accounts) == 0 || !slices.ContainsFunc(c.Accounts, func(a tocsin.AccountTag) bool { return a[0] != '#' }) {
		t.Errorf("accounts: %v", c.Accounts)
	}
	for _, m := range c.Sources {
		if len(m.Reasons) < 2 || m.Confidence < 0.9 || m.Attempts < 2 || m.Devices < 2 {
			t.Errorf("got %+v", m)
		}
		if id, ok := tr.Of(m.Source); !ok || id != c.ID {
			t.Errorf("%v is of %v %v", m.Source, id, ok)
		}
	}
	if len(c.Timeline) < 2 || !c.Opened.After(c.First) || c.First.Before(start) {
		t.Errorf("opened %v, first %v, timeline %v", c.Opened, c.First, c.Timeline)
	}
	if again, ok := tr.Campaign(c.ID, w.end()); !ok || cmp.Diff(c, again, cmpopts.EquateComparable(netip.Prefix{})) != "" {
		t.Error("asked by its id it is another one")
	}
	if !slices.ContainsFunc(events, func(e campaign.Event) bool { return e.Kind == campaign.Opened }) {
		t.Errorf("nobody was told: %v", events)
	}
	if _, ok := tr.Campaign("c0", w.end()); ok {
		t.Error("there is a campaign that never was")
	}
}

func TestTheSameLogGivesTheSameCampaigns(t *testing.T) {
	w := loud(3)
	one, events := w.play(campaign.Default())
	again, events2 := w.play(campaign.Default())
	if diff := cmp.Diff(one.Campaigns(w.end()), again.Campaigns(w.end()), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(events, events2); diff != "" {
		t.Error(diff)
	}
	p := campaign.Default()
	p.Seed.K0 = 1
	other, _ := w.play(p)
	if the(t, one, w.end()).ID == the(t, other, w.end()).ID {
		t.Error("another seed gives the same names")
	}
}

// drops adds a sighting that tells of dropped packets only.
func drops(p netip.Prefix, i int, at time.Time) tocsin.Received {
	return tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: device(i)}, Source: p, First: at, Last: at, Dropped: 3, Provenance: tocsin.Attested,
		},
		At: at, Channel: tocsin.Enrolled, Owner: "owner-0",
	}
}

func TestABlockedCampaignHasNotEnded(t *testing.T) {
	w := loud(1)
	tr, _ := w.play(campaign.Default())
	c := the(t, tr, w.end())
	at := w.end()
	for range 10 * 24 {
		at = at.Add(time.Hour)
		tr.Observe(drops(c.Sources[0].Source, 1, at))
	}
	held, _ := tr.Campaign(c.ID, at)
	if held.Status != tocsin.Held || held.Dropped < 700 || held.Last.Before(at.Add(-time.Hour)) {
		t.Errorf("got %v, %d dropped, last %v", held.Status, held.Dropped, held.Last)
	}
	if _, ok := tr.Of(c.Sources[0].Source); !ok {
		t.Error("its sources are forgotten")
	}
	quiet, _ := tr.Campaign(c.ID, at.Add(4*day))
	if quiet.Status != tocsin.Ended || quiet.Ended.IsZero() {
		t.Errorf("after four silent days: %v", quiet.Status)
	}
	tr.Observe(drops(netip.MustParsePrefix("203.0.113.250/32"), 1, at.Add(4*day)))
	ended, _ := tr.Campaign(c.ID, at.Add(4*day))
	if _, ok := tr.Of(c.Sources[0].Source); ended.Status != tocsin.Ended || ok {
		t.Errorf("after four silent days: %v, and its sources still are", ended.Status)
	}
	tr.Observe(drops(c.Sources[0].Source, 1, at.Add(5*day)))
	if back, _ := tr.Campaign(c.ID, at.Add(5*day)); back.Status == tocsin.Ended {
		t.Errorf("it is back, and %v", back.Status)
	}
}

// TestSourcesThatTryOnce are noticed together and blamed alone for nothing.
func TestSourcesThatTryOnce(t *testing.T) {
	w := newWorld(4, 300)
	w.people(4000, start, 3*day)
	for i := range 400 {
		w.try(start.Add(2*day+time.Duration(i)*time.Minute), w.source("once"), w.rand.IntN(w.devices), "admin", tocsin.Failure)
	}
	tr, events := w.play(campaign.Default())
	if len(events) == 0 || events[0].Kind != campaign.Opened {
		t.Fatalf("not noticed: %v", events)
	}
	c, ok := tr.Campaign(events[0].Campaign, w.end())
	if !ok || len(c.Sources) != 0 || c.Confidence != 0 || c.Status != tocsin.Open || c.Size.Value < 300 {
		t.Errorf("got %+v", c)
	}
	list := tr.Unattributed(c.ID)
	if len(list) < 390 {
		t.Errorf("%d unattributed, want 400", len(list))
	}
	for _, m := range list {
		if _, ok := tr.Of(m.Source); ok || m.Attempts != 1 || len(m.Reasons) != 1 || !strings.Contains(string(m.Reasons[0]), "one attempt") {
			t.Errorf("got %+v", m)
		}
		if beside, why := tr.Beside(m.Source, 10); !slices.Contains(beside, c.ID) || !slices.Equal(why, m.Reasons) {
			t.Errorf("%v is beside %v, because %v", m.Source, beside, why)
		}
	}
	if beside, _ := tr.Beside(netip.MustParsePrefix("192.0.2.1/32"), 10); len(beside) > 0 {
		t.Errorf("who tried nothing is beside %v", beside)
	}
}

// TestPeopleAreNoCampaign has an owner's people fail with an old password, from
// several places, every few minutes, at the same devices.
func TestPeopleAreNoCampaign(t *testing.T) {
	w := loud(5)
	w.pool = true
	var family []netip.Prefix
	for range 12 {
		family = append(family, w.source(""))
	}
	for i := range 300 {
		for _, s := range family {
			w.try(start.Add(3*day+time.Duration(i)*5*time.Minute), s, 7, "grace", tocsin.Failure)
		}
	}
	tr, _ := w.play(campaign.Default())
	for _, s := range family {
		if id, ok := tr.Of(s); ok {
			t.Errorf("%v is of %v", s, id)
		}
	}
}

func TestWhoGetsInIsNoMember(t *testing.T) {
	w := newWorld(6, 300)
	dict := dictionary(6, 100)
	w.people(6000, start, 5*day)
	w.scanners(400, dict, shuffled, start, 5*day)
	w.campaign("loud", 60, dict, chunkOf(20), w.all(), start.Add(3*day), day/2)
	var people []netip.Prefix // who mistype their own account now and then, and get in
	for i := range 20 {
		s := w.source("")
		people = append(people, s)
		for k := range 8 {
			at := start.Add(3*day + time.Duration(i)*time.Minute + time.Duration(k)*time.Hour)
			w.try(at, s, i, fmt.Sprint("admin", i), tocsin.Failure)
			w.try(at.Add(time.Minute), s, i, fmt.Sprint("admin", i), tocsin.Success)
		}
	}
	tr, _ := w.play(campaign.Default())
	for _, s := range people {
		if _, ok := tr.Of(s); ok {
			t.Errorf("%v is a member", s)
		}
		for _, c := range tr.Campaigns(w.end()) {
			if slices.ContainsFunc(tr.Unattributed(c.ID), func(m tocsin.Member) bool { return m.Source == s }) {
				t.Errorf("%v is listed as unattributed", s)
			}
		}
	}
}

func TestForgive(t *testing.T) {
	w := loud(1)
	tr, _ := w.play(campaign.Default())
	c := the(t, tr, w.end())
	tr.Forgive(c.Sources[0].Source, w.end())
	if _, ok := tr.Of(c.Sources[0].Source); ok {
		t.Error("who is welcome is still a member")
	}
	wide, err := c.Sources[1].Source.Addr().Prefix(24)
	if err != nil {
		t.Fatal(err)
	}
	tr.Forgive(wide, w.end())
	if _, ok := tr.Of(c.Sources[1].Source); ok {
		t.Error("who is welcome with the network is still a member")
	}
	after, _ := tr.Campaign(c.ID, w.end())
	if len(after.Sources) >= len(c.Sources)-1 {
		t.Errorf("%d sources, %d before", len(after.Sources), len(c.Sources))
	}
}
