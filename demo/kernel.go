package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin/internal/clock"
	"github.com/tocsin-io/tocsin/internal/run"
)

// A process is a device in a network namespace of its own. The namespace has no
// name: it is gone with the process, and the process ends with this one, however
// that ends.
type process struct {
	device *device
	ready  chan struct{} // closed when its guard begins
	ended  chan struct{}
	fault  error // why it ended; set before ended is closed

	mu    sync.Mutex // guards the fields below
	in    io.WriteCloser
	asked map[netip.Prefix]chan bool
}

// startProcess starts a device. tell hears which blocks came into force.
func startProcess(ctx context.Context, program []string, d *device, todo duty, logs io.Writer, tell func(netip.Prefix, time.Time)) (*process, error) {
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = run.Grace / 2
	cmd.Stderr = logs
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{device: d, ready: make(chan struct{}), ended: make(chan struct{}), in: in, asked: map[netip.Prefix]chan bool{}}
	started := make(chan error)
	go func() {
		// The kernel tells of the death of the thread that started it: this one
		// lives as long as the process.
		runtime.LockOSThread()
		defer close(p.ended)
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		said := p.listen(out, tell)
		p.fault = errors.Join(said, cmd.Wait())
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("a network namespace for %s: %w", d.Device, err)
	}
	if err := p.say(todo); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	select {
	case <-p.ready:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s: %w", d.Device, cmpErr(p.fault, errGone))
	}
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// listen takes what the process says until it says no more.
func (p *process) listen(out io.Reader, tell func(netip.Prefix, time.Time)) (fault error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return err
		}
		switch {
		case a.Error != "":
			fault = errors.New(a.Error)
		case a.Ready:
			close(p.ready)
		case a.Enforced.IsValid():
			tell(a.Enforced, a.At)
		case a.Asked.IsValid():
			p.mu.Lock()
			c := p.asked[a.Asked]
			delete(p.asked, a.Asked)
			p.mu.Unlock()
			if c != nil {
				c <- a.Held
			}
		}
	}
	return errors.Join(fault, lines.Err())
}

func (p *process) say(v any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.NewEncoder(p.in).Encode(v)
}

// set tells the process how the clock goes.
func (p *process) set(s clock.State) { _ = p.say(request{Clock: &s}) } // one that has ended is told elsewhere

// holds asks the kernel of the namespace whether it blocks a prefix.
func (p *process) holds(ctx context.Context, prefix netip.Prefix) (bool, error) {
	c := make(chan bool, 1)
	p.mu.Lock()
	p.asked[prefix] = c
	p.mu.Unlock()
	if err := p.say(request{Holds: prefix}); err != nil {
		return false, err
	}
	select {
	case held := <-c:
		return held, nil
	case <-p.ended:
		return false, errGone
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// stop has the process end, and waits for that.
func (p *process) stop() error {
	p.mu.Lock()
	err := p.in.Close()
	p.mu.Unlock()
	<-p.ended
	return err
}
