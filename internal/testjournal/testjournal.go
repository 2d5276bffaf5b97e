// Package testjournal runs a real systemd-journald for one test, in a mount
// namespace of its own: its files, its sockets and its /dev/log are seen by
// nobody else, and the machine's journal is left alone. It is for tests only,
// and needs root.
package testjournal

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// journald is where Debian keeps it.
const journald = "/lib/systemd/systemd-journald"

// patience bounds how long journald may take for what it is asked.
const patience = 20 * time.Second

// A Journal is a running journald.
type Journal struct {
	// Dir holds the journal's files; the test and the machine see it.
	Dir string
	// Log is the socket that /dev/log leads to inside.
	Log string

	t   testing.TB
	cmd *exec.Cmd
}

// script makes the namespace's own /run/systemd, /run/log, /var/log and /dev, and
// becomes journald. The kernel's log and audit are left out: other tests speak
// there.
const script = `set -e
mkdir -p /run/systemd "$0/systemd/journal" "$0/run/journal" "$0/var/journal" "$0/dev"
mkdir -p /run/log
mount --bind "$0/systemd" /run/systemd
mount --bind "$0/run" /run/log
mount --bind "$0/var" /var/log
if [ -e /etc/systemd/journald.conf ]; then mount --bind "$0/journald.conf" /etc/systemd/journald.conf; fi
mount --rbind /dev "$0/dev"
mount -t tmpfs -o mode=755 tmpfs /dev
for n in null zero full random urandom tty; do touch /dev/$n; mount --bind "$0/dev/$n" /dev/$n; done
mkdir /dev/pts /dev/shm
if [ -d "$0/dev/pts" ]; then mount --rbind "$0/dev/pts" /dev/pts; fi
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
ln -s /run/systemd/journal/dev-log /dev/log
exec ` + journald + "\n"

const config = `[Journal]
Storage=%s
SplitMode=uid
Compress=yes
Audit=no
ReadKMsg=no
RateLimitIntervalSec=0
RuntimeMaxUse=256M
SystemMaxUse=256M
ForwardToSyslog=no
ForwardToWall=no
`

// Start runs a journald that keeps its journal in memory, as for a machine
// without a folder for it: lines of all users stand in one file.
// env is added to journald's environment, such as SYSTEMD_JOURNAL_COMPRESS=XZ.
func Start(t testing.TB, env ...string) *Journal { return start(t, "volatile", env) }

// StartPersistent runs a journald that keeps its journal on the disk, lines of
// ordinary users in files of their own, as Debian does.
func StartPersistent(t testing.TB) *Journal { return start(t, "persistent", nil) }

func start(t testing.TB, storage string, env []string) *Journal {
	t.Helper()
	testnet.Need(t, "unshare", "nsenter", "logger", "journalctl", "systemd-cat", journald)
	// Short: the path of a socket has at most 108 bytes.
	dir, err := os.MkdirTemp("", "journal-")
	check(t, err)
	check(t, os.Chmod(dir, 0o755)) // for senders of other users
	check(t, os.WriteFile(filepath.Join(dir, "journald.conf"), fmt.Appendf(nil, config, storage), 0o644))
	if storage == "persistent" { // as if it had moved from memory to the disk
		check(t, os.MkdirAll(filepath.Join(dir, "systemd/journal"), 0o755))
		check(t, os.MkdirAll(filepath.Join(dir, "var/journal"), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, "systemd/journal/flushed"), nil, 0o644))
	}
	id, err := os.ReadFile("/etc/machine-id")
	check(t, err)
	j := &Journal{t: t, Log: filepath.Join(dir, "systemd/journal/dev-log")}
	j.Dir = filepath.Join(dir, map[string]string{"volatile": "run/journal", "persistent": "var/journal"}[storage], string(bytes.TrimSpace(id)))
	j.cmd = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, dir)
	j.cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	j.cmd.Stdout, j.cmd.Stderr = &out, &out
	j.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(t, j.cmd.Start())
	t.Cleanup(func() {
		j.Kill()
		// Its namespace may live a moment longer than journald, and what it mounts.
		var err error
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if err = os.RemoveAll(dir); err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Errorf("the folder of journald stays: %v", err)
		}
	})
	j.wait("its socket", func() bool {
		c, err := net.Dial("unixgram", j.Log)
		if err != nil {
			return false
		}
		return c.Close() == nil
	}, &out)
	j.Send("testjournal", 0, "ready")
	j.Sync()
	return j
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wait asks until ok. Polling is all there is: the socket appears in a
// namespace that nobody can watch yet.
func (j *Journal) wait(what string, ok func() bool, out *bytes.Buffer) {
	j.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			j.Kill()
			j.t.Fatalf("journald: waited in vain for %s: %s", what, out)
		}
		time.Sleep(time.Millisecond)
	}
}

