package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/api/apitest"
	"github.com/tocsin-io/tocsin/bulletin"
	"github.com/tocsin-io/tocsin/compromise"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/takedown"
)

// firstCase is the ID of the case that [apitest.Full] has open.
var firstCase = takedown.NewID(noon, [5]byte{1, 2, 3})

func newIncident() *apitest.Incident { return apitest.Full(func() time.Time { return noon }) }

// incidentCalls is what people can ask of what happened, and the role it takes.
// All of it can be asked again.
var incidentCalls = []personCall{
	{"campaigns", store.Viewer, func(ctx context.Context, c *api.Client) error { return drain(c.Campaigns(ctx)) }},
	{"campaign", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Campaign(ctx, "c-2")) }},
	{"stix", store.Viewer, func(ctx context.Context, c *api.Client) error { return c.STIX(ctx, "c-2", "amber+strict", io.Discard) }},
	{"ranking", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Ranking(ctx, 0)) }},
	{"compromise", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Compromise(ctx, 0)) }},
	{"assessed", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Assessed(ctx, "d-confirmed")) }},
	{"dismiss", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return unlessAgain(second(c.Dismiss(ctx, "d-suspected", "our own test")))
	}},
	{"notices", store.Analyst, func(ctx context.Context, c *api.Client) error { return drain(c.Notices(ctx, "", "")) }},
	{"approval of a notice", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.ApproveNotice(ctx, newIncident().Texts[0].Digest()))
	}},
	{"cases", store.Viewer, func(ctx context.Context, c *api.Client) error { return drain(c.Cases(ctx)) }},
	{"case", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Case(ctx, firstCase)) }},
	{"letters of a case", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.CaseLetters(ctx, firstCase)) }},
	{"new case", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return unlessAgain(second(c.OpenCase(ctx, api.CaseWish{Kind: takedown.BruteForce, Source: netip.MustParsePrefix("198.51.100.7/32")})))
	}},
	{"draft", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.DraftCase(ctx, firstCase, api.DraftWish{Language: "fr", Keep: true}))
	}},
	{"approval of a mail", store.Analyst, func(ctx context.Context, c *api.Client) error {
		f, err := c.DraftCase(ctx, firstCase, api.DraftWish{Keep: true})
		digest := takedown.Digest{1}
		if err == nil {
			digest = f.Draft.Digest
		}
		return unlessAgain(second(c.ApproveCase(ctx, firstCase, digest)))
	}},
	{"sending", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return unlessAgain(second(c.SendCase(ctx, firstCase, api.SendWish{})))
	}},
	{"note", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.ActOnCase(ctx, firstCase, api.CaseAct{Act: takedown.Note, Why: "telephoned"}))
	}},
	{"dossier", store.Analyst, func(ctx context.Context, c *api.Client) error { return second(c.FullDossier(ctx, firstCase, "de")) }},
	{"print", store.Viewer, func(ctx context.Context, c *api.Client) error {
		return errors.Join(c.PrintCase(ctx, firstCase, "html", io.Discard), c.PrintCase(ctx, firstCase, "", io.Discard))
	}},
	{"answer", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return unlessAgain(second(c.TakeAnswer(ctx, strings.NewReader("Subject: Re: ["+string(firstCase)+"]\r\n\r\nThank you"))))
	}},
	{"flows", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.ImportFlows(ctx, strings.NewReader("#fields\n")))
	}},
	{"test of notifications", store.Admin, func(ctx context.Context, c *api.Client) error { return c.TestNotifications(ctx) }},
}

// unlessAgain forgives a conflict: the one before did it.
func unlessAgain(err error) error {
	if status(err) == http.StatusConflict {
		return nil
	}
	return err
}

