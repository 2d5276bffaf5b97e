package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin/api"
)

// A crew is a hub and its guards: the same programs, commands and certificates
// whether the machines are namespaces or only folders.
type crew struct {
	desk   *desk
	tocsin string
	at     func(ctx context.Context, machine int, name string, args ...string) *exec.Cmd
	config func(machine int) string // of the hub or the guard
	socket func(machine int) string

	kept []*kept // what must go on running
}

// A kept is a program that goes on running.
type kept struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed at its end
	err   error         // why, with its last words; set before ended is closed
}

// follow starts a program and hands its lines to f until it ends.
func follow(cmd *exec.Cmd, f func(line string)) (*kept, error) {
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	k := &kept{cmd: cmd, ended: make(chan struct{})}
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
		defer close(k.ended)
		err := cmp.Or(cmd.Wait(), errors.New("status 0"))
		w.Close() // never fails
		k.err = fmt.Errorf("%s ended: %w: %s", filepath.Base(cmd.Path), err, <-last)
	}()
	return k, nil
}

// stop ends the program in good order.
func (k *kept) stop() error {
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-k.ended
	if !k.cmd.ProcessState.Success() {
		return k.err
	}
	return nil
}

// keep starts a program that must go on running, and hands its lines to f.
func (c *crew) keep(f func(string), cmd *exec.Cmd) error {
	k, err := follow(cmd, f)
	if err == nil {
		c.kept = append(c.kept, k)
	}
	return err
}

// why tells which programs ended, and with which words; nil is none.
func (c *crew) why() error {
	var errs []error
	for _, k := range c.kept {
		select {
		case <-k.ended:
			errs = append(errs, k.err)
		default:
		}
	}
	return errors.Join(errs...)
}

// until waits for a condition, at most for a while, and not for programs that
// have ended.
func (c *crew) until(ctx context.Context, what string, f func() bool) error {
	err := until(ctx, what, func() bool { return c.why() != nil || f() })
	return errors.Join(err, c.why())
}

// hub starts the hub and waits until it answers.
func (c *crew) hub(ctx context.Context) error {
	err := c.keep(c.desk.hub, c.at(ctx, hub, c.tocsin, "hub", "--json", "--verbose", "--config", c.config(hub)))
	if err != nil {
		return err
	}
	return c.until(ctx, "the hub", func() bool {
		_, err := c.ask(ctx, "devices")
		return err == nil
	})
}

// ask runs a command of people at the hub.
func (c *crew) ask(ctx context.Context, args ...string) (string, error) {
	out, err := c.at(ctx, hub, c.tocsin, append(args, "--hub-socket", c.socket(hub))...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tocsin %s: %w: %s", args[0], err, out)
	}
	return string(out), nil
}

// enrol makes a machine a device of its owner: a token of the hub, redeemed at
// the machine.
func (c *crew) enrol(ctx context.Context, machine int) error {
	m := machines[machine]
	out, err := c.ask(ctx, "devices", "add", "--owner", m.owner, "--json")
	if err != nil {
		return err
	}
	var token api.Token
	if err := json.Unmarshal([]byte(out), &token); err != nil {
		return fmt.Errorf("tocsin devices add: %w", err)
	}
	cmd := c.at(ctx, machine, c.tocsin, "enroll", "-", "--name", m.name, "--config", c.config(machine))
	cmd.Stdin = strings.NewReader(token.Token)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("tocsin enroll at %s: %w: %s", m.name, err, out)
	}
	return nil
}

// guards starts the guards of all devices, and waits until they answer and the
// hub sees them.
func (c *crew) guards(ctx context.Context) error {
	for _, m := range devices() {
		say := func(line string) { c.desk.guard(m, line) }
		if err := c.keep(say, c.at(ctx, m, c.tocsin, "guard", "--json", "--config", c.config(m))); err != nil {
			return err
		}
	}
	for _, m := range devices() {
		err := c.until(ctx, "the guard of "+machines[m].name, func() bool {
			return c.at(ctx, m, c.tocsin, "status", "--socket", c.socket(m)).Run() == nil
		})
		if err != nil {
			return err
		}
	}
	return c.until(ctx, "the devices to follow the hub", func() bool {
		out, err := c.ask(ctx, "devices", "--json")
		n := 0
		for dec := json.NewDecoder(strings.NewReader(out)); err == nil; {
			var d api.Device
			if err = dec.Decode(&d); err == nil && d.Connected && len(d.Lists) > 0 {
				n++
			}
		}
		return n == len(devices())
	})
}

// start starts the hub, has the devices enrolled and starts their guards.
func (c *crew) start(ctx context.Context) error {
	c.desk.ready("Starting: the hub,")
	if err := c.hub(ctx); err != nil {
		return err
	}
	for _, m := range devices() {
		if err := c.enrol(ctx, m); err != nil {
			return err
		}
		c.desk.ready(machines[m].name + " enrolled,")
	}
	err := c.guards(ctx)
	c.desk.ready("guards connected.")
	return err
}

// held waits until all devices of the owner hold an attacker.
func (c *crew) held(ctx context.Context, a *actor) error {
	err := c.until(ctx, "A, B and C to hold "+a.from.String(), func() bool {
		return c.desk.look(a, func(s seen) bool {
			for _, m := range ours() {
				if !s.heard[m] {
					return false
				}
			}
			return true
		})
	})
	rest(ctx, settle+tellTime)
	return err
}

// show has a person ask the hub, and shows what it answers.
func (c *crew) show(ctx context.Context, args ...string) error {
	out, err := c.ask(ctx, args...)
	if err != nil {
		return err
	}
	c.desk.post(event{at: time.Now(), kind: shown, text: "$ tocsin " + strings.Join(args, " ") + "\n" + out})
	return nil
}

// tour shows what people can ask the hub in the end.
func (c *crew) tour(ctx context.Context, a *actor) error {
	c.scene(ctx, "What the hub tells who asks: its devices, and why A, B and C drop the "+a.name+".")
	err := c.show(ctx, "devices")
	return errors.Join(err, c.show(ctx, "rules", "explain", a.from.String(), "--owner", machines[devA].owner))
}

func (c *crew) scene(ctx context.Context, text string) {
	rest(ctx, settle+tellTime) // what happened before is told before
	c.desk.post(event{at: time.Now(), kind: scene, text: text})
}
