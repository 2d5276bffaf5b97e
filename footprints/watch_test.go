package footprints_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/power"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

func TestChangesAreTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *machine)
		want   []string
	}{
		{"key added", func(m *machine) { m.write("home/ann/.ssh/authorized_keys", "ssh-ed25519 AAAA ann\nssh-rsa BBBB x\n") }, []string{keys("/home/ann/.ssh/authorized_keys")}},
		{"key added in place", func(m *machine) { m.edit("home/ann/.ssh/authorized_keys", "ssh-rsa BBBB x\n") }, []string{keys("/home/ann/.ssh/authorized_keys")}},
		{"key of an old file", func(m *machine) { m.write("home/ann/.ssh/authorized_keys2", "ssh-rsa BBBB x\n") }, []string{keys("/home/ann/.ssh/authorized_keys2")}},
		{"folder that was not there", func(m *machine) { m.write("root/.ssh/authorized_keys", "ssh-rsa BBBB x\n") }, []string{keys("/root/.ssh/authorized_keys")}},
		{"several folders that were not there", func(m *machine) { m.write("usr/local/etc/rc.d/S99x.sh", "#!/bin/sh\n") }, []string{autorun("/usr/local/etc/rc.d/S99x.sh")}},
		{"cron entry", func(m *machine) { m.write("etc/cron.d/update", "* * * * * root x\n") }, []string{autorun("/etc/cron.d/update")}},
		{"crontab", func(m *machine) { m.write("etc/crontab", "* * * * * root x\n") }, []string{autorun("/etc/crontab")}},
		{"crontab of a user", func(m *machine) { m.write("var/spool/cron/crontabs/ann", "* * * * * x\n") }, []string{autorun("/var/spool/cron/crontabs/ann")}},
		{"unit", func(m *machine) { m.write("etc/systemd/system/x.service", "[Service]\n") }, []string{autorun("/etc/systemd/system/x.service")}},
		{"unit enabled by a link", func(m *machine) {
			m.check(os.MkdirAll(m.path("etc/systemd/system/multi-user.target.wants"), 0o755))
			m.check(os.Symlink("/lib/systemd/system/x.service", m.path("etc/systemd/system/multi-user.target.wants/x.service")))
		}, []string{autorun("/etc/systemd/system/multi-user.target.wants/x.service")}},
		{"start script", func(m *machine) { m.write("etc/rc.local", "#!/bin/sh\n") }, []string{autorun("/etc/rc.local")}},
		{"moved in with an old time", func(m *machine) {
			m.write("etc/x", "#!/bin/sh\n")
			m.age("etc/x")
			m.check(os.Rename(m.path("etc/x"), m.path("etc/cron.d/x")))
		}, []string{autorun("/etc/cron.d/x")}},
		{"account", func(m *machine) { m.write("etc/passwd", passwd+"eve:x:1001:1001::/home/eve:/bin/sh\n") }, []string{added("eve")}},
		{"account without a shell", func(m *machine) { m.write("etc/passwd", passwd+"eve:x:1001:1001::/home/eve:/sbin/nologin\n") }, nil},
		{"second root", func(m *machine) { m.write("etc/passwd", passwd+"eve:x:0:0::/:/sbin/nologin\n") }, []string{added("eve")}},
		{"shell for a service", func(m *machine) { m.write("etc/passwd", strings.Replace(passwd, "/usr/sbin/nologin", "/bin/sh", 1)) }, []string{added("daemon")}},
		{"account becomes root", func(m *machine) { m.write("etc/passwd", strings.Replace(passwd, "1000:1000", "0:0", 1)) }, []string{added("ann")}},
		{"administrator", func(m *machine) { m.write("etc/group", strings.Replace(group, "27:ann", "27:ann,daemon", 1)) }, []string{added("daemon")}},
		{"everybody is an administrator", func(m *machine) { m.write("etc/sudoers.d/x", "ALL ALL=(ALL) NOPASSWD: ALL\n") }, []string{added("/etc/sudoers.d/x")}},
		{"a link to another folder of keys", func(m *machine) {
			m.write("tmp/ssh/authorized_keys", "ssh-rsa BBBB x\n")
			m.check(os.RemoveAll(m.path("home/ann/.ssh")))
			m.check(os.Symlink(m.path("tmp/ssh"), m.path("home/ann/.ssh")))
		}, []string{keys("/home/ann/.ssh/authorized_keys")}},
		{"account and its key", func(m *machine) {
			m.write("etc/passwd", passwd+"eve:x:1001:1001::/home/eve:/bin/sh\n")
			m.write("home/eve/.ssh/authorized_keys", "ssh-rsa BBBB x\n")
		}, []string{added("eve"), keys("/home/eve/.ssh/authorized_keys")}},
		{"port", func(m *machine) {
			m.write("proc/net/tcp", tcpHead+tcpLine(22)+tcpLine(4444))
		}, []string{tocsin.PortOpened.String() + ": tcp 4444"}},
		{"touched", func(m *machine) { m.check(os.Chtimes(m.path("etc/crontab"), time.Now(), time.Now())) }, nil},
		{"removed", func(m *machine) { m.check(os.Remove(m.path("etc/cron.d/raid"))) }, nil},
		{"emptied", func(m *machine) { m.write("home/ann/.ssh/authorized_keys", "") }, nil},
		{"another file in a home", func(m *machine) { m.write("home/ann/.ssh/known_hosts", "x\n") }, nil},
		{"a pipe in place of keys", func(m *machine) {
			m.check(os.Remove(m.path("home/ann/.ssh/authorized_keys")))
			m.check(syscall.Mkfifo(m.path("home/ann/.ssh/authorized_keys"), 0o600))
		}, []string{keys("/home/ann/.ssh/authorized_keys")}},
		{"a link in place of keys", func(m *machine) {
			m.write("tmp/keys", "ssh-rsa BBBB x\n")
			m.check(os.Remove(m.path("home/ann/.ssh/authorized_keys")))
			m.check(os.Symlink(m.path("tmp/keys"), m.path("home/ann/.ssh/authorized_keys")))
		}, []string{keys("/home/ann/.ssh/authorized_keys")}},
		{"a link in a circle", func(m *machine) {
			m.check(os.Symlink("round", m.path("etc/cron.d/round")))
		}, []string{autorun("/etc/cron.d/round")}},
		{"a huge file", func(m *machine) {
			m.write("etc/cron.d/huge", "x")
			m.check(os.Truncate(m.path("etc/cron.d/huge"), 1<<40))
		}, []string{autorun("/etc/cron.d/huge")}},
		{"a folder where a file was", func(m *machine) {
			m.check(os.Remove(m.path("home/ann/.ssh/authorized_keys")))
			m.check(os.Mkdir(m.path("home/ann/.ssh/authorized_keys"), 0o700))
		}, nil},
		{"folder made anew by an intruder", func(m *machine) {
			m.check(os.RemoveAll(m.path("home/ann/.ssh")))
			m.write("home/ann/.ssh/authorized_keys", "ssh-rsa BBBB x\n")
		}, []string{keys("/home/ann/.ssh/authorized_keys")}},
	} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %v", c.name, running), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.start()
				if running {
					c.change(m)
				} else {
					m.restart(func() { c.change(m) })
				}
				m.wants(append(c.want, m.sentinel())...)
			})
		}
	}
}

