package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/takedown"
)

// pageOf cuts a page out of all items. The cursor is the key of the last item of
// the page before: what came or went elsewhere in the list does not matter.
func pageOf[T any](c *call, all []T, key func(T) string) (page []T, next string, err error) {
	limit, cursor, err := c.page()
	if err != nil {
		return nil, "", err
	}
	if cursor != "" {
		i := slices.IndexFunc(all, func(t T) bool { return key(t) == cursor })
		if i < 0 {
			return nil, "", badRequest("cursor: the page before is not there any more: begin anew, without a cursor")
		}
		all = all[i+1:]
	}
	if len(all) > limit {
		next = toCursor(key(all[limit-1]))
	}
	return append([]T{}, all[:min(limit, len(all))]...), next, nil
}

func (a *API) campaigns(c *call) (any, error) {
	all, err := a.Incident.Campaigns(c.r.Context())
	if err != nil {
		return nil, err
	}
	page, next, err := pageOf(c, all, func(g tocsin.Campaign) string { return string(g.ID) })
	list := CampaignList{Campaigns: make([]CampaignLine, 0, len(page)), Next: next}
	for _, g := range page {
		list.Campaigns = append(list.Campaigns, CampaignLineOf(g))
	}
	return result(list, err)
}

// CampaignLineOf returns a campaign as it stands in a list.
func CampaignLineOf(g tocsin.Campaign) CampaignLine {
	return CampaignLine{
		ID: g.ID, Status: g.Status, Opened: g.Opened, First: g.First, Last: g.Last, Ended: g.Ended, Into: g.Into,
		Confidence: g.Confidence, Size: g.Size, Attempts: g.Attempts, Dropped: g.Dropped,
		Sources: len(g.Sources), Targets: len(g.Targets), Services: append([]tocsin.Service{}, g.Services...), Shared: g.Shared,
	}
}

// briefMarks is how many entries of its timeline a brief answer about a campaign
// holds, the newest: each source that joins makes one.
const briefMarks = 500

func (a *API) campaign(c *call) (any, error) {
	id := c.r.PathValue("id")
	if !word(id, maxText) {
		return nil, badRequest("id: want that of a campaign, at most %d printable bytes", maxText)
	}
	brief := c.r.FormValue("brief")
	if brief != "" && brief != "0" && brief != "1" {
		return nil, badRequest("brief: want 1, which leaves out sources and devices, or nothing")
	}
	p, err := a.Incident.Campaign(c.r.Context(), tocsin.CampaignID(id))
	p.Counts = CampaignCounts{Sources: len(p.Sources), Targets: len(p.Targets), Unattributed: len(p.Unattributed), Timeline: len(p.Timeline)}
	if brief == "1" { // of a large one they are megabytes: tables page through them
		p.Sources, p.Targets, p.Unattributed = nil, nil, nil
		p.Timeline = p.Timeline[max(0, len(p.Timeline)-briefMarks):]
	}
	p.Sources, p.Unattributed = members(p.Sources), members(p.Unattributed)
	p.Targets = append([]tocsin.DeviceID{}, p.Targets...)
	p.Services = append([]tocsin.Service{}, p.Services...)
	p.Accounts = append([]tocsin.AccountTag{}, p.Accounts...)
	p.Timeline = append([]tocsin.Mark{}, p.Timeline...)
	return result(p, err)
}

// members returns list without anything that JSON would call null.
func members(list []tocsin.Member) []tocsin.Member {
	list = append([]tocsin.Member{}, list...)
	for i := range list {
		list[i].Reasons = append([]tocsin.Reason{}, list[i].Reasons...)
	}
	return list
}

// stixType is what bundles are served as (STIX 2.1, section 11).
const stixType = "application/stix+json;version=2.1"

func (a *API) stix(c *call) (any, error) {
	campaign := c.r.FormValue("campaign")
	if !word(campaign, maxText) {
		return nil, badRequest("campaign: want the ID of one, at most %d printable bytes, or none for all", maxText)
	}
	// A plus in a query is a blank, unless it was written as %2B.
	tlp := strings.ReplaceAll(strings.ToLower(c.r.FormValue("tlp")), " ", "+")
	if !slices.Contains([]string{"", "clear", "green", "amber", "amber+strict", "red"}, tlp) {
		return nil, badRequest("tlp: want clear, green, amber, amber+strict or red")
	}
	b, err := a.Incident.STIX(c.r.Context(), tocsin.CampaignID(campaign), tlp)
	if err != nil {
		return nil, err
	}
	w := c.stream(stixType, "")
	for piece := range slices.Chunk(b, 64<<10) { // each has its own deadline
		if _, err := w.Write(piece); err != nil {
			return nil, err
		}
	}
	return answered, nil
}

func (a *API) controllers(c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	r, err := a.Incident.Ranking(c.r.Context())
	n := min(limit, len(r.Candidates))
	r.Omitted += len(r.Candidates) - n
	r.Candidates = append([]controller.Candidate{}, r.Candidates[:n]...)
	return result(r, err)
}

