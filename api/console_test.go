package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/overview"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/table"
	"github.com/tocsin-io/tocsin/trial"
)

// hello is what a stream of events says first.
const hello = "event: hello\ndata: {}\n\n"

// A pages answers what consoles ask, of little; the part console is tested with a hub.
type pages struct{}

func (pages) Tables() map[string]api.Table {
	type row struct {
		Name string `json:"name"`
	}
	t := table.Table[row]{
		Columns: []table.Column[row]{{Name: "name", Text: func(r *row) string { return r.Name }}},
		Load:    func(context.Context, table.Query) ([]row, error) { return []row{{"=1+1"}, {"two"}}, nil },
	}
	return map[string]api.Table{"rules": {View: t, Role: store.Viewer}, "accesses": {View: t, Role: store.Admin}}
}

func (pages) Overview(_ context.Context, span time.Duration) (api.Overview, error) {
	return api.Overview{At: noon, Now: api.Now{At: noon}, Series: overview.New().Series(noon, span), Attention: []api.Attention{}}, nil
}

func (pages) About(_ context.Context, a netip.Addr) (api.About, error) {
	return api.About{
		Address: a, Prefix: tocsin.SourcePrefix(a), Explanations: []api.Explanation{}, Campaigns: []api.Membership{}, Cases: []api.CaseLine{}, Events: []api.Event{},
	}, nil
}

func (pages) CampaignGraph(_ context.Context, id tocsin.CampaignID, most int) (api.CampaignGraph, error) {
	if id != "c-1" {
		return api.CampaignGraph{}, store.ErrNotFound
	}
	return api.CampaignGraph{Nodes: []api.Node{{ID: "s:1", Kind: "source", Weight: float64(most)}}, Edges: []api.Edge{}}, nil
}

func (pages) CampaignTimeline(context.Context, tocsin.CampaignID) (api.CampaignTimeline, error) {
	return api.CampaignTimeline{Course: overview.New().Course(nil, noon, noon), Marks: []api.TimelineMark{{At: noon, Kind: "opened"}}}, nil
}

func (pages) CampaignNetworks(context.Context, tocsin.CampaignID) ([]api.CampaignNetwork, error) {
	return nil, nil
}

func (pages) Notifications(context.Context) ([]api.Notified, error) { return nil, nil }

func (pages) Policy(context.Context) (api.Policy, error) {
	return api.Policy{Settings: []api.PolicySetting{{Key: "policy.day_failures", Kind: "count", Value: "5", Default: "5"}}}, nil
}

func (pages) TryPolicy(_ context.Context, t api.PolicyTrial, tell func(api.PolicyStep) error) error {
	if t.Settings["wrong"] != "" {
		return api.Refuse(http.StatusBadRequest, "no such setting")
	}
	if err := tell(api.PolicyStep{Done: 0.5}); err != nil {
		return err
	}
	if t.Settings["breaks"] != "" {
		return errors.New("the database is gone")
	}
	return tell(api.PolicyStep{Done: 1, Result: &trial.Result{Events: t.Days}})
}

func (p pages) ChangePolicy(ctx context.Context, _ map[string]string, _ string) (api.Policy, error) {
	return p.Policy(ctx)
}

func (p pages) ResetPolicy(ctx context.Context, key, _ string) (api.Policy, error) {
	if key != "policy.day_failures" {
		return api.Policy{}, store.ErrNotFound
	}
	return p.Policy(ctx)
}

func TestATrialTellsHowFarItIs(t *testing.T) {
	w := newWorld(t)
	if _, text := w.as(store.Analyst, "POST", "/v1/policy/try", `{"settings":{"policy.day_failures":"3"},"days":9}`); !strings.HasPrefix(text, `data: {"done":0.5}`+"\n\n"+`data: {"done":1,"result":{"events":9,`) {
		t.Error(text)
	}
	if _, text := w.as(store.Analyst, "POST", "/v1/policy/try", `{"settings":{"breaks":"3"}}`); !strings.HasSuffix(text, `,"error":"the hub could not do it: look into its log"}`+"\n\n") {
		t.Error(text)
	}
	for body, want := range map[string]int{
		`{"settings":{"wrong":"1"}}`: 400, `{"settings":{}}`: 400, `{"settings":{"a":"1"},"days":31}`: 400, `{"settings":{"a":"\u0000"}}`: 400, `{"settings":{"a":1}}`: 400,
	} {
		if resp, text := w.as(store.Analyst, "POST", "/v1/policy/try", body); resp.StatusCode != want {
			t.Errorf("%s: %d %s", body, resp.StatusCode, text)
		}
	}
	if resp, _ := w.as(store.Viewer, "POST", "/v1/policy/try", `{"settings":{"a":"1"}}`); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	if resp, _ := w.as(store.Analyst, "PUT", "/v1/policy", `{"settings":{"a":"1"}}`); resp.StatusCode != http.StatusForbidden {
		t.Error(resp.Status)
	}
	if resp, _ := w.as(store.Admin, "DELETE", "/v1/policy/nothing", ""); resp.StatusCode != http.StatusNotFound {
		t.Error(resp.Status)
	}
}

