package console_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/internal/accounts"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// botnet writes a log in which 60 sources work through one list, a guess at a device,
// among 240 that have orders of their own; it ends an hour ago.
func (w *world) botnet() {
	w.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	begin := time.Now().Add(-73 * time.Hour).UTC().Truncate(time.Second)
	type try struct {
		at              time.Time
		source, account string
	}
	var list []try
	names := accounts.Public()
	for i := range 300 {
		source := fmt.Sprintf("198.18.%d.%d/32", i%256, 1+i/256)
		order := r.Perm(len(names))[:10]
		at := begin.Add(time.Duration(r.IntN(48)) * time.Hour)
		if i < 60 {
			k := r.IntN(12)
			for j := range order {
				order[j] = k + j
			}
			at = begin.Add(time.Duration(44+r.IntN(8)) * time.Hour)
		}
		for _, n := range order {
			at = at.Add(time.Duration(r.IntN(6000)) * time.Second)
			list = append(list, try{at, source, names[n]})
		}
	}
	slices.SortFunc(list, func(a, b try) int { return a.at.Compare(b.at) })
	now := begin
	db, err := sqlite.Open(w.Context(), w.folder, func() time.Time { return now })
	w.must(err)
	counters := map[tocsin.DeviceID]uint64{}
	for _, one := range list {
		now = one.at
		owner := r.IntN(100)
		id := tocsin.DeviceID(fmt.Sprintf("device-%d-%d", owner, r.IntN(3)))
		counters[id]++
		_, err := db.Append(w.Context(), []tocsin.Received{{
			Sighting: tocsin.Sighting{
				ID: tocsin.ID{Device: id, Boot: 1, Counter: counters[id]}, Source: netip.MustParsePrefix(one.source), Port: 4000, Service: "ssh",
				First: one.at.Add(-time.Second), Last: one.at, Failures: 1, Provenance: tocsin.Attested,
				Accounts: []tocsin.Tried{{Tag: tocsin.AccountTag(one.account), Failures: 1}},
			},
			From: netip.MustParseAddr("203.0.113.1"), Network: uint32(64500 + owner), Channel: tocsin.Enrolled,
			Owner: tocsin.OwnerID(fmt.Sprint("owner", owner)), Enrolled: begin.Add(-90 * 24 * time.Hour),
		}})
		w.must(err)
	}
	w.must(db.Close())
}

// TestACampaignOnThePage: a log that a hub reads at its start shows as a campaign, with
// its sources and targets, as a graph, over time and by network.
func TestACampaignOnThePage(t *testing.T) {
	w := newWorld(t, (*world).botnet)
	lines := rows[api.CampaignLine](w, "campaigns?service=ssh&sort=attempts&desc=1")
	if lines.Total == 0 || lines.Rows[0].Sources < 30 {
		t.Fatalf("campaigns: %+v", lines)
	}
	c := lines.Rows[0]
	of := "?size=500&campaign=" + string(c.ID)
	members := rows[console.Member](w, "members"+of+"&attributed=1&sort=attempts&desc=1")
	if members.Total != c.Sources || len(members.Rows[0].Reasons) == 0 {
		t.Errorf("%d members of %d, %+v", members.Total, c.Sources, members.Rows[0])
	}
	targets := rows[console.Target](w, "targets"+of)
	if targets.Total != c.Targets || targets.Rows[0].Attempts == 0 || targets.Rows[0].First == nil || targets.Rows[0].Sources == 0 {
		t.Errorf("%d targets of %d, %+v", targets.Total, c.Targets, targets.Rows[0])
	}
	one := targets.Rows[0]
	there := rows[console.Member](w, "members"+of+"&attributed=1&device="+string(one.Device))
	if there.Total != one.Sources {
		t.Errorf("%d sources at %s, counted %d", there.Total, one.Device, one.Sources)
	}
	n := uint64(0)
	for _, s := range rows[console.Source](w, "sources"+of+"&device="+string(one.Device)).Rows {
		n += s.Attempts
	}
	if n != one.Attempts {
		t.Errorf("%d attempts at %s, counted %d", n, one.Device, one.Attempts)
	}
	active := rows[api.CampaignLine](w, "campaigns?active=1").Total
	if all := rows[api.CampaignLine](w, "campaigns").Total; active+rows[api.CampaignLine](w, "campaigns?active=0").Total != all {
		t.Errorf("%d of %d campaigns go on", active, all)
	}
	base := "/v1/campaigns/" + string(c.ID)
	var g api.CampaignGraph
	for _, most := range []int{10, 50, 2000} {
		w.get(fmt.Sprintf("%s/graph?most=%d", base, most), &g)
		counts := map[string]int{}
		known := map[string]bool{}
		for _, n := range g.Nodes {
			counts[n.Kind]++
			known[n.ID] = true
		}
		if len(g.Nodes) > most || counts["source"]+g.LeftOut.Sources != c.Sources || counts["target"]+g.LeftOut.Targets != c.Targets || counts["source"] == 0 || counts["target"] == 0 {
			t.Errorf("of %d: %d nodes, %v, left out %+v", most, len(g.Nodes), counts, g.LeftOut)
		}
		for _, e := range g.Edges {
			if !known[e.From] || !known[e.To] {
				t.Errorf("an edge to nowhere: %+v", e)
			}
		}
	}
	if len(g.Edges) < c.Sources {
		t.Errorf("%d edges", len(g.Edges))
	}
	var line api.CampaignTimeline
	w.get(base+"/timeline", &line)
	sum := uint64(0)
	for _, n := range line.Attempts {
		sum += n
	}
	if sum < c.Attempts*9/10 || len(line.At) > 200 || len(line.Marks) == 0 || !slices.ContainsFunc(line.Marks, func(m api.TimelineMark) bool { return m.Kind == "opened" }) {
		t.Errorf("%d attempts of %d in %d steps, marks %+v", sum, c.Attempts, len(line.At), line.Marks)
	}
	var networks []api.CampaignNetwork
	w.get(base+"/networks", &networks)
	sum = 0
	for _, one := range networks {
		sum += uint64(one.Sources)
	}
	if sum != uint64(c.Sources) {
		t.Errorf("%d sources by network", sum)
	}
	var about api.About
	w.get("/v1/about?address="+members.Rows[0].Source.Addr().String(), &about)
	if len(about.Campaigns) == 0 || !about.Campaigns[0].Attributed || len(about.Campaigns[0].Why) == 0 || about.Seen == nil {
		t.Errorf("about a member: %+v", about)
	}
	var o api.Overview
	w.get("/v1/overview?span=7d", &o)
	if o.Campaign == nil || o.Now.CampaignsOpen > lines.Total {
		t.Errorf("overview: %+v", o.Now)
	}
	for _, path := range []string{"/graph", "/timeline", "/networks"} {
		if status, b := w.ask(http.MethodGet, "/v1/campaigns/none"+path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, status, b)
		}
	}
}
