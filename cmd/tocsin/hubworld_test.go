//go:build !small

package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/keys"
)

// TestHubScripts runs testdata/hub/*.txtar, each beside a real hub: its socket is
// hub.sock, its address $HUB, its folder "folder". UPDATE=1 rewrites what cmp
// compares with.
func TestHubScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/hub",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup:         startHub,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"field": field,
		},
	})
}

func startHub(env *testscript.Env) error {
	env.Setenv("TZ", "UTC")
	ctx, cancel := context.WithCancel(context.Background())
	env.Defer(cancel)
	cfg := config.DefaultHub()
	cfg.Folder, cfg.Socket = filepath.Join(env.WorkDir, "folder"), filepath.Join(env.WorkDir, "hub.sock")
	cfg.Console = "127.0.0.1:0"
	cfg.Listen, cfg.Mirror = ":0", filepath.Join(env.WorkDir, "mirror")
	ready := make(chan struct{})
	r, err := openHub(ctx, nil, cfg, slog.New(slog.DiscardHandler), func() { close(ready) })
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- r.hub.Run(ctx) }()
	env.Defer(func() {
		cancel()
		<-done
		r.close()
	})
	<-ready
	token, _, err := r.hub.Invite(ctx, "first")
	if err != nil {
		return err
	}
	invited, err := keys.ParseToken(token)
	if err != nil {
		return err
	}
	env.Setenv("HUB", invited.Addresses[0])
	return nil
}

// field sets a variable to a field of the JSON that the last command printed, of
// its last line: field NAME VARIABLE.
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME VARIABLE")
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	var v map[string]any
	ts.Check(json.Unmarshal([]byte(lines[len(lines)-1]), &v))
	text, ok := v[args[0]].(string)
	if !ok {
		ts.Fatalf("no text %q in %s", args[0], lines[len(lines)-1])
	}
	ts.Setenv(args[1], text)
}
