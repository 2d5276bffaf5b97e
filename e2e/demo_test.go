package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// buildDemo makes the demo and returns how to run it.
func buildDemo(t *testing.T, flags ...string) *process {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "../demo/ssh")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := &process{Cmd: exec.Command(path, append([]string{"-tocsin", bin}, flags...)...), name: "demo", done: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	return p
}

// tells looks for rows of the summary and for what must not be there.
func tells(t *testing.T, out string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !regexp.MustCompile(`(?m)^ *` + w).MatchString(out) {
			t.Errorf("nothing in the output matches %q", w)
		}
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 100 {
			t.Errorf("a line is %d wide: %s", n, line)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("escapes of a terminal, but there is none")
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemo(t *testing.T) {
	testnet.Need(t, "nsenter", "nft", "sshd", "ssh", "sshpass", "journalctl", "useradd", "/lib/systemd/systemd-journald")
	p := buildDemo(t)
	if err := p.Run(); err != nil {
		t.Fatalf("%v\n%s", err, p.output())
	}
	tells(t, p.output(),
		`[0-9.]+  A    ATTEMPT   203\.0\.113\.7 +refused  root`, `[0-9.]+  A    DECISION  203\.0\.113\.7 +block 10 min`,
		`[0-9.]+  A    KERNEL    203\.0\.113\.7 +in set \S+, [0-9.]+ m?s after A's line`,
		`[0-9.]+  hub  DECISION  203\.0\.113\.7 +block at the devices of home`,
		`[0-9.]+  hub  FRAME     203\.0\.113\.7 +signed and sent: list owner/home/1h, serial`,
		`[0-9.]+  C    KERNEL    203\.0\.113\.7 +in set \S+, [0-9.]+ m?s after A's line`,
		`[0-9.]+  B    KERNEL    203\.0\.113\.7 +the connection that it had open: dead, too`,
		`[0-9.]+  hub  DECISION  198\.18\.0\.9 +block at the devices of home, .* 2 guesses`,
		`[0-9.]+  C    KERNEL    198\.18\.0\.9 +its next connection: no answer`,
		`[0-9.]+  D    KERNEL    198\.18\.0\.9 +its next connection: answered`,
		`\$ tocsin devices`, `D  .*  ben +connected`, `\$ tocsin rules explain 198\.18\.0\.9 --owner home`, `b4_32\S* +198\.18\.0\.9 +expires in`,
		`loud bot +203\.0\.113\.7 +[4-8] at A +A +([0-9.]+ m?s +){3}never +A, B, C dropped`,
		`anna +203\.0\.113\.50 +2 at B +- +(never +){4}let in`,
		`patient bot +198\.18\.0\.9 +1 at A, 1 at B +hub +([0-9.]+ m?s +){3}never +A, B, C dropped`,
		`second bot +198\.51\.100\.9 +[4-8] at C +C +([0-9.]+ m?s +){3}never +A, B, C dropped`, "As told: ")
}

func TestDemoWithoutRoot(t *testing.T) {
	p := buildDemo(t, "-replay")
	if err := p.Run(); err != nil {
		t.Fatalf("%v\n%s", err, p.output())
	}
	tells(t, p.output(), "Playing a recording", `[0-9.]+  B    KERNEL    203\.0\.113\.7 +in memory, [0-9.]+ m?s after A's line`,
		`[0-9.]+  hub  FRAME     198\.18\.0\.9 +signed and sent`,
		`patient bot +198\.18\.0\.9 +1 at A, 1 at B +hub +([0-9.]+ m?s +){3}never`, `anna +203\.0\.113\.50 +2 at B +- +(never *){4}$`, "As told: ")
}

// TestDemoWithoutRootInterrupted ends the replay in the middle.
func TestDemoWithoutRootInterrupted(t *testing.T) {
	p := buildDemo(t, "-replay")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil { // the programs of root give up root
		t.Fatal(err)
	}
	mark := "DEMO_OF=" + dir
	p.Env = append(os.Environ(), mark, "TMPDIR="+dir)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "an attempt", func() bool { return strings.Contains(p.output(), "  ATTEMPT") })
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil || !strings.Contains(p.output(), "interrupted; nothing is left behind") {
		t.Errorf("%v, it says:\n%s", err, p.output())
	}
	left, err := os.ReadDir(dir)
	if n := marked(mark); n > 0 || err != nil || len(left) > 0 {
		t.Errorf("%d processes and %v are left, %v", n, left, err)
	}
}

// TestDemoInterrupted ends the demo in the middle: by Ctrl-C, and in the way
// that leaves it no time for anything.
func TestDemoInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			testnet.Need(t, "nsenter", "nft", "sshd", "ssh", "sshpass", "journalctl", "useradd", "/lib/systemd/systemd-journald")
			p := buildDemo(t)
			mark := "DEMO_OF=" + t.TempDir()
			p.Env = append(os.Environ(), mark)
			mounts := mountsOf(t)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			until(t, "an attempt", func() bool { return strings.Contains(p.output(), "  ATTEMPT") })
			if n := marked(mark); n < 5 {
				t.Errorf("%d processes of the demo are found, want all of them", n)
			}
			if err := p.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err == nil {
				t.Error("status 0 for half a story")
			}
			if s == syscall.SIGINT && !strings.Contains(p.output(), "interrupted; nothing is left behind") {
				t.Errorf("it says:\n%s", p.output())
			}
			until(t, "every process of the demo to end", func() bool { return marked(mark) == 0 })
			if after := mountsOf(t); mounts != after {
				t.Errorf("mounts before:\n%s\nafter:\n%s", mounts, after)
			}
		})
	}
}

// marked counts the processes with a word in their environment.
func marked(mark string) (n int) {
	list, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for _, path := range list {
		if env, err := os.ReadFile(path); err == nil && bytes.Contains(env, []byte(mark)) { // it may have ended
			n++
		}
	}
	return n
}

func mountsOf(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
