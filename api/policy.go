package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/trial"
)

// A Policy is what decides who is blocked.
type Policy struct {
	Settings []PolicySetting `json:"settings"`
	SavedBy  string          `json:"saved_by,omitempty"` // who last changed one here
	SavedAt  time.Time       `json:"saved_at,omitzero"`
}

// A PolicySetting is one of its values.
type PolicySetting struct {
	Key     string `json:"key"`
	Doc     string `json:"doc"`
	Kind    string `json:"kind"` // count, duration, prefixes
	Value   string `json:"value"`
	Default string `json:"default"` // that of the hub's file
	Changed bool   `json:"changed"` // here, over the file's
}

// A PolicyChange names the settings that are to be another one.
type PolicyChange struct {
	Settings map[string]string `json:"settings"`
}

// A PolicyTrial asks what other settings would have made of the last days.
type PolicyTrial struct {
	Settings map[string]string `json:"settings"`
	Days     int               `json:"days,omitempty"` // 0 is 7
}

// A PolicyStep is one event of the answer to a trial: how far it is, and at the end what
// came of it, or why nothing did.
type PolicyStep struct {
	Done   float64       `json:"done"` // 0 to 1
	Result *trial.Result `json:"result,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// A Policies keeps the policy, and tries others.
type Policies interface {
	// Policy returns what is in force.
	Policy(ctx context.Context) (Policy, error)
	// TryPolicy replays the last days to the policy in force and to one with other
	// settings, and tells how far it is. It tells nothing where the settings are wrong.
	TryPolicy(ctx context.Context, t PolicyTrial, tell func(PolicyStep) error) error
	// ChangePolicy puts other settings in force at once, also for later starts.
	ChangePolicy(ctx context.Context, settings map[string]string, by string) (Policy, error)
	// ResetPolicy goes back to the file's value of a setting, or returns
	// [store.ErrNotFound].
	ResetPolicy(ctx context.Context, key, by string) (Policy, error)
}

// Bounds of what is asked about a policy.
const (
	maxSettings  = 100
	maxSetting   = 16 << 10 // bytes of a value: a list of prefixes is long
	defaultDays  = 7
	maxDays      = 30
	policyTime   = 10 * time.Minute
	policyPieces = 500 * time.Millisecond
)

func (a *API) policy(c *call) (any, error) { return result(a.Console.Policy(c.r.Context())) }

func checkSettings(settings map[string]string) error {
	if len(settings) == 0 || len(settings) > maxSettings {
		return badRequest("settings: want 1 to %d", maxSettings)
	}
	for key, value := range settings {
		if !word(key, maxText) || !word(value, maxSetting) {
			return badRequest("settings: want names and values of at most %d and %d printable bytes", maxText, maxSetting)
		}
	}
	return nil
}

// tryPolicy answers with server-sent events: progress, then the result.
func (a *API) tryPolicy(c *call) (any, error) {
	var t PolicyTrial
	if err := fromPerson(c.w, c.r, &t); err != nil {
		return nil, err
	}
	if t.Days == 0 {
		t.Days = defaultDays
	}
	if t.Days < 1 || t.Days > maxDays {
		return nil, badRequest("days: want 1 to %d", maxDays)
	}
	if err := checkSettings(t.Settings); err != nil {
		return nil, err
	}
	out := c.stream("text/event-stream", "")
	rc := http.NewResponseController(c.w)
	told := time.Time{}
	tell := func(s PolicyStep) error {
		if s.Result == nil && s.Error == "" && time.Since(told) < policyPieces {
			return nil
		}
		told = time.Now()
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "data: %s\n\n", b); err != nil {
			return err
		}
		_ = rc.Flush() // where there is nothing to flush, it is out
		return nil
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), policyTime)
	defer cancel()
	err := a.Console.TryPolicy(ctx, t, tell)
	if err != nil && c.begun && c.r.Context().Err() == nil {
		e, theirs := asError(err)
		if !theirs {
			a.Log.Error("a trial of a policy failed", "err", err)
		}
		return answered, tell(PolicyStep{Error: e.Text})
	}
	return answered, err
}

func (a *API) changePolicy(c *call) (any, error) {
	var p PolicyChange
	if err := fromPerson(c.w, c.r, &p); err != nil {
		return nil, err
	}
	if err := checkSettings(p.Settings); err != nil {
		return nil, err
	}
	c.did = "change the policy: " + p.words()
	return c.lasting(func(ctx context.Context) (Policy, error) { return a.Console.ChangePolicy(ctx, p.Settings, c.by) })
}

// words say what is changed.
func (p PolicyChange) words() string {
	list := make([]string, 0, len(p.Settings))
	for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
		list = append(list, strings.TrimPrefix(key, "policy.")+" = "+cut(p.Settings[key]))
	}
	return strings.Join(list, ", ")
}

func (a *API) resetPolicy(c *call) (any, error) {
	return c.lasting(func(ctx context.Context) (Policy, error) {
		return a.Console.ResetPolicy(ctx, c.r.PathValue("key"), c.by)
	})
}

// lasting gives a change the time that reading a long log takes.
func (c *call) lasting(do func(context.Context) (Policy, error)) (any, error) {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(policyTime + writeTime)) // where there is none to set, none is needed
	ctx, cancel := context.WithTimeout(c.r.Context(), policyTime)
	defer cancel()
	return result(do(ctx))
}