func TestWhatHappenedArrivesWhole(t *testing.T) {
	w := newWorld(t)
	c, have := w.person(store.Analyst), w.hub.incident
	same := cmp.Options{
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b compromise.Entry) bool { return fmt.Sprint(a) == fmt.Sprint(b) }),
	}
	page, err := c.Campaign(t.Context(), "c-2")
	w.must(err)
	want := apitest.FullCampaign("c-2", noon)
	want.Sources[1].Reasons = []tocsin.Reason{}
	if diff := cmp.Diff(want, page, same); diff != "" {
		t.Error(diff)
	}
	ranked, err := c.Ranking(t.Context(), 1)
	w.must(err)
	wantRanked := have.Ranked
	wantRanked.Candidates, wantRanked.Omitted = wantRanked.Candidates[:1], 1
	if diff := cmp.Diff(wantRanked, ranked, same); diff != "" {
		t.Error(diff)
	}
	d, err := c.Assessed(t.Context(), "d-confirmed")
	w.must(err)
	wantDevice := have.Devices[1]
	wantDevice.Closing.Seen = []compromise.Digest{}
	if diff := cmp.Diff(wantDevice, d, same); diff != "" {
		t.Error(diff)
	}
	n := 0
	for got, err := range c.Notices(t.Context(), "ada", bulletin.French) {
		w.must(err)
		n++
		if diff := cmp.Diff(have.Texts[2], got.Text); diff != "" || got.Digest != have.Texts[2].Digest() || got.Text.Digest() != got.Digest || got.Ready {
			t.Error(diff, got)
		}
	}
	var bundle bytes.Buffer
	if err := c.STIX(t.Context(), "", "", &bundle); err != nil || !bytes.Equal(bundle.Bytes(), have.Bundle) || n != 1 {
		t.Error(n, err, bundle.String())
	}
}

func TestCompromiseListsAreShort(t *testing.T) {
	w := newWorld(t)
	i := w.hub.incident
	for n := range 2500 {
		d := api.Assessed{Assessment: compromise.Assessment{Device: tocsin.DeviceID(fmt.Sprintf("e%04d", n)), State: compromise.Clean, Covered: true}}
		i.Devices = append(i.Devices, d)
	}
	c := w.person(store.Viewer)
	all, err := c.Compromise(t.Context(), 0)
	w.must(err)
	clean, err := c.Compromise(t.Context(), compromise.Clean)
	w.must(err)
	if len(all.Devices) != 2506 || len(clean.Devices) != 2501 || clean.Summary.Devices != 2506 {
		t.Errorf("%d devices, %d clean, summed up %d", len(all.Devices), len(clean.Devices), clean.Summary.Devices)
	}
	for _, d := range all.Devices {
		if d.Ledger != nil || d.Closing != nil {
			t.Errorf("the list tells all of %s", d.Device)
		}
	}
	if diff := cmp.Diff(all.Summary, clean.Summary); diff != "" || all.Summary.States[compromise.Confirmed] != 1 {
		t.Error(diff, all.Summary)
	}
	if len(i.Devices[1].Ledger) != 3 {
		t.Error("asking for a list took the evidence away")
	}
}

func TestWhoDidItIsNotInTheBody(t *testing.T) {
	w := newWorld(t)
	c, i := w.person(store.Analyst), w.hub.incident
	i.ByWhom = nil
	_, dismissed := c.Dismiss(t.Context(), "d-confirmed", "our own test")
	n, noticed := c.ApproveNotice(t.Context(), i.Texts[0].Digest())
	f, approved := c.ApproveCase(t.Context(), firstCase, w.mustDraft(c).Digest)
	w.must(errors.Join(dismissed, noticed, approved))
	if !n.Ready || n.Approval.By != "analyst" || !f.Draft.Approved || f.Case.State != takedown.Approved {
		t.Errorf("%+v, %+v", n, f)
	}
	f, sent := c.SendCase(t.Context(), firstCase, api.SendWish{ByHand: true})
	w.must(sent)
	if diff := cmp.Diff([]string{"analyst", "analyst", "analyst", "analyst"}, i.ByWhom); diff != "" || f.Case.State != takedown.Sent || !f.Case.Mails[0].Form {
		t.Error(diff, f.Case.State)
	}
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Analyst)}, "Content-Type": {"application/json"}}
	for _, path := range []string{"/approve", "/act"} {
		body := `{"by":"eve","digest":"` + strings.Repeat("1", 64) + `","act":"note","why":"x"}`
		if resp, text := w.raw("POST", "/v1/cases/"+string(firstCase)+path, h, []byte(body)); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d: %s", path, resp.StatusCode, text)
		}
	}
}

