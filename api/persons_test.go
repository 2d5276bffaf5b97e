package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

var (
	host = netip.MustParsePrefix("203.0.113.7/32")
)

// personCalls is everything that people can ask, and the role that it takes.
var personCalls = append(incidentCalls, []personCall{
	{"devices", store.Viewer, func(ctx context.Context, c *api.Client) error { return drain(c.Devices(ctx, "")) }},
	{"device", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Device(ctx, "nas")) }},
	{"label", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.ChangeDevice(ctx, "nas", api.DeviceChange{Labels: &map[string]string{"room": "attic"}}))
	}},
	{"rename", store.Admin, func(ctx context.Context, c *api.Client) error {
		name := "attic"
		return second(c.ChangeDevice(ctx, "nas", api.DeviceChange{Name: &name}))
	}},
	{"revoke", store.Admin, func(ctx context.Context, c *api.Client) error { return second(c.RevokeDevice(ctx, "nas")) }},
	{"token", store.Admin, func(ctx context.Context, c *api.Client) error {
		return second(c.NewToken(ctx, api.TokenWish{Owner: "ada"}))
	}},
	{"rules", store.Viewer, func(ctx context.Context, c *api.Client) error { return drain(c.Rules(ctx, "ada")) }},
	{"explain", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Explain(ctx, "", host.Addr())) }},
	{"order", store.Analyst, func(ctx context.Context, c *api.Client) error {
		return second(c.Order(ctx, api.Order{Verb: api.Block, Prefix: host}))
	}},
	{"events", store.Viewer, func(ctx context.Context, c *api.Client) error { return drain(c.Events(ctx, host)) }},
	{"list", store.Viewer, func(ctx context.Context, c *api.Client) error { return c.List(ctx, "ada", io.Discard) }},
	{"accesses", store.Admin, func(ctx context.Context, c *api.Client) error { return second(c.Accesses(ctx)) }},
	{"new access", store.Admin, func(ctx context.Context, c *api.Client) error {
		return second(c.NewAccess(ctx, api.AccessWish{Name: "grafana", Role: store.Viewer}))
	}},
	{"drop access", store.Admin, func(ctx context.Context, c *api.Client) error { return c.DropAccess(ctx, "grafana") }},
	{"new passes", store.Analyst, func(ctx context.Context, c *api.Client) error { return second(c.NewPasses(ctx, "ada")) }},
	{"passes", store.Analyst, func(ctx context.Context, c *api.Client) error { return second(c.Passes(ctx, "ada")) }},
	{"networks", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Networks(ctx)) }},
	{"import", store.Admin, func(ctx context.Context, c *api.Client) error {
		return second(c.ImportNetworks(ctx, strings.NewReader("192.0.2.0,192.0.2.255,64500,x\n")))
	}},
	{"keys", store.Admin, func(ctx context.Context, c *api.Client) error { return second(c.Keys(ctx)) }},
	{"change of keys", store.Admin, func(ctx context.Context, c *api.Client) error {
		return second(c.ChangeKeys(ctx, api.KeyChange{Do: api.RotateKey}))
	}},
	{"status", store.Viewer, func(ctx context.Context, c *api.Client) error { return second(c.Status(ctx)) }},
	{"backup", store.Admin, func(ctx context.Context, c *api.Client) error { return c.Backup(ctx, io.Discard) }},
}...)

// A personCall is one thing that people can ask.
type personCall struct {
	name string
	role store.Role
	call func(context.Context, *api.Client) error
}

func second[T any](_ T, err error) error { return err }

func drain[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestRoles: each may do what the one before may, over the network by token; the
// machine's own users do everything over the socket; devices do nothing of it.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	w.hub.list = []api.Device{{Device: tocsin.Device{ID: "nas", Owner: "ada", Enrolled: noon}}}
	roles := []store.Role{store.Viewer, store.Analyst, store.Admin}
	for _, tt := range personCalls {
		for i, role := range roles {
			want := 0
			if i < slices.Index(roles, tt.role) {
				want = http.StatusForbidden
			}
			if tt.name == "drop access" && want == 0 {
				w.must(w.hub.AddAccess(t.Context(), store.Access{Name: "grafana"}))
			}
			if err := tt.call(t.Context(), w.person(role)); status(err) != want || want == 0 && err != nil {
				t.Errorf("%s by a %s: got %v, want %d", tt.name, role, err, want)
			}
			if tt.name == "new access" && want == 0 {
				if err := w.person(role).DropAccess(t.Context(), "grafana"); err != nil {
					t.Error(err)
				}
			}
		}
		nobody := api.WithToken(w.addr, "", w.trust())
		for who, c := range map[string]*api.Client{"nobody": nobody, "a device": w.device("own")} {
			if err := tt.call(t.Context(), c); status(err) != http.StatusUnauthorized {
				t.Errorf("%s by %s: %v", tt.name, who, err)
			}
		}
		nobody.Close()
		if tt.name != "drop access" && tt.name != "new access" {
			local := api.OverSocket(w.socket)
			if err := tt.call(t.Context(), local); err != nil {
				t.Errorf("%s over the socket: %v", tt.name, err)
			}
			local.Close()
		}
	}
	if w.hub.by == "" || w.hub.access[0].Used.IsZero() {
		t.Error("who asked, or when, was not noted")
	}
}

