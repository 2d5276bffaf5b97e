package power

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWhatIsGiven names folders that must stay the system's.
func TestWhatIsGiven(t *testing.T) {
	for dir, want := range map[string]bool{
		"/": true, "/run": true, "/var/run": true, "/tmp": true, "/var/lib": true, "/etc": true, "/dev/shm": true,
		t.TempDir(): false,
	} {
		if got, err := isShared(dir); err != nil || got != want {
			t.Errorf("%s: %v, %v", dir, got, err)
		}
	}
	if err := give("/run", os.Getuid(), os.Getgid()); err == nil || !strings.Contains(err.Error(), "/run/tocsin") {
		t.Errorf("got %v", err)
	}
}

// TestFilesOfOthersStay looks at who owns what afterwards.
func TestFilesOfOthersStay(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, to give files away")
	}
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, mode := range map[string]os.FileMode{"snapshot": 0o600, "other.conf": 0o644, "linked": 0o600} {
		if err := os.WriteFile(path(name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(path("linked"), filepath.Join(t.TempDir(), "elsewhere")); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := give(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"snapshot": nobody, "other.conf": 0, "linked": 0} {
		info, err := os.Lstat(path(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
}
