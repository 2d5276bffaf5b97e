package footprints_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

func gap(path string) string { return tocsin.LogGap.String() + ": " + path }
func off(name string) string { return tocsin.LoggingOff.String() + ": " + name }

func TestLogs(t *testing.T) {
	const journal = "var/log/journal/0123/system.journal"
	const unit = "run/systemd/units/invocation:rsyslog.service"
	for _, c := range []struct {
		name   string
		change func(m *machine)
		want   []string
	}{
		{"grows", func(m *machine) { m.write("var/log/auth.log", "one\ntwo\nthree\nfour\n") }, nil},
		{"cut", func(m *machine) { m.check(os.Truncate(m.path("var/log/auth.log"), 0)) }, []string{gap("/var/log/auth.log")}},
		{"lines taken out", func(m *machine) { m.edit("var/log/auth.log", "one\nthree\n") }, []string{gap("/var/log/auth.log")}},
		{"rotated", func(m *machine) {
			m.check(os.Rename(m.path("var/log/auth.log"), m.path("var/log/auth.log.1")))
			m.write("var/log/auth.log", "")
		}, nil},
		{"rotated by copying", func(m *machine) {
			m.write("var/log/auth.log.1", "one\ntwo\nthree\n")
			m.check(os.Truncate(m.path("var/log/auth.log"), 0))
		}, nil},
		{"gone", func(m *machine) { m.check(os.Remove(m.path("var/log/auth.log"))) }, []string{off("/var/log/auth.log")}},
		{"journal gone", func(m *machine) { m.check(os.RemoveAll(m.path("var/log/journal"))) }, []string{off("/" + journal)}},
		{"service stopped", func(m *machine) { m.check(os.Remove(m.path(unit))) }, []string{off("rsyslog.service")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.every = 10 * time.Millisecond
			m.write(journal, "x")
			m.check(os.MkdirAll(filepath.Dir(m.path(unit)), 0o755))
			m.check(os.Symlink("0123456789abcdef", m.path(unit)))
			m.start()
			c.change(m)
			if len(c.want) > 0 {
				m.wants(c.want...)
			}
			m.wants(append(c.want, m.sentinel())...)
		})
	}
}

func TestLogCutWhileNobodyWatched(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.restart(func() { m.check(os.Truncate(m.path("var/log/auth.log"), 0)) })
	m.wants(gap("/var/log/auth.log"), m.sentinel())
}

// A machine that logs nothing after it was started is told of, once.
func TestBootWithoutLines(t *testing.T) {
	const said = "nothing logged since the machine was started"
	for _, quiet := range []bool{true, false} {
		m := newMachine(t)
		m.every = time.Millisecond
		m.age("var/log/auth.log")
		m.write("var/log/wtmp", "the start is written here\n")
		m.write("proc/uptime", "0.00 0.00\n")
		m.write("proc/sys/kernel/random/boot_id", "one\n")
		m.start()
		if !quiet {
			m.write("var/log/auth.log", "one\ntwo\nthree\nfour\n")
		}
		m.write("proc/uptime", "5000.12 9000.00\n")
		want := []string{}
		if quiet {
			want = append(want, gap(said))
			m.wants(want...)
		}
		m.wants(append(want, m.sentinel())...)
		m.stop()
	}
}

// asNobody runs one test again as a user with these powers alone.
func asNobody(t *testing.T, name string, powers ...uintptr) {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "test")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, program, 0o755); err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(work) })
	for _, dir := range []string{work, filepath.Dir(exe), filepath.Dir(filepath.Dir(exe))} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe, "-test.run", "^"+name+"$")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "TMPDIR="+work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: powers}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
