package operator

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

type handler struct{ got Order }

func (h *handler) Order(_ context.Context, o Order) (Done, error) {
	if o.Prefix == netip.MustParsePrefix("192.0.2.254/32") {
		return Done{}, errors.New("192.0.2.254 is the gateway: it is never blocked")
	}
	h.got = o
	return Done{Prefix: o.Prefix, Lifted: 3}, nil
}

func (h *handler) Rules(_ context.Context, yield func(Rule) error) error {
	for _, p := range []string{"203.0.113.7/32", "2001:db8::/64"} {
		if err := yield(Rule{Prefix: netip.MustParsePrefix(p), Action: "block"}); err != nil {
			return err
		}
	}
	return nil
}

func (h *handler) Sightings(_ context.Context, yield func(tocsin.Sighting) error) error {
	return yield(tocsin.Sighting{Service: "ssh", Failures: 5})
}

func (h *handler) Status(context.Context) (Status, error) { return Status{Backend: "memory"}, nil }

// start runs a server in a folder that every user may enter.
func start(t *testing.T, h Handler) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tocsin-op")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "guard.sock")
	s, err := Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx, h) }()
	t.Cleanup(func() { cancel(); <-done })
	return path
}

func TestAskAndAnswer(t *testing.T) {
	h := new(handler)
	c := Client{start(t, h)}
	order := Order{Verb: Unblock, Prefix: netip.MustParsePrefix("203.0.113.7/32"), For: time.Hour, By: "mallory"}
	done, err := c.Order(t.Context(), order)
	if err != nil || done.Lifted != 3 || h.got.For != time.Hour {
		t.Errorf("got %+v, %v; the handler got %+v", done, err, h.got)
	}
	if h.got.By == "mallory" || h.got.By == "" {
		t.Errorf("the peer named itself %q", h.got.By)
	}
	order.Prefix = netip.MustParsePrefix("192.0.2.254/32")
	if _, err := c.Order(t.Context(), order); err == nil || !strings.Contains(err.Error(), "the gateway") {
		t.Errorf("got %v", err)
	}
	var rules []Rule
	if err := c.Rules(t.Context(), func(r Rule) error { rules = append(rules, r); return nil }); err != nil || len(rules) != 2 {
		t.Errorf("got %v, %v", rules, err)
	}
	n := 0
	if err := c.Sightings(t.Context(), func(s tocsin.Sighting) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("got %d sightings, %v", n, err)
	}
	if st, err := c.Status(t.Context()); err != nil || st.Backend != "memory" {
		t.Errorf("got %+v, %v", st, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := Client{filepath.Join(t.TempDir(), "none.sock")}.Status(t.Context())
	if !errors.Is(err, ErrNoGuard) {
		t.Errorf("got %v", err)
	}
}

func TestSecondGuardIsTold(t *testing.T) {
	path := start(t, new(handler))
	if _, err := Listen(path, "", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another guard") {
		t.Errorf("got %v", err)
	}
}

func TestLeftoverSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guard.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := Listen(path, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.listener.Close()
}

func TestOnlyTheSocketsGroup(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, to become somebody else")
	}
	path := start(t, new(handler))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// The mode is one guard, the kernel's word about the peer another.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "TestAsNobody")
	cmd.Env = append(os.Environ(), "TOCSIN_SOCKET="+path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	exe := filepath.Join(filepath.Dir(path), "operator.test")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = exe, "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "refused as it should") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAsNobody is run by TestOnlyTheSocketsGroup as another user.
func TestAsNobody(t *testing.T) {
	path := os.Getenv("TOCSIN_SOCKET")
	if path == "" {
		return
	}
	if _, err := (Client{path}).Status(t.Context()); err == nil || err.Error() != ErrRefused.Error() {
		t.Fatalf("got %v", err)
	}
	os.Stdout.WriteString("refused as it should\n")
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"order":{"verb":"block","prefix":"203.0.113.7/32"}}`))
	f.Add([]byte(`{"rules":{}}`))
	f.Add([]byte("\x00"))
	h := new(handler)
	dir, err := os.MkdirTemp("", "tocsin-op")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	s, err := Listen(filepath.Join(dir, "s"), "", slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	go s.Run(ctx, h)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(b); err != nil {
			return
		}
		if err := c.CloseWrite(); err != nil {
			return
		}
		var answer [1]byte
		if _, err := c.Read(answer[:]); err != nil || answer[0] != '{' {
			t.Errorf("no answer to %q: %v", b, err)
		}
	})
}
