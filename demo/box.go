package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

//go:embed box.sh
var boxScript string

// programs are what the box runs besides tocsin, and the Debian packages they
// come in.
var programs = []struct{ name, from string }{
	{"nsenter", "util-linux"}, {"nft", "nftables"}, {"/usr/sbin/sshd", "openssh-server"}, {"ssh", "openssh-client"},
	{"sshpass", "sshpass"}, {"/lib/systemd/systemd-journald", "systemd"}, {"journalctl", "systemd"}, {"useradd", "passwd"},
}

// A box is a machine of its own: network, mounts, users, journal and processes.
// When its first process ends, the kernel ends all others, so nothing stays
// behind however the demo ends.
type box struct {
	net   *testnet.Net
	first *exec.Cmd
}

// openBox makes the box. Its error says what this machine lacks. It must be
// called on the main goroutine: the kernel ends the box with the thread that
// made it.
func openBox() (*box, error) {
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			return nil, fmt.Errorf("%s is missing (Debian package %s)", p.name, p.from)
		}
	}
	n, err := testnet.Open()
	if err != nil {
		return nil, fmt.Errorf("network namespaces cannot be made: %w", err)
	}
	b := &box{net: n}
	if err := b.probe(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	if err := b.begin(); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// probe asks the kernel for what the guard's first back end needs.
func (b *box) probe() error {
	cmd := b.net.Device.Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("add table inet probe\nadd set inet probe s { type ipv4_addr; flags timeout; }\ndelete table inet probe\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		return fmt.Errorf("the kernel offers no nf_tables here (%s)", line)
	}
	return nil
}

func (b *box) begin() error {
	var said bytes.Buffer
	b.first = exec.Command("sh", "-c", boxScript, "box.sh")
	b.first.Stderr = &said
	b.first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	// Only an error of the box itself counts; it must not hold up the end.
	b.first.WaitDelay = time.Second
	out, err := b.first.StdoutPipe()
	if err != nil {
		return err
	}
	if err := b.first.Start(); err != nil {
		b.first = nil
		return fmt.Errorf("mount and process namespaces cannot be made: %w", err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "READY\n" {
		werr := b.close()
		b.first = nil
		line, _, _ := bytes.Cut(bytes.TrimSpace(said.Bytes()), []byte("\n"))
		return fmt.Errorf("no box can be made: %s (%w)", line, errors.Join(err, werr))
	}
	return nil
}

// close ends everything in the box.
func (b *box) close() error {
	var err error
	if b.first != nil {
		err = b.first.Process.Kill()
		b.first.Wait() // it was killed: that is no news
		b.first = nil
	}
	b.net.Close()
	return err
}

// command is a program inside of the box, on the device or in the world. Ctrl-C
// at the terminal does not reach it: the demo ends it.
func (b *box) command(ctx context.Context, h *testnet.Host, name string, args ...string) *exec.Cmd {
	cmd := h.Command(ctx, name, args...)
	ns := "/proc/" + strconv.Itoa(b.first.Process.Pid) + "/ns/"
	cmd.Args = append([]string{cmd.Args[0], "--mount=" + ns + "mnt", "--pid=" + ns + "pid"}, cmd.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs a program on the device and returns what it prints.
func (b *box) run(ctx context.Context, name string, args ...string) (string, error) {
	out, err := b.command(ctx, b.net.Device, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// follow starts a program on the device and hands its lines to f until ctx ends
// or the program does. The channel then tells the program's last words.
func (b *box) follow(ctx context.Context, f func(line string), name string, args ...string) (<-chan error, error) {
	cmd := b.command(ctx, b.net.Device, name, args...)
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	last := make(chan string, 1)
	go func() {
		var newest string
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			newest = lines.Text()
			f(newest)
		}
		r.CloseWithError(lines.Err()) // or the program would wait for a reader
		last <- newest
	}()
	go func() {
		err := cmd.Wait()
		w.Close() // never fails
		ended <- fmt.Errorf("%s ended: %w: %s", name, err, <-last)
	}()
	return ended, nil
}

// ssh logs in from an address with the real client and reports whether it was
// let in.
func (b *box) ssh(ctx context.Context, from netip.Addr, account, password string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return b.command(ctx, b.net.World, "sshpass", "-p", password, "ssh", "-F", "none", "-b", from.String(),
		"-o", "ConnectTimeout=2", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1",
		account+"@"+device(from).String(), "true").Run() == nil
}

// dial opens a connection from an address of the world to the device's sshd.
func (b *box) dial(ctx context.Context, from netip.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return b.net.World.Dial(ctx, "tcp", from, netip.AddrPortFrom(device(from), 22))
}

// patience is how long a client waits for an answer before it says that there
// is none.
const patience = time.Second

// device is the address that a client asks for.
func device(from netip.Addr) netip.Addr {
	if from.Is6() {
		return testnet.Device6
	}
	return testnet.Device4
}
