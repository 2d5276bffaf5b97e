package api_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// typed posts a code as a browser does.
func (w *world) typed(code, language string) (*http.Response, string) {
	w.Helper()
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept-Language": {language}}
	return w.raw("POST", "/pass", h, []byte(url.Values{"code": {code}}.Encode()))
}

func TestAPassLetsItsBearerThroughOnce(t *testing.T) {
	w := newWorld(t)
	c := w.person(store.Analyst)
	made, err := c.NewPasses(t.Context(), "ada")
	w.must(err)
	if len(made.Codes) != api.PassCodes {
		t.Fatalf("got %d codes", len(made.Codes))
	}
	tired := strings.ToLower(strings.NewReplacer("0", "O", "1", "l", "-", " ").Replace(made.Codes[0]))
	for _, tt := range []struct {
		code, language string
		status         int
		text           string
	}{
		{tired, "en-GB,en;q=0.9", http.StatusOK, "A block of 127.0.0.1 is lifted, and it may pass until 2026-01-16 12:00 UTC"},
		{made.Codes[0], "en", http.StatusGone, "was used before"},
		{made.Codes[1], "fr-CA, en", http.StatusOK, "127.0.0.1 n’était pas bloquée"},
		{"7Q2M-0K9D-XXTA-4H1C", "de,fr;q=0.5", http.StatusNotFound, "aucun des laissez-passer"},
		{"<script>alert(1)</script>", "en", http.StatusBadRequest, "16 letters and digits"},
		{strings.Repeat("7", 4000), "", http.StatusBadRequest, "16 letters and digits"},
	} {
		resp, page := w.typed(tt.code, tt.language)
		if resp.StatusCode != tt.status || !strings.Contains(page, tt.text) || strings.Contains(page, "<script") {
			t.Errorf("%q: got %s, want %d and %q:\n%s", tt.code, resp.Status, tt.status, tt.text, page)
		}
	}
	list, err := c.Passes(t.Context(), "ada")
	w.must(err)
	if !list[0].Used.Equal(noon) || list[0].For.String() != "127.0.0.1/32" || !list[2].Used.IsZero() {
		t.Errorf("got %+v", list)
	}
}

func TestPassesAreNotGuessed(t *testing.T) {
	now := noon
	w := newWorld(t, func(c *api.Config) { c.Now = func() time.Time { return now } })
	for range 6 {
		w.typed("7Q2M-0K9D-XXTA-4H1C", "en")
	}
	resp, page := w.typed("7Q2M-0K9D-XXTA-4H1C", "en")
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(page, "Wait") {
		t.Error(resp.Status, page)
	}
	now = now.Add(time.Minute)
	if resp, _ := w.typed("7Q2M-0K9D-XXTA-4H1C", "en"); resp.StatusCode != http.StatusNotFound {
		t.Error("whoever waited is not let try again:", resp.Status)
	}
	w.hub.mu.Lock()
	w.hub.broken = errors.New("secret-of-the-hub")
	w.hub.mu.Unlock()
	if resp, page := w.typed("7Q2M-0K9D-XXTA-4H1C", "fr"); resp.StatusCode != http.StatusInternalServerError ||
		!strings.Contains(page, "Réessayez") || strings.Contains(page, "secret") {
		t.Error(resp.Status, page)
	}
}

func TestThePageRunsNothing(t *testing.T) {
	w := newWorld(t)
	resp, page := w.raw("GET", "/pass?lang=fr", http.Header{"Accept-Language": {"en"}}, nil)
	if !strings.Contains(page, `<html lang="fr">`) || !strings.Contains(page, "127.0.0.1") || strings.Contains(page, "<script") {
		t.Error(page)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Error(csp)
	}
}

func TestPassesDiffer(t *testing.T) {
	a, ok := api.HashPass("7Q2M-0K9D-XXTA-4H1C")
	b, same := api.HashPass(" 7q2m ok9d xxta 4hlc")
	if !ok || !same || a != b {
		t.Error("two ways to type a pass are two passes")
	}
	for _, text := range []string{"", "7Q2M", "7Q2M-0K9D-XXTA-4H1C-0", "7Q2M-0K9D-XXTA-4H1U", "7Q2M-0K9D-XXTA-4H1é"} {
		if _, ok := api.HashPass(text); ok {
			t.Errorf("%q passes for a pass", text)
		}
	}
}
