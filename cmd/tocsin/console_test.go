//go:build !small

package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/config"
)

// TestFirstStart: a hub whose console's port is taken says so and runs; whoever
// starts it by hand gets the first link, and a log never does.
func TestFirstStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := config.DefaultHub()
	cfg.Folder = t.TempDir()
	cfg.Socket, cfg.Listen, cfg.Console = filepath.Join(cfg.Folder, "s"), "127.0.0.1:0", taken.Addr().String()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	r, err := openHub(ctx, nil, cfg, slog.New(slog.NewTextHandler(&log, nil)), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	defer cancel()
	if text := log.String(); !strings.Contains(text, "name a free port with console.listen") || !strings.Contains(text, cfg.Console) {
		t.Errorf("got %s", text)
	}
	for journal, want := range map[string]string{"": "/console/welcome#", "8:1": "tocsin users add NAME --role admin"} {
		t.Setenv("JOURNAL_STREAM", journal)
		var out bytes.Buffer
		if err := r.welcome(ctx, &out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.Contains(text, want) || journal != "" && strings.Contains(text, "#") {
			t.Errorf("JOURNAL_STREAM=%s: got %s", journal, text)
		}
	}
}
