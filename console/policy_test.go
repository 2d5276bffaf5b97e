package console_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/console"
	"github.com/tocsin-io/tocsin/trial"
)

// try returns what came of a trial.
func (w *world) try(body string) (r trial.Result) {
	w.Helper()
	status, b := w.ask(http.MethodPost, "/v1/policy/try", "application/json", strings.NewReader(body))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n\n")
	var last api.PolicyStep
	w.must(json.Unmarshal([]byte(strings.TrimPrefix(lines[len(lines)-1], "data: ")), &last))
	if status != http.StatusOK || last.Result == nil || last.Done != 1 {
		w.Fatalf("%d %s", status, b)
	}
	return *last.Result
}

func (w *world) setting(key string) api.PolicySetting {
	w.Helper()
	var p api.Policy
	w.get("/v1/policy", &p)
	for _, s := range p.Settings {
		if s.Key == key {
			return s
		}
	}
	w.Fatalf("no %s", key)
	return api.PolicySetting{}
}

func (d *device) blocks(source string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for r := range d.set.Rules(d.up.Now(time.Now())) {
		if r.Prefix == netip.MustParsePrefix(source) && r.Action == tocsin.Block {
			return true
		}
	}
	return false
}

// guessing has a sighting tell of names that nobody has there, and of no decision.
func guessing(s *tocsin.Sighting) {
	s.Facts = 0
	s.Accounts = []tocsin.Tried{{Tag: "admin", Failures: 1, Unknown: true}, {Tag: "guest", Failures: 1, Unknown: true}, {Tag: "test", Failures: 1, Unknown: true}}
}

// TestPolicyIsTriedAndSaved: what another policy would have made of the log is told;
// saved, it is in force at the devices, as if it always had been, also after a restart;
// and taken back, its blocks are gone.
func TestPolicyIsTriedAndSaved(t *testing.T) {
	w := newWorld(t)
	d := w.enrol("ada", "nas")
	d.saw("198.51.100.7/32", 9)
	d.saw("198.51.100.8/32", 3, guessing)
	w.eventually("one is blocked", func() bool { return d.blocks("198.51.100.7/32") })
	w.eventually("both are told", func() bool { return rows[console.Source](w, "sources").Total == 2 })
	const fast, more = "policy.fast_failures", `{"settings":{"policy.fast_failures":"3"}}`
	if s := w.setting(fast); s.Value != "5" || s.Changed || s.Kind != "count" || s.Doc == "" {
		t.Errorf("%+v", s)
	}
	if s := w.setting("policy.day_failures"); s.Value != "6" || s.Default != "6" || s.Changed {
		t.Errorf("of the file: %+v", s)
	}
	r := w.try(more)
	if r.Events != 2 || r.Now.Blocked != 1 || r.Then.Blocked != 2 || r.AddedCount != 1 || r.RemovedCount != 0 ||
		r.Added[0].Prefix.String() != "198.51.100.8/32" || r.Added[0].Attempts != 3 || r.Added[0].Why == "" {
		t.Errorf("%+v", r)
	}
	if d.blocks("198.51.100.8/32") || w.setting(fast).Changed {
		t.Error("a trial changed something")
	}
	for _, body := range []string{`{"settings":{"policy.fast_failures":"many"}}`, `{"settings":{"hub.folder":"/"}}`, `{"settings":{"policy.longest_block":"90d"}}`} {
		for _, at := range [][2]string{{http.MethodPost, "/v1/policy/try"}, {http.MethodPut, "/v1/policy"}} {
			if status, b := w.ask(at[0], at[1], "application/json", strings.NewReader(body)); status != http.StatusBadRequest || strings.Contains(string(b), "line ") {
				t.Errorf("%s %s: %d %s", at[1], body, status, b)
			}
		}
	}
	if status, b := w.ask(http.MethodPut, "/v1/policy", "application/json", strings.NewReader(more)); status != http.StatusOK {
		t.Fatalf("%d %s", status, b)
	}
	w.eventually("it is in force", func() bool { return d.blocks("198.51.100.8/32") && d.blocks("198.51.100.7/32") })
	if s := w.setting(fast); s.Value != "3" || s.Default != "5" || !s.Changed {
		t.Errorf("%+v", s)
	}
	w.halt()
	w.start()
	if s := w.setting(fast); s.Value != "3" || !s.Changed {
		t.Errorf("after a restart: %+v", s)
	}
	d.saw("198.51.100.9/32", 3, guessing)
	w.eventually("it is in force after a restart", func() bool { return d.blocks("198.51.100.9/32") })
	if status, b := w.ask(http.MethodDelete, "/v1/policy/"+fast, "", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, b)
	}
	w.eventually("it is taken back", func() bool {
		return !d.blocks("198.51.100.8/32") && !d.blocks("198.51.100.9/32") && d.blocks("198.51.100.7/32")
	})
	if status, _ := w.ask(http.MethodDelete, "/v1/policy/"+fast, "", nil); status != http.StatusNotFound {
		t.Errorf("taken back twice: %d", status)
	}
}
