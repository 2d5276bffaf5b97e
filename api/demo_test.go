package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// A show is a demo that is steered.
type show struct{ steered []api.DemoChange }

func (s *show) Clock() api.DemoClock { return api.DemoClock{Speed: 100, Now: noon, Seed: 1} }

func (s *show) Page() api.DemoPage {
	return api.DemoPage{
		DemoClock: s.Clock(),
		Stages:    []api.DemoStory{{N: 1, Stage: "attack", At: noon, Clock: "12:00:00", EN: "It begins.", FR: "Cela commence."}},
		Summary: &api.DemoSummary{
			Firewall: "memory", Reached: []string{"attack"}, Missing: []string{}, Rows: []api.DemoRow{{DemoClocks: api.DemoClocks{What: "block"}, FR: api.DemoClocks{What: "blocage"}}}, NotShown: []string{"all"}, NotShownFR: []string{"tout"},
		},
	}
}

func (s *show) Steer(c api.DemoChange) error { s.steered = append(s.steered, c); return nil }

// aDemo has a hub show something invented.
func aDemo(c *api.Config) { c.Demo = &show{} }

// tryDemo asks for everything that only a demo answers.
func tryDemo(w *world) {
	for _, body := range []string{`{"paused":true}`, `{"seed":7}`} {
		if resp, text := w.as(store.Analyst, "POST", "/v1/demo", body); resp.StatusCode != http.StatusOK {
			w.Errorf("POST /v1/demo: %d %s", resp.StatusCode, text)
		}
	}
	if resp, text := w.as(store.Viewer, "GET", "/v1/demo", ""); resp.StatusCode != http.StatusOK || !strings.Contains(text, "It begins.") {
		w.Errorf("GET /v1/demo: %d %s", resp.StatusCode, text)
	}
}

func TestDemoIsSteered(t *testing.T) {
	s := &show{}
	w := newWorld(t, func(c *api.Config) { c.Demo = s })
	for _, tt := range []struct {
		role   store.Role
		body   string
		status int
	}{
		{store.Viewer, `{"paused":true}`, http.StatusForbidden},
		{store.Analyst, `{}`, http.StatusBadRequest},
		{store.Analyst, `{"speed":1}`, http.StatusBadRequest},
		{store.Analyst, `{"paused":false,"seed":9}`, http.StatusOK},
	} {
		if resp, text := w.as(tt.role, "POST", "/v1/demo", tt.body); resp.StatusCode != tt.status {
			t.Errorf("%v %s: %d %s", tt.role, tt.body, resp.StatusCode, text)
		}
	}
	if len(s.steered) != 1 || s.steered[0].Paused == nil || *s.steered[0].Paused || *s.steered[0].Seed != 9 {
		t.Errorf("steered %+v", s.steered)
	}
	usual := newWorld(t)
	for method, body := range map[string]string{"GET": "", "POST": `{"paused":true}`} {
		if resp, _ := usual.as(store.Admin, method, "/v1/demo", body); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s /v1/demo of a hub that is no demo: %d", method, resp.StatusCode)
		}
	}
}
