package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
	"github.com/tocsin-io/tocsin/store"
)

// Keys and ChangeKeys make hub an [api.Keykeeper].
func (h *hub) Keys(context.Context) (s api.KeyStatus, err error) {
	defer h.lock()()
	s.Root.Version, s.Root.Until, s.Root.Keys, s.Root.Threshold, s.Root.OnHub = 1, noon, []string{"0a1b-2c3d"}, 1, true
	s.Signing = []keys.SigningKey{{ID: ruleset.KeyID{7}, From: noon, Until: noon.Add(time.Hour), Signs: true}}
	s.Until, s.Due.Until, s.Warning = noon, noon, keys.OnHub
	s.Limits = map[string]ruleset.Limits{"nas": ruleset.DefaultLimits()}
	return s, h.broken
}

func (h *hub) ChangeKeys(ctx context.Context, c api.KeyChange, by string) (api.KeyStatus, error) {
	s, err := h.Keys(ctx)
	defer h.lock()()
	h.keyed, h.by = append(h.keyed, c), by
	s.Pending, s.Request = []string{"why: a test"}, []byte("a request")
	return s, err
}

func TestKeyChangesArriveWhole(t *testing.T) {
	w := newWorld(t)
	key, err := keys.NewOfflineKey()
	w.must(err)
	for _, want := range []api.KeyChange{
		{Do: api.RotateKey},
		{Do: api.RevokeKey, Key: ruleset.KeyID{1, 2}},
		{Do: api.RecoverKeys},
		{Do: api.MoveRoot, Root: []string{key.Public().Text()}, Threshold: 1},
		{Do: api.ApplyKeys, Signed: [][]byte{[]byte("a"), []byte("b")}},
	} {
		s, err := w.person(store.Admin).ChangeKeys(t.Context(), want)
		w.must(err)
		if diff := cmp.Diff(want, w.hub.keyed[len(w.hub.keyed)-1]); diff != "" || w.hub.by != "admin" {
			t.Errorf("by %s: %s", w.hub.by, diff)
		}
		if string(s.Request) != "a request" || len(s.Pending) != 1 || s.Signing[0].ID != (ruleset.KeyID{7}) {
			t.Errorf("answered %+v", s)
		}
	}
}

func TestKeyChangesThatAreMeantOtherwise(t *testing.T) {
	w := newWorld(t)
	h := http.Header{"Authorization": {"Bearer " + w.token(store.Admin)}, "Content-Type": {"application/json"}}
	key, err := keys.NewOfflineKey()
	w.must(err)
	public := `"` + key.Public().Text() + `"`
	for _, body := range []string{
		`{}`,
		`{"do":"burn"}`,
		`{"do":"revoke"}`,
		`{"do":"revoke","key":"zz"}`,
		`{"do":"rotate","key":"0102030405060708"}`,
		`{"do":"root"}`,
		`{"do":"root","root":[` + public + `]}`,
		`{"do":"root","root":[` + public + `],"threshold":2}`,
		`{"do":"root","root":[` + public + `],"threshold":-1}`,
		`{"do":"root","root":["tocsin-root1.short"],"threshold":1}`,
		`{"do":"rotate","threshold":1}`,
		`{"do":"rotate","root":[` + public + `]}`,
		`{"do":"apply"}`,
		`{"do":"apply","signed":["not base64!"]}`,
		`{"do":"recover","signed":["YQ=="]}`,
		`{"do":"rotate","path":"/etc"}`,
	} {
		if resp, text := w.raw("POST", "/v1/keys", h, []byte(body)); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %d: %s", body, resp.StatusCode, text)
		}
	}
	if len(w.hub.keyed) > 0 {
		t.Errorf("done all the same: %v", w.hub.keyed)
	}
}