// A link that leads elsewhere is noticed, and so is what is changed there.
func TestLinkedFolder(t *testing.T) {
	m := newMachine(t)
	for _, name := range []string{"config/ssh", "tmp/ssh"} {
		m.check(os.MkdirAll(m.path(name), 0o755))
	}
	m.check(os.Symlink("../config/ssh", m.path("root/.ssh")))
	m.start()
	m.write("config/ssh/authorized_keys", "ssh-rsa BBBB x\n")
	m.wants(keys("/root/.ssh/authorized_keys"))
	m.write("tmp/ssh/authorized_keys", "ssh-rsa CCCC x\n")
	m.check(os.Symlink("../tmp/ssh", m.path("new")))
	m.check(os.Rename(m.path("new"), m.path("root/.ssh")))
	m.wants(keys("/root/.ssh/authorized_keys"), keys("/root/.ssh/authorized_keys"))
	m.write("tmp/ssh/authorized_keys", "ssh-rsa DDDD x\n")
	m.until("the third", func() bool { return len(m.clues) == 3 })
}

func TestClueCanBeChecked(t *testing.T) {
	m := newMachine(t)
	m.start()
	const content = "* * * * * root x\n"
	before := time.Now()
	m.write("etc/cron.d/x", content)
	m.wants(autorun("/etc/cron.d/x"))
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clues[0]
	if c.Digest != sha256.Sum256([]byte(content)) {
		t.Error("the digest is not that of the file")
	}
	if c.Device != "nas" || c.At.Before(before.Add(-3*time.Second)) || c.At.After(time.Now()) {
		t.Errorf("device %q at %v, want nas at about %v", c.Device, c.At, before)
	}
}

