package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/internal/durable"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s: got %q, want %q", path, got, want)
	}
}

func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := durable.WriteFile(path, 0o640, text("old")); err != nil {
		t.Fatal(err)
	}
	// What a crash left behind, and what an attacker might leave there.
	if err := os.Symlink(path, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(path, 0o640, text("new")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "new")
	wantAlone(t, path)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode() != 0o640 {
		t.Errorf("mode: got %v, want 0640", st.Mode())
	}
}

func TestWriteFileKeepsOldOnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if err := durable.WriteFile(path, 0o600, text("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	err := durable.WriteFile(path, 0o600, func(w io.Writer) error {
		if err := text(strings.Repeat("x", 1<<20))(w); err != nil {
			return err
		}
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("got %v, want the writer's error", err)
	}
	wantFile(t, path, "old")
	wantAlone(t, path)
	missing := filepath.Join(t.TempDir(), "no", "state")
	if err := durable.WriteFile(missing, 0o600, text("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: got %v", err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := durable.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = durable.Lock(path)
	held, ok := errors.AsType[*durable.LockedError](err)
	if !ok || held.PID != os.Getpid() {
		t.Fatalf("second lock: got %v, want one that names process %d", err, os.Getpid())
	}
	if !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("%q does not say what to do", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = durable.Lock(path)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Lock(filepath.Dir(path)); err == nil {
		t.Error("a folder was locked")
	}
}
