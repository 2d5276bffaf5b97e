package hub_test

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/hub"
	"github.com/tocsin-io/tocsin/keys"
)

// A keyroom is a keykeeper over keys of its own.
type keyroom struct {
	*testing.T
	*hub.Keykeeper
	folder  string
	changed int
}

func newKeyroom(t *testing.T) *keyroom {
	r := &keyroom{T: t, folder: filepath.Join(t.TempDir(), "keys")}
	repository, err := keys.CreateRepository(r.folder, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.Keykeeper = &hub.Keykeeper{
		Repository: repository, Now: time.Now, Log: slog.New(slog.DiscardHandler), Changed: func() { r.changed++ },
	}
	return r
}

// do makes a change that must succeed.
func (r *keyroom) do(c api.KeyChange) api.KeyStatus {
	r.Helper()
	s, err := r.ChangeKeys(r.Context(), c, "ada")
	if err != nil {
		r.Fatalf("%s: %v", c.Do, err)
	}
	return s
}

// refuses makes a change that must not succeed.
func (r *keyroom) refuses(c api.KeyChange, status int) {
	r.Helper()
	_, err := r.ChangeKeys(r.Context(), c, "ada")
	var e *api.Error
	if !errors.As(err, &e) || e.Status != status {
		r.Errorf("%s: got %v, want a refusal of status %d", c.Do, err, status)
	}
}

func (r *keyroom) offline(n int) (list []*keys.OfflineKey, texts []string) {
	r.Helper()
	for range n {
		k, err := keys.NewOfflineKey()
		if err != nil {
			r.Fatal(err)
		}
		list, texts = append(list, k), append(texts, k.Public().Text())
	}
	return list, texts
}

// signed returns a request signed by one key.
func (r *keyroom) signed(request []byte, key *keys.OfflineKey) []byte {
	r.Helper()
	p, err := keys.ParseRequest(request)
	if err != nil {
		r.Fatal(err)
	}
	if err := p.Sign(key); err != nil {
		r.Fatal(err)
	}
	text, err := p.Text()
	if err != nil {
		r.Fatal(err)
	}
	return text
}

func TestKeysOnTheHubChangeAtOnce(t *testing.T) {
	r := newKeyroom(t)
	s := r.do(api.KeyChange{Do: api.RotateKey})
	if len(s.Signing) != 2 || s.Request != nil || s.Warning == "" || r.changed != 1 {
		t.Errorf("rotated: %+v", s)
	}
	stolen := s.Signing[0].ID
	s = r.do(api.KeyChange{Do: api.RevokeKey, Key: stolen})
	for _, k := range s.Signing {
		if k.ID == stolen {
			t.Error("a revoked key is still listed")
		}
	}
	r.refuses(api.KeyChange{Do: api.RevokeKey, Key: stolen}, http.StatusNotFound)
	before := s.Root.Keys[0]
	if s = r.do(api.KeyChange{Do: api.RecoverKeys}); s.Root.Keys[0] == before || len(s.Signing) != 1 || r.changed != 3 {
		t.Errorf("recovered: %+v", s)
	}
	r.refuses(api.KeyChange{Do: "burn"}, http.StatusBadRequest)
	r.refuses(api.KeyChange{Do: api.ApplyKeys, Signed: [][]byte{[]byte("{}")}}, http.StatusConflict)
}

func TestRootOfOtherMachinesDecides(t *testing.T) {
	r := newKeyroom(t)
	list, texts := r.offline(3)
	r.refuses(api.KeyChange{Do: api.MoveRoot, Root: []string{texts[0], texts[0]}, Threshold: 2}, http.StatusConflict)
	s := r.do(api.KeyChange{Do: api.MoveRoot, Root: texts, Threshold: 2})
	if s.Request == nil || len(s.Pending) == 0 || !s.Root.OnHub || r.changed != 0 {
		t.Fatalf("moved without the signatures of the new keys: %+v", s)
	}
	one := r.signed(s.Request, list[0])
	r.refuses(api.KeyChange{Do: api.ApplyKeys, Signed: [][]byte{one}}, http.StatusConflict)
	s = r.do(api.KeyChange{Do: api.ApplyKeys, Signed: [][]byte{one, r.signed(s.Request, list[2])}})
	if s.Root.OnHub || s.Root.Threshold != 2 || len(s.Root.Keys) != 3 || s.Request != nil || r.changed != 1 {
		t.Errorf("moved: %+v", s)
	}
	s = r.do(api.KeyChange{Do: api.RevokeKey, Key: s.Signing[0].ID})
	if s.Request == nil || len(s.Signing) != 1 || r.changed != 1 {
		t.Errorf("the hub revoked alone: %+v", s)
	}
	if shown, err := r.Keys(t.Context()); err != nil || string(shown.Request) != string(s.Request) {
		t.Errorf("what waits is not shown: %v", err)
	}
}

func TestADiskThatRefusesIsTheHubsBusiness(t *testing.T) {
	r := newKeyroom(t)
	if err := os.RemoveAll(r.folder); err != nil {
		t.Fatal(err)
	}
	_, err := r.ChangeKeys(t.Context(), api.KeyChange{Do: api.RotateKey}, "ada")
	var e *api.Error
	if err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), r.folder) {
		t.Errorf("got %v", err)
	}
}
