package api_test

import (
	"net/http"
	"testing"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// hello is what a stream of events says first.
const hello = "event: hello\ndata: {}\n\n"

// tryConsole asks for everything that only a console asks for.
func tryConsole(w *world) {
	for _, path := range []string{"/v1/live"} {
		if resp, text := w.as(store.Admin, "GET", path, ""); resp.StatusCode != http.StatusOK {
			w.Errorf("GET %s: %d %s", path, resp.StatusCode, text)
		}
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

func TestAHubThatTellsNothing(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Live = nil })
	if resp, text := w.as(store.Viewer, "GET", "/v1/live", ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
	if resp, _ := w.raw("GET", "/v1/live", nil, nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody got %d", resp.StatusCode)
	}
}
