package console

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/table"
)

// A Rule is one of the table of rules.
type Rule struct {
	api.Rule
	Hits     uint64            `json:"hits"`     // packets dropped in the last week, by sample: a lower bound
	LastHit  *time.Time        `json:"last_hit"` // null is never
	Network  uint32            `json:"network"`  // autonomous system; 0 is not known
	Country  string            `json:"country"`  // "" is not known
	Campaign tocsin.CampaignID `json:"campaign,omitempty"`
}

func (p *Part) allRules(ctx context.Context) ([]Rule, error) {
	return p.rules.get(func() ([]Rule, error) {
		all, err := p.hub.AllRules(ctx)
		if err != nil {
			return nil, err
		}
		members, err := p.memberships(ctx)
		if err != nil {
			return nil, err
		}
		list := make([]Rule, len(all))
		p.with(func(l *overview.Ledger) {
			for i, r := range all {
				list[i].Rule = r
				hits, last := l.Hits(r.Prefix)
				list[i].Hits, list[i].LastHit = hits, pointer(last)
			}
		})
		for i := range list {
			n := p.hub.Network(list[i].Prefix.Addr())
			list[i].Network, list[i].Country, list[i].Campaign = n.AS, n.Country, members[list[i].Prefix]
		}
		return list, nil
	})
}

// memberships returns which campaign each source is a member of, of several the newest.
func (p *Part) memberships(ctx context.Context) (map[netip.Prefix]tocsin.CampaignID, error) {
	return p.members.get(func() (map[netip.Prefix]tocsin.CampaignID, error) { return p.hub.Memberships(ctx) })
}

func (p *Part) ruleTable() table.View {
	return table.Table[Rule]{
		Columns: []table.Column[Rule]{
			prefix("prefix", func(r *Rule) netip.Prefix { return r.Prefix }),
			words("action", func(r *Rule) string { return r.Action }),
			words("owner", func(r *Rule) string { return string(r.Owner) }),
			words("origin", func(r *Rule) string { return r.Origin }),
			when("since", func(r *Rule) time.Time { return r.Since }),
			when("until", func(r *Rule) time.Time { return r.Until }),
			number("hits", func(r *Rule) uint64 { return r.Hits }),
			when("last_hit", func(r *Rule) time.Time { return timeOf(r.LastHit) }),
			number("network", func(r *Rule) uint32 { return r.Network }),
			words("country", func(r *Rule) string { return r.Country }),
			words("campaign", func(r *Rule) string { return string(r.Campaign) }),
			text("reason", func(r *Rule) string { return string(r.Reason) }),
		},
		Load: loading(p.allRules),
		Finish: func(ctx context.Context, rows []Rule) error {
			list := make([]api.Rule, len(rows))
			for i := range rows {
				list[i] = rows[i].Rule
			}
			err := p.hub.Reasons(ctx, list)
			for i := range rows {
				rows[i].Rule = list[i]
			}
			return err
		},
	}
}

// A Device is one of the table of devices.
type Device struct {
	api.Device
	State      string           `json:"state"`      // connected, lagging, silent, new, revoked
	Behind     uint64           `json:"behind"`     // frames of all its lists
	Compromise string           `json:"compromise"` // "" is not judged yet
	Services   []tocsin.Service `json:"services"`   // of which it told something in the last week
}

// The states of a device.
const (
	stateConnected = "connected"
	stateLagging   = "lagging"
	stateSilent    = "silent"
	stateNew       = "new"
	stateRevoked   = "revoked"
)

func (p *Part) allDevices(ctx context.Context) ([]Device, error) {
	return p.devices.get(func() ([]Device, error) {
		all, err := p.hub.AllDevices(ctx)
		if err != nil {
			return nil, err
		}
		states, err := p.compromises(ctx)
		if err != nil {
			return nil, err
		}
		lagging := p.hub.Lagging(grace)
		list := make([]Device, len(all))
		for i, d := range all {
			row := Device{Device: d, State: stateOf(d, lagging[d.ID]), Compromise: states[d.ID]}
			for _, l := range d.Lists {
				row.Behind += l.Behind
			}
			list[i] = row
		}
		p.with(func(l *overview.Ledger) {
			for i := range list {
				list[i].Services = l.Services(list[i].ID)
			}
		})
		return list, nil
	})
}

func stateOf(d api.Device, lags bool) string {
	switch {
	case !d.Revoked.IsZero():
		return stateRevoked
	case d.Connected && lags:
		return stateLagging
	case d.Connected:
		return stateConnected
	case d.Seen.IsZero():
		return stateNew
	}
	return stateSilent
}

