package rdap

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A registries is a local server that plays IANA, five registries and the two
// services in the shape of RIPE's, each below a path of its own.
type registries struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // paths, in order
	say   map[string]http.HandlerFunc
}

func newRegistries(t *testing.T) *registries {
	r := &registries{say: map[string]http.HandlerFunc{}}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(r.serve))
	r.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.StartTLS()
	t.Cleanup(r.Close)
	r.list("ipv4.json", "192.0.2.0/24", "arin", "198.51.100.0/24", "ripe", "203.0.113.0/24", "lacnic", "198.18.0.0/15", "afrinic",
		"203.0.113.64/26", "apnic")
	r.list("ipv6.json", "2001:db8::/32", "apnic")
	r.list("asn.json", "64496-64511", "ripe")
	r.answer(t, "/arin/ip/192.0.2.7", "arin")
	r.answer(t, "/ripe/ip/198.51.100.99", "ripe")
	r.answer(t, "/apnic/ip/2001:db8:123::1", "apnic")
	r.answer(t, "/lacnic/ip/203.0.113.200", "lacnic")
	r.answer(t, "/afrinic/ip/198.18.3.4", "afrinic")
	r.answer(t, "/ripe/autnum/64500", "autnum")
	return r
}

func (r *registries) serve(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, req.URL.Path)
	say := r.say[req.URL.Path]
	r.mu.Unlock()
	if say == nil {
		http.NotFound(w, req)
		return
	}
	say(w, req)
}

// on sets what is said at a path.
func (r *registries) on(path string, say http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say[path] = say
}

func (r *registries) answer(t *testing.T, path, name string) {
	raw := fixture(t, name)
	r.on(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/rdap+json")
		_, _ = w.Write(raw)
	})
}

func (r *registries) list(name string, pairs ...string) {
	var services []any
	for p := range slices.Chunk(pairs, 2) {
		services = append(services, []any{[]string{p[0]}, []string{r.URL + "/" + p[1]}})
	}
	r.on("/iana/"+name, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"version": "1.0", "services": services})
	})
}

// questions returns what was asked, and forgets it.
func (r *registries) questions() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *registries) config(t *testing.T) Config {
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	return Config{
		Folder: t.TempDir(), Bootstrap: []string{r.URL + "/iana/"}, Roots: roots, PerMinute: 1e6,
		Local: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Timeout: 10 * time.Second,
	}
}

// client returns a client with a clock that stands still.
func client(t *testing.T, cfg Config) (*Client, *time.Time) {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := start
	c.now = func() time.Time { return now }
	return c, &now
}

func wantQuestions(t *testing.T, r *registries, want ...string) {
	t.Helper()
	if got := r.questions(); !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func wantErr(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, want := range parts {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v\nwant %q", err, want)
		}
	}
}

func TestContact(t *testing.T) {
	r := newRegistries(t)
	c, _ := client(t, r.config(t))
	for _, test := range []struct {
		about string
		want  []string
	}{
		{"192.0.2.7", []string{"abuse@hosting.example"}},
		{"198.51.100.99", []string{"Abuse@provider.example", "security@provider.example"}},
		{"2001:db8:123::1", []string{"irt@asia.example", "csirt@asia.example"}},
		{"::ffff:203.0.113.200", []string{"abuse@telecom.example"}},
	} {
		got, err := c.Contact(t.Context(), netip.MustParseAddr(test.about))
		if err != nil || !slices.Equal(got.Mails, test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.about, got.Mails, err, test.want)
		}
		if got.Found != ByRegistry || len(got.Raw) == 0 || got.Digest != sha256.Sum256(got.Raw) || !got.At.Equal(start) {
			t.Errorf("%s: no evidence: %s, %d bytes, %v", test.about, got.Found, len(got.Raw), got.At)
		}
	}
	as, err := c.ContactAS(t.Context(), 64500)
	if err != nil || !slices.Equal(as.Mails, []string{"abuse@upstream.example"}) || as.Subject != "AS64500" {
		t.Errorf("AS: got %+v, %v", as, err)
	}
}

// A mirror of one's own, on this machine and without TLS.
func TestOwnMirror(t *testing.T) {
	r := newRegistries(t)
	plain := httptest.NewServer(r.Config.Handler)
	t.Cleanup(plain.Close)
	r.on("/iana/ipv4.json", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"services":[[["192.0.2.0/24"],["%s/arin/"]]]}`, plain.URL)
	})
	c, _ := client(t, Config{Bootstrap: []string{plain.URL + "/iana"}, Local: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	got, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7"))
	if err != nil || !slices.Equal(got.Mails, []string{"abuse@hosting.example"}) {
		t.Errorf("got %q, %v", got.Mails, err)
	}
}

func TestLongestPrefixWins(t *testing.T) {
	r := newRegistries(t)
	r.on("/apnic/ip/203.0.113.70", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"startAddress":"203.0.113.64","endAddress":"203.0.113.127",
			"entities":[{"roles":["abuse"],"vcardArray":["vcard",[["email",{},"text","a@asia.example"]]]}]}`))
	})
	c, _ := client(t, r.config(t))
	if _, err := c.Contact(t.Context(), netip.MustParseAddr("203.0.113.70")); err != nil {
		t.Error(err)
	}
	if _, err := c.Contact(t.Context(), netip.MustParseAddr("203.0.113.200")); err != nil {
		t.Error(err)
	}
	wantQuestions(t, r, "/iana/ipv4.json", "/apnic/ip/203.0.113.70", "/lacnic/ip/203.0.113.200")
}

