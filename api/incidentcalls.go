package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/takedown"
)

// maxLarge bounds an answer that grows with an attack: a campaign with all of its
// sources, the texts for a hundred owners.
const maxLarge = 64 << 20

// large asks for what may be large, and decodes it.
func (c *Client) large(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	b := bounded{most: maxLarge}
	if err := c.download(ctx, path, &b); err != nil {
		return err
	}
	if err := json.Unmarshal(b.Bytes(), out); err != nil {
		return fmt.Errorf("%s: answer not understood: %w", path, err)
	}
	return nil
}

// bounded is a buffer that takes so many bytes.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, fmt.Errorf("the answer is larger than %d bytes", b.most)
	}
	return b.Buffer.Write(p)
}

// Campaigns yields all campaigns that the hub remembers, the newest first.
func (c *Client) Campaigns(ctx context.Context) iter.Seq2[CampaignLine, error] {
	return pages(func(cursor string) ([]CampaignLine, string, error) {
		var p CampaignList
		err := c.get(ctx, "/v1/campaigns"+query("limit", strconv.Itoa(MaxPage), "cursor", cursor), &p)
		return p.Campaigns, p.Next, err
	})
}

// Campaign asks about one campaign: its sources, why each counts, and what
// happened when.
func (c *Client) Campaign(ctx context.Context, id tocsin.CampaignID) (p CampaignPage, err error) {
	return p, c.large(ctx, "/v1/campaigns/"+url.PathEscape(string(id)), &p)
}

// STIX writes a bundle of all campaigns, or of one; tlp is a colour of the Traffic
// Light Protocol, "" is amber.
func (c *Client) STIX(ctx context.Context, id tocsin.CampaignID, tlp string, w io.Writer) error {
	return c.download(ctx, "/v1/stix"+query("campaign", string(id), "tlp", tlp), w)
}

// Ranking asks who seems to command compromised devices: at most so many
// candidates, 0 is the usual number.
func (c *Client) Ranking(ctx context.Context, most int) (r Ranking, err error) {
	limit := ""
	if most > 0 {
		limit = strconv.Itoa(most)
	}
	return r, c.get(ctx, "/v1/controllers"+query("limit", limit), &r)
}

// Compromise asks what became of the devices in that state, 0 is all of them,
// without their ledgers. The sum is of all devices, whatever the state.
func (c *Client) Compromise(ctx context.Context, state compromise.State) (sum Compromise, err error) {
	word := ""
	if state != 0 {
		word = state.String()
	}
	for cursor := ""; ; {
		var p CompromisePage
		if err := c.get(ctx, "/v1/compromise"+query("state", word, "limit", strconv.Itoa(MaxPage), "cursor", cursor), &p); err != nil {
			return sum, err
		}
		sum.At, sum.Summary, sum.Devices = p.At, p.Summary, append(sum.Devices, p.Devices...)
		if cursor = p.Next; cursor == "" {
			return sum, nil
		}
	}
}

// Assessed asks what became of one device, with all the evidence.
func (c *Client) Assessed(ctx context.Context, id tocsin.DeviceID) (d Assessed, err error) {
	return d, c.get(ctx, assessedPath(id), &d)
}

// Dismiss closes a device's evidence as harmless, until there is more.
func (c *Client) Dismiss(ctx context.Context, id tocsin.DeviceID, reason string) (d Assessed, err error) {
	return d, c.post(ctx, assessedPath(id)+"/dismiss", Dismissal{reason}, &d)
}

func assessedPath(id tocsin.DeviceID) string { return "/v1/compromise/" + url.PathEscape(string(id)) }

// Notices yields what owners and everybody are to be told: only to one owner, and
// in one language, unless those are "".
func (c *Client) Notices(ctx context.Context, owner tocsin.OwnerID, language bulletin.Language) iter.Seq2[Notice, error] {
	return pages(func(cursor string) ([]Notice, string, error) {
		var p NoticePage
		err := c.large(ctx, "/v1/notices"+query("owner", string(owner), "language", string(language), "cursor", cursor), &p)
		return p.Notices, p.Next, err
	})
}

