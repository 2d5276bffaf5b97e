package notify

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var secret = []byte("0123456789abcdef")

// hookServer is a receiver as it should be: it checks every signature.
func hookServer(t *testing.T, answer http.HandlerFunc) (*httptest.Server, func() (http.Header, []byte)) {
	t.Helper()
	var mu sync.Mutex
	var header http.Header
	var body []byte
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
		if err := Verify(secret, r.Header, body, time.Now()); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		if answer != nil {
			answer(w, r)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, func() (http.Header, []byte) {
		mu.Lock()
		defer mu.Unlock()
		return header, body
	}
}

func hookTo(s *httptest.Server) *Hook {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &Hook{URL: s.URL + "/hook", Secret: secret, Roots: roots}
}

func message() Batch {
	return Batch{ID: "00ff", Kind: CampaignOpened, Made: start, More: 3, Events: []Event{
		{Kind: CampaignOpened, At: start, Title: `account "<b>root" tried`, Link: "https://hub.example/c/1", Todo: "Look."},
	}}
}

func TestHook(t *testing.T) {
	s, got := hookServer(t, nil)
	send, err := hookTo(s).sender()
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	header, body := got()
	var m struct {
		Version int
		ID      string
		Kind    string
		Made    time.Time
		Subject string
		More    int
		Events  []map[string]string
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Version != 1 || m.ID != "00ff" || m.Kind != "campaign-opened" || !m.Made.Equal(start) || m.More != 3 || len(m.Events) != 1 ||
		m.Events[0]["title"] != `account "<b>root" tried` || m.Events[0]["kind"] != "campaign-opened" || m.Subject == "" {
		t.Errorf("got %s", body)
	}
	if header.Get(HeaderDelivery) != "00ff" || header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", header)
	}
}

func TestVerifyRefuses(t *testing.T) {
	s, got := hookServer(t, nil)
	send, err := hookTo(s).sender()
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	header, body := got()
	now := time.Now()
	change := func(key, value string) http.Header { h := header.Clone(); h.Set(key, value); return h }
	for name, err := range map[string]error{
		"another secret": Verify([]byte("another secret!!"), header, body, now),
		"another body":   Verify(secret, header, append(body, ' '), now),
		"another time":   Verify(secret, change(HeaderTimestamp, strconv.FormatInt(now.Unix()+1000, 10)), body, now),
		"no time":        Verify(secret, change(HeaderTimestamp, ""), body, now),
		"no signature":   Verify(secret, change(HeaderSignature, ""), body, now),
		"old":            Verify(secret, header, body, now.Add(2*MaxAge)),
		"ahead":          Verify(secret, header, body, now.Add(-2*MaxAge)),
	} {
		if err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestHookFails(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500"},
		"gone":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, "status 410"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "redirects are not followed"},
		"drops":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "Timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := hookServer(t, test.answer)
			h := hookTo(s)
			if name == "silent" {
				h.Timeout = 300 * time.Millisecond
			}
			h.URL += "?token=hidden"
			send, err := h.sender()
			if err != nil {
				t.Fatal(err)
			}
			err = send(t.Context(), message())
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A receiver on this machine needs no TLS.
func TestHookHere(t *testing.T) {
	s, got := hookServer(t, nil)
	plain := httptest.NewServer(s.Config.Handler)
	t.Cleanup(plain.Close)
	h := &Hook{URL: plain.URL, Secret: secret}
	send, err := h.sender()
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), message()); err != nil {
		t.Error(err)
	}
	if _, body := got(); len(body) == 0 {
		t.Error("nothing arrived")
	}
}

func TestHookTrustsNobodyElse(t *testing.T) {
	s, _ := hookServer(t, nil)
	h := hookTo(s)
	h.Roots = x509.NewCertPool()
	send, err := h.sender()
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), message()); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(ctx, message()); err == nil {
		t.Error("sent by somebody who gave up")
	}
}

// What the documentation shows is what is sent.
func TestDocumentedSignature(t *testing.T) {
	doc, err := os.ReadFile("../docs/notifications.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "sha256=" + hex.EncodeToString(sum(secret, "1772366460", []byte("{}")))
	if !strings.Contains(string(doc), "`"+want+"`") {
		t.Errorf("the documentation does not show %s", want)
	}
	for _, word := range append(Kinds(), TestMessage.String(), HeaderDelivery, HeaderTimestamp, HeaderSignature) {
		if !strings.Contains(string(doc), word) {
			t.Errorf("the documentation does not know %s", word)
		}
	}
}