// PID returns the process of journald; its mount namespace is the private one.
func (j *Journal) PID() int { return j.cmd.Process.Pid }

// Command returns a command that will run inside: its /dev/log, and the
// sockets of systemd-cat and journalctl, are those of j.
func (j *Journal) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--mount", "--target", strconv.Itoa(j.PID()), "--", name}, args...)...)
}

// Run runs a command inside, and returns what it printed.
func (j *Journal) Run(name string, args ...string) string {
	j.t.Helper()
	cmd := j.Command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		j.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, &errs)
	}
	return string(out)
}

// Send logs one line as user uid, as any program may with syslog(3). As root
// the line comes from this process, otherwise from logger.
func (j *Journal) Send(ident string, uid uint32, msg string) {
	j.t.Helper()
	if uid == 0 {
		j.datagram(j.Log, fmt.Appendf(nil, "<38>%s[%d]: %s", ident, os.Getpid(), msg))
		return
	}
	cmd := exec.Command("logger", "--socket", j.Log, "--tag", ident, "--priority", "authpriv.info", "--", msg)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("logger: %v: %s", err, out)
	}
}

// Fields logs one entry by journald's own protocol: pairs of name and value,
// which may hold any bytes, and the same name twice.
func (j *Journal) Fields(pairs ...string) {
	j.t.Helper()
	var b []byte
	for i := 0; i+1 < len(pairs); i += 2 {
		n := uint64(len(pairs[i+1]))
		b = append(append(b, pairs[i]...), '\n')
		for range 8 {
			b = append(b, byte(n))
			n >>= 8
		}
		b = append(append(b, pairs[i+1]...), '\n')
	}
	socket := filepath.Join(filepath.Dir(j.Log), "socket")
	if len(b) < 64<<10 {
		j.datagram(socket, b)
		return
	}
	// What does not fit into a datagram goes as a sealed file.
	fd, err := unix.MemfdCreate("entry", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	check(j.t, err)
	f := os.NewFile(uintptr(fd), "entry")
	_, err = f.Write(b)
	check(j.t, err)
	_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	check(j.t, err)
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	check(j.t, err)
	raw, err := c.SyscallConn()
	check(j.t, err)
	var sent error
	err = raw.Write(func(s uintptr) bool {
		sent = unix.Sendmsg(int(s), nil, unix.UnixRights(fd), nil, 0)
		return !errors.Is(sent, unix.EAGAIN)
	})
	check(j.t, errors.Join(err, sent, c.Close(), f.Close()))
}

func (j *Journal) datagram(path string, b []byte) {
	j.t.Helper()
	c, err := net.Dial("unixgram", path)
	check(j.t, err)
	_, err = c.Write(b)
	check(j.t, errors.Join(err, c.Close()))
}

// Sync waits until all that was sent stands in the files.
func (j *Journal) Sync() {
	j.t.Helper()
	j.Run("journalctl", "--sync")
}

// Rotate makes journald begin a new file.
func (j *Journal) Rotate() {
	j.t.Helper()
	j.Run("journalctl", "--rotate")
}

// Export returns what journalctl reads from the files in Dir.
func (j *Journal) Export(args ...string) string {
	j.t.Helper()
	return j.Run("journalctl", append([]string{"--no-pager", "--output=export", "--directory=" + j.inside()}, args...)...)
}

// inside returns Dir as it is called inside.
func (j *Journal) inside() string {
	if strings.Contains(j.Dir, "/var/journal/") {
		return filepath.Join("/var/log/journal", filepath.Base(j.Dir))
	}
	return filepath.Join("/run/log/journal", filepath.Base(j.Dir))
}

// Kill ends journald at once, as a crash does. A second time is no error.
func (j *Journal) Kill() {
	if j.cmd.ProcessState == nil {
		_ = j.cmd.Process.Kill() // gone already is as good
		_ = j.cmd.Wait()
	}
}
