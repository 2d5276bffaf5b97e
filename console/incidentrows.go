package console

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/table"
	"github.com/tocsin-io/tocsin/takedown"
)

func (p *Part) allCampaigns(ctx context.Context) ([]api.CampaignLine, error) {
	return p.campaigns.get(func() ([]api.CampaignLine, error) { return p.hub.CampaignLines(ctx) })
}

// campaign returns one but for why each source belongs to it, or [store.ErrNotFound].
func (p *Part) campaign(ctx context.Context, id tocsin.CampaignID) (tocsin.Campaign, error) {
	return p.outlines.of(id).get(func() (tocsin.Campaign, error) { return p.hub.CampaignOutline(ctx, id) })
}

func (p *Part) allCases(ctx context.Context) ([]api.CaseLine, error) {
	if p.incident == nil {
		return nil, nil
	}
	return p.cases.get(func() ([]api.CaseLine, error) {
		all, err := p.incident.Cases(ctx)
		list := make([]api.CaseLine, 0, len(all))
		for _, c := range all {
			list = append(list, api.CaseLineOf(c, p.deps.Now().UTC()))
		}
		return list, err
	})
}

func (p *Part) compromiseNow(ctx context.Context) (api.Compromise, error) {
	if p.incident == nil {
		return api.Compromise{}, nil
	}
	return p.judged.get(func() (api.Compromise, error) { return p.incident.Compromise(ctx) })
}

// compromises returns the state of each device that was judged.
func (p *Part) compromises(ctx context.Context) (map[tocsin.DeviceID]string, error) {
	c, err := p.compromiseNow(ctx)
	of := make(map[tocsin.DeviceID]string, len(c.Devices))
	for _, d := range c.Devices {
		of[d.Device] = d.State.String()
	}
	return of, err
}

func (p *Part) rankingNow(ctx context.Context) (api.Ranking, error) {
	if p.incident == nil {
		return api.Ranking{}, nil
	}
	return p.ranking.get(func() (api.Ranking, error) { return p.incident.Ranking(ctx) })
}

func (p *Part) campaignTable() table.View {
	return table.Table[api.CampaignLine]{
		Columns: []table.Column[api.CampaignLine]{
			text("id", func(c *api.CampaignLine) string { return string(c.ID) }),
			words("status", func(c *api.CampaignLine) string { return c.Status.String() }),
			yes("active", func(c *api.CampaignLine) bool { return c.Status == tocsin.Open || c.Status == tocsin.Held }),
			when("opened", func(c *api.CampaignLine) time.Time { return c.Opened }),
			when("first", func(c *api.CampaignLine) time.Time { return c.First }),
			when("last", func(c *api.CampaignLine) time.Time { return c.Last }),
			when("ended", func(c *api.CampaignLine) time.Time { return c.Ended }),
			number("confidence", func(c *api.CampaignLine) float64 { return c.Confidence }),
			number("size", func(c *api.CampaignLine) float64 { return c.Size.Value }),
			number("attempts", func(c *api.CampaignLine) uint64 { return c.Attempts }),
			number("dropped", func(c *api.CampaignLine) uint64 { return c.Dropped }),
			number("sources", func(c *api.CampaignLine) int { return c.Sources }),
			number("targets", func(c *api.CampaignLine) int { return c.Targets }),
			{Name: "service", Text: func(c *api.CampaignLine) string { return joined(c.Services) }},
			words("into", func(c *api.CampaignLine) string { return string(c.Into) }),
		},
		Load: loading(p.allCampaigns),
	}
}

// errCampaign says which campaign's rows are wanted.
var errCampaign = api.Refuse(400, "campaign: want the ID of one")

// A Member is one of the table of a campaign's sources.
type Member struct {
	tocsin.Member
	Attributed bool   `json:"attributed"` // false: it was only active at the same time
	Network    uint32 `json:"network"`
	Country    string `json:"country"`
	Blocked    bool   `json:"blocked"`
	of         tocsin.CampaignID
}

func (p *Part) memberTable() table.View {
	return table.Table[Member]{
		Columns: []table.Column[Member]{
			prefix("source", func(m *Member) netip.Prefix { return m.Source }),
			yes("attributed", func(m *Member) bool { return m.Attributed }),
			number("attempts", func(m *Member) uint32 { return m.Attempts }),
			number("devices", func(m *Member) uint32 { return m.Devices }),
			number("confidence", func(m *Member) float64 { return m.Confidence }),
			when("first", func(m *Member) time.Time { return m.First }),
			when("last", func(m *Member) time.Time { return m.Last }),
			number("network", func(m *Member) uint32 { return m.Network }),
			words("country", func(m *Member) string { return m.Country }),
			yes("blocked", func(m *Member) bool { return m.Blocked }),
			text("reasons", func(m *Member) string { return joined(m.Reasons) }),
		},
		Params: []string{"campaign", "device"},
		Load: func(ctx context.Context, q table.Query) ([]Member, error) {
			id := tocsin.CampaignID(q.Where["campaign"])
			if id == "" {
				return nil, errCampaign
			}
			c, err := p.campaign(ctx, id)
			if err != nil {
				return nil, err
			}
			// The loop looks through all sources for them.
			beside, err := p.beside.of(id).get(func() ([]tocsin.Member, error) { return p.hub.Unattributed(ctx, id) })
			if err != nil {
				return nil, err
			}
			rules, err := p.allRules(ctx)
			list := make([]Member, 0, len(c.Sources)+len(beside))
			add := func(members []tocsin.Member, attributed bool) {
				for _, m := range members {
					n := p.hub.Network(m.Source.Addr())
					list = append(list, Member{m, attributed, n.AS, n.Country, blocked(rules, m.Source), id})
				}
			}
			add(c.Sources, true)
			add(beside, false)
			if device := q.Where["device"]; device != "" {
				list = p.membersAt(list, tocsin.DeviceID(device))
			}
			return list, err
		},
		Finish: p.addReasons,
	}
}