func (w *world) mustDraft(c *api.Client) api.CaseDraft {
	f, err := c.DraftCase(w.Context(), firstCase, api.DraftWish{Keep: true})
	w.must(err)
	return *f.Draft
}

// TestErrorsOfCasesAreTold: what a case cannot do as it stands is for whoever
// asked, and anything else for the hub's log.
func TestErrorsOfCasesAreTold(t *testing.T) {
	w := newWorld(t)
	c := w.person(store.Analyst)
	for _, err := range []error{
		takedown.ErrState, takedown.ErrApproval, takedown.ErrTooEarly, takedown.ErrRepeat, takedown.ErrNotProven,
		compromise.ErrNothingToClose, bulletin.ErrNotApproved, bulletin.ErrChanged,
	} {
		w.hub.incident.Broken = fmt.Errorf("case: %w", err)
		err := second(c.ActOnCase(t.Context(), firstCase, api.CaseAct{Act: takedown.Note, Why: "x"}))
		if status(err) != http.StatusConflict || err.Error() != w.hub.incident.Broken.Error() {
			t.Errorf("got %d %v, want %v", status(err), err, w.hub.incident.Broken)
		}
	}
	w.hub.incident.Broken = errors.New("secret-of-the-hub")
	for _, tt := range incidentCalls {
		err := tt.call(t.Context(), w.person(store.Admin))
		early := slices.Contains([]string{"approval of a mail", "sending", "answer"}, tt.name) // the case says no before
		if status(err) < 400 && !early || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	if err := second(c.Assessed(t.Context(), "nobody")); status(err) != http.StatusInternalServerError {
		t.Error(err)
	}
	w.hub.incident.Broken = nil
	if err := second(c.Assessed(t.Context(), "nobody")); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

func TestAHubWithoutIncidents(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Incident = nil })
	for _, tt := range incidentCalls {
		if err := tt.call(t.Context(), w.person(store.Admin)); status(err) != http.StatusNotFound || !strings.Contains(err.Error(), "this hub does not serve it") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestMistakesAboutIncidents(t *testing.T) {
	w := newWorld(t)
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Admin)}, "Content-Type": {"application/json"}}
	id := "/v1/cases/" + string(firstCase)
	long := strings.Repeat("x", 3000)
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/campaigns?limit=0", "", 400},
		{"GET", "/v1/campaigns?cursor=bm93aGVyZQ", "", 400},
		{"GET", "/v1/campaigns/c%00", "", 400},
		{"GET", "/v1/campaigns/nothing", "", 404},
		{"GET", "/v1/stix?tlp=purple", "", 400},
		{"GET", "/v1/stix?campaign=" + long, "", 400},
		{"GET", "/v1/controllers?limit=1001", "", 400},
		{"GET", "/v1/compromise?state=rotten", "", 400},
		{"GET", "/v1/compromise/" + strings.Repeat("x", 200), "", 400},
		{"POST", "/v1/compromise/d-confirmed/dismiss", `{}`, 400},
		{"POST", "/v1/compromise/d-confirmed/dismiss", `{"reason":" "}`, 400},
		{"POST", "/v1/compromise/d-confirmed/dismiss", `{"reason":"` + long + `"}`, 400},
		{"POST", "/v1/compromise/d-clean/dismiss", `{"reason":"x"}`, 409},
		{"POST", "/v1/compromise/nobody/dismiss", `{"reason":"x"}`, 404},
		{"GET", "/v1/notices?language=xx", "", 400},
		{"GET", "/v1/notices?kind=xx", "", 400},
		{"GET", "/v1/notices?owner=%00", "", 400},
		{"POST", "/v1/notices/approve", `{}`, 400},
		{"POST", "/v1/notices/approve", `{"digest":"zz"}`, 400},
		{"POST", "/v1/notices/approve", `{"digest":"` + strings.Repeat("1", 64) + `"}`, 409},
		{"GET", "/v1/cases/TC-1", "", 400},
		{"GET", "/v1/cases/TC-20200101-00000000", "", 404},
		{"POST", "/v1/cases", `{}`, 400},
		{"POST", "/v1/cases", `{"kind":"plague","source":"198.51.100.7/32"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"198.51.100.0/24"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"10.0.0.1/32"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"2001:db8::/48"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"::ffff:198.51.100.7/128"}`, 400},
		{"POST", "/v1/cases", `{"kind":"controller","source":"198.51.100.7/32"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"198.51.100.7/32","why":"a\nBcc: b"}`, 400},
		{"POST", "/v1/cases", `{"kind":"brute-force","source":"198.51.100.7/32","domain":"` + long + `"}`, 400},
		{"POST", "/v1/cases", `{"kind":"controller","source":"203.0.113.7/32","port":443}`, 409},
		{"POST", id + "/draft", `{"language":"xx"}`, 400},
		{"POST", id + "/draft", `{"to":"abuse@example.net\r\nBcc: eve@example.net"}`, 400},
		{"POST", id + "/draft", `{"to":"Eve <eve@example.net>"}`, 400},
		{"POST", id + "/approve", `{}`, 400},
		{"POST", id + "/approve", `{"digest":"` + strings.Repeat("1", 64) + `"}`, 409},
		{"POST", id + "/send", `{"now":true}`, 400},
		{"POST", id + "/send", `{}`, 409},
		{"POST", id + "/act", `{"act":"approve"}`, 400},
		{"POST", id + "/act", `{"act":"note"}`, 400},
		{"POST", id + "/act", `{"act":"escalate"}`, 400},
		{"POST", id + "/act", `{"act":"close","why":"x","step":"upstream"}`, 400},
		{"POST", id + "/act", `{"act":"bounce"}`, 400},
		{"POST", id + "/act", `{"act":"note","why":"` + long + `"}`, 400},
		{"POST", id + "/act", `{"act":"close","why":"x"}`, 409},
		{"GET", id + "/dossier?language=xx", "", 400},
		{"GET", id + "/print?form=pdf", "", 400},
		{"POST", "/v1/cases/answer", `{}`, 415},
	} {
		t.Run(tt.method+" "+tt.path[:min(len(tt.path), 60)], func(t *testing.T) {
			w := &world{T: t, addr: w.addr, ca: w.ca, key: w.key}
			resp, text := w.raw(tt.method, tt.path, h, []byte(tt.body))
			if resp.StatusCode != tt.status || !strings.HasPrefix(text, `{"error":"`) {
				t.Errorf("%s: got %d, want %d: %s", tt.body[:min(len(tt.body), 80)], resp.StatusCode, tt.status, text)
			}
		})
	}
	h["Content-Type"] = []string{"message/rfc822"}
	for body, want := range map[string]int{" \r\n": 400, "Subject: hello\r\n\r\n": 422, strings.Repeat("x", 10<<20+1): 413} {
		if resp, text := w.raw("POST", "/v1/cases/answer", h, []byte(body)); resp.StatusCode != want {
			t.Errorf("letter of %d bytes: got %d: %s", len(body), resp.StatusCode, text)
		}
	}
}

// TestAPrintedCaseRunsNothing: what providers and attackers wrote is in the page.
func TestAPrintedCaseRunsNothing(t *testing.T) {
	w := newWorld(t)
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Viewer)}}
	resp, text := w.raw("GET", "/v1/cases/"+string(firstCase)+"/print?form=html", h, nil)
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") || strings.Contains(policy, "script-src") ||
		resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(text, "<!doctype html>") {
		t.Errorf("%v\n%s", resp.Header, text)
	}
	if resp, text := w.raw("GET", "/v1/cases/"+string(firstCase)+"/print", h, nil); resp.Header.Get("Content-Type") != "text/markdown; charset=utf-8" || text != "# "+string(firstCase)+"\n" {
		t.Error(resp.Header, text)
	}
	resp, _ = w.raw("GET", "/v1/stix?tlp=amber+strict", h, nil)
	if got := w.hub.incident.Asked[len(w.hub.incident.Asked)-1]; got != `stix "" "amber+strict"` || resp.Header.Get("Content-Type") != "application/stix+json;version=2.1" {
		t.Error(got, resp.Header)
	}
}
