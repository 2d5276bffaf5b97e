package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store"
)

// logged returns what the log says, oldest first: who, how, what, and how it ended.
func logged(t *testing.T, l store.Ledger) (lines []string) {
	t.Helper()
	for e, err := range l.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s (%s) %s [%s]: %s", e.By, e.How, e.Did, e.Path, e.Outcome))
	}
	return lines
}

// TestOperatorsLog: whatever people ask for is written down in words, with its
// outcome, and without any secret.
func TestOperatorsLog(t *testing.T) {
	var kept store.Ledger
	var mu sync.Mutex
	var heard []uint64
	w := newWorld(t, people(t, time.Now), func(c *api.Config) {
		kept = c.Ledger
		c.Noted = func(e ledger.Entry) { mu.Lock(); defer mu.Unlock(); heard = append(heard, e.Serial) }
	})
	ada, bob := w.welcome("ada", store.Admin), w.welcome("bob", store.Viewer)
	ada.want(200, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host, Owner: "ada", Seconds: 3600, Note: "guesses"}, nil)
	ada.want(200, "POST", "/v1/orders", api.Order{Verb: api.End, Of: api.Block, Prefix: host}, nil)
	bob.want(403, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil)
	ada.want(400, "POST", "/v1/orders", api.Order{Verb: "burn", Prefix: host}, nil)
	ada.want(200, "GET", "/v1/status", nil, nil)
	ada.want(200, "GET", "/v1/backup", nil, nil)
	off := true
	ada.want(204, "PATCH", "/v1/users/bob", api.UserChange{Off: &off}, nil)
	stranger := w.browser()
	stranger.want(401, "POST", "/v1/session", api.Credential{Name: "ada", Password: "a secret, mistyped"}, nil)
	stranger.want(401, "POST", "/v1/session", api.Credential{Name: "a secret in the wrong field", Password: "x"}, nil)
	stranger.want(400, "POST", "/v1/session", map[string]string{"a secret": "x"}, nil)
	stranger.want(401, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil)
	analyst := w.person(store.Analyst)
	_, err := analyst.NewPasses(t.Context(), "ada")
	w.must(err)
	ada.want(200, "PUT", "/v1/policy", api.PolicyChange{Settings: map[string]string{"policy.welcome": "198.51.100.0/24", "policy.day_failures": "3"}}, nil)
	ada.want(204, "POST", "/v1/session/password", api.PasswordChange{Old: passphrase, New: passphrase + "!"}, nil)
	ada.want(204, "DELETE", "/v1/session", nil, nil)

	me := strings.SplitN(logged(t, kept)[0], " ", 2)[0]
	want := []string{
		me + " (socket) add user ada as admin [POST /v1/users]: done",
		"ada (console) spend a one-time link: choose a password and be signed in [POST /v1/invitation]: done",
		me + " (socket) add user bob as viewer [POST /v1/users]: done",
		"bob (console) spend a one-time link: choose a password and be signed in [POST /v1/invitation]: done",
		"ada (console) block 203.0.113.7/32 at ada for 1h: guesses [POST /v1/orders]: done",
		"ada (console) end block 203.0.113.7/32 [POST /v1/orders]: done",
		"bob (console) block, unblock, allow, or take that back [POST /v1/orders]: refused: bob may not: it takes the role of analyst",
		"ada (console) burn 203.0.113.7/32 [POST /v1/orders]: refused: verb: want block, unblock, allow or end",
		"ada (console) copy all that the hub keeps [GET /v1/backup]: done",
		"ada (console) change user bob: off [PATCH /v1/users/bob]: done",
		"ada (console) sign in with a wrong password [POST /v1/session]: refused: the name or the password is wrong",
		"? (console) sign in as nobody who is known [POST /v1/session]: refused: the name or the password is wrong",
		"? (console) sign in with a password [POST /v1/session]: refused: not understood",
		"analyst (token) make ten one-time passes for ada [POST /v1/passes]: done",
		"ada (console) change the policy: day_failures = 3, welcome = 198.51.100.0/24 [PUT /v1/policy]: done",
		"ada (console) take another password [POST /v1/session/password]: done",
		"ada (console) sign out [DELETE /v1/session]: done",
	}
	got := logged(t, kept)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(heard) != len(got) || !slices.IsSorted(heard) {
		t.Errorf("heard of %v", heard)
	}
	local := api.OverSocket(w.socket)
	defer local.Close()
	if deeds, err := local.Deeds(t.Context(), "bob", 10); err != nil || len(deeds) != 2 || deeds[1].By != "bob" || deeds[0].Serial < deeds[1].Serial {
		t.Errorf("the table: got %+v, %v", deeds, err)
	}
	if deeds, err := local.Deeds(t.Context(), "", 3); err != nil || len(deeds) != 3 || deeds[0].Serial != uint64(len(got)) {
		t.Errorf("the newest of it: got %+v, %v", deeds, err)
	}
	check, err := local.VerifyLog(t.Context(), "")
	w.must(err)
	if !check.Good || check.Entries != uint64(len(got)) {
		t.Errorf("got %+v", check)
	}
	again, err := local.VerifyLog(t.Context(), check.Head)
	w.must(err)
	if !again.Good || again.NotedAt != check.Entries {
		t.Errorf("with its head: got %+v", again)
	}
	other, err := local.VerifyLog(t.Context(), strings.Repeat("ab", 32))
	w.must(err)
	if other.Good || other.Why == "" {
		t.Errorf("with another head: got %+v", other)
	}
}

// TestRefusalsAreBounded: whoever is refused for ever does not fill the disk, and
// what others do is written down all the same.
func TestRefusalsAreBounded(t *testing.T) {
	c := newClock()
	var kept store.Ledger
	w := newWorld(t, people(t, c.now), func(c *api.Config) { kept = c.Ledger })
	ada, bob := w.welcome("ada", store.Analyst), w.welcome("bob", store.Viewer)
	before := len(logged(t, kept))
	for range 200 {
		bob.want(403, "POST", "/v1/orders", nil, nil)
	}
	ada.want(200, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil)
	if n := len(logged(t, kept)) - before; n != 21 {
		t.Errorf("%d entries, want 20 refusals and one block", n)
	}
	c.add(time.Minute)
	bob.want(403, "POST", "/v1/orders", nil, nil)
	all := logged(t, kept)
	if last := all[len(all)-1]; !strings.HasSuffix(last, "(180 more refusals before this one are not written down)") {
		t.Errorf("got %s", last)
	}
}

// TestLogThatCannotBeWritten: what was done is answered all the same.
func TestLogThatCannotBeWritten(t *testing.T) {
	w := newWorld(t, people(t, time.Now), func(c *api.Config) { c.Ledger = full{c.Ledger} })
	w.welcome("ada", store.Admin).want(http.StatusOK, "POST", "/v1/orders", api.Order{Verb: api.Block, Prefix: host}, nil)
}

// full is a ledger whose disk is full.
type full struct{ store.Ledger }

func (full) Enter(context.Context, ledger.Entry) (ledger.Entry, error) {
	return ledger.Entry{}, store.ErrFull
}
