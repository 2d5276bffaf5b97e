package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

func TestADeviceEnrolsAndRenews(t *testing.T) {
	w := newWorld(t)
	e := api.Enrolment{Secret: "good", CSR: "PEM", SealingKey: bytes.Repeat([]byte{9}, 32), Name: "nas", Model: "TS-453"}
	stranger := api.AsDevice(w.addr, w.trust())
	defer stranger.Close()
	got, err := stranger.Enrol(t.Context(), e)
	want := api.Enrolled{Device: "nas", Owner: "ada", Certificates: "PEM", CA: "PEM", Root: []byte("{}"), Lists: []string{"fleet/1h"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for name, spoil := range map[string]func(*api.Enrolment){
		"no secret":       func(e *api.Enrolment) { e.Secret = "" },
		"no request":      func(e *api.Enrolment) { e.CSR = "" },
		"a large request": func(e *api.Enrolment) { e.CSR = strings.Repeat("x", 9<<10) },
		"no sealing key":  func(e *api.Enrolment) { e.SealingKey = nil },
		"a long name":     func(e *api.Enrolment) { e.Name = strings.Repeat("x", 200) },
		"a name of two":   func(e *api.Enrolment) { e.Name = "a\nb" },
	} {
		bad := e
		spoil(&bad)
		if _, err := stranger.Enrol(t.Context(), bad); status(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := w.deviceFor("nas", -time.Minute).Renew(t.Context(), "!"); err != nil || r.Certificates != "nas!" {
		t.Error("an expired device does not renew:", r, err)
	}
}

func TestTokensAreNotGuessed(t *testing.T) {
	w := newWorld(t)
	c := api.AsDevice(w.addr, w.trust())
	defer c.Close()
	e := api.Enrolment{Secret: "bad", CSR: "PEM", SealingKey: bytes.Repeat([]byte{9}, 32)}
	for range 20 {
		if _, err := c.Enrol(t.Context(), e); !errors.Is(err, store.ErrSpent) {
			t.Fatal(err)
		}
	}
	_, err := c.Enrol(t.Context(), e)
	if pushedBack(err) <= 0 {
		t.Errorf("guessing goes on: %v", err)
	}
}

// status returns the HTTP status of a refusal, or 0.
func status(err error) int {
	if e := (*api.Error)(nil); errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// pushedBack returns how long a push back says to wait, or 0 if there is none.
func pushedBack(err error) time.Duration {
	if e := (*api.Error)(nil); errors.As(err, &e) && e.Status == http.StatusTooManyRequests {
		return e.RetryAfter
	}
	return 0
}

func TestSightingsAreTakenOnce(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Now = func() time.Time { return noon.Add(-time.Hour) } })
	nas := w.device("nas")
	for _, want := range []api.Taken{{Accepted: 2, HaveBoot: 2, HaveCounter: 2}, {Repeated: 2, HaveBoot: 2, HaveCounter: 2}} {
		got, err := nas.Send(t.Context(), noon, []tocsin.Sighting{seen(1), seen(2)})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
	}
	// A hub that has less than the batch follows takes none of it.
	if got, err := nas.SendAfter(t.Context(), noon, seen(3).ID, []tocsin.Sighting{seen(4)}); err != nil || got != (api.Taken{HaveBoot: 2, HaveCounter: 2}) {
		t.Error(got, err)
	}
	// Nothing to send, but the question what the hub has.
	if got, err := nas.Send(t.Context(), noon, nil); err != nil || got != (api.Taken{HaveBoot: 2, HaveCounter: 2}) {
		t.Error(got, err)
	}
	r := w.hub.reporter
	if r.Device != "nas" || r.Owner != "ada" || r.From != netip.MustParseAddr("127.0.0.1") || r.Offset != time.Hour {
		t.Errorf("got %+v, want what the connection says, an hour ahead", r)
	}
	if diff := cmp.Diff(seen(2), w.hub.events[1].Received.Sighting, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestABadBatchIsRefusedWhole(t *testing.T) {
	w := newWorld(t)
	nas := w.certificate("nas", time.Hour)
	good := mustJSON(t, api.SightingOf(seen(1)))
	forged := mustJSON(t, func() api.Sighting { s := api.SightingOf(seen(2)); s.Device = "other"; return s }())
	ahead := mustJSON(t, func() api.Sighting { s := api.SightingOf(seen(2)); s.Last = noon.Add(time.Hour); return s }())
	many := strings.Repeat(good+",", api.MaxBatch) + good
	for _, tt := range []struct {
		name, body string
		status     int
		index      int // -1 is none
	}{
		{"nothing", ``, 400, -1},
		{"no object", `[]`, 400, -1},
		{"cut short", `{"sent":"2026-01-15T12:00:00Z","sightings":[` + good, 400, -1},
		{"two values", batch(good) + `{}`, 400, -1},
		{"no clock", `{"sightings":[` + good + `]}`, 400, -1},
		{"one that is no object", batch(good + `,7`), 400, 1},
		{"one that is malformed", batch(good + `,{"source":"nowhere"}`), 400, 1},
		{"one that is negative", batch(`{"failures":-1}`), 400, 0},
		{"one of another device", batch(good + `,` + forged), 403, 1},
		{"one of the future", batch(good + `,` + ahead), 422, 1},
		{"a number twice", batch(good + `,` + good), 400, 1},
		{"a giant one", batch(`{"service":"` + strings.Repeat("x", 9<<10) + `"}`), 413, 0},
		{"too many", batch(many), 413, -1},
		{"too large", strings.Repeat(" ", api.MaxBody+1), 413, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{T: t, addr: w.addr, ca: w.ca, key: w.key}
			resp, text := w.raw("POST", "/v1/sightings", nil, []byte(tt.body), nas)
			var e struct {
				Error string
				Index *int
			}
			if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error == "" {
				t.Fatalf("no error in JSON: %q, %v", text, err)
			}
			index := -1
			if e.Index != nil {
				index = *e.Index
			}
			if resp.StatusCode != tt.status || index != tt.index {
				t.Errorf("got %d and index %d, want %d and %d: %s", resp.StatusCode, index, tt.status, tt.index, e.Error)
			}
		})
	}
	if n := len(w.hub.events); n != 0 {
		t.Errorf("%d sightings of bad batches were taken", n)
	}
	newer := strings.Replace(batch(strings.Replace(good, `"port"`, `"shoe_size":9,"port"`, 1)), `"sent"`, `"mood":{"good":[1]},"sent"`, 1)
	if resp, text := w.raw("POST", "/v1/sightings", nil, []byte(newer), nas); resp.StatusCode != http.StatusOK {
		t.Error("a newer guard is not understood:", text)
	}
}

func batch(sightings string) string {
	return `{"sent":"2026-01-15T12:00:00Z","sightings":[` + sightings + `]}`
}

func mustJSON(t *testing.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestABombIsNotUnpacked(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Rate, c.Burst = 1e6, 1e6 })
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		if _, err := z.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	w.must(z.Close())
	gz := http.Header{"Content-Encoding": {"gzip"}}
	nas := w.certificate("nas", time.Hour)
	for _, path := range []string{"/v1/sightings", "/v1/clues", "/v1/contacts", "/v1/state", "/v1/losses"} {
		if resp, text := w.raw("POST", path, gz, bomb.Bytes(), nas); resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Error(path, resp.Status, text)
		}
		if resp, text := w.raw("POST", path, gz, bomb.Bytes()[:100], nas); resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusTooManyRequests {
			t.Error(path, resp.Status, text)
		}
		if resp, text := w.raw("POST", path, http.Header{"Content-Encoding": {"br"}}, nil, nas); resp.StatusCode != http.StatusUnsupportedMediaType {
			t.Error(path, resp.Status, text)
		}
	}
}

func TestADeviceThatSendsTooMuchIsHeldBack(t *testing.T) {
	now := noon
	w := newWorld(t, func(c *api.Config) { c.Rate, c.Burst, c.Now = 10, 20, func() time.Time { return now } })
	nas, other := w.device("nas"), w.device("other")
	var list []tocsin.Sighting
	for i := range uint64(50) {
		list = append(list, seen(i+1))
	}
	if _, err := nas.Send(t.Context(), noon, list); err != nil {
		t.Fatal(err)
	}
	_, err := nas.Send(t.Context(), noon, list)
	if got := pushedBack(err); got != 4*time.Second { // 30 in debt and one to go, ten a second
		t.Errorf("got %v, %v", got, err)
	}
	s := seen(1)
	s.ID.Device = "other"
	if _, err := other.Send(t.Context(), noon, []tocsin.Sighting{s}); err != nil {
		t.Error("another device waits, too:", err)
	}
	now = now.Add(4 * time.Second)
	if got, err := nas.Send(t.Context(), noon, list); err != nil || got.Repeated != 50 {
		t.Error(got, err)
	}
}

func TestOnlyDevicesSpeakForDevices(t *testing.T) {
	w := newWorld(t)
	w.hub.list = []api.Device{{Device: tocsin.Device{ID: "thrown-out", Revoked: noon}}}
	foreign := newWorld(t)
	calls := map[string]func(context.Context, *api.Client) error{
		"sightings": func(ctx context.Context, c *api.Client) error {
			_, err := c.Send(ctx, noon, []tocsin.Sighting{seen(1)})
			return err
		},
		"clues": func(ctx context.Context, c *api.Client) error {
			_, err := c.SendClues(ctx, noon, tocsin.ID{}, []tocsin.Clue{noticed("nas", 1)})
			return err
		},
		"contacts": func(ctx context.Context, c *api.Client) error {
			_, err := c.SendContacts(ctx, noon, []tocsin.Contact{contacted("nas")})
			return err
		},
		"losses": func(ctx context.Context, c *api.Client) error {
			return c.Lose(ctx, noon, []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")})
		},
		"state":     func(ctx context.Context, c *api.Client) error { return c.Report(ctx, api.State{Sent: noon}) },
		"tuf":       func(ctx context.Context, c *api.Client) error { _, err := c.TUF(ctx, "timestamp.json"); return err },
		"owner key": func(ctx context.Context, c *api.Client) error { _, err := c.OwnerKey(ctx); return err },
		"offer": func(ctx context.Context, c *api.Client) error {
			return c.OfferOwnerKey(ctx, api.OwnerKeyOffer{Fingerprint: "f"})
		},
	}
	for name, call := range calls {
		if err := call(t.Context(), w.device("nas")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for who, c := range map[string]*api.Client{
			"nobody":  api.AsDevice(w.addr, w.trust()),
			"foreign": api.AsDevice(w.addr, w.trust(foreign.certificate("nas", time.Hour))),
			"a token": w.person(store.Admin),
			"expired": w.deviceFor("nas", -time.Minute),
			"revoked": w.device("thrown-out"),
			"socket":  api.OverSocket(w.socket),
		} {
			want := http.StatusUnauthorized
			if who == "expired" || who == "revoked" {
				want = http.StatusForbidden
			}
			if err := call(t.Context(), c); status(err) != want {
				t.Errorf("%s by %s: got %v, want %d", name, who, err, want)
			}
			c.Close()
		}
	}
	if got := len(w.hub.reports); got != 1 {
		t.Errorf("%d states were taken, want 1", got)
	}
}

func TestWhatADeviceTellsOfItself(t *testing.T) {
	w := newWorld(t)
	nas := w.device("nas")
	s := api.State{Sent: noon, Version: "1.0", Lists: []store.ListState{{List: "fleet/1h", Epoch: 1, Serial: 7}}, Note: "the wall is down"}
	if err := nas.Report(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]api.State{s}, w.hub.reports); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]api.State{
		"no clock":      {},
		"a long note":   {Sent: noon, Note: strings.Repeat("x", 2000)},
		"many lists":    {Sent: noon, Lists: make([]store.ListState, 17)},
		"a strange one": {Sent: noon, Lists: []store.ListState{{List: "a\x00b"}}},
	} {
		if err := nas.Report(t.Context(), bad); status(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	loss := netip.MustParsePrefix("198.51.100.0/24")
	if err := nas.Lose(t.Context(), noon, []netip.Prefix{loss}); err != nil || w.hub.events[0].Loss.Prefix != loss {
		t.Error(err, w.hub.events)
	}
	for _, bad := range [][]netip.Prefix{nil, make([]netip.Prefix, 101), {netip.MustParsePrefix("198.51.100.7/24")}} {
		if err := nas.Lose(t.Context(), noon, bad); status(err) != http.StatusBadRequest {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestKeysForDevices(t *testing.T) {
	w := newWorld(t)
	nas := w.device("nas")
	if b, err := nas.TUF(t.Context(), "timestamp.json"); err != nil || string(b) != `{"signed":{}}` {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := nas.TUF(t.Context(), "9.root.json"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	for _, name := range []string{"../hub.db", "a/b", "..", ".hidden", "A", strings.Repeat("x", 200)} {
		if b, err := nas.TUF(t.Context(), name); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
	if err := nas.OfferOwnerKey(t.Context(), api.OwnerKeyOffer{Fingerprint: "f", Sealed: []api.SealedKey{{Device: "b", Sealed: []byte{1}}}}); err != nil {
		t.Fatal(err)
	}
	if err := nas.OfferOwnerKey(t.Context(), api.OwnerKeyOffer{Fingerprint: "g"}); !errors.Is(err, store.ErrExists) {
		t.Error("a second fingerprint:", err)
	}
	w.hub.key.Sealed, w.hub.key.Waiting = []byte{1}, []api.Waiting{{Device: "b", SealingKey: []byte{2}}}
	if k, err := nas.OwnerKey(t.Context()); err != nil || k.Fingerprint != "f" || len(k.Waiting) != 1 {
		t.Error(k, err)
	}
	for _, bad := range []api.OwnerKeyOffer{{}, {Fingerprint: "f", Sealed: []api.SealedKey{{Device: "b"}}}, {Fingerprint: "f", Sealed: make([]api.SealedKey, 1001)}} {
		if err := nas.OfferOwnerKey(t.Context(), bad); status(err) != http.StatusBadRequest {
			t.Error(err)
		}
	}
}

// TestFailuresOfTheHub: a device learns that it must keep what it has, and nothing
// of what went wrong inside.
func TestFailuresOfTheHub(t *testing.T) {
	w := newWorld(t)
	nas := w.device("nas")
	for _, tt := range []struct {
		err    error
		status int
		text   string
	}{
		{fmt.Errorf("append: %w", store.ErrFull), http.StatusInsufficientStorage, "disk is full"},
		{errors.New("secret-of-the-hub"), http.StatusInternalServerError, "look into its log"},
		{context.DeadlineExceeded, http.StatusServiceUnavailable, "too long"},
	} {
		w.hub.broken = tt.err
		_, err := nas.Send(t.Context(), noon, []tocsin.Sighting{seen(1)})
		if status(err) != tt.status || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v, want %d %s", err, tt.status, tt.text)
		}
	}
}
