package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/trial"
)

// policyValue names the settings that were changed over those of the hub's file.
const policyValue = "policy"

// saved is what is kept of them.
type saved struct {
	Settings map[string]string `json:"settings"`
	By       string            `json:"by"`
	At       time.Time         `json:"at"`
}

func readSaved(ctx context.Context, values store.Values) (s saved, err error) {
	b, err := values.Value(ctx, policyValue)
	if errors.Is(err, store.ErrNotFound) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// WithSaved returns the configuration of the hub's file with the policy that was saved
// over it. With an error the file's is in force: what was saved does not go with it any
// more.
func WithSaved(ctx context.Context, values store.Values, file config.Hub) (config.Hub, error) {
	s, err := readSaved(ctx, values)
	if err != nil {
		return file, err
	}
	c, err := file.WithPolicy(s.Settings)
	if err != nil {
		return file, fmt.Errorf("the policy saved in the console does not go with the hub's file: %s", oneLine(err))
	}
	return c, nil
}

// oneLine says what is wrong with settings without the lines of a file that nobody
// wrote.
func oneLine(err error) string {
	var list config.Mistakes
	if !errors.As(err, &list) {
		return err.Error()
	}
	texts := make([]string, len(list))
	for i, m := range list {
		texts[i] = m.Text
	}
	return strings.Join(texts, "; ")
}

// Policy implements [api.Policies].
func (p *Part) Policy(ctx context.Context) (api.Policy, error) {
	s, err := readSaved(ctx, p.deps.Store)
	if err != nil {
		return api.Policy{}, err
	}
	now, err := p.deps.File.WithPolicy(s.Settings)
	if err != nil { // the file's is in force, then
		s, now = saved{}, p.deps.File
	}
	out := api.Policy{Settings: []api.PolicySetting{}, SavedBy: s.By, SavedAt: s.At}
	usual := p.deps.File.PolicySettings()
	for i, one := range now.PolicySettings() {
		_, changed := s.Settings[one.Key]
		out.Settings = append(out.Settings, api.PolicySetting{
			Key: one.Key, Doc: one.Doc, Kind: one.Kind, Value: one.Value, Default: usual[i].Value, Changed: changed,
		})
	}
	return out, nil
}

// withChanges returns what is saved with other settings over it, and the configuration
// that they make.
func (p *Part) withChanges(ctx context.Context, settings map[string]string) (s saved, c config.Hub, err error) {
	if s, err = readSaved(ctx, p.deps.Store); err != nil {
		return s, c, err
	}
	if _, err := p.deps.File.WithPolicy(s.Settings); err != nil || s.Settings == nil {
		s.Settings = map[string]string{}
	}
	maps.Copy(s.Settings, settings)
	if c, err = p.deps.File.WithPolicy(s.Settings); err != nil {
		return s, c, api.Refuse(http.StatusBadRequest, "%s", oneLine(err))
	}
	return s, c, nil
}

// errBusy says that one thing at a time is enough.
var errBusy = &api.Error{
	Status: http.StatusConflict, Text: "the log is being read for somebody else who tries or saves a policy: wait until that is done", RetryAfter: 10 * time.Second,
}

// TryPolicy implements [api.Policies]. It reads the log from its beginning, as a hub
// that starts does, one trial at a time.
func (p *Part) TryPolicy(ctx context.Context, t api.PolicyTrial, tell func(api.PolicyStep) error) error {
	_, c, err := p.withChanges(ctx, t.Settings)
	if err != nil {
		return err
	}
	if !p.trying.TryLock() {
		return errBusy
	}
	defer p.trying.Unlock()
	now := p.hub.FleetConfig()
	then := now
	then.Quorum = c.Policy
	then.Quorum.Seed = now.Quorum.Seed
	at := p.deps.Now()
	replay := trial.New(now, then, at.Add(-time.Duration(t.Days)*24*time.Hour), at)
	n := 0
	for e, err := range p.deps.Store.Since(ctx, 0) {
		if err != nil {
			return err
		}
		replay.Play(e)
		if n++; n%512 == 0 {
			if err := errors.Join(ctx.Err(), tell(api.PolicyStep{Done: replay.Done(e)})); err != nil {
				return err
			}
		}
	}
	result := replay.Result()
	return tell(api.PolicyStep{Done: 1, Result: &result})
}

// ChangePolicy implements [api.Policies].
func (p *Part) ChangePolicy(ctx context.Context, settings map[string]string, by string) (api.Policy, error) {
	return p.change(ctx, by, func(*saved) error { return nil }, settings)
}

// ResetPolicy implements [api.Policies].
func (p *Part) ResetPolicy(ctx context.Context, key, by string) (api.Policy, error) {
	return p.change(ctx, by, func(s *saved) error {
		if _, ok := s.Settings[key]; !ok {
			return store.ErrNotFound
		}
		delete(s.Settings, key)
		return nil
	}, nil)
}

// change saves other settings and has the hub go by them. What cannot be put in force
// is not saved either.
func (p *Part) change(ctx context.Context, by string, edit func(*saved) error, settings map[string]string) (api.Policy, error) {
	if !p.trying.TryLock() {
		return api.Policy{}, errBusy
	}
	defer p.trying.Unlock()
	before, err := readSaved(ctx, p.deps.Store)
	if err != nil {
		return api.Policy{}, err
	}
	next, c, err := p.withChanges(ctx, settings)
	if err != nil {
		return api.Policy{}, err
	}
	if err := edit(&next); err != nil {
		return api.Policy{}, err
	}
	for _, one := range p.deps.File.PolicySettings() {
		if next.Settings[one.Key] == one.Value {
			delete(next.Settings, one.Key) // as the file has it
		}
	}
	if c, err = p.deps.File.WithPolicy(next.Settings); err != nil {
		return api.Policy{}, api.Refuse(http.StatusBadRequest, "%s", oneLine(err))
	}
	next.By, next.At = by, p.deps.Now().UTC().Truncate(time.Second)
	if err := p.save(ctx, next); err != nil {
		return api.Policy{}, err
	}
	if err := p.hub.Adopt(ctx, c.Policy); err != nil {
		// Whoever asked may have hung up: that must not leave another policy saved than
		// the one in force.
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return api.Policy{}, errors.Join(err, p.save(back, before))
	}
	p.rules.spoil()
	p.telling.note("rules")
	return p.Policy(ctx)
}

func (p *Part) save(ctx context.Context, s saved) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return p.deps.Store.Put(ctx, policyValue, b)
}
