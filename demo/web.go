package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

var _ api.Demo = (*Show)(nil)

// Clock implements [api.Demo].
func (s *Show) Clock() api.DemoClock {
	now := s.clk.State()
	return api.DemoClock{Speed: now.Speed, Paused: now.Paused, Now: now.Shows.UTC(), Seed: s.c.Seed}
}

// Page implements [api.Demo].
func (s *Show) Page() api.DemoPage {
	s.mu.Lock()
	sum := s.sum
	s.mu.Unlock()
	return api.DemoPage{DemoClock: s.Clock(), Stages: s.plot.told(), Summary: sum}
}

// Steer implements [api.Demo].
func (s *Show) Steer(c api.DemoChange) error {
	if c.Seed != nil {
		s.stop(&againError{*c.Seed})
		return nil
	}
	switch {
	case c.Paused == nil:
	case *c.Paused:
		s.clk.Pause()
	default:
		s.clk.Resume()
	}
	return nil
}

// Console returns where browsers find the console; "" is nowhere.
func (s *Show) Console() string { return s.hub.Console }

// Account returns the name and the password of the account that is ready there.
func (s *Show) Account() (name, password string) { return visitor, s.c.Password }

// visitor is the name of the account of whoever looks at the demo.
const visitor = "demo"

// newPassword draws a password that is easy to type.
func newPassword() string {
	t := strings.ToLower(rand.Text())
	return t[:5] + "-" + t[5:10] + "-" + t[10:15]
}

// account makes the account, by the one-time link that anybody gets.
func (s *Show) account(ctx context.Context) error {
	if s.hub.Console == "" {
		return nil
	}
	made, err := s.client.AddUser(ctx, api.UserWish{Name: visitor, Role: store.Admin})
	if err != nil {
		return fmt.Errorf("the demo's account: %w", err)
	}
	_, code, _ := strings.Cut(made.Link, "#")
	body, err := json.Marshal(map[string]string{"code": code, "name": visitor, "password": s.c.Password})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.hub.Console+"/v1/invitation", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 512)) // as much as comes
		return fmt.Errorf("the demo's account: %s: %s", answer.Status, why)
	}
	return nil
}