// addReasons tells of sources of one campaign why they belong to it: what is only
// active beside it brings its own.
func (p *Part) addReasons(ctx context.Context, rows []Member) error {
	if len(rows) == 0 {
		return nil
	}
	sources := make([]netip.Prefix, len(rows))
	for i := range rows {
		sources[i] = rows[i].Source
	}
	why, err := p.hub.CampaignReasons(ctx, rows[0].of, sources)
	if err != nil {
		return err
	}
	for i := range rows {
		if m := &rows[i]; m.Attributed {
			m.Reasons = why[i]
		}
		rows[i].Reasons = append([]tocsin.Reason{}, rows[i].Reasons...)
	}
	return nil
}

// blocked reports whether one of the rules, which are by prefix, blocks a prefix.
func blocked(rules []Rule, p netip.Prefix) bool {
	i, found := slices.BinarySearchFunc(rules, p, func(r Rule, p netip.Prefix) int { return r.Prefix.Compare(p) })
	for ; found && i < len(rules) && rules[i].Prefix == p; i++ {
		if rules[i].Action == tocsin.Block.String() {
			return true
		}
	}
	return false
}

// A Target is one of the table of a campaign's devices.
type Target struct {
	Device   tocsin.DeviceID  `json:"device"`
	Name     string           `json:"name"`
	Owner    tocsin.OwnerID   `json:"owner"`
	Attempts uint64           `json:"attempts"`
	Sources  int              `json:"sources"`
	Services []tocsin.Service `json:"services"`
	First    *time.Time       `json:"first"` // null: what came is no longer remembered
	Last     *time.Time       `json:"last"`
	Entered  string           `json:"entered"` // its compromise; "" is not judged
}

func (p *Part) targetTable() table.View {
	return table.Table[Target]{
		Columns: []table.Column[Target]{
			text("device", func(t *Target) string { return string(t.Device) }),
			text("name", func(t *Target) string { return t.Name }),
			words("owner", func(t *Target) string { return string(t.Owner) }),
			number("attempts", func(t *Target) uint64 { return t.Attempts }),
			number("sources", func(t *Target) int { return t.Sources }),
			text("services", func(t *Target) string { return joined(t.Services) }),
			when("first", func(t *Target) time.Time { return timeOf(t.First) }),
			when("last", func(t *Target) time.Time { return timeOf(t.Last) }),
			words("entered", func(t *Target) string { return t.Entered }),
		},
		Params: []string{"campaign"},
		Load: func(ctx context.Context, q table.Query) ([]Target, error) {
			id := tocsin.CampaignID(q.Where["campaign"])
			if id == "" {
				return nil, errCampaign
			}
			c, err := p.campaign(ctx, id)
			if err != nil {
				return nil, err
			}
			return p.targets(ctx, c)
		},
	}
}

// targets returns a campaign's devices with what its sources did there, as somebody
// may have asked a moment ago. The list is not the caller's.
func (p *Part) targets(ctx context.Context, c tocsin.Campaign) ([]Target, error) {
	return p.tried.of(c.ID).get(func() ([]Target, error) { return p.countTargets(ctx, c) })
}

func (p *Part) countTargets(ctx context.Context, c tocsin.Campaign) ([]Target, error) {
	devices, err := p.allDevices(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[tocsin.DeviceID]*Device, len(devices))
	for i := range devices {
		known[devices[i].ID] = &devices[i]
	}
	list := make([]Target, len(c.Targets))
	at := make(map[tocsin.DeviceID]*Target, len(list))
	for i, id := range c.Targets {
		list[i] = Target{Device: id, Services: []tocsin.Service{}}
		if d := known[id]; d != nil {
			list[i].Name, list[i].Owner, list[i].Entered = d.Name, d.Owner, d.Compromise
		}
		at[id] = &list[i]
	}
	var tried []overview.Tried
	p.with(func(l *overview.Ledger) { tried = l.Tried(sourcesOf(c.Sources)) })
	for i := range tried {
		if d, t := &tried[i], at[tried[i].Device]; t != nil {
			t.Attempts, t.Sources, t.Services, t.First, t.Last = d.Attempts, d.Sources, d.Services, &d.First, &d.Last
		}
	}
	slices.SortStableFunc(list, func(a, b Target) int { return cmp.Compare(b.Attempts, a.Attempts) })
	return list, nil
}

