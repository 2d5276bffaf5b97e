package console

import (
	"context"
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/table"
)

func (p *Part) caseTable() table.View {
	return table.Table[api.CaseLine]{
		Columns: []table.Column[api.CaseLine]{
			text("id", func(c *api.CaseLine) string { return string(c.ID) }),
			words("state", func(c *api.CaseLine) string { return c.State.String() }),
			words("kind", func(c *api.CaseLine) string { return c.Kind.String() }),
			prefix("source", func(c *api.CaseLine) netip.Prefix { return c.Source }),
			number("port", func(c *api.CaseLine) int { return int(c.Port) }),
			text("domain", func(c *api.CaseLine) string { return c.Domain }),
			words("campaign", func(c *api.CaseLine) string { return string(c.Campaign) }),
			yes("ready", func(c *api.CaseLine) bool { return c.Ready }),
			yes("open", func(c *api.CaseLine) bool { return c.Closed.IsZero() }),
			when("opened", func(c *api.CaseLine) time.Time { return c.Opened }),
			when("sent", func(c *api.CaseLine) time.Time { return c.Clock.Sent }),
			when("closed", func(c *api.CaseLine) time.Time { return c.Closed }),
			number("elapsed_seconds", func(c *api.CaseLine) float64 { return c.Clock.Elapsed.Seconds() }),
			words("verdict", func(c *api.CaseLine) string { return c.Clock.Verdict.String() }),
		},
		Load: loading(p.allCases),
	}
}

// cutText is how much of a notice's text a table shows; approvals name all of it.
const cutText = 200

func (p *Part) noticeTable() table.View {
	return table.Table[api.Notice]{
		Columns: []table.Column[api.Notice]{
			words("kind", func(n *api.Notice) string { return string(n.Kind) }),
			words("language", func(n *api.Notice) string { return string(n.Language) }),
			words("to", func(n *api.Notice) string { return n.To }),
			text("subject", func(n *api.Notice) string { return n.Subject }),
			yes("ready", func(n *api.Notice) bool { return n.Ready }),
			text("approved_by", func(n *api.Notice) string {
				if n.Approval == nil {
					return ""
				}
				return n.Approval.By
			}),
			when("approved_at", func(n *api.Notice) time.Time {
				if n.Approval == nil {
					return time.Time{}
				}
				return n.Approval.At
			}),
			text("plain", func(n *api.Notice) string { return n.Plain }),
		},
		Load: loading(func(ctx context.Context) (list []api.Notice, err error) {
			if p.incident == nil {
				return nil, errNone
			}
			all, err := p.incident.Notices(ctx)
			for _, t := range all {
				list = append(list, api.NoticeOf(t))
			}
			return list, err
		}),
		Finish: func(_ context.Context, rows []api.Notice) error {
			for i := range rows {
				rows[i].Plain, rows[i].Markdown = cut(rows[i].Plain), cut(rows[i].Markdown)
			}
			return nil
		},
	}
}

// cut shortens a text to whole letters.
func cut(s string) string {
	if len(s) <= cutText {
		return s
	}
	n := cutText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// A Pass is one of the table of one-time passes.
type Pass struct {
	api.Pass
	Owner tocsin.OwnerID `json:"owner"`
}

func (p *Part) passTable() table.View {
	return table.Table[Pass]{
		Columns: []table.Column[Pass]{
			words("owner", func(s *Pass) string { return string(s.Owner) }),
			number("number", func(s *Pass) int { return s.Number }),
			when("made", func(s *Pass) time.Time { return s.Made }),
			when("used", func(s *Pass) time.Time { return s.Used }),
			prefix("for", func(s *Pass) netip.Prefix { return s.For }),
		},
		Load: func(ctx context.Context, q table.Query) (list []Pass, err error) {
			owners := p.hub.Owners()
			if owner := q.Where["owner"]; owner != "" {
				owners = []tocsin.OwnerID{tocsin.OwnerID(owner)}
			}
			if len(owners) > mostOwners {
				return nil, api.Refuse(http.StatusBadRequest, "owner: there are %d owners; want one of them", len(owners))
			}
			for _, owner := range owners {
				passes, err := p.hub.PassesOf(ctx, owner)
				if err != nil {
					return nil, err
				}
				for _, one := range passes {
					list = append(list, Pass{one, owner})
				}
			}
			return list, nil
		},
	}
}

// mostOwners is of how many owners passes are read at once.
const mostOwners = 200

func (p *Part) accessTable() table.View {
	return table.Table[api.Access]{
		Columns: []table.Column[api.Access]{
			text("name", func(a *api.Access) string { return a.Name }),
			words("role", func(a *api.Access) string { return string(a.Role) }),
			when("made", func(a *api.Access) time.Time { return a.Made }),
			when("until", func(a *api.Access) time.Time { return a.Until }),
			when("used", func(a *api.Access) time.Time { return a.Used }),
		},
		Load: loading(func(ctx context.Context) ([]api.Access, error) {
			all, err := p.deps.Store.Accesses(ctx)
			list := make([]api.Access, 0, len(all))
			for _, a := range all {
				list = append(list, api.Access{Name: a.Name, Role: a.Role, Made: a.Made, Until: a.Until, Used: a.Used})
			}
			return list, err
		}),
	}
}