func (p *Part) deviceTable() table.View {
	return table.Table[Device]{
		Columns: []table.Column[Device]{
			text("id", func(d *Device) string { return string(d.ID) }),
			text("name", func(d *Device) string { return d.Name }),
			words("owner", func(d *Device) string { return string(d.Owner) }),
			words("state", func(d *Device) string { return d.State }),
			words("compromise", func(d *Device) string { return d.Compromise }),
			words("model", func(d *Device) string { return d.Labels["model"] }),
			text("group", func(d *Device) string { return joined(d.Groups) }),
			number("behind", func(d *Device) uint64 { return d.Behind }),
			when("seen", func(d *Device) time.Time { return d.Seen }),
			when("enrolled", func(d *Device) time.Time { return d.Enrolled }),
			text("version", func(d *Device) string { return d.Version }),
			number("clock_ahead_seconds", func(d *Device) float64 { return d.Offset }),
			number("clues", func(d *Device) uint64 { return d.Clues }),
			text("services", func(d *Device) string { return joined(d.Services) }),
			yes("honeypot", func(d *Device) bool { return d.Honeypot }),
			yes("suspect", func(d *Device) bool { return d.Suspect }),
			yes("connected", func(d *Device) bool { return d.Connected && d.State != stateRevoked }),
			yes("revoked", func(d *Device) bool { return d.State == stateRevoked }),
			text("note", func(d *Device) string { return d.Note }),
			text("labels", labelsOf),
		},
		Params: []string{"controller", "source"},
		Load: func(ctx context.Context, q table.Query) ([]Device, error) {
			list, err := p.allDevices(ctx)
			if to := q.Where["controller"]; to != "" && err == nil {
				var reached map[tocsin.DeviceID]bool
				reached, err = p.reachedBy(ctx, to)
				list = only(list, reached, deviceID)
			}
			if source := q.Where["source"]; source != "" && err == nil {
				var tried map[tocsin.DeviceID]bool
				tried, err = p.triedBy(source)
				list = only(list, tried, deviceID)
			}
			return list, err
		},
	}
}

func deviceID(d *Device) tocsin.DeviceID { return d.ID }

func labelsOf(d *Device) string {
	var list []string
	for k, v := range d.Labels {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return joined(list)
}

// A Source is one of the table of sources: of the last 24 h, or what it did at one
// device in a week.
type Source struct {
	Prefix   netip.Prefix      `json:"prefix"`
	Attempts uint64            `json:"attempts"`
	Dropped  uint64            `json:"dropped"`
	Devices  int               `json:"devices"`
	Owners   int               `json:"owners"`
	Services []tocsin.Service  `json:"services"`
	First    time.Time         `json:"first"`
	Last     time.Time         `json:"last"`
	Network  uint32            `json:"network"`
	Country  string            `json:"country"`
	Campaign tocsin.CampaignID `json:"campaign"`
	Blocked  bool              `json:"blocked"`
}

func (p *Part) allSources(ctx context.Context) ([]Source, error) {
	return p.sources.get(func() ([]Source, error) {
		var seen []overview.Source
		p.with(func(l *overview.Ledger) { seen = l.Sources(p.deps.Now(), 24*time.Hour) })
		list := make([]Source, len(seen))
		for i, s := range seen {
			list[i] = Source{
				Prefix: s.Prefix, Attempts: s.Attempts, Dropped: s.Dropped, Devices: s.Devices, Owners: s.Shared, Services: s.Services,
				First: s.First, Last: s.Last,
			}
		}
		if err := p.describe(ctx, list); err != nil {
			return nil, err
		}
		slices.SortFunc(list, func(a, b Source) int {
			return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), a.Prefix.Compare(b.Prefix))
		})
		return list, nil
	})
}

// describe adds what is known of each source, wherever it was seen.
func (p *Part) describe(ctx context.Context, list []Source) error {
	rules, err := p.allRules(ctx)
	if err != nil {
		return err
	}
	members, err := p.memberships(ctx)
	for i := range list {
		s := &list[i]
		n := p.hub.Network(s.Prefix.Addr())
		s.Network, s.Country, s.Campaign, s.Blocked = n.AS, n.Country, members[s.Prefix], blocked(rules, s.Prefix)
	}
	return err
}

func (p *Part) sourceTable() table.View {
	return table.Table[Source]{
		Columns: []table.Column[Source]{
			prefix("prefix", func(s *Source) netip.Prefix { return s.Prefix }),
			number("attempts", func(s *Source) uint64 { return s.Attempts }),
			number("dropped", func(s *Source) uint64 { return s.Dropped }),
			number("devices", func(s *Source) int { return s.Devices }),
			number("owners", func(s *Source) int { return s.Owners }),
			text("services", func(s *Source) string { return joined(s.Services) }),
			when("first", func(s *Source) time.Time { return s.First }),
			when("last", func(s *Source) time.Time { return s.Last }),
			number("network", func(s *Source) uint32 { return s.Network }),
			words("country", func(s *Source) string { return s.Country }),
			words("campaign", func(s *Source) string { return string(s.Campaign) }),
			yes("blocked", func(s *Source) bool { return s.Blocked }),
		},
		Params: []string{"device", "from", "until"},
		Load: func(ctx context.Context, q table.Query) (list []Source, err error) {
			if id := tocsin.DeviceID(q.Where["device"]); id != "" {
				list, err = p.sourcesAt(ctx, id)
			} else {
				list, err = p.allSources(ctx)
			}
			if err != nil {
				return nil, err
			}
			return seenBetween(list, q.Where["from"], q.Where["until"])
		},
	}
}