// A time that an intruder set is not believed.
func TestForgedTime(t *testing.T) {
	for _, when := range []time.Time{old, time.Now().Add(1000 * time.Hour)} {
		m := newMachine(t)
		m.start()
		m.write("etc/cron.d/x", "x\n")
		m.check(os.Chtimes(m.path("etc/cron.d/x"), when, when))
		m.wants(autorun("/etc/cron.d/x"))
		m.mu.Lock()
		if by := time.Since(m.clues[0].At); by < 0 || by > time.Minute {
			t.Errorf("told for %v", m.clues[0].At)
		}
		m.mu.Unlock()
	}
}

func TestFirstStartLooksBack(t *testing.T) {
	m := newMachine(t)
	lately := time.Now().Add(-5 * 24 * time.Hour).Truncate(time.Second)
	for _, name := range []string{"etc/cron.d/x", "home/ann/.ssh/authorized_keys"} {
		m.write(name, "x\n")
		m.check(os.Chtimes(m.path(name), lately, lately))
	}
	m.write("etc/passwd-", passwd)
	m.write("etc/passwd", passwd+"eve:x:1001:1001::/home/eve:/bin/sh\n")
	m.start()
	m.wants(autorun("/etc/cron.d/x"), keys("/home/ann/.ssh/authorized_keys"), added("eve"))
	m.mu.Lock()
	for _, c := range m.clues {
		if c.Fact != tocsin.AccountAdded && !c.At.Equal(lately) {
			t.Errorf("%s at %v, want %v", c.Subject, c.At, lately)
		}
	}
	m.mu.Unlock()
	m.restart(func() {})
	m.wants(m.sentinel())
}

// What could not be told is told again by the next start, with the same time.
func TestToldAtLeastOnce(t *testing.T) {
	m := newMachine(t)
	m.start()
	m.mu.Lock()
	m.fail = errFull
	m.mu.Unlock()
	m.write("etc/cron.d/x", "x\n")
	m.until("the error", func() bool { return m.err != nil })
	if !errors.Is(m.err, errFull) {
		t.Errorf("got %v, want the error of whoever takes it", m.err)
	}
	m.restart(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.fail = nil
	})
	m.wants(autorun("/etc/cron.d/x"))
}

func TestDamagedBaseline(t *testing.T) {
	for _, damage := range []string{"", "{", "null", `{"format":99}`, `{"format":1,"files":null}`, `{"format":1,"files":{"x":{"d":"zz"}}}`} {
		m := newMachine(t)
		m.start()
		base := filepath.Join(m.state, "footprints.json")
		m.restart(func() { m.check(os.WriteFile(base, []byte(damage), 0o600)) })
		m.wants(m.sentinel())
		if _, err := os.Stat(base + ".unreadable"); err != nil {
			t.Errorf("%q was not set aside: %v", damage, err)
		}
		m.stop()
	}
}

// At rest nothing is written, however often ports and logs are looked at.
func TestAtRestNothingIsWritten(t *testing.T) {
	m := newMachine(t)
	m.every = time.Millisecond
	m.start()
	base := filepath.Join(m.state, "footprints.json")
	before, err := os.Stat(base)
	m.check(err)
	m.mu.Lock()
	done := m.looks + 50
	m.mu.Unlock()
	m.until("fifty looks", func() bool { return m.looks >= done })
	after, err := os.Stat(base)
	m.check(err)
	if !os.SameFile(before, after) {
		t.Error("the baseline was written anew")
	}
}