// ApproveNotice agrees to exactly that text.
func (c *Client) ApproveNotice(ctx context.Context, digest compromise.Digest) (n Notice, err error) {
	return n, c.post(ctx, "/v1/notices/approve", NoticeApproval{digest}, &n)
}

// Cases yields all cases, the newest first.
func (c *Client) Cases(ctx context.Context) iter.Seq2[CaseLine, error] {
	return pages(func(cursor string) ([]CaseLine, string, error) {
		var p CasePage
		err := c.get(ctx, "/v1/cases"+query("limit", strconv.Itoa(MaxPage), "cursor", cursor), &p)
		return p.Cases, p.Next, err
	})
}

// Case asks about one case. Its history is replayed: what cannot be is an error.
func (c *Client) Case(ctx context.Context, id takedown.ID) (f CaseFile, err error) {
	return f, c.get(ctx, casePath(id), &f)
}

// CaseLetters asks for what was written about a case, and what came back.
func (c *Client) CaseLetters(ctx context.Context, id takedown.ID) (l CaseLetters, err error) {
	return l, c.get(ctx, casePath(id)+"/letters", &l)
}

// OpenCase opens a draft.
func (c *Client) OpenCase(ctx context.Context, w CaseWish) (f CaseFile, err error) {
	return f, c.post(ctx, "/v1/cases", w, &f)
}

// DraftCase has the mail written from what is known now.
func (c *Client) DraftCase(ctx context.Context, id takedown.ID, w DraftWish) (f CaseFile, err error) {
	return f, c.post(ctx, casePath(id)+"/draft", w, &f)
}

// ApproveCase agrees to exactly that mail.
func (c *Client) ApproveCase(ctx context.Context, id takedown.ID, digest takedown.Digest) (f CaseFile, err error) {
	return f, c.post(ctx, casePath(id)+"/approve", CaseApproval{digest}, &f)
}

// SendCase has the approved mail sent, or notes that a person did it.
func (c *Client) SendCase(ctx context.Context, id takedown.ID, w SendWish) (f CaseFile, err error) {
	return f, c.post(ctx, casePath(id)+"/send", w, &f)
}

// ActOnCase does something else with a case.
func (c *Client) ActOnCase(ctx context.Context, id takedown.ID, w CaseAct) (f CaseFile, err error) {
	return f, c.post(ctx, casePath(id)+"/act", w, &f)
}

// TakeAnswer hands in a letter that came back, as it came.
func (c *Client) TakeAnswer(ctx context.Context, letter io.Reader) (f CaseFile, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return f, c.send(ctx, http.MethodPost, "/v1/cases/answer", "message/rfc822", "", letter, &f)
}

// FullDossier asks for what is handed out on request only, in a language.
func (c *Client) FullDossier(ctx context.Context, id takedown.ID, language string) (d FullDossier, err error) {
	return d, c.large(ctx, casePath(id)+"/dossier"+query("language", language), &d)
}

// PrintCase writes a case with its clock for people: form is "md" or "html".
func (c *Client) PrintCase(ctx context.Context, id takedown.ID, form string, w io.Writer) error {
	return c.download(ctx, casePath(id)+"/print"+query("form", form), w)
}

// ImportFlows hands in a conn.log of Zeek, as it is: TSV or JSON.
func (c *Client) ImportFlows(ctx context.Context, conn io.Reader) (done FlowsImport, err error) {
	return done, c.send(ctx, http.MethodPost, "/v1/flows", "text/plain", "", conn, &done)
}

// TestNotifications has a test sent to every recipient.
func (c *Client) TestNotifications(ctx context.Context) error {
	return c.post(ctx, "/v1/notifications/test", nil, nil)
}

func casePath(id takedown.ID) string { return "/v1/cases/" + url.PathEscape(string(id)) }
