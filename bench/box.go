package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin/internal/testnet"
)

//go:embed box.sh
var boxScript string

// patience bounds how long anything may take to come up.
const patience = 30 * time.Second

// A box is a machine of its own: a network, users, a journal on the disk.
type box struct {
	net *testnet.Net
	dir string
	bin string
	cmd *exec.Cmd
	log net.Conn // to journald
}

func openBox(ctx context.Context, e *env, name string) (*box, error) {
	net, err := testnet.Open()
	if err != nil {
		return nil, err
	}
	return openBoxOn(ctx, e, name, net)
}

// openBoxOn makes a machine of a device that has a network, which is its own from
// now on.
func openBoxOn(ctx context.Context, e *env, name string, network *testnet.Net) (b *box, err error) {
	b = &box{net: network, dir: filepath.Join(e.dir, name), bin: e.tocsin}
	if err := os.Mkdir(b.dir, 0o755); err != nil {
		b.net.Close()
		return nil, err
	}
	b.cmd = exec.CommandContext(ctx, "unshare", "--mount", "sh", "-c", boxScript, b.dir)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cmd.Stderr = os.Stderr
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		b.net.Close()
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line == "READY\n" {
		b.log, err = net.Dial("unixgram", filepath.Join(b.dir, "journald/dev-log"))
	}
	if err != nil {
		b.close()
		return nil, fmt.Errorf("the box said %q: %w", line, err)
	}
	return b, nil
}

// close ends journald and lets everything go.
func (b *box) close() {
	if b.log != nil {
		_ = b.log.Close() // nothing is buffered
	}
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) // gone already is as good
	_ = b.cmd.Wait()
	b.net.Close()
}

// command runs a program inside of the box.
func (b *box) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := b.net.Device.Command(ctx, name, args...)
	mount := "--mount=/proc/" + strconv.Itoa(b.cmd.Process.Pid) + "/ns/mnt"
	cmd.Args = append([]string{cmd.Args[0], mount}, cmd.Args[1:]...)
	return cmd
}

// write makes a file inside of the box.
func (b *box) write(ctx context.Context, path, text string) error {
	cmd := b.command(ctx, "sh", "-c", `mkdir -p "$(dirname "$0")" && cat >"$0"`, path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write %s: %w: %s", path, err, out)
	}
	return nil
}

// say sends one line of sshd to journald.
func (b *box) say(text string) error {
	_, err := fmt.Fprintf(b.log, "<38>sshd[%d]: %s", os.Getpid(), text)
	return err
}

// most is how much of what a daemon says is kept, the newest, in bytes.
const most = 1 << 16

// A daemon is a program that goes on running in the box.
type daemon struct {
	*exec.Cmd
	done chan struct{}

	mu   sync.Mutex // guards the fields below
	out  []byte
	said int // bytes, ever
}

// Write implements io.Writer for the program's output.
func (d *daemon) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = append(d.out, b...)
	if over := len(d.out) - most; over > 0 {
		d.out = append(d.out[:0], d.out[over:]...)
	}
	d.said += len(b)
	return len(b), nil
}

func (d *daemon) output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.out)
}

// since returns what the daemon said after it had said so many bytes, and how
// many it has said now.
func (d *daemon) since(said int) (string, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.out[max(0, len(d.out)-(d.said-said)):]), d.said
}

// start runs a program until stop, and waits until probe succeeds.
func (b *box) start(ctx context.Context, probe []string, name string, args ...string) (*daemon, error) {
	d := &daemon{Cmd: b.command(ctx, name, args...), done: make(chan struct{})}
	d.Stdout, d.Stderr = d, d
	if err := d.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.done)
		_ = d.Wait() // whoever cares reads the output
	}()
	for end := time.Now().Add(patience); ; {
		if b.command(ctx, probe[0], probe[1:]...).Run() == nil {
			return d, nil
		}
		select {
		case <-d.done:
			return nil, errors.New(name + " ended: " + d.output())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(end) {
			d.stop()
			return nil, errors.New(name + " does not come up: " + d.output())
		}
	}
}

// stop ends the program in good order.
func (d *daemon) stop() {
	_ = d.Process.Signal(syscall.SIGTERM) // gone already is as good
	select {
	case <-d.done:
	case <-time.After(patience):
		_ = d.Process.Kill()
		<-d.done
	}
}

// guard starts tocsin guard as root does, its state on the disk.
func (b *box) guard(ctx context.Context, config string) (*daemon, error) {
	config = "[guard]\nstate = \"" + b.dir + "/state\"\n" + config
	if err := b.write(ctx, "/etc/tocsin/guard.toml", config); err != nil {
		return nil, err
	}
	return b.start(ctx, []string{b.bin, "status"}, b.bin, "guard")
}
