package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/signin"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// people has an API sign people in, by a real database.
func people(t *testing.T, now func() time.Time) func(*api.Config) {
	db, err := sqlite.Open(t.Context(), t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	desk, err := signin.New(t.Context(), signin.Config{Store: db, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *api.Config) {
		c.SignIn, c.Ledger, c.Now, c.Version = desk, db, now, "test"
		c.Consoles = []string{"https://192.0.2.1:7443"}
	}
}

// A browser keeps cookies, as browsers do.
type browser struct {
	w    *world
	base string
	http *http.Client
	head http.Header
}

// browser returns one that asks over TLS.
func (w *world) browser() *browser { return w.browserAt("https://"+w.addr, w.trustTransport()) }

func (w *world) browserAt(base string, t *http.Transport) *browser {
	jar, err := cookiejar.New(nil)
	w.must(err)
	w.Cleanup(t.CloseIdleConnections)
	return &browser{w: w, base: base, http: &http.Client{Transport: t, Jar: jar}, head: http.Header{"Sec-Fetch-Site": {"same-origin"}}}
}

func (w *world) trustTransport() *http.Transport { return &http.Transport{TLSClientConfig: w.trust()} }

// ask sends in as JSON, reads the answer into out unless that is nil, and returns
// the status.
func (b *browser) ask(method, path string, in, out any) int {
	b.w.Helper()
	body := ""
	if in != nil {
		j, err := json.Marshal(in)
		b.w.must(err)
		body = string(j)
	}
	req, err := http.NewRequestWithContext(b.w.Context(), method, b.base+path, strings.NewReader(body))
	b.w.must(err)
	for k, v := range b.head {
		req.Header[k] = v
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := b.http.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != strings.HasPrefix(b.base, "https") {
			b.w.Errorf("%s %s: a careless cookie: %v", method, path, c)
		}
	}
	if out != nil {
		b.w.must(json.NewDecoder(resp.Body).Decode(out))
	}
	return resp.StatusCode
}

func (b *browser) want(status int, method, path string, in, out any) {
	b.w.Helper()
	if got := b.ask(method, path, in, out); got != status {
		b.w.Errorf("%s %s: got %d, want %d", method, path, got, status)
	}
}

func code(link string) string { return strings.TrimPrefix(link, api.WelcomePath) }

const passphrase = "four plain words here"

// welcome has a new user choose the password passphrase.
func (w *world) welcome(name string, role store.Role) *browser {
	w.Helper()
	local := api.OverSocket(w.socket)
	defer local.Close()
	u, err := local.AddUser(w.Context(), api.UserWish{Name: name, Role: role})
	w.must(err)
	b := w.browser()
	b.want(200, "POST", "/v1/invitation", api.Acceptance{Code: code(u.Link), Password: passphrase}, nil)
	return b
}

// tryPeople asks each thing about people once.
func tryPeople(w *world) {
	b := w.welcome("ada", store.Admin)
	var u api.UserInvited
	b.want(200, "POST", "/v1/users", api.UserWish{Name: "bob", Role: store.Viewer}, &u)
	b.want(200, "POST", "/v1/invitation/look", api.InvitationCode{Code: code(u.Link)}, &api.Invitation{})
	b.want(200, "GET", "/v1/session", nil, nil)
	role := store.Analyst
	b.want(204, "PATCH", "/v1/users/bob", api.UserChange{Role: &role}, nil)
	b.want(204, "DELETE", "/v1/users/bob/sessions", nil, nil)
	local := api.OverSocket(w.socket)
	defer local.Close()
	_, err := local.ResetUser(w.Context(), "bob")
	w.must(err)
	b.want(204, "DELETE", "/v1/users/bob", nil, nil)
	b.want(204, "POST", "/v1/session/password", api.PasswordChange{Old: passphrase, New: passphrase + "!"}, nil)
	b.want(204, "DELETE", "/v1/session", nil, nil)
	b.want(200, "POST", "/v1/session", api.Credential{Name: "ada", Password: passphrase + "!"}, nil)
	b.want(200, "GET", "/v1/log/verify", nil, nil)
	b.want(204, "DELETE", "/v1/sessions", nil, nil)
}

// TestFirstAccount: the hub's link makes the first admin, once.
func TestFirstAccount(t *testing.T) {
	var desk *signin.Desk
	w := newWorld(t, people(t, time.Now), func(c *api.Config) { desk = c.SignIn })
	b := w.browser()
	var told struct {
		Error string
		First bool
	}
	b.want(401, "GET", "/v1/session", nil, &told)
	if !told.First || !strings.Contains(told.Error, "tocsin users add") {
		t.Errorf("got %+v", told)
	}
	first, err := desk.First(t.Context(), "the hub")
	w.must(err)
	var i api.Invitation
	b.want(200, "POST", "/v1/invitation/look", api.InvitationCode{Code: first.Code}, &i)
	if i.Name != "" || i.Role != store.Admin {
		t.Errorf("got %+v", i)
	}
	for _, bad := range []string{"short", "password1234", "Ada.Ada.Ada.", "aaaaaaaaaaaa", "administrator", "123456789012", "qwertyuiopas"} {
		b.want(422, "POST", "/v1/invitation", api.Acceptance{Code: first.Code, Name: "ada", Password: bad}, nil)
	}
	b.want(422, "POST", "/v1/invitation", api.Acceptance{Code: first.Code, Name: "<b>", Password: passphrase}, nil)
	var s api.Session
	b.want(200, "POST", "/v1/invitation", api.Acceptance{Code: first.Code, Name: " Ada", Password: passphrase}, &s)
	if s.Name != "ada" || s.Role != store.Admin || s.Version != "test" || !s.Until.After(s.Since) {
		t.Errorf("got %+v", s)
	}
	b.want(200, "GET", "/v1/devices", nil, nil)
	b.want(410, "POST", "/v1/invitation", api.Acceptance{Code: first.Code, Name: "eve", Password: passphrase}, nil)
	b.want(410, "POST", "/v1/invitation/look", api.InvitationCode{Code: "what"}, nil)
	told.First = false
	w.browser().want(401, "GET", "/v1/session", nil, &told)
	if told.First {
		t.Error("there is an account, and it says there is none")
	}
}

// TestSessions: they end by time, by leaving, by a new password and by an admin.
func TestSessions(t *testing.T) {
	c := newClock()
	w := newWorld(t, people(t, c.now))
	b := w.welcome("ada", store.Admin)
	in := func() *browser {
		b := w.browser()
		b.want(200, "POST", "/v1/session", api.Credential{Name: "Ada", Password: passphrase}, nil)
		return b
	}
	c.add(signin.Idle - time.Minute)
	b.want(200, "GET", "/v1/session", nil, nil)
	c.add(signin.Idle - time.Minute)
	b.want(200, "GET", "/v1/session", nil, nil)
	c.add(signin.Idle)
	b.want(401, "GET", "/v1/session", nil, nil)
	b = in()
	for range 15 {
		c.add(signin.Idle - time.Minute)
		b.ask("GET", "/v1/session", nil, nil)
	}
	b.want(401, "GET", "/v1/devices", nil, nil)

	one, two := in(), in()
	one.want(422, "POST", "/v1/session/password", api.PasswordChange{Old: "not it, not it", New: passphrase + "!"}, nil)
	one.want(204, "POST", "/v1/session/password", api.PasswordChange{Old: passphrase, New: passphrase}, nil)
	one.want(200, "GET", "/v1/session", nil, nil)
	two.want(401, "GET", "/v1/session", nil, nil)
	two = in()
	two.want(204, "DELETE", "/v1/session", nil, nil)
	two.want(401, "GET", "/v1/session", nil, nil)
	two = in()
	one.want(204, "DELETE", "/v1/sessions", nil, nil)
	two.want(401, "GET", "/v1/session", nil, nil)

	bob, admin := w.welcome("bob", store.Viewer), in()
	bob.want(200, "GET", "/v1/devices", nil, nil)
	admin.want(204, "DELETE", "/v1/users/bob/sessions", nil, nil)
	bob.want(401, "GET", "/v1/devices", nil, nil)
	bob.want(200, "POST", "/v1/session", api.Credential{Name: "bob", Password: passphrase}, nil)
	off := true
	admin.want(204, "PATCH", "/v1/users/bob", api.UserChange{Off: &off}, nil)
	bob.want(401, "GET", "/v1/devices", nil, nil)
	bob.want(401, "POST", "/v1/session", api.Credential{Name: "bob", Password: passphrase}, nil)
}

// TestSignedInRoles: a session may what its user's role may, from one request to
// the next; and the last admin stays one.
func TestSignedInRoles(t *testing.T) {
	w := newWorld(t, people(t, time.Now))
	admin, bob := w.welcome("ada", store.Admin), w.welcome("bob", store.Viewer)
	order := api.Order{Verb: api.Block, Prefix: host}
	bob.want(403, "POST", "/v1/orders", order, nil)
	analyst, viewer, off := store.Analyst, store.Viewer, true
	admin.want(204, "PATCH", "/v1/users/bob", api.UserChange{Role: &analyst}, nil)
	bob.want(200, "POST", "/v1/orders", order, nil)
	if by := w.hub.ordered[0].By; by != "bob" {
		t.Errorf("ordered by %q", by)
	}
	bob.want(403, "POST", "/v1/users", api.UserWish{Name: "eve", Role: store.Admin}, nil)
	admin.want(409, "PATCH", "/v1/users/ada", api.UserChange{Role: &viewer}, nil)
	admin.want(409, "PATCH", "/v1/users/ada", api.UserChange{Off: &off}, nil)
	admin.want(409, "DELETE", "/v1/users/ada", nil, nil)
	admin.want(200, "GET", "/v1/accesses", nil, nil)
	// One who was invited and never came is no admin yet.
	admin.want(200, "POST", "/v1/users", api.UserWish{Name: "eve", Role: store.Admin}, nil)
	admin.want(409, "DELETE", "/v1/users/ada", nil, nil)
	admin.want(403, "POST", "/v1/users/eve/reset", nil, nil)
	local := api.OverSocket(w.socket)
	defer local.Close()
	users, err := local.Users(t.Context())
	w.must(err)
	if len(users) != 3 || users[0].Name != "ada" || users[0].Sessions != 1 || users[0].Last.IsZero() || !users[2].Waiting {
		t.Errorf("got %+v", users)
	}
	bob.want(403, "GET", "/v1/tables/users", nil, nil)
	bob.want(200, "GET", "/v1/tables/log?by=bob", nil, nil)
	admin.want(400, "PATCH", "/v1/users/bob", api.UserChange{}, nil)
	admin.want(404, "DELETE", "/v1/users/nobody", nil, nil)
}

// TestOtherSites: what another site's page asks for is not done, cookie or not.
func TestOtherSites(t *testing.T) {
	w := newWorld(t, people(t, time.Now))
	b := w.welcome("ada", store.Admin)
	for name, head := range map[string]http.Header{
		"cross-site":   {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":    {"Sec-Fetch-Site": {"same-site"}},
		"other origin": {"Origin": {"https://evil.example"}},
	} {
		b.head = head
		if got := b.ask("POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil); got != 403 {
			t.Errorf("%s: got %d", name, got)
		}
		if got := b.ask("POST", "/v1/session", api.Credential{Name: "ada", Password: passphrase}, nil); got != 403 {
			t.Errorf("%s: signing in: got %d", name, got)
		}
	}
	if len(w.hub.ordered) > 0 {
		t.Error("it was ordered")
	}
	b.head = http.Header{"Origin": {"https://" + w.addr}}
	b.want(200, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil)
}

// TestGuessing: whoever guesses waits; a session, a browser that is known, and a
// one-time link do not.
func TestGuessing(t *testing.T) {
	c := newClock()
	w := newWorld(t, people(t, c.now))
	signedIn, away := w.welcome("ada", store.Admin), w.welcome("bob", store.Viewer)
	away.want(204, "DELETE", "/v1/session", nil, nil)
	guesser := w.browser()
	guess := func(name string) (status int, wait string) {
		resp, _ := w.raw("POST", "/v1/session", http.Header{"Content-Type": {"application/json"}},
			fmt.Appendf(nil, `{"name":%q,"password":"wrong wrong wrong"}`, name))
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	tries, status, wait := 0, 401, ""
	for ; status == 401 && tries < 50; tries++ {
		c.add(time.Second)
		status, wait = guess([]string{"bob", "nobody", "ada"}[tries%3])
	}
	if status != 429 || tries > 11 {
		t.Fatalf("got %d after %d tries", status, tries)
	}
	if wait == "" || len(wait) > 2 || wait > "30" && len(wait) == 2 {
		t.Errorf("this machine waits %q seconds: all of its users do", wait)
	}
	guesser.want(429, "POST", "/v1/session", api.Credential{Name: "bob", Password: passphrase}, nil)
	signedIn.want(200, "GET", "/v1/devices", nil, nil)
	away.want(200, "POST", "/v1/session", api.Credential{Name: "bob", Password: passphrase}, nil)
	local := api.OverSocket(w.socket)
	defer local.Close()
	u, err := local.ResetUser(t.Context(), "bob")
	w.must(err)
	w.browser().want(200, "POST", "/v1/invitation", api.Acceptance{Code: code(u.Link), Password: passphrase}, nil)
	c.add(31 * time.Second)
	guesser.want(200, "POST", "/v1/session", api.Credential{Name: "bob", Password: passphrase}, nil)
}

// TestLocalListener: this machine's own address by plain HTTP, and by no name
// that can lead elsewhere.
func TestLocalListener(t *testing.T) {
	w := newWorld(t, people(t, time.Now))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	server := &http.Server{Handler: w.check.next.(*api.API).Local(), ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { w.must(server.Close()); wg.Wait() })
	w.welcome("ada", store.Admin)
	port := l.Addr().(*net.TCPAddr).Port
	to := func(host string) *browser {
		return w.browserAt(fmt.Sprintf("http://%s:%d", host, port), &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
			},
		})
	}
	b := to("localhost")
	b.want(200, "POST", "/v1/session", api.Credential{Name: "ada", Password: passphrase}, nil)
	b.want(200, "GET", "/v1/devices", nil, nil)
	to("127.0.0.1").want(401, "GET", "/v1/session", nil, nil)
	for _, name := range []string{"evil.example", "localhost.evil.example", "192.0.2.1"} {
		to(name).want(421, "GET", "/v1/session", nil, nil)
	}
	b.want(401, "POST", "/v1/sightings", api.Batch{}, nil)
}

// A clock is set by the test.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// TestLiveEndsWithTheSession: who is signed out hears no more, nor does an API token
// that was dropped or has ended.
func TestLiveEndsWithTheSession(t *testing.T) {
	begun := make(chan struct{}, 1)
	w := newWorld(t, people(t, time.Now), func(c *api.Config) {
		c.Live = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			begun <- struct{}{}
			<-r.Context().Done()
		})
	})
	b := w.welcome("ada", store.Admin)
	bearer := func(token string) *browser {
		one := w.browser()
		one.head.Set("Authorization", "Bearer "+token)
		return one
	}
	w.hub.mu.Lock()
	brief := store.Access{Hash: api.HashAccess("brief"), Name: "brief", Role: store.Viewer, Until: time.Now().Add(3 * time.Second)}
	w.hub.access = append(w.hub.access, brief)
	w.hub.mu.Unlock()
	for _, one := range []struct {
		name string
		who  *browser
		end  func()
	}{
		{"dropped token", bearer(w.token(store.Viewer)), func() { b.want(204, "DELETE", "/v1/accesses/viewer", nil, nil) }},
		{"token that ends", bearer("brief"), func() {}},
		{"session", b, func() { b.want(204, "DELETE", "/v1/sessions", nil, nil) }},
	} {
		ended := make(chan int, 1)
		go func() { ended <- one.who.ask("GET", "/v1/live", nil, nil) }()
		<-begun
		one.end()
		select {
		case status := <-ended:
			if status != http.StatusOK {
				t.Errorf("%s: got %d", one.name, status)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it goes on", one.name)
		}
		one.who.want(401, "GET", "/v1/live", nil, nil)
	}
}
