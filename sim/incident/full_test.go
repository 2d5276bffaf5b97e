package incident_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/testdisk"
	"github.com/tocsin-io/tocsin/sim/incident"
)

// TestFullDisk: a full disk is told with what to do, and nothing stays.
func TestFullDisk(t *testing.T) {
	dir := testdisk.Tiny(t, "512k")
	_, err := incident.Write(t.Context(), filepath.Join(dir, "incident"), incident.Config{Seed: 1})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v, want a full disk", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) > 0 {
		t.Errorf("%d things are left (%v)", len(list), err)
	}
}
