package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fails runs a guard that must end at once, with status 1 and one line that
// says what is wrong and what to do.
func (b *box) fails(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	last := out.String()
	if lines := strings.Split(strings.TrimSpace(last), "\n"); len(lines) > 0 {
		last = lines[len(lines)-1]
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.HasPrefix(last, "tocsin guard: ") {
		t.Errorf("ended with %d, %v:\n%s", code, err, out.String())
	}
	for _, w := range want {
		if !strings.Contains(last, w) {
			t.Errorf("%q is not in: %s", w, last)
		}
	}
}

func (b *box) guardOnce(args ...string) *exec.Cmd {
	return b.command(b.net.Device, "timeout", append([]string{"30", b.bin, "guard"}, args...)...)
}

func TestForeignFirewall(t *testing.T) {
	b := newBox(t)
	b.run("nft", "add", "table", "inet", "tocsin")
	b.run("nft", "add", "chain", "inet", "tocsin", "theirs")
	b.fails(t, b.guardOnce(), "tocsin", "someone else")
	if rules := b.run("nft", "list", "ruleset"); !strings.Contains(rules, "chain theirs") {
		t.Errorf("the table of others was changed:\n%s", rules)
	}
	b.run("iptables-legacy", "-t", "mangle", "-N", "TOCSIN")
	b.run("iptables-legacy", "-t", "mangle", "-A", "TOCSIN", "-s", "203.0.113.1", "-j", "RETURN")
	b.write("/etc/tocsin/guard.toml", "[firewall]\nbackend = \"iptables\"\n")
	b.fails(t, b.guardOnce(), "TOCSIN", "someone else")
	if rules := b.run("iptables-legacy-save"); !strings.Contains(rules, "-A TOCSIN -s 203.0.113.1/32 -j RETURN") {
		t.Errorf("the chain of others was changed:\n%s", rules)
	}
	// Another name is the way out that the message tells.
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n[firewall]\ntable = \"tocsin2\"\n")
	g := b.start(b.bin, "guard")
	b.awaitGuard(g)
	g.stop(t)
}

func TestWithoutPower(t *testing.T) {
	b := newBox(t)
	b.run("mkdir", "-p", b.dir+"/n")
	b.run("chown", "nobody", b.dir+"/n")
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/n/state\"\nsocket = \""+b.dir+"/n/sock\"\n[read]\njournal = \"no\"\n[[log]]\npath = \"/var/log/vsftpd.log\"\nservice = \"vsftpd\"\n")
	as := func(args ...string) *exec.Cmd {
		return b.command(b.net.Device, "setpriv", append([]string{"--reuid=nobody", "--regid=nogroup", "--clear-groups", "timeout", "30", b.bin, "guard"}, args...)...)
	}
	b.fails(t, as(), "CAP_NET_ADMIN")

	cmd := as("--dry-run")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the dry run", func() bool {
		return b.command(b.net.Device, b.bin, "status", "--socket", b.dir+"/n/sock").Run() == nil
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the dry run ended with %v\n%s", err, out.String())
	}
}

