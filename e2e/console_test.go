package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// consolePatience bounds the browser's whole run.
const consolePatience = 9 * time.Minute

// TestConsole has people use the console in a real browser, at a hub that lived
// through an invented incident: every page and every action. The tests themselves
// are web/test; here is the world that they happen in.
func TestConsole(t *testing.T) {
	chromium := needBrowser(t)
	w := newConsoleWorld(t)
	w.browse(t, "main.mjs", chromium)
}

// needBrowser returns Debian's Chromium, once all else is there that the browser
// tests take; scripts/need.sh installs it.
func needBrowser(t *testing.T) string {
	t.Helper()
	lacking := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", what)
		}
		t.Skipf("%s is missing", what)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		lacking("chromium (Debian package chromium)")
	}
	if _, err := exec.LookPath("node"); err != nil {
		lacking("node (nodejs 20.19 or later)")
	}
	for _, name := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat("../web/node_modules/" + name); err != nil {
			lacking(name + " in web/node_modules (npm ci in web)")
		}
	}
	return chromium
}

// A told is one line that the browser's half prints: how one of its tests went.
type told struct {
	Name     string
	OK       bool
	Note     string
	Error    string
	At       string
	Pictures []string
	MS       int
}

// browse runs one of the scripts of web/test, and makes a subtest of each line.
func (w *consoleWorld) browse(t *testing.T, script, chromium string) {
	t.Helper()
	pictures := filepath.Join(os.TempDir(), "tocsin-console")
	world, err := json.Marshal(map[string]any{
		"base": "http://" + w.console, "secure": "https://" + w.address, "link": w.link, "control": w.control(), "pictures": pictures,
		"chromium": chromium, "controller": w.truth.Controller.String(), "provider": provider, "probe": w.probe.id,
		"device": w.devices[0].Device, "owner": w.devices[0].Owner,
	})
	if err != nil {
		t.Fatal(err)
	}
	if name := os.Getenv("CONSOLE_STAY"); name != "" { // for whoever writes these tests: TOCSIN_WORLD=$(cat FILE) node web/test/main.mjs
		if err := os.WriteFile(name, world, 0o600); err != nil {
			t.Fatal(err)
		}
		for err == nil { // until the file is removed
			time.Sleep(time.Second)
			_, err = os.Stat(name)
		}
		return
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("..", "web", "test", script))
	cmd.Env = append(os.Environ(), "TOCSIN_WORLD="+string(world))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser is of its group
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(consolePatience, func() { _ = cmd.Cancel() })
	defer late.Stop()
	n := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "{") {
			t.Logf("%s says: %s", script, lines.Text())
			continue
		}
		n++
		l := one[told](t, lines.Text())
		t.Run(l.Name, func(t *testing.T) {
			if t.Logf("%d ms %s", l.MS, l.Note); !l.OK {
				t.Errorf("%s\nat %s, pictures %v", l.Error, l.At, l.Pictures)
			}
		})
	}
	if err := cmd.Wait(); err != nil || n == 0 {
		t.Errorf("%s after %d tests: %v\n%s", script, n, err, errs.String())
	}
}