// tryConsole asks for everything that only a console asks for.
func tryConsole(w *world) {
	for _, path := range []string{
		"/v1/live", "/v1/tables/rules?q=two&sort=name&desc=1&page=1&size=10&name=t", "/v1/tables/rules?format=csv", "/v1/overview?span=24h",
		"/v1/about?address=::ffff:203.0.113.7", "/v1/campaigns/c-1/graph?most=10", "/v1/campaigns/c-1/timeline", "/v1/campaigns/c-1/networks",
		"/v1/notifications", "/v1/policy",
	} {
		if resp, text := w.as(store.Admin, "GET", path, ""); resp.StatusCode != http.StatusOK {
			w.Errorf("GET %s: %d %s", path, resp.StatusCode, text)
		}
	}
	for _, tt := range [][3]string{
		{"POST", "/v1/policy/try", `{"settings":{"policy.day_failures":"3"}}`}, {"PUT", "/v1/policy", `{"settings":{"policy.day_failures":"3"}}`},
		{"DELETE", "/v1/policy/policy.day_failures", ""},
	} {
		if resp, text := w.as(store.Admin, tt[0], tt[1], tt[2]); resp.StatusCode != http.StatusOK {
			w.Errorf("%s: %d %s", tt, resp.StatusCode, text)
		}
	}
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Admin)}, "Content-Type": {"text/plain"}}
	if resp, text := w.raw("POST", "/v1/lists/import?verb=block", h, []byte(list)); resp.StatusCode != http.StatusOK {
		w.Errorf("import: %d %s", resp.StatusCode, text)
	}
}

const list = "\ufeffprefix,why\n203.0.113.7,loud\n\"203.0.113.8/32\";x\n# none\n\n  2001:db8::1 # one\r\n203.0.113.7\nnonsense\n10.0.0.0/8\n203.0.113.7/24\n::ffff:192.0.2.9\nfe80::1%eth0\n"

func TestALotAtOnce(t *testing.T) {
	w := newWorld(t)
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Analyst)}, "Content-Type": {"text/plain; charset=utf-8"}}
	for i, path := range []string{"/v1/lists/import?verb=block&dry=1", "/v1/lists/import?verb=block&owner=ada&for_seconds=60&note=loud"} {
		resp, text := w.raw("POST", path, h, []byte(list))
		var got api.ListImport
		w.must(json.Unmarshal([]byte(text), &got))
		if resp.StatusCode != http.StatusOK || got.Lines != 9 || got.Taken != 4 || got.Repeated != 1 || got.RefusedCount != 4 || len(got.Refused) != 4 {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
		for j, line := range []int{8, 9, 10, 12} {
			if r := got.Refused[j]; r.Line != line || r.Why == "" || r.Text == "" {
				t.Errorf("refused: %+v", got.Refused)
			}
		}
		if n := len(w.hub.ordered); n != 4*i {
			t.Errorf("%d ordered", n)
		}
	}
	if o := w.hub.ordered[3]; o.Prefix.String() != "192.0.2.9/32" || o.Owner != "ada" || o.Note != "loud" || o.Seconds != 60 || o.By != "analyst" || o.Verb != api.Block {
		t.Errorf("ordered: %+v", o)
	}
	many := strings.Repeat("203.0.113.7\n", api.MaxListLines+1)
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{"?verb=unblock", "203.0.113.7", 400}, {"", "203.0.113.7", 400}, {"?verb=block&for_seconds=-1", "", 400}, {"?verb=block&for_seconds=x", "", 400},
		{"?verb=block&onwer=ada", "203.0.113.7", 400}, {"?verb=block&dry=yes", "203.0.113.7", 400}, {"?verb=block&owner=ada&owner=bob", "203.0.113.7", 400},
		{"?verb=block&owner=%00", "", 400}, {"?verb=block&note=%00", "", 400}, {"?verb=block", many, 413}, {"?verb=block", strings.Repeat("x", api.MaxListBytes+1), 413},
	} {
		if resp, text := w.raw("POST", "/v1/lists/import"+tt.path, h, []byte(tt.body)); resp.StatusCode != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.path, resp.StatusCode, text, tt.status)
		}
	}
	h["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	if resp, _ := w.raw("POST", "/v1/lists/import?verb=block", h, []byte(list)); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Error("a form would do:", resp.Status)
	}
	if len(w.hub.ordered) != 4 {
		t.Errorf("%d ordered", len(w.hub.ordered))
	}
}