// TestEveryOperationIsTried makes sure that the tests see each good answer that
// the document tells of.
func TestEveryOperationIsTried(t *testing.T) {
	w := newWorld(t, people(t, time.Now), aDemo)
	w.hub.list = []api.Device{{Device: tocsin.Device{ID: "nas", Owner: "ada", Enrolled: noon}}}
	admin, nas := w.person(store.Admin), w.device("own")
	for _, tt := range personCalls {
		if err := tt.call(t.Context(), admin); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	s := seen(1)
	s.ID.Device = "own"
	_, sent := nas.Send(t.Context(), noon, []tocsin.Sighting{s})
	_, clues := nas.SendClues(t.Context(), noon, tocsin.ID{}, []tocsin.Clue{noticed("own", 1)})
	_, contacts := nas.SendContacts(t.Context(), noon, []tocsin.Contact{contacted("own")})
	w.must(errors.Join(clues, contacts))
	_, enrolled := nas.Enrol(t.Context(), api.Enrolment{Secret: "good", CSR: "PEM", SealingKey: bytes.Repeat([]byte{9}, 32)})
	_, renewed := nas.Renew(t.Context(), "PEM")
	_, file := nas.TUF(t.Context(), "timestamp.json")
	_, key := nas.OwnerKey(t.Context())
	w.must(errors.Join(sent, enrolled, renewed, file, key, nas.OfferOwnerKey(t.Context(), api.OwnerKeyOffer{Fingerprint: "f"}),
		nas.Lose(t.Context(), noon, []netip.Prefix{host}), nas.Report(t.Context(), api.State{Sent: noon})))
	own := w.certificate("own", time.Hour)
	codes, err := admin.NewPasses(t.Context(), "ada")
	w.must(err)
	w.raw("GET", "/v1/feed?list=fleet/1h", nil, nil, own)
	w.raw("GET", "/metrics", http.Header{"Authorization": {"Bearer " + w.token(store.Viewer)}}, nil)
	w.raw("POST", "/pass", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte("code="+codes.Codes[0]))
	tryPeople(w)
	for _, path := range []string{"/pass", "/openapi.json", "/healthz", "/readyz"} {
		w.raw("GET", path, nil, nil)
	}
	tryConsole(w)
	tryDemo(w)
	w.check.mu.Lock()
	defer w.check.mu.Unlock()
	for _, route := range api.Routes() {
		if !w.check.seen[route+" 200"] && !w.check.seen[route+" 204"] {
			t.Errorf("%s was not tried", route)
		}
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)
	viewer := w.person(store.Viewer)
	for i := range 2500 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 32)
		w.hub.rules = append(w.hub.rules, api.Rule{Prefix: p, Action: "block", Origin: "fleet", Since: noon, Until: noon})
		if i%1000 == 999 { // at the end of a page
			w.hub.rules = append(w.hub.rules, api.Rule{Prefix: p, Action: "pass", Origin: "operator", Since: noon, Until: noon})
		}
		w.hub.list = append(w.hub.list, api.Device{Device: tocsin.Device{ID: tocsin.DeviceID("d" + p.String()), Owner: "ada", Enrolled: noon}})
		s := seen(uint64(i + 1))
		w.hub.add(tocsin.Event{Received: &tocsin.Received{Sighting: s, Channel: tocsin.Enrolled}})
	}
	slices.SortFunc(w.hub.list, func(a, b api.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	var rules []api.Rule
	for r, err := range viewer.Rules(t.Context(), "") {
		w.must(err)
		rules = append(rules, r)
	}
	if diff := cmp.Diff(w.hub.rules, rules, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	devices, serial := 0, uint64(2501)
	for d, err := range viewer.Devices(t.Context(), "ada") {
		w.must(err)
		if d.ID != w.hub.list[devices].ID {
			t.Fatalf("got %s", d.ID)
		}
		devices++
	}
	for e, err := range viewer.Events(t.Context(), host) {
		w.must(err)
		if serial--; e.Serial != serial {
			t.Fatalf("got %d, want %d", e.Serial, serial)
		}
	}
	if devices != 2500 || serial != 1 {
		t.Errorf("%d devices, down to event %d", devices, serial)
	}
	if err := drain(viewer.Rules(cancelled(t), "")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestMistakesOfPeople(t *testing.T) {
	w := newWorld(t)
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Admin)}, "Content-Type": {"application/json; charset=utf-8"}}
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/rules?limit=0", "", 400},
		{"GET", "/v1/rules?limit=1001", "", 400},
		{"GET", "/v1/rules?cursor=!", "", 400},
		{"GET", "/v1/rules?cursor=bm93aGVyZQ", "", 400},
		{"GET", "/v1/events?source=203.0.113.7&cursor=bm93aGVyZQ", "", 400},
		{"GET", "/v1/events?source=203.0.113.0/24", "", 400},
		{"GET", "/v1/events", "", 400},
		{"GET", "/v1/rules?owner=%00", "", 400},
		{"GET", "/v1/devices?owner=" + strings.Repeat("x", 200), "", 400},
		{"GET", "/v1/rules/explain?address=example.net", "", 400},
		{"GET", "/v1/passes", "", 400},
		{"GET", "/v1/devices/nobody", "", 404},
		{"DELETE", "/v1/accesses/nobody", "", 404},
		{"POST", "/v1/orders", `{"verb":"block","prefix":"203.0.113.7/32","ownr":"ada"}`, 400},
		{"POST", "/v1/orders", `{"verb":"block","prefix":"203.0.113.7/24"}`, 400},
		{"POST", "/v1/orders", `{"verb":"eat","prefix":"203.0.113.7/32"}`, 400},
		{"POST", "/v1/orders", `{"verb":"end","prefix":"203.0.113.7/32"}`, 400},
		{"POST", "/v1/orders", `{"verb":"block","of":"block","prefix":"203.0.113.7/32"}`, 400},
		{"POST", "/v1/orders", `{"verb":"block","prefix":"203.0.113.7/32","for_seconds":-1}`, 400},
		{"POST", "/v1/orders", `{"verb":"block","prefix":"203.0.113.7/32","for_seconds":9000000000000000000}`, 400},
		{"POST", "/v1/orders", `{"verb":"block","prefix":"203.0.113.7/32"} {}`, 400},
		{"POST", "/v1/orders", `{`, 400},
		{"POST", "/v1/orders", strings.Repeat(" ", api.MaxBody+1), 413},
		{"POST", "/v1/tokens", `{}`, 400},
		{"POST", "/v1/tokens", `{"owner":"ada","groups":[""]}`, 400},
		{"POST", "/v1/passes", `{}`, 400},
		{"POST", "/v1/accesses", `{"name":"x","role":"king"}`, 400},
		{"POST", "/v1/accesses", `{"name":"","role":"viewer"}`, 400},
		{"POST", "/v1/accesses", `{"name":"admin","role":"viewer"}`, 409},
		{"PATCH", "/v1/devices/nas", `{}`, 400},
		{"PATCH", "/v1/devices/nas", `{"owner":"eve"}`, 400},
		{"PATCH", "/v1/devices/nas", `{"labels":{"":"x"}}`, 400},
		{"GET", "/nothing", "", 404},
		{"GET", "/v1/orders", "", 405},
	} {
		t.Run(tt.method+" "+tt.path[:min(len(tt.path), 60)], func(t *testing.T) {
			w := &world{T: t, addr: w.addr, ca: w.ca, key: w.key}
			resp, text := w.raw(tt.method, tt.path, h, []byte(tt.body))
			if resp.StatusCode != tt.status || !strings.HasPrefix(text, `{"error":"`) {
				t.Errorf("got %d, want %d: %s", resp.StatusCode, tt.status, text)
			}
		})
	}
	h["Content-Type"] = []string{"text/plain"}
	if resp, _ := w.raw("POST", "/v1/orders", h, []byte(`{}`)); resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Error("a form of another site would do:", resp.Status)
	}
	if len(w.hub.ordered) != 0 {
		t.Errorf("ordered: %v", w.hub.ordered)
	}
}

