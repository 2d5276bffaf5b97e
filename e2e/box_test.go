// Package e2e_test plays whole attacks: real servers and clients, a real
// journal, a real kernel, and the program as it is shipped, without the powers
// of root.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

// programs are what the tests run besides tocsin.
var programs = []string{
	"nsenter", "unshare", "setpriv", "sshd", "ssh", "sshpass", "vsftpd", "smbd", "smbclient", "nginx", "curl", "logger", "nft",
	"iptables-legacy", "useradd", "chpasswd",
}

// binary is tocsin, built as it is shipped.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tocsin-e2e")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tocsin")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../cmd/tocsin")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// A box is a machine of its own: a network, users, a journal, servers.
type box struct {
	t   *testing.T
	net *testnet.Net
	at4 netip.Addr // the device's own
	dir string     // of its files, seen only from inside
	bin string
	pid int // whose mount namespace it is
}

func newBox(t *testing.T) *box {
	t.Helper()
	testnet.Need(t, programs...)
	return openBox(t, testnet.New(t), testnet.Device4)
}

// openBox makes a machine of a device that has a network already.
func openBox(t *testing.T, net *testnet.Net, at4 netip.Addr) *box {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, net: net, at4: at4, bin: bin}
	if b.dir, err = os.MkdirTemp("", "tocsin-box"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "testdata/box.sh", b.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		os.Remove(b.dir)
	})
	b.pid = cmd.Process.Pid
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "READY\n" {
		t.Fatalf("the box says %q, %v", line, err)
	}
	go io.Copy(io.Discard, out)
	return b
}

// command runs a program inside of the box, on the device or in the world.
func (b *box) command(h *testnet.Host, name string, args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := h.Command(context.Background(), name, args...)
	cmd.Args = append([]string{cmd.Args[0], "--mount=/proc/" + strconv.Itoa(b.pid) + "/ns/mnt"}, cmd.Args[1:]...)
	return cmd
}

// run runs a program on the device to its end.
func (b *box) run(name string, args ...string) string {
	b.t.Helper()
	out, err := b.command(b.net.Device, name, args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// write makes a file inside of the box.
func (b *box) write(path, text string) {
	b.t.Helper()
	cmd := b.command(b.net.Device, "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("write %s: %v\n%s", path, err, out)
	}
}

// process is a program that goes on running.
type process struct {
	*exec.Cmd
	name string
	mu   sync.Mutex // guards out
	out  bytes.Buffer
	done chan struct{}
}

// Write implements io.Writer for the program's output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// start runs a program on the device until the test ends.
func (b *box) start(name string, args ...string) *process {
	b.t.Helper()
	p := &process{name: name, Cmd: b.command(b.net.Device, name, args...), done: make(chan struct{})}
	p.Stdout, p.Stderr = p, p
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.Wait()
	}()
	b.t.Cleanup(func() {
		p.kill(syscall.SIGKILL)
		if b.t.Failed() {
			b.t.Logf("%s said:\n%s", name, p.output())
		}
	})
	return p
}

// kill sends a signal to the program and waits for its end.
func (p *process) kill(s syscall.Signal) {
	syscall.Kill(-p.Process.Pid, s)
	<-p.done
}

// until waits for a condition; the machine may be slow, so it waits long.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("waited in vain for: %s", what)
}

// reaches reports whether a TCP connection from an address of the world comes
// about. A dropped one takes a moment to give up.
func (b *box) reaches(from string, port uint16) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	src := netip.MustParseAddr(from)
	to := b.at4
	if src.Is6() {
		to = testnet.Device6
	}
	c, err := b.net.World.Dial(ctx, "tcp", src, netip.AddrPortFrom(to, port))
	if err != nil {
		return false
	}
	c.Close()
	return true
}
