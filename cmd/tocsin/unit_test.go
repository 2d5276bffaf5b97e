package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// TestUnits has systemd judge the units: no mistake in them, and an exposure that
// it calls OK (below 2.5 of 10).
func TestUnits(t *testing.T) {
	testnet.Need(t, "systemd-analyze")
	for _, name := range []string{"tocsin-guard.service", "tocsin-hub.service", "tocsin-up.service"} {
		t.Run(name, func(t *testing.T) {
			unit, err := os.ReadFile("../../packaging/" + name)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), name)
			// The program is not installed here; any other does for the check.
			installed := strings.ReplaceAll(string(unit), "/usr/bin/tocsin", "/bin/true")
			if err := os.WriteFile(path, []byte(installed), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"verify", path},
				{"security", "--offline=true", "--threshold=25", path},
			} {
				out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
				if err != nil || args[0] == "verify" && len(out) > 0 {
					t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
				}
			}
		})
	}
}
