package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
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

// programs are what the machines run besides tocsin, and the Debian packages
// they come in.
var programs = []struct{ name, from string }{
	{"nsenter", "util-linux"}, {"nft", "nftables"}, {"/usr/sbin/sshd", "openssh-server"}, {"ssh", "openssh-client"},
	{"sshpass", "sshpass"}, {"/lib/systemd/systemd-journald", "systemd"}, {"journalctl", "systemd"}, {"useradd", "passwd"},
}

// A town is several machines and the world around them. Each has its own
// network, mounts, users, journal and processes. When the first process of a
// machine ends, the kernel ends all others, so nothing stays behind however the
// demo ends.
type town struct {
	net   *testnet.Town
	boxes []*box
}

// A box is the inside of a machine.
type box struct {
	first *exec.Cmd
	said  bytes.Buffer // what went wrong
	out   *bufio.Reader
}

// openTown makes the town. Its error says what this machine lacks. It must be
// called on the main goroutine: the kernel ends the machines with the thread
// that made them.
func openTown() (*town, error) {
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			return nil, fmt.Errorf("%s is missing (Debian package %s)", p.name, p.from)
		}
	}
	n, err := testnet.OpenTown(len(machines))
	if err != nil {
		return nil, fmt.Errorf("network namespaces cannot be made: %w", err)
	}
	t := &town{net: n}
	if err := t.probe(); err != nil {
		return nil, errors.Join(err, t.close())
	}
	if err := t.begin(); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// probe asks the kernel for what the guard's first back end needs.
func (t *town) probe() error {
	cmd := t.net.Hosts[0].Command(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("add table inet probe\nadd set inet probe s { type ipv4_addr; flags timeout; }\ndelete table inet probe\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		return fmt.Errorf("the kernel offers no nf_tables here (%s)", line)
	}
	return nil
}

// begin makes the insides of all machines at once.
func (t *town) begin() error {
	for _, m := range machines {
		b := &box{}
		b.first = exec.Command("sh", "-c", boxScript, "box.sh", m.name)
		b.first.Stderr = &b.said
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
			return fmt.Errorf("mount and process namespaces cannot be made: %w", err)
		}
		b.out = bufio.NewReader(out)
		t.boxes = append(t.boxes, b)
	}
	for _, b := range t.boxes {
		if line, err := b.out.ReadString('\n'); line != "READY\n" {
			werr := b.close()
			line, _, _ := bytes.Cut(bytes.TrimSpace(b.said.Bytes()), []byte("\n"))
			return fmt.Errorf("no machine can be made: %s (%w)", line, errors.Join(err, werr))
		}
	}
	return nil
}

// close ends everything in a box; twice is no error.
func (b *box) close() error {
	if b.first.ProcessState != nil {
		return nil
	}
	err := b.first.Process.Kill()
	b.first.Wait() // it was killed: that is no news
	return err
}

// close ends everything in the town.
func (t *town) close() error {
	var errs []error
	for _, b := range t.boxes {
		errs = append(errs, b.close())
	}
	t.net.Close()
	return errors.Join(errs...)
}

// inside turns a command of a host into one that also has the mounts and
// processes of a machine. Ctrl-C at the terminal does not reach it: the demo ends
// it.
func (t *town) inside(machine int, cmd *exec.Cmd) *exec.Cmd {
	ns := "/proc/" + strconv.Itoa(t.boxes[machine].first.Process.Pid) + "/ns/"
	cmd.Args = append([]string{cmd.Args[0], "--mount=" + ns + "mnt", "--pid=" + ns + "pid"}, cmd.Args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// at is a program on a machine.
func (t *town) at(ctx context.Context, machine int, name string, args ...string) *exec.Cmd {
	return t.inside(machine, t.net.Hosts[machine].Command(ctx, name, args...))
}

// ssh logs in to a machine with the real client and reports whether it was let
// in.
func (t *town) ssh(ctx context.Context, from netip.Addr, machine int, account, password string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return t.inside(machine, t.net.World.Command(ctx, "sshpass", "-p", password, "ssh", "-F", "none", "-b", from.String(),
		"-o", "ConnectTimeout=2", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1",
		account+"@"+testnet.TownAddr(machine).String(), "true")).Run() == nil
}

// dial opens a connection from an address of the world to a machine's sshd.
func (t *town) dial(ctx context.Context, from netip.Addr, machine int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return t.net.World.Dial(ctx, "tcp", from, netip.AddrPortFrom(testnet.TownAddr(machine), 22))
}

// patience is how long a client waits for an answer before it says that there
// is none.
const patience = time.Second
