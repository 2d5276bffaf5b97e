package operator

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// endless has more rules than any buffer holds.
type endless struct{ handler }

func (endless) Rules(_ context.Context, yield func(Rule) error) error {
	for {
		if err := yield(Rule{Action: strings.Repeat("x", 1<<16)}); err != nil {
			return err
		}
	}
}

// TestAPeerThatDoesNotRead must not keep the guard from stopping: a pager that
// nobody scrolls is one.
func TestAPeerThatDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.sock")
	s, err := Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, &endless{}) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(request{Rules: &struct{}{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
}
