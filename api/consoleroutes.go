package api

import (
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/tocsin-io/tocsin"
)

// consoleRoutes are those that only pages ask for.
func (a *API) consoleRoutes() []route {
	served := func(do func(*call) (any, error)) func(*call) (any, error) {
		return func(c *call) (any, error) {
			if a.Console == nil {
				return nil, Refuse(http.StatusNotFound, "this hub does not serve it")
			}
			return do(c)
		}
	}
	return []route{
		{"GET /v1/live", viewer, a.live, true},
		{"GET /v1/tables/{name}", viewer, a.table, true},
		{"POST /v1/lists/import", analyst, a.importList, true},
		{"GET /v1/overview", viewer, served(a.overview), false},
		{"GET /v1/about", viewer, served(a.about), false},
		{"GET /v1/campaigns/{id}/graph", viewer, served(a.campaignGraph), false},
		{"GET /v1/campaigns/{id}/timeline", viewer, served(a.campaignTimeline), false},
		{"GET /v1/campaigns/{id}/networks", viewer, served(a.campaignNetworks), false},
		{"GET /v1/policy", viewer, served(a.policy), false},
		{"POST /v1/policy/try", analyst, served(a.tryPolicy), true},
		{"PUT /v1/policy", admin, served(a.changePolicy), true},
		{"DELETE /v1/policy/{key}", admin, served(a.resetPolicy), true},
		{"GET /v1/demo", viewer, a.demo, false},
		{"POST /v1/demo", analyst, a.steerDemo, false},
		{"GET /v1/notifications", viewer, served(a.notified), false},
	}
}

// spans are those that an overview may reach back.
var spans = map[string]time.Duration{"": time.Hour, "1h": time.Hour, "6h": 6 * time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour}

func (a *API) overview(c *call) (any, error) {
	span, ok := spans[c.r.FormValue("span")]
	if !ok {
		return nil, badRequest("span: want 1h, 6h, 24h or 7d")
	}
	return result(a.Console.Overview(c.r.Context(), span))
}

func (a *API) about(c *call) (any, error) {
	address, err := netip.ParseAddr(c.r.FormValue("address"))
	if err != nil || address.Zone() != "" {
		return nil, badRequest("address: want one, such as 203.0.113.7")
	}
	return result(a.Console.About(c.r.Context(), address.Unmap()))
}

// Bounds of a graph: more nodes than that nobody can look at.
const (
	defaultNodes = 300
	maxNodes     = 2000
)

func (a *API) campaignGraph(c *call) (any, error) {
	most := defaultNodes
	if text := c.r.FormValue("most"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxNodes {
			return nil, badRequest("most: want 1 to %d", maxNodes)
		}
		most = n
	}
	id, err := c.campaignID()
	if err != nil {
		return nil, err
	}
	return result(a.Console.CampaignGraph(c.r.Context(), id, most))
}

func (c *call) campaignID() (tocsin.CampaignID, error) {
	id := c.r.PathValue("id")
	if !word(id, maxText) {
		return "", badRequest("id: want that of a campaign, at most %d printable bytes", maxText)
	}
	return tocsin.CampaignID(id), nil
}

func (a *API) campaignTimeline(c *call) (any, error) {
	id, err := c.campaignID()
	if err != nil {
		return nil, err
	}
	return result(a.Console.CampaignTimeline(c.r.Context(), id))
}

func (a *API) campaignNetworks(c *call) (any, error) {
	id, err := c.campaignID()
	if err != nil {
		return nil, err
	}
	list, err := a.Console.CampaignNetworks(c.r.Context(), id)
	return result(append([]CampaignNetwork{}, list...), err)
}

func (a *API) notified(c *call) (any, error) {
	list, err := a.Console.Notifications(c.r.Context())
	return result(append([]Notified{}, list...), err)
}
