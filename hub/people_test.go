package hub_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

// A browser is one that keeps cookies.
type browser struct {
	w    *world
	http *http.Client
}

func (w *world) browser() *browser {
	w.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.ca)
	jar, err := cookiejar.New(nil)
	w.must(err)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	w.t.Cleanup(t.CloseIdleConnections)
	return &browser{w, &http.Client{Transport: t, Jar: jar}}
}

func (b *browser) want(status int, method, url string, in, out any) {
	b.w.t.Helper()
	body, err := json.Marshal(in)
	b.w.must(err)
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, url, strings.NewReader(string(body)))
	b.w.must(err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.http.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != status {
		b.w.t.Fatalf("%s %s: got %s, want %d", method, url, resp.Status, status)
	}
	if out != nil {
		b.w.must(json.NewDecoder(resp.Body).Decode(out))
	}
}

// TestConsole: the link of a first start makes an admin, by either address, and
// an account is good by both, after a restart too.
func TestConsole(t *testing.T) {
	w := newWorld(t)
	settled, err := w.hub.Settled(t.Context())
	w.must(err)
	link, _, err := w.hub.Welcome(t.Context())
	w.must(err)
	if settled || len(w.hub.Consoles()) != 2 || w.hub.Consoles()[0] != w.local {
		t.Errorf("settled %v, consoles %q", settled, w.hub.Consoles())
	}
	code := strings.TrimPrefix(link, api.WelcomePath)
	b := w.browser()
	b.want(200, "POST", w.local+"/v1/invitation", api.Acceptance{Code: code, Name: "ada", Password: "four plain words here"}, nil)
	var s api.Session
	b.want(200, "GET", w.local+"/v1/session", nil, &s)
	if s.Name != "ada" || s.Role != store.Admin || s.Version != "test" {
		t.Errorf("got %+v", s)
	}
	b.want(401, "GET", "https://"+w.addr+"/v1/session", nil, nil)
	b.want(200, "POST", "https://"+w.addr+"/v1/session", api.Credential{Name: "ada", Password: "four plain words here"}, nil)
	b.want(200, "GET", "https://"+w.addr+"/v1/status", nil, nil)
	var backup bytes.Buffer
	w.must(w.admin.Backup(t.Context(), &backup))
	w.halt()
	w.start()
	b.want(200, "GET", "https://"+w.addr+"/v1/session", nil, &s)
	if settled, err := w.hub.Settled(t.Context()); err != nil || !settled {
		t.Errorf("settled %v, %v", settled, err)
	}
	// Who was signed out after a backup must not be signed in by it again.
	w.restore(backup.Bytes())
	b.want(401, "GET", "https://"+w.addr+"/v1/session", nil, nil)
	b.want(200, "POST", "https://"+w.addr+"/v1/session", api.Credential{Name: "ada", Password: "four plain words here"}, nil)
	check, err := w.admin.VerifyLog(t.Context(), "")
	if w.must(err); !check.Good || check.Entries < 4 {
		t.Errorf("got %+v", check)
	}
}
