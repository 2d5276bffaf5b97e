//go:build !small

package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func ask(t *testing.T, method, address, encoding, match string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, address, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	if match != "" {
		r.Header.Set("If-None-Match", match)
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// script finds the first script of the entry page.
func script(t *testing.T) string {
	t.Helper()
	page := text(t, ask(t, "GET", "/console/", "", ""))
	m := regexp.MustCompile(`src="(/console/assets/[^"]+\.js)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no script in %s", page)
	}
	return m[1]
}

func TestEveryAddressIsAPage(t *testing.T) {
	want := text(t, ask(t, "GET", "/console/", "", ""))
	for _, address := range []string{"/console/index.html", "/console/campaigns/g-1", "/console/about/2001:db8::1", "/console/../etc/passwd"} {
		r := ask(t, "GET", address, "", "")
		if got := text(t, r); r.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %d, not the page", address, r.StatusCode)
		}
		if got := r.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", address, got)
		}
	}
}

func TestNothingInThePageIsRefusedByItsPolicy(t *testing.T) {
	r := ask(t, "GET", "/console/", "", "")
	p := r.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(p, want) {
			t.Errorf("policy lacks %s: %s", want, p)
		}
	}
	if strings.Contains(p, "unsafe") {
		t.Errorf("policy: %s", p)
	}
	page := text(t, r)
	for _, bad := range []*regexp.Regexp{regexp.MustCompile(`<script[^>]*>[^<]`), regexp.MustCompile(`<style`), regexp.MustCompile(` style=`), regexp.MustCompile(`https?://`)} {
		if m := bad.FindString(page); m != "" {
			t.Errorf("the page has %q", m)
		}
	}
}

func TestScriptsAreKeptForEver(t *testing.T) {
	r := ask(t, "GET", script(t), "br;q=1.0, gzip;q=0.8", "")
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	plain := ask(t, "GET", script(t), "gzip;q=0", "")
	if text(t, plain) != string(unpacked) || plain.Header.Get("Content-Encoding") != "" {
		t.Error("packed and plain differ")
	}
	if plain.Header.Get("ETag") == r.Header.Get("ETag") {
		t.Error("packed and plain have the same ETag")
	}
	if again := ask(t, "GET", script(t), "gzip", r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("known already: %d", again.StatusCode)
	}
}

func TestAScriptOfAnotherVersionIsNoPage(t *testing.T) {
	if r := ask(t, "GET", "/console/assets/index-00000000.js", "", ""); r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	if r := ask(t, "POST", "/console/", "", ""); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

// TestEntryIsSmall holds what the entry page loads before it shows anything.
func TestEntryIsSmall(t *testing.T) {
	const most = 60 << 10
	page := text(t, ask(t, "GET", "/console/", "", ""))
	sum := 0
	for _, m := range regexp.MustCompile(`(?:src|href)="(/console/assets/[^"]+\.js)"`).FindAllStringSubmatch(page, -1) {
		sum += len(text(t, ask(t, "GET", m[1], "gzip", "")))
	}
	if sum == 0 || sum > most {
		t.Errorf("%d bytes of JavaScript, want at most %d", sum, most)
	}
}
