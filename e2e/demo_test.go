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
	build := exec.Command("go", "build", "-trimpath", "-o", path, "../demo")
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
		`[0-9.]+ s  ATTEMPT   203\.0\.113\.7 +refused  root`, `[0-9.]+ s  DECISION  2001:db8:66::/64 +block 10 min`,
		`[0-9.]+ s  KERNEL    198\.51\.100\.9 +in set \S+, [0-9.]+ m?s after sshd's line`, `b6_64\S* +2001:db8:66::/64 +expires in 9m`,
		`slow bot +198\.18\.0\.9 +[4-8] +[0-9.]+ m?s +[0-9.]+ m?s +[0-9.]+ m?s +dropped +-`,
		`loud bot +203\.0\.113\.7 .* dropped `, `anna +203\.0\.113\.50 +2 +never +- +- +let in`,
		`second bot +198\.51\.100\.9 .* dropped +cut`, `IPv6 bot .* dropped `, `old script +198\.51\.100\.20 +6 +never +- +- +let in`, "As told: ")
}

func TestDemoWithoutRoot(t *testing.T) {
	p := buildDemo(t, "-replay")
	if err := p.Run(); err != nil {
		t.Fatalf("%v\n%s", err, p.output())
	}
	tells(t, p.output(), "Playing a recording", `[0-9.]+ s  KERNEL    203\.0\.113\.7 +in memory only`,
		`loud bot +203\.0\.113\.7 +[4-8] +[0-9.]+ m?s +[0-9.]+ m?s +[0-9.]+ m?s`, `anna +203\.0\.113\.50 +2 +never`, "As told: ")
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
			until(t, "an attempt", func() bool { return strings.Contains(p.output(), "s  ATTEMPT") })
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
