package power

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrop runs this test binary again, built without cgo as the program is, and
// has it give up everything.
func TestDrop(t *testing.T) {
	if os.Getenv("TOCSIN_DROP") != "" {
		dropAndTell(t)
		return
	}
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, to have something to give up")
	}
	bin := filepath.Join(t.TempDir(), "power.test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state, err := os.MkdirTemp("", "tocsin-power")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(state)
	if err := os.WriteFile(filepath.Join(state, "snapshot"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-test.run", "TestDrop$", "-test.v")
	cmd.Env = append(os.Environ(), "TOCSIN_DROP="+state)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"uid 65534", "held [CAP_NET_ADMIN CAP_DAC_READ_SEARCH] others 0", "child 0000000000001004", "state writable", "shadow readable", "root's file not writable"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func dropAndTell(t *testing.T) {
	// Another thread than the one that drops must lose its powers too.
	probe, answer := make(chan bool), make(chan error)
	go func() {
		<-probe
		answer <- os.WriteFile("/etc/tocsin-must-not-exist", nil, 0o600)
	}()
	state := os.Getenv("TOCSIN_DROP")
	if err := Drop("nobody", []Capability{NetAdmin, DACReadSearch}, state); err != nil {
		t.Fatal(err)
	}
	t.Logf("uid %d", syscall.Getuid())
	held, others, err := Held(NetAdmin, DACReadSearch, NetRaw)
	t.Logf("held %v others %d %v", held, others, err)
	out, err := exec.Command("sed", "-n", "s/^CapEff:.//p", "/proc/self/status").Output()
	t.Logf("child %s %v", out, err)
	if err := os.WriteFile(filepath.Join(state, "snapshot"), []byte("x"), 0o600); err == nil {
		t.Log("state writable")
	}
	if _, err := os.ReadFile("/etc/shadow"); err == nil {
		t.Log("shadow readable")
	}
	close(probe)
	select {
	case err := <-answer:
		if os.IsPermission(err) {
			t.Log("root's file not writable")
		}
	case <-time.After(10 * time.Second):
		t.Error("the other thread hangs")
	}
}
