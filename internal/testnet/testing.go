package testnet

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips the test, with the reason, where this machine lacks root or one of
// the programs. Under CI=true it fails instead: a kernel test that never runs
// proves nothing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	lack := t.Skipf
	if os.Getenv("CI") == "true" {
		lack = t.Fatalf
	}
	if os.Geteuid() != 0 {
		lack("needs root: network namespaces")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			lack("needs %s: install it", p)
		}
	}
}

// New makes a network that closes with the test. It calls [Need].
func New(t testing.TB) *Net {
	t.Helper()
	Need(t, "nsenter")
	n, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// NewTown makes a town that closes with the test. It calls [Need].
func NewTown(t testing.TB, hosts int) *Town {
	t.Helper()
	Need(t, "nsenter")
	town, err := OpenTown(hosts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(town.Close)
	return town
}