// touches returns what a campaign's sources did where.
func (p *Part) touches(sources []netip.Prefix) (list []overview.Touch) {
	p.with(func(l *overview.Ledger) { list = l.Touches(sources) })
	return list
}

func sourcesOf(members []tocsin.Member) []netip.Prefix {
	list := make([]netip.Prefix, len(members))
	for i, m := range members {
		list[i] = m.Source
	}
	return list
}

// A Controller is one of the table of candidates.
type Controller struct {
	controller.Candidate
	Rank int          `json:"rank"`
	Case *takedown.ID `json:"case"` // null: nobody opened one
}

func (p *Part) allControllers(ctx context.Context) ([]Controller, error) {
	ranking, err := p.rankingNow(ctx)
	if err != nil {
		return nil, err
	}
	cases, err := p.allCases(ctx)
	list := make([]Controller, len(ranking.Candidates))
	for i, c := range ranking.Candidates {
		list[i] = Controller{Candidate: c, Rank: i + 1}
		for _, one := range cases {
			if one.Source.Contains(c.Address) && (one.Port == 0 || one.Port == c.Port) && one.State != takedown.Rejected {
				list[i].Case = &one.ID
				break
			}
		}
	}
	return list, err
}

func (p *Part) controllerTable() table.View {
	return table.Table[Controller]{
		Columns: []table.Column[Controller]{
			number("rank", func(c *Controller) int { return c.Rank }),
			{Name: "address", Text: func(c *Controller) string { return c.Address.String() }, Compare: func(a, b *Controller) int { return a.Address.Compare(b.Address) }},
			number("port", func(c *Controller) int { return int(c.Port) }),
			number("protocol", func(c *Controller) int { return int(c.Protocol) }),
			words("class", func(c *Controller) string { return c.Class.String() }),
			number("score", func(c *Controller) float64 { return c.Score }),
			number("q", func(c *Controller) float64 { return c.Q }),
			yes("admitted", func(c *Controller) bool { return c.Admitted }),
			number("devices", func(c *Controller) int { return c.Devices }),
			number("labelled", func(c *Controller) int { return c.Labelled }),
			number("owners", func(c *Controller) int { return c.Owners }),
			when("first", func(c *Controller) time.Time { return c.First }),
			when("last", func(c *Controller) time.Time { return c.Last }),
			words("case", func(c *Controller) string {
				if c.Case == nil {
					return ""
				}
				return string(*c.Case)
			}),
			text("reasons", func(c *Controller) string { return joined(c.Reasons) }),
		},
		Load: loading(p.allControllers),
	}
}

func (p *Part) compromiseTable() table.View {
	return table.Table[api.Assessed]{
		Columns: []table.Column[api.Assessed]{
			text("device", func(a *api.Assessed) string { return string(a.Device) }),
			text("name", func(a *api.Assessed) string { return a.Name }),
			words("owner", func(a *api.Assessed) string { return string(a.Owner) }),
			{
				Name: "state", Word: true, Text: func(a *api.Assessed) string { return a.State.String() },
				Compare: func(a, b *api.Assessed) int { return cmp.Compare(a.State, b.State) },
			},
			number("p", func(a *api.Assessed) float64 { return a.P }),
			yes("covered", func(a *api.Assessed) bool { return a.Covered }),
			yes("attacked", func(a *api.Assessed) bool { return a.Attacked() }),
			yes("likely", func(a *api.Assessed) bool { return a.Likely }),
			number("sources", func(a *api.Assessed) int { return a.Attack.Sources }),
			number("attempts", func(a *api.Assessed) uint64 { return a.Attack.Attempts }),
			when("first", func(a *api.Assessed) time.Time { return a.Attack.First }),
			when("last", func(a *api.Assessed) time.Time { return a.Attack.Last }),
			text("missing", func(a *api.Assessed) string { return missingOf(a.Missing) }),
			words("hole", holeOf),
			text("why", func(a *api.Assessed) string { return string(a.Why) }),
		},
		Params: []string{"controller"},
		Load: func(ctx context.Context, q table.Query) ([]api.Assessed, error) {
			c, err := p.compromiseNow(ctx)
			to := q.Where["controller"]
			if to == "" || err != nil {
				return c.Devices, err
			}
			reached, err := p.reachedBy(ctx, to)
			return only(c.Devices, reached, func(a *api.Assessed) tocsin.DeviceID { return a.Device }), err
		},
		Finish: func(_ context.Context, rows []api.Assessed) error {
			for i := range rows { // ask about one device for those
				rows[i].Ledger, rows[i].Closing = nil, nil
			}
			return nil
		},
	}
}

// holeOf says why nothing is said about a device, as the sum counts it.
func holeOf(a *api.Assessed) string {
	if a.Covered || len(a.Missing) == 0 {
		return ""
	}
	return a.Missing[0].Why.String()
}

func missingOf(list []compromise.Missing) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.Why.String()
	}
	return strings.Join(slices.Compact(parts), " ")
}