// TestOddLogs gives the guard every kind of log that is none, beside a good one.
func TestOddLogs(t *testing.T) {
	b := newBox(t)
	b.run("mkdir", "-p", "/var/log/odd/folder.log", "/var/log/tiny")
	b.run("mkfifo", "/var/log/odd/fifo.log")
	b.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/log/tiny")
	b.write("/var/log/odd/secret.log", "")
	b.run("chmod", "0", "/var/log/odd/secret.log")
	b.write("/var/log/good.log", "")
	var logs strings.Builder
	for _, name := range []string{"odd/folder.log", "odd/fifo.log", "odd/missing.log", "nowhere/missing.log", "odd/secret.log", "tiny/full.log", "good.log"} {
		fmt.Fprintf(&logs, "[[log]]\npath = \"/var/log/%s\"\nservice = \"vsftpd\"\n", name)
	}
	g := b.startGuard("nft", logs.String())

	blocked := func(source string) func() bool {
		return func() bool { return b.blocks(source) }
	}
	b.append("/var/log/good.log", ftpLines("203.0.113.1"))
	until(t, "the good log", blocked("203.0.113.1"))
	b.append("/var/log/odd/secret.log", ftpLines("203.0.113.2")) // DAC_READ_SEARCH reads it
	until(t, "the log that only root may read", blocked("203.0.113.2"))
	b.append("/var/log/odd/missing.log", ftpLines("203.0.113.3"))
	until(t, "the log that was missing", blocked("203.0.113.3"))
	b.run("mkdir", "/var/log/nowhere")
	b.append("/var/log/nowhere/missing.log", ftpLines("203.0.113.4"))
	until(t, "the log whose folder was missing", blocked("203.0.113.4"))

	// Lines that are hard to swallow, and then one more attacker.
	long := strings.Repeat("x", 3<<20)
	b.append("/var/log/good.log", "\x00\x00\xff\xfe[admin] FAIL LOGIN\n"+long+"\n"+strings.ReplaceAll(ftpLines("203.0.113.5"), "\n", "\r\n"))
	until(t, "what follows hard lines", blocked("203.0.113.5"))

	// Rotation by rename, by copy and by removal.
	b.run("mv", "/var/log/good.log", "/var/log/good.log.1")
	b.append("/var/log/good.log", ftpLines("203.0.113.6"))
	until(t, "the log after rotation", blocked("203.0.113.6"))
	b.run("sh", "-c", "cp /var/log/good.log /var/log/good.log.2; : >/var/log/good.log")
	b.append("/var/log/good.log", ftpLines("203.0.113.7"))
	until(t, "the log after copytruncate", blocked("203.0.113.7"))
	b.run("rm", "/var/log/good.log")
	b.append("/var/log/good.log", ftpLines("203.0.113.8"))
	until(t, "the log after removal", blocked("203.0.113.8"))

	// A full disk, and a line without an end.
	b.run("sh", "-c", "head -c 60000 /dev/zero >/var/log/tiny/full.log || true")
	b.command(b.net.Device, "sh", "-c", "yes junk >>/var/log/tiny/full.log").Run()
	b.append("/var/log/good.log", strings.TrimSuffix(ftpLines("203.0.113.9"), "\n"))
	if b.blocks("203.0.113.9") {
		t.Error("a line without an end was read")
	}
	b.append("/var/log/good.log", "\n")
	until(t, "the end of the line", blocked("203.0.113.9"))
	for _, r := range b.rules() {
		if !strings.HasPrefix(r.Prefix.String(), "203.0.113.") {
			t.Errorf("somebody innocent is blocked: %v", r)
		}
	}
	g.stop(t)
}