func (a *API) compromise(c *call) (any, error) {
	var state compromise.State
	if text := c.r.FormValue("state"); text != "" {
		if err := state.UnmarshalText([]byte(text)); err != nil {
			return nil, badRequest("state: %v", err)
		}
	}
	all, err := a.Incident.Compromise(c.r.Context())
	if err != nil {
		return nil, err
	}
	if state != 0 {
		all.Devices = slices.DeleteFunc(slices.Clone(all.Devices), func(d Assessed) bool { return d.State != state })
	}
	p := CompromisePage{Compromise: all}
	p.Devices, p.Next, err = pageOf(c, all.Devices, func(d Assessed) string { return string(d.Device) })
	for i := range p.Devices {
		p.Devices[i].Ledger, p.Devices[i].Closing = nil, nil
	}
	return result(p, err)
}

func (a *API) assessed(c *call) (any, error) {
	id, err := c.assessedID()
	if err != nil {
		return nil, err
	}
	all, err := a.Incident.Compromise(c.r.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all.Devices, func(d Assessed) bool { return d.Device == id })
	if i < 0 {
		return nil, Refuse(http.StatusNotFound, "no device of that ID: tocsin devices lists them")
	}
	return whole(all.Devices[i]), nil
}

func (c *call) assessedID() (tocsin.DeviceID, error) {
	id := c.r.PathValue("device")
	if !word(id, maxText) {
		return "", badRequest("device: want the ID of one, at most %d printable bytes", maxText)
	}
	return tocsin.DeviceID(id), nil
}

// whole returns d without anything that JSON would call null.
func whole(d Assessed) Assessed {
	if d.Closing != nil {
		closing := *d.Closing
		closing.Seen = append([]compromise.Digest{}, closing.Seen...)
		d.Closing = &closing
	}
	return d
}

func (a *API) dismiss(c *call) (any, error) {
	id, err := c.assessedID()
	if err != nil {
		return nil, err
	}
	var d Dismissal
	if err := fromPerson(c.w, c.r, &d); err != nil {
		return nil, err
	}
	if strings.TrimSpace(d.Reason) == "" || !word(d.Reason, maxNote) {
		return nil, badRequest("reason: say why it is harmless, in at most %d printable bytes", maxNote)
	}
	c.did = fmt.Sprintf("dismiss what is held against device %s: %s", cut(string(id)), d.Reason)
	done, err := a.Incident.Dismiss(c.r.Context(), id, c.by, d.Reason)
	return result(whole(done), err)
}

func (a *API) notices(c *call) (any, error) {
	owner, err := c.owner()
	if err != nil {
		return nil, err
	}
	language := bulletin.Language(c.r.FormValue("language"))
	if language != "" && !slices.Contains(bulletin.Languages(), language) {
		return nil, badRequest("language: want en or fr")
	}
	kind := bulletin.Kind(c.r.FormValue("kind"))
	if kind != "" && kind != bulletin.Notice && kind != bulletin.Public {
		return nil, badRequest("kind: want notice or bulletin")
	}
	all, err := a.Incident.Notices(c.r.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(slices.Clone(all), func(t bulletin.Text) bool {
		return owner != "" && t.To != string(owner) || language != "" && t.Language != language || kind != "" && t.Kind != kind
	})
	page, next, err := pageOf(c, all, func(t bulletin.Text) string { return string(t.Kind) + " " + string(t.Language) + " " + t.To })
	p := NoticePage{Notices: make([]Notice, 0, len(page)), Next: next}
	for _, t := range page {
		p.Notices = append(p.Notices, NoticeOf(t))
	}
	return result(p, err)
}

// NoticeOf returns a text with what an approval of it names.
func NoticeOf(t bulletin.Text) Notice {
	return Notice{Text: t, Digest: t.Digest(), Ready: t.Ready() == nil}
}

func (a *API) approveNotice(c *call) (any, error) {
	var w NoticeApproval
	if err := fromPerson(c.w, c.r, &w); err != nil {
		return nil, err
	}
	if w.Digest == (compromise.Digest{}) {
		return nil, badRequest("digest: want that of the text that you agree to")
	}
	t, err := a.Incident.ApproveNotice(c.r.Context(), w.Digest, c.by)
	return result(NoticeOf(t), err)
}

func (a *API) testNotifications(c *call) (any, error) {
	return nil, a.Incident.TestNotifications(c.r.Context())
}

// maxFlows bounds one file of flow records, unpacked.
const maxFlows = 4 << 30

// importFlows takes a file that may come for minutes: each piece has its own
// deadline.
func (a *API) importFlows(c *call) (any, error) {
	in := &arrivals{http.MaxBytesReader(c.w, c.r.Body, maxFlows), http.NewResponseController(c.w)}
	return result(a.Incident.ImportFlows(c.r.Context(), in))
}

// oneSource reports whether p is what a case can be about: an address or, of
// IPv6, the network of one customer.
func oneSource(w CaseWish) bool {
	p := w.Source
	switch {
	case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || !takedown.Public(p.Addr()):
		return false
	case p.Addr().Is4():
		return p.Bits() == 32
	}
	return p.Bits() >= 64
}
