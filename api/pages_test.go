package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tocsin-io/tocsin/api"
)

// TestPagesAreForAnybody: pages are read without a token and never written to, and
// what a page does not loosen stays strict.
func TestPagesAreForAnybody(t *testing.T) {
	a := api.New(api.Config{Pages: map[string]http.Handler{
		"/docs/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }),
	}})
	for _, one := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/docs/a/b", http.StatusOK, "/docs/a/b"},
		{"GET", "/docs", http.StatusTemporaryRedirect, ""},
		{"POST", "/docs/a", http.StatusMethodNotAllowed, ""},
		{"GET", "/other/a", http.StatusNotFound, ""},
	} {
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, httptest.NewRequest(one.method, one.path, nil))
		if rec.Code != one.status || one.body != "" && rec.Body.String() != one.body {
			t.Errorf("%s %s: %d %q, want %d", one.method, one.path, rec.Code, rec.Body, one.status)
		}
		if rec.Header().Get("Content-Security-Policy") == "" || rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: headers %v", one.method, one.path, rec.Header())
		}
	}
}
