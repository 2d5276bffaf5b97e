package apitest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/takedown"
)

// Evil is what an attacker writes where people read.
const Evil = "\x1b]0;owned\x07<script>alert(1)</script>\r\nBcc: eve@example.net \u202e"

// Culprit is the address that everything in [Full] is about.
var Culprit = netip.MustParsePrefix("203.0.113.7/32")

// Full returns an incident with something of everything: campaigns c-2 and c-1, a
// device in each state, a ranking with a proposal, texts for ada and everybody, and
// one case with a mail that bob approved. Three people may approve.
func Full(now func() time.Time) *Incident {
	i, at := New(now), now()
	i.People = 3
	i.All = []api.CampaignPage{FullCampaign("c-2", at), {Campaign: tocsin.Campaign{ID: "c-1", Status: tocsin.Ended, Opened: at, Ended: at}}}
	i.Period = compromise.Period{From: at.Add(-48 * time.Hour), To: at}
	for _, s := range compromise.States() {
		d := api.Assessed{Assessment: compromise.Assessment{Device: tocsin.DeviceID("d-" + s.String()), State: s, Covered: s != compromise.Unknown}}
		d.Name, d.Owner, d.Why = Evil, "ada", "for a test"
		i.Devices = append(i.Devices, d)
	}
	slices.SortFunc(i.Devices, func(a, b api.Assessed) int { return strings.Compare(string(a.Device), string(b.Device)) })
	confirm(&i.Devices[1], at)
	i.Devices[5].Missing = []compromise.Missing{{Why: compromise.Silent, Period: i.Period}}
	i.Ranked = ranking(at)
	for _, l := range bulletin.Languages() {
		i.Texts = append(i.Texts, bulletin.Text{Kind: bulletin.Notice, Language: l, To: "ada", Subject: Evil, Plain: "Dear owner,\n" + Evil, Markdown: Evil},
			bulletin.Text{Kind: bulletin.Public, Language: l, Subject: "What happened", Plain: "Some were entered.", Markdown: "Some were *entered*."})
	}
	f, opened := i.OpenCase(context.Background(), api.CaseWish{
		Kind: takedown.Controller, Source: Culprit, Port: 443, Protocol: 6, Domain: "c.example", Campaign: "c-2", Why: "seen by many",
	}, "ada")
	f, drafted := i.DraftCase(context.Background(), f.Case.ID, api.DraftWish{})
	_, approved := i.ApproveCase(context.Background(), f.Case.ID, f.Draft.Digest, "bob")
	if err := errors.Join(opened, drafted, approved); err != nil {
		panic(err) // package takedown does not agree with this one
	}
	return i
}

// FullCampaign returns a campaign with every field set.
func FullCampaign(id tocsin.CampaignID, at time.Time) api.CampaignPage {
	m := tocsin.Member{Source: Culprit, First: at, Last: at, Attempts: 3, Devices: 2, Confidence: 0.9, Reasons: []tocsin.Reason{Evil}}
	return api.CampaignPage{Campaign: tocsin.Campaign{
		ID: id, Status: tocsin.Held, Opened: at, First: at, Last: at, Into: "c-1", Confidence: 0.8,
		Size: tocsin.Estimate{Value: 12, Low: 10, High: 20}, Attempts: 30, Dropped: 5, Sources: []tocsin.Member{m, {Source: Culprit}},
		Targets: []tocsin.DeviceID{"nas"}, Services: []tocsin.Service{"ssh"}, Accounts: []tocsin.AccountTag{"admin"}, Shared: true,
		Timeline: []tocsin.Mark{{At: at, Text: "opened"}},
	}, Counts: api.CampaignCounts{Sources: 2, Targets: 1, Unattributed: 1, Timeline: 1}, Unattributed: []tocsin.Member{m}}
}

func confirm(d *api.Assessed, at time.Time) {
	d.P, d.Omitted = 0.99, 2
	d.Attack = compromise.Attack{Sources: 3, Attempts: 400, First: at, Last: at}
	d.Ledger = []compromise.Entry{
		{Kind: compromise.AfterFailures, Group: compromise.Access, Nats: 4, At: at, Device: d.Device, Source: Culprit, Rule: "1"},
		{Kind: compromise.Autorun, Group: compromise.Persistence, Nats: 1, At: at, Device: d.Device, Subject: Evil, Rule: "1", Hearsay: true},
		{Kind: compromise.Controller, Group: compromise.Network, Nats: 4, At: at, Device: d.Device, To: netip.AddrPortFrom(Culprit.Addr(), 443), Rule: "1", Closed: true},
	}
	d.Closing = &compromise.Closing{At: at, By: "ada", Reason: "it was me", More: true}
}

func ranking(at time.Time) api.Ranking {
	return api.Ranking{
		Candidates: []controller.Candidate{{Controller: tocsin.Controller{
			Address: Culprit.Addr(), Port: 443, Protocol: 6, Class: tocsin.Commands, Q: 0.001, Score: 0.9, Admitted: true, Devices: 9, Labelled: 8,
			Strata: 2, First: at, Last: at, Gates: [3]float64{1, 0.5, 0.25}, Ratio: tocsin.Estimate{Value: 3, Low: 1, High: 9}, Reasons: []tocsin.Reason{Evil},
		}, Owners: 2, MayPropose: true}, {Controller: tocsin.Controller{Address: netip.MustParseAddr("2001:db8::1"), Class: tocsin.OtherClass, Q: 1}}},
		Proposals: []takedown.Opening{
			{Kind: takedown.Controller, Source: Culprit, Port: 443, Protocol: 6, Campaign: "c-2", Reasons: []tocsin.Reason{Evil}},
			{Kind: takedown.CompromisedServer, Source: netip.MustParsePrefix("198.51.100.80/32"), Campaign: "$(reboot)"},
		},
		Observed: 100, Devices: 12, Labelled: 8,
	}
}
