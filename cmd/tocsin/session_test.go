package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestSessionSources builds a shell that sshd started, sudo, and this command.
func TestSessionSources(t *testing.T) {
	proc := t.TempDir()
	for pid, files := range map[string][2]string{
		"30": {"30 (tocsin) S 20 1 1", "PATH=/bin\x00"},
		"20": {"20 (sudo) (x) S 10 1 1", "SUDO_USER=anna\x00"},
		"10": {"10 (bash) S 1 1 1", "SSH_CONNECTION=::ffff:203.0.113.50 40000 192.0.2.1 22\x00SSH_CLIENT=203.0.113.50 40000 22\x00"},
	} {
		dir := filepath.Join(proc, pid)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"stat", "environ"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(files[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	home := netip.MustParseAddr("203.0.113.50")
	sources := sessionSources(proc, 30)
	if !slices.Contains(sources, home) {
		t.Fatalf("sources: %v", sources)
	}
	if a, out := lockedOut(netip.MustParsePrefix("203.0.113.0/24"), sources); !out || a != home {
		t.Errorf("blocking the own network locks out %v, %v", a, out)
	}
	if _, out := lockedOut(netip.MustParsePrefix("198.51.100.0/24"), sources); out {
		t.Error("another network is not the own one")
	}
}