func TestAnswersAreKeptForADay(t *testing.T) {
	r := newRegistries(t)
	cfg := r.config(t)
	c, _ := client(t, cfg)
	ask := func(a string) Contact {
		t.Helper()
		got, err := c.Contact(t.Context(), netip.MustParseAddr(a))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	ask("192.0.2.7")
	wantQuestions(t, r, "/iana/ipv4.json", "/arin/ip/192.0.2.7")
	// A neighbour of the same network is answered from memory, and after a restart from the disk.
	if got := ask("192.0.2.8"); got.Subject != "192.0.2.8" {
		t.Errorf("subject %s", got.Subject)
	}
	for name, text := range map[string]string{"198.51.100.0_24.json": "{", "x.json": `{"mails":["a@b.example"],"raw":"AAAA"}`, "y": ""} {
		if err := os.WriteFile(filepath.Join(cfg.Folder, "answers", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, now := client(t, cfg)
	first := ask("192.0.2.9")
	wantQuestions(t, r)

	*now = now.Add(25 * time.Hour)
	r.list("ipv4.json", "192.0.2.0/24", "arin")
	again := ask("192.0.2.7")
	wantQuestions(t, r, "/iana/ipv4.json", "/arin/ip/192.0.2.7")
	if !again.At.After(first.At) || again.Stale {
		t.Errorf("got the old answer of %v", again.At)
	}

	// Nobody answers any more: what is known goes on, and says how old it is.
	*now = now.Add(9 * 24 * time.Hour)
	r.Close()
	old := ask("192.0.2.7")
	if !old.Stale || len(old.Notes) == 0 || !strings.Contains(old.Notes[0], "9 days old") {
		t.Errorf("got stale %v, notes %q", old.Stale, old.Notes)
	}
	*now = now.Add(100 * 24 * time.Hour)
	_, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7"))
	wantErr(t, err, "192.0.2.7", "rdap.contact", "try again later")
}

func TestListOfRegistriesGoesOnWhenIANAIsDown(t *testing.T) {
	r := newRegistries(t)
	c, now := client(t, r.config(t))
	if _, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7")); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(5 * 24 * time.Hour)
	for name, say := range map[string]http.HandlerFunc{
		"down":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"empty":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"services":[]}`)) },
		"too much": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxList+1)) },
	} {
		r.on("/iana/ipv4.json", say)
		*now = now.Add(25 * time.Hour)
		got, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7"))
		if err != nil || len(got.Notes) == 0 || !strings.Contains(got.Notes[0], "list of registries is") || !got.ListsFrom.Equal(start) {
			t.Errorf("%s: got %q, %v", name, got.Notes, err)
		}
	}
	// It is not fetched with every question.
	r.questions()
	if _, err := c.Contact(t.Context(), netip.MustParseAddr("198.51.100.99")); err != nil {
		t.Error(err)
	}
	wantQuestions(t, r, "/ripe/ip/198.51.100.99")
}

func TestNoListOfRegistries(t *testing.T) {
	r := newRegistries(t)
	r.on("/iana/ipv4.json", nil)
	cfg := r.config(t)
	c, _ := client(t, cfg)
	_, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7"))
	wantErr(t, err, "404", "put by hand into "+filepath.Join(cfg.Folder, "ipv4.json"), "rdap.contact")

	// By hand it works, also where its time is wrong.
	raw := fmt.Sprintf(`{"services":[[["192.0.2.0/24"],["http://192.0.2.1/","%s/arin"]],["x"],[["nonsense"],["https://x.example"]]]}`, r.URL)
	path := filepath.Join(cfg.Folder, "ipv4.json")
	if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, start.AddDate(9, 0, 0), start.AddDate(9, 0, 0)); err != nil {
		t.Fatal(err)
	}
	c, _ = client(t, cfg)
	if _, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.7")); err != nil {
		t.Error(err)
	}
	_, err = c.Contact(t.Context(), netip.MustParseAddr("198.51.100.1"))
	wantErr(t, err, "no registry gives it out")
}

func TestNobody(t *testing.T) {
	r := newRegistries(t)
	c, _ := client(t, r.config(t))
	for range 2 { // the second time from memory
		got, err := c.Contact(t.Context(), netip.MustParseAddr("198.18.3.4"))
		if !errors.Is(err, ErrNobody) || len(got.Others) != 1 || len(got.Raw) == 0 {
			t.Errorf("got %q, %v", got.Others, err)
		}
		wantErr(t, err, "name the contact by hand")
	}
	wantQuestions(t, r, "/iana/ipv4.json", "/afrinic/ip/198.18.3.4")
}

func TestFinders(t *testing.T) {
	r := newRegistries(t)
	cfg := r.config(t)
	cfg.AbuseContact, cfg.AbuseFinder = r.URL+"/db", r.URL+"/stat/"
	c, now := client(t, cfg)
	about := netip.MustParseAddr("198.18.3.4")
	say := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
	}
	r.on("/db/abuse-contact/198.18.3.4.json", say(`{"abuse-contacts":{"key":"X","email":"abuse@first.example","suspect":false}}`))
	r.on("/stat/data/abuse-contact-finder/data.json", say(`{"status":"ok","data":{"abuse_contacts":["a b","abuse@second.example"]}}`))

	got, err := c.Contact(t.Context(), about)
	if err != nil || !slices.Equal(got.Mails, []string{"abuse@first.example"}) || got.Found != ByFinder || got.Holder != "Example Africa" {
		t.Errorf("got %+v, %v", got, err)
	}
	wantQuestions(t, r, "/iana/ipv4.json", "/afrinic/ip/198.18.3.4", "/db/abuse-contact/198.18.3.4.json")

	r.on("/db/abuse-contact/198.18.3.4.json", say(`{"abuse-contacts":[]}`))
	*now = now.Add(25 * time.Hour)
	got, err = c.Contact(t.Context(), about)
	if err != nil || !slices.Equal(got.Mails, []string{"abuse@second.example"}) {
		t.Errorf("got %q, %v", got.Mails, err)
	}

	// The registry that breaks is stood in for, too; and when all know nothing the evidence stays.
	r.on("/afrinic/ip/198.18.3.4", say("<html>"))
	*now = now.Add(25 * time.Hour)
	got, err = c.Contact(t.Context(), about)
	if err != nil || !slices.Equal(got.Mails, []string{"abuse@second.example"}) || len(got.Notes) == 0 {
		t.Errorf("got %q, %q, %v", got.Mails, got.Notes, err)
	}
	r.answer(t, "/afrinic/ip/198.18.3.4", "afrinic")
	r.on("/stat/data/abuse-contact-finder/data.json", say(`{"data":null}`))
	*now = now.Add(25 * time.Hour)
	got, err = c.Contact(t.Context(), about)
	if !errors.Is(err, ErrNobody) || len(got.Notes) != 2 || len(got.Raw) == 0 {
		t.Errorf("got %q, %v", got.Notes, err)
	}
}

func TestOwnersWord(t *testing.T) {
	r := newRegistries(t)
	cfg := r.config(t)
	cfg.Contacts = map[netip.Prefix][]Override{
		netip.MustParsePrefix("192.0.2.0/24"):  {{Mail: "wide@owner.example"}},
		netip.MustParsePrefix("192.0.2.64/26"): {{Mail: "narrow@owner.example", Note: "told by phone"}},
	}
	c, _ := client(t, cfg)
	got, err := c.Contact(t.Context(), netip.MustParseAddr("192.0.2.70"))
	if err != nil || !slices.Equal(got.Mails, []string{"narrow@owner.example"}) || got.Found != ByOwner {
		t.Errorf("got %+v, %v", got, err)
	}
	wantQuestions(t, r)
}

func TestNeverAsked(t *testing.T) {
	r := newRegistries(t)
	c, _ := client(t, r.config(t))
	for _, a := range []string{"10.1.2.3", "192.168.0.1", "127.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "100.64.1.1", "0.0.0.0", "255.255.255.255"} {
		_, err := c.Contact(t.Context(), netip.MustParseAddr(a))
		wantErr(t, err, "not a public address")
	}
	for _, as := range []uint32{0, 64512, 65535, 4200000001} {
		_, err := c.ContactAS(t.Context(), as)
		wantErr(t, err, "not a public number")
	}
	if _, err := c.Contact(t.Context(), netip.Addr{}); err == nil {
		t.Error("asked about nothing")
	}
	wantQuestions(t, r)
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := New(Config{
		Bootstrap: []string{"http://data.example/", "://"}, AbuseContact: "https://user@rest.example/", AbuseFinder: "http://127.0.0.1/",
		Contacts: map[netip.Prefix][]Override{netip.MustParsePrefix("192.0.2.1/24"): {{Mail: "Me <me@owner.example>"}}},
	})
	wantErr(t, err, "only https is trusted", "missing protocol scheme", "user@rest.example", "127.0.0.1", "needs a network", "not a plain mail address")
}