// as sends a request of a person of that role.
func (w *world) as(role store.Role, method, path, body string) (*http.Response, string) {
	w.Helper()
	h := http.Header{"Authorization": {"Bearer " + w.token(role)}}
	if body != "" {
		h["Content-Type"] = []string{"application/json"}
	}
	return w.raw(method, path, h, []byte(body))
}

func TestAHubWithoutAConsole(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Live, c.Console = nil, nil })
	for _, path := range []string{"/v1/live", "/v1/tables/rules", "/v1/overview", "/v1/about?address=203.0.113.7", "/v1/campaigns/c-1/graph"} {
		if resp, text := w.as(store.Viewer, "GET", path, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: got %d %s", path, resp.StatusCode, text)
		}
		if resp, _ := w.raw("GET", path, nil, nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: nobody got %d", path, resp.StatusCode)
		}
	}
}

func TestMistakesOfPages(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]int{
		"/v1/tables/nothing":                                      404,
		"/v1/tables/accesses":                                     403,
		"/v1/tables/rules?sort=nothing":                           400,
		"/v1/tables/rules?nothing=x":                              400,
		"/v1/tables/rules?size=501":                               400,
		"/v1/tables/rules?page=0":                                 400,
		"/v1/tables/rules?format=xml":                             400,
		"/v1/tables/rules?name=a&name=b":                          400,
		"/v1/tables/rules?q=" + strings.Repeat("x", 300):          400,
		"/v1/tables/rules?q=%00":                                  400,
		"/v1/tables/rules?%00=1":                                  400,
		"/v1/tables/rules?format=csv&sort=nothing":                400,
		"/v1/overview?span=1y":                                    400,
		"/v1/about":                                               400,
		"/v1/about?address=fe80::1%25eth0":                        400,
		"/v1/campaigns/c-1/graph?most=0":                          400,
		"/v1/campaigns/c-1/graph?most=9999":                       400,
		"/v1/campaigns/c-2/graph":                                 404,
		"/v1/campaigns/" + strings.Repeat("x", 200) + "/networks": 400,
	} {
		if resp, text := w.as(store.Viewer, "GET", path, ""); resp.StatusCode != want || !strings.HasPrefix(text, `{"error":"`) {
			t.Errorf("%.60s: got %d %s, want %d", path, resp.StatusCode, text, want)
		}
	}
}

func TestATableAsAFile(t *testing.T) {
	w := newWorld(t)
	resp, text := w.as(store.Viewer, "GET", "/v1/tables/rules?format=csv", "")
	if text != "name\r\n\"'=1+1\"\r\ntwo\r\n" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), `attachment; filename="tocsin-rules-`) {
		t.Errorf("got %q, %v", text, resp.Header)
	}
}

func TestTablesOfPeople(t *testing.T) {
	w := newWorld(t, people(t, time.Now))
	w.welcome("ada", store.Admin)
	for _, path := range []string{"/v1/tables/users?sort=last&role=admin", "/v1/tables/users?format=csv", "/v1/tables/log?desc=1&sort=at&how=socket", "/v1/tables/log?q=user"} {
		resp, text := w.as(store.Admin, "GET", path, "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(text, "ada") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, text)
		}
	}
	for path, role := range map[string]store.Role{"/v1/tables/users": store.Analyst, "/v1/tables/log": store.Viewer} {
		if resp, _ := w.as(role, "GET", path, ""); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s by a %s: %d", path, role, resp.StatusCode)
		}
	}
}