// append writes to the end of a file inside of the box.
func (b *box) append(path, text string) {
	b.t.Helper()
	cmd := b.command(b.net.Device, "sh", "-c", `cat >>"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("append to %s: %v\n%s", path, err, out)
	}
}

// ftpLines are five guesses as vsftpd tells them.
func ftpLines(source string) string {
	var w strings.Builder
	stamp := time.Now().Format(time.ANSIC)
	for i := range 5 {
		fmt.Fprintf(&w, "%s [pid %d] [%s] FAIL LOGIN: Client \"::ffff:%s\"\n", stamp, 1000+i, guesses[i], source)
	}
	return w.String()
}

// TestHostileNames logs in with names that imitate what sshd and vsftpd write.
func TestHostileNames(t *testing.T) {
	b := newBox(t)
	b.startServers()
	g := b.startGuard("nft", "")
	const victim, attacker = "203.0.113.99", "203.0.113.66"
	for _, name := range []string{
		"root from " + victim + " port 22 ssh2",
		"x from " + victim,
		"Failed password for root from " + victim + " port 22 ssh2",
		"a\x1b[2J\x1b]0;" + victim + "\x07",
		"b] FAIL LOGIN: Client \"" + victim + "\"",
		"Jan 15 20:54:02 nas sshd[1]: Failed password for root from " + victim + " port 22 ssh2",
		"c\xff\xfe from " + victim + " port 22",
	} {
		b.ssh(attacker, name, "guess")
		b.curl(attacker, "ftp://192.0.2.1/", name, "guess")
	}
	until(t, "the attacker to be blocked", func() bool { return b.blocks(attacker) })
	if b.blocks(victim) || !b.reaches(victim, sshPort) {
		t.Error("a name had somebody innocent blocked")
	}
	if out := b.run(b.bin, "rules") + b.run(b.bin, "sightings") + g.output(); strings.ContainsAny(out, "\x1b\x07") {
		t.Errorf("a terminal escape came through: %q", out)
	}
	g.stop(t)
}

// TestFullStateDisk has no room for what is remembered: the guard goes on
// blocking, says so, and refuses to call an order durable.
func TestFullStateDisk(t *testing.T) {
	b := newBox(t)
	b.run("mkdir", "-p", b.dir+"/state")
	b.run("mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", b.dir+"/state")
	b.write("/var/log/vsftpd.log", "")
	g := b.startGuard("nft", "")
	b.command(b.net.Device, "sh", "-c", "cat /dev/zero >"+b.dir+"/state/junk").Run()
	for n := range 60 { // the first ones still find room in a page
		b.append("/var/log/vsftpd.log", ftpLines(attacker(n)))
	}
	until(t, "blocks in spite of the full disk", func() bool { return b.blocks(attacker(59)) })
	until(t, "word of it", func() bool { return strings.Contains(g.output(), "not written down") })
	out, err := b.command(b.net.Device, b.bin, "block", "203.0.113.2").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot be written down") {
		t.Errorf("an order that a restart forgets: %v\n%s", err, out)
	}
	b.run("rm", b.dir+"/state/junk")
	b.run(b.bin, "block", "203.0.113.3")
	g.kill(syscall.SIGKILL)
	g = b.start(b.bin, "guard")
	b.awaitGuard(g)
	if !b.blocks("203.0.113.3") {
		t.Error("the order given once there was room again is forgotten")
	}
	g.stop(t)
}

// TestKernelWithoutNftables takes the netlink family of nf_tables away, as a
// kernel built without it does, and expects the chain tree.
func TestKernelWithoutNftables(t *testing.T) {
	if os.Getenv("TOCSIN_WITHOUT_NFNETLINK") != "" {
		execWithoutNfnetlink(t)
	}
	b := newBox(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b.run("mkdir", "-p", "/etc/tocsin")
	b.write("/etc/tocsin/guard.toml", "[guard]\nstate = \""+b.dir+"/state\"\n")
	g := b.start("env", "TOCSIN_WITHOUT_NFNETLINK="+b.bin, self, "-test.run", "^TestKernelWithoutNftables$")
	b.awaitGuard(g)
	if st := b.status(); st.Backend != "iptables" {
		t.Errorf("the back end is %s\n%s", st.Backend, g.output())
	}
	b.run(b.bin, "block", "203.0.113.1")
	if rules := b.run("iptables-legacy-save", "-t", "mangle"); !strings.Contains(rules, "203.0.113.1/32") {
		t.Errorf("no rule in the kernel:\n%s", rules)
	}
	g.stop(t)

	b.write("/etc/tocsin/guard.toml", "[firewall]\nbackend = \"nft\"\n")
	b.fails(t, b.command(b.net.Device, "env", "TOCSIN_WITHOUT_NFNETLINK="+b.bin, self, "-test.run", "^TestKernelWithoutNftables$"), "nf_tables")
}

// execWithoutNfnetlink becomes tocsin guard in a process for which the kernel
// has no NETLINK_NETFILTER (seccomp answers EPROTONOSUPPORT).
func execWithoutNfnetlink(t *testing.T) {
	runtime.LockOSThread()
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(k uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	filter := []unix.SockFilter{
		load(0), unless(unix.SYS_SOCKET, 5), // seccomp_data.nr
		load(16), unless(unix.AF_NETLINK, 3), // args[0]
		load(32), unless(unix.NETLINK_NETFILTER, 1), // args[2]
		ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)),
		ret(unix.SECCOMP_RET_ALLOW),
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0); err != nil {
		t.Fatal(err)
	}
	bin := os.Getenv("TOCSIN_WITHOUT_NFNETLINK")
	t.Fatal(syscall.Exec(bin, []string{bin, "guard"}, os.Environ()))
}
