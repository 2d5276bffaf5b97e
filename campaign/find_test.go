package campaign_test

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/campaign"
)

const day = 24 * time.Hour

// known is how many names of a dictionary are all known to everybody, and
// therefore told in clear by every device.
const known = 72

// lowAndSlow is 500 sources that try eight devices or more once each, in the
// order of a dictionary that 2,000 unrelated scanners use too.
func lowAndSlow(seed uint64, by order, names int) *world {
	w := newWorld(seed, 1000)
	dict := dictionary(seed, names)
	w.people(20_000, start, 7*day)
	w.scanners(2000, dict, by, start, 7*day)
	w.campaign("slow", 500, dict, chunk, w.all(), start.Add(2*day), 3*day)
	return w
}

func TestLowAndSlow(t *testing.T) {
	w := lowAndSlow(1, shuffled, known)
	tr, _ := w.play(campaign.Default())
	q := w.judge(tr)
	t.Log(q)
	if q.Recall < 0.9 || q.Precision < 0.95 || q.Merged+q.Split > 0 {
		t.Errorf("got %v", q)
	}
}

// two is two campaigns at the same time with lists of their own, at the same
// devices.
func two(seed uint64) *world {
	w := newWorld(seed, 500)
	w.people(10_000, start, 5*day)
	w.scanners(800, dictionary(seed, 100), shuffled, start, 5*day)
	w.campaign("red", 200, dictionary(seed+100, 60), chunk, w.all(), start.Add(2*day), day)
	w.campaign("blue", 150, dictionary(seed+200, 60), chunk, w.all(), start.Add(2*day), day)
	return w
}

func TestTwoCampaigns(t *testing.T) {
	w := two(1)
	tr, _ := w.play(campaign.Default())
	q := w.judge(tr)
	t.Log(q)
	if q.Purity < 0.95 || q.Merged > 0 || q.Found < 2 {
		t.Errorf("got %v", q)
	}
}

// TestPartsAgreeWithTheWhole asks for campaigns in short, for one alone, and for why
// some belong to it: that is what all of them say.
func TestPartsAgreeWithTheWhole(t *testing.T) {
	w := two(1)
	tr, _ := w.play(campaign.Default())
	at := start.Add(5 * day)
	all, short, of := tr.Campaigns(at), tr.Summaries(at), tr.Memberships()
	if len(all) < 2 || len(short) != len(all) {
		t.Fatalf("%d campaigns, %d in short", len(all), len(short))
	}
	members := 0
	for i, c := range all {
		s := short[i]
		if s.Members != len(c.Sources) || s.Devices != len(c.Targets) {
			t.Errorf("%s: %d sources and %d devices, in short %d and %d", c.ID, len(c.Sources), len(c.Targets), s.Members, s.Devices)
		}
		lists := c
		lists.Sources, lists.Targets, lists.Accounts, lists.Timeline = nil, nil, nil, nil
		if !reflect.DeepEqual(s.Campaign, lists) {
			t.Errorf("got %+v in short, want %+v", s.Campaign, lists)
		}
		one, ok := tr.Outline(c.ID, at)
		sources := make([]netip.Prefix, len(one.Sources))
		for k, m := range one.Sources {
			sources[k] = m.Source
			if tr.Belongs(m.Source)[0] != of[m.Source] || !slices.Contains(tr.Belongs(m.Source), c.ID) {
				t.Errorf("%v belongs to %v, the newest is %s; it is a member of %s", m.Source, tr.Belongs(m.Source), of[m.Source], c.ID)
			}
		}
		for k, why := range tr.Why(c.ID, sources) {
			one.Sources[k].Reasons = why
		}
		if !ok || !reflect.DeepEqual(one, c) {
			t.Errorf("%s alone, with its reasons, is not that of the list", c.ID)
		}
		members += len(sources)
	}
	if members < 300 {
		t.Errorf("%d members in all", members)
	}
	stranger := netip.MustParsePrefix("192.0.2.1/32")
	if tr.Why(all[0].ID, []netip.Prefix{stranger})[0] != nil || tr.Belongs(stranger) != nil {
		t.Error("a stranger belongs to a campaign")
	}
}

// BenchmarkPlanted prints how well planted campaigns are found, for ten seeds
// each: docs/campaigns.md quotes it.
func BenchmarkPlanted(b *testing.B) {
	for _, one := range []struct {
		name string
		make func(seed uint64) *world
	}{
		{"low and slow, scanners shuffled", func(s uint64) *world { return lowAndSlow(s, shuffled, known) }},
		{"low and slow, three names in ten private", func(s uint64) *world { return lowAndSlow(s, shuffled, 100) }},
		{"low and slow, scanners by popularity", func(s uint64) *world { return lowAndSlow(s, popular, known) }},
		{"low and slow, scanners from the top", func(s uint64) *world { return lowAndSlow(s, fromTop, known) }},
		{"low and slow, scanners in the same order", func(s uint64) *world { return lowAndSlow(s, chunk, known) }},
		{"loud", loud},
		{"two at a time", two},
	} {
		b.Run(one.name, func(b *testing.B) {
			for b.Loop() {
				var sum quality
				const seeds = 10
				for seed := range uint64(seeds) {
					w := one.make(seed)
					tr, _ := w.play(campaign.Default())
					q := w.judge(tr)
					sum.Purity += q.Purity / seeds
					sum.Inverse += q.Inverse / seeds
					sum.Rand += q.Rand / seeds
					sum.Recall += q.Recall / seeds
					sum.Precision += q.Precision / seeds
					sum.Split += q.Split
					sum.Merged += q.Merged
					sum.Late += q.Late / seeds
				}
				b.ReportMetric(sum.Purity, "purity")
				b.ReportMetric(sum.Inverse, "inverse-purity")
				b.ReportMetric(sum.Rand, "adjusted-Rand")
				b.ReportMetric(sum.Recall, "recall")
				b.ReportMetric(sum.Precision, "precision")
				b.ReportMetric(float64(sum.Split), "split")
				b.ReportMetric(float64(sum.Merged), "merged")
				b.ReportMetric(sum.Late.Hours(), "hours-to-record")
			}
		})
	}
}