// What happens beside what is watched, without end, keeps nothing from being
// looked at.
func TestBusyHome(t *testing.T) {
	m := newMachine(t)
	m.every = 10 * time.Millisecond
	m.start()
	m.write("proc/net/tcp", tcpHead+tcpLine(22)+tcpLine(4444))
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				_ = os.WriteFile(m.path("root/busy"), nil, 0o600) // a failed one is noise, too
				_ = os.Remove(m.path("root/busy"))
			}
		}
	}()
	m.wants(tocsin.PortOpened.String() + ": tcp 4444")
	close(done)
	<-ended
}

// A volume that is mounted later brings old keys, which are no news; what is
// changed on it afterwards is.
func TestVolumeMountedLater(t *testing.T) {
	m := newMachine(t)
	m.every = time.Millisecond
	m.start()
	m.restart(func() {
		m.check(os.Rename(m.path("home"), m.path("elsewhere")))
		m.ahead = time.Hour // what is on the volume was changed long ago
	})
	m.check(os.Rename(m.path("elsewhere"), m.path("home")))
	m.edit("proc/self/mountinfo", "1\n2\n")
	m.edit("etc/crontab", "x\n")
	m.wants(autorun("/etc/crontab"))
	m.edit("home/ann/.ssh/authorized_keys", "ssh-rsa BBBB x\n")
	m.wants(autorun("/etc/crontab"), keys("/home/ann/.ssh/authorized_keys"))
}

// A flood is told as one, and ends.
func TestFloodIsBounded(t *testing.T) {
	m := newMachine(t)
	m.start()
	for i := range 300 {
		m.write(fmt.Sprintf("etc/cron.d/flood%03d", i), "x\n")
	}
	m.write("home/ann/.ssh/authorized_keys", "ssh-rsa BBBB x\n")
	m.until("the key", func() bool {
		for _, c := range m.clues {
			if c.Fact == tocsin.KeysChanged {
				return true
			}
		}
		return false
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.clues); n > 101 {
		t.Errorf("%d clues", n)
	}
	more := 0
	for _, c := range m.clues {
		if len(c.Subject) > tocsin.MaxSubject {
			t.Errorf("subject of %d bytes", len(c.Subject))
		}
		if strings.HasPrefix(c.Subject, "more than can be told") {
			more++
		}
	}
	if more != 1 {
		t.Errorf("told %d times that there is more, want once", more)
	}
}

func TestLongHostileNames(t *testing.T) {
	m := newMachine(t)
	m.start()
	name := "\xff\x1b[31m" + strings.Repeat("ö", 120)
	m.write("etc/cron.d/"+name, "x\n")
	m.until("the clue", func() bool { return len(m.clues) == 1 })
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.clues[0].Subject; len(s) > tocsin.MaxSubject || !strings.HasPrefix(s, "/etc/cron.d/") || strings.ToValidUTF8(s, "") != s {
		t.Errorf("subject %q", s)
	}
}

// With the guard's powers alone, folders of others are read.
func TestLittlePower(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t, "TestLittlePower", unix.CAP_DAC_READ_SEARCH)
		return
	}
	if held, _, err := power.Held(power.DACReadSearch); err != nil || len(held) == 0 {
		testnet.Need(t) // skips, with the reason
	}
	m := newMachine(t)
	m.check(os.Chmod(m.path("etc/cron.d"), 0o300)) // its owner may write, and nobody read
	t.Cleanup(func() { _ = os.Chmod(m.path("etc/cron.d"), 0o755) })
	m.start()
	m.wants(m.sentinel())
	if blind := m.watch.Blind(); len(blind) != 0 {
		t.Errorf("blind %q", blind)
	}
}

// A folder that the guard may not read is named, and so is one that it may again.
func TestUnreadableFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t, "TestUnreadableFolder")
		return
	}
	m := newMachine(t)
	m.every = time.Millisecond
	m.check(os.Chmod(m.path("etc/cron.d"), 0))
	t.Cleanup(func() { _ = os.Chmod(m.path("etc/cron.d"), 0o755) })
	m.start()
	if blind := m.watch.Blind(); len(blind) != 1 || !strings.Contains(blind[0], "/etc/cron.d: no permission: give the guard CAP_DAC_READ_SEARCH") {
		t.Errorf("blind %q", blind)
	}
	m.check(os.Chmod(m.path("etc/cron.d"), 0o755))
	m.until("sight", func() bool { return len(m.watch.Blind()) == 0 })
}