func TestAPITokens(t *testing.T) {
	now := noon
	w := newWorld(t, func(c *api.Config) { c.Now = func() time.Time { return now } })
	made, err := w.person(store.Admin).NewAccess(t.Context(), api.AccessWish{Name: "grafana", Role: store.Viewer, Seconds: 60})
	w.must(err)
	for _, a := range w.hub.access {
		if strings.Contains(a.Name+string(a.Hash[:]), made.Token) {
			t.Error("the token is stored")
		}
	}
	c := api.WithToken(w.addr, made.Token, w.trust())
	defer c.Close()
	if err := second(c.Status(t.Context())); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if err := second(c.Status(t.Context())); status(err) != http.StatusUnauthorized {
		t.Error("it goes on after its end:", err)
	}
	for range 30 {
		err = second(c.Status(t.Context()))
	}
	if pushedBack(err) <= 0 {
		t.Error("guessing goes on:", err)
	}
}

func TestOrdersAndEvents(t *testing.T) {
	w := newWorld(t)
	c := w.person(store.Analyst)
	for _, o := range []api.Order{
		{Verb: api.Block, Prefix: host, Owner: "ada", Seconds: 60, Note: "loud"},
		{Verb: api.Unblock, Prefix: host}, {Verb: api.Allow, Prefix: host},
		{Verb: api.End, Of: api.Block, Prefix: host}, {Verb: api.End, Of: api.Allow, Prefix: host},
	} {
		done, err := c.Order(t.Context(), o)
		w.must(err)
		got := w.hub.ordered[len(w.hub.ordered)-1]
		o.By = "analyst"
		if diff := cmp.Diff(o, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || done.Serial == 0 {
			t.Error(diff, done)
		}
		for e, err := range c.Events(t.Context(), host) {
			w.must(err)
			if e.Order.Verb != o.Verb || e.Order.Of != o.Of || e.Order.By != "analyst" {
				t.Errorf("got %+v, want %+v", e.Order, o)
			}
			break
		}
	}
}

func TestListLeavesOutWhatPasses(t *testing.T) {
	w := newWorld(t)
	rule := func(owner, prefix, action string) api.Rule {
		return api.Rule{Owner: tocsin.OwnerID(owner), Prefix: netip.MustParsePrefix(prefix), Action: action}
	}
	w.hub.rules = []api.Rule{
		rule("", "192.0.2.1/32", "block"), rule("", "192.0.2.2/32", "block"), rule("", "198.51.100.0/24", "block"),
		rule("", "203.0.113.7/32", "block"), rule("", "2001:db8:1::/64", "block"),
		rule("ada", "192.0.2.2/32", "block"), rule("ada", "192.0.2.3/32", "block"), rule("ada", "198.51.100.9/32", "pass"),
		rule("ada", "203.0.113.0/24", "pass"), rule("bob", "192.0.2.1/32", "pass"),
	}
	c := w.person(store.Viewer)
	for owner, want := range map[tocsin.OwnerID]string{
		"":    "192.0.2.1/32\n192.0.2.2/32\n198.51.100.0/24\n203.0.113.7/32\n2001:db8:1::/64\n",
		"ada": "192.0.2.1/32\n192.0.2.2/32\n192.0.2.3/32\n2001:db8:1::/64\n",
		"bob": "192.0.2.2/32\n198.51.100.0/24\n203.0.113.7/32\n2001:db8:1::/64\n",
	} {
		var got bytes.Buffer
		w.must(c.List(t.Context(), owner, &got))
		if diff := cmp.Diff(want, got.String()); diff != "" {
			t.Errorf("%q: %s", owner, diff)
		}
	}
}

func TestABackupThatBreaksOffIsNone(t *testing.T) {
	w := newWorld(t)
	c := w.person(store.Admin)
	var got bytes.Buffer
	if err := c.Backup(t.Context(), &got); err != nil || got.String() != "all of it" {
		t.Error(got.String(), err)
	}
	w.hub.copied = func(out io.Writer) error {
		_, err := out.Write(make([]byte, 1<<20))
		return errors.Join(err, store.ErrFull)
	}
	if err := c.Backup(t.Context(), io.Discard); err == nil {
		t.Error("half a backup passed for a whole one")
	}
	w.hub.broken = store.ErrFull
	w.hub.copied = func(io.Writer) error { return nil }
	if err := c.Backup(t.Context(), io.Discard); !errors.Is(err, store.ErrFull) {
		t.Error(err)
	}
}

func TestHealthSaysLittle(t *testing.T) {
	w := newWorld(t)
	w.hub.broken = errors.New("secret-of-the-hub")
	if resp, text := w.raw("GET", "/healthz", nil, nil); resp.StatusCode != http.StatusOK || text != "ok\n" {
		t.Error(resp.Status, text)
	}
	if resp, text := w.raw("GET", "/readyz", nil, nil); resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(text, "secret") {
		t.Error(resp.Status, text)
	}
	if resp, _ := w.raw("GET", "/metrics", nil, nil); resp.StatusCode != http.StatusUnauthorized {
		t.Error("metrics for anybody:", resp.Status)
	}
}
