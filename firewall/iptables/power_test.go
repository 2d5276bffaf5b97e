package iptables

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// nobody is a user who owns nothing.
const nobody = "65534"

// TestWithoutRoot runs this program once more, as a user with the two powers
// that are needed, with one of them, and with none.
func TestWithoutRoot(t *testing.T) {
	if os.Getenv("TOCSIN_TEST_CHILD") != "" {
		asChild(t)
		return
	}
	b := newBench(t)
	testnet.Need(t, "setpriv")
	program := t.TempDir() + "/iptables.test"
	copyProgram(t, program)
	for _, tt := range []struct{ name, caps, want string }{
		{"both", "+net_admin,+net_raw", "held: true"},
		{"one", "+net_admin", "missing: CAP_NET_RAW"},
		{"none", "-all", "missing: CAP_NET_ADMIN and CAP_NET_RAW"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := b.Device.Command(t.Context(), "setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups",
				"--inh-caps="+tt.caps, "--ambient-caps="+tt.caps, program, "-test.run=^TestWithoutRoot$", "-test.v")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), "TOCSIN_TEST_CHILD=1", "TMPDIR=/tmp", "RUNTIME_DIRECTORY="+openDir(t))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("got %v, want %q in:\n%s", err, tt.want, out)
			}
		})
	}
}

// openDir returns a folder that everybody may write to, as a service manager
// would make for the user of the guard.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tocsin-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyProgram puts this program where other users may run it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, from); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	for dir := to; len(dir) > len(os.TempDir()); dir = dir[:strings.LastIndex(dir, "/")] {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func asChild(t *testing.T) {
	f, err := Open(Options{Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		if !errors.Is(err, firewall.ErrPower) {
			t.Errorf("got %v, want %v", err, firewall.ErrPower)
		}
		fmt.Println(err)
		return
	}
	defer f.Close()
	if err := f.Change(t.Context(), tocsin.Change{Add: []tocsin.Rule{block(bad4, time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	held, err := f.Holds(t.Context(), bad4)
	fmt.Println("held:", held, err)
}

func TestClassify(t *testing.T) {
	exit := &exec.ExitError{}
	for said, want := range map[string]error{
		"Another app is currently holding the xtables lock; still 1s 0us time ahead":                                                 ErrBusy,
		"iptables v1.4.21: can't initialize iptables table `mangle': Permission denied (you must be root)":                           firewall.ErrPower,
		"iptables-restore v1.8.3 (legacy): can't initialize iptables table `mangle': Table does not exist (do you need to insmod?)":  errTable,
		"iptables-restore: unrecognized option '--wait=5'":                                                                           errOption,
		"iptables-restore: line 7 failed":                                                                                            errLine,
		"iptables-restore v1.8.9 (legacy): Couldn't load target `TOCSIN-CAUGHT':No such file or directory\n\nError occurred at line": errLine,
		"Fatal: can't open lock file /run/xtables.lock: Permission denied":                                                           os.ErrPermission,
		"Segmentation fault": exit,
	} {
		if err := classify("iptables-restore", said, exit); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", said, err, want)
		}
	}
	if err := classify("x", strings.Repeat("y", 5000), exit); len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}
