// Command demo shows a newcomer what Tocsin does, in a minute: real clients guess
// passwords at real OpenSSH servers, guards have the kernel drop them, and a hub
// has the owner's other devices drop them before they come, all of it in
// namespaces of its own. Where that is not possible it plays a recording of such
// a run to the same programs with firewalls in memory. Its exit status is 0 only
// if the story came out as told.
//
// It changes nothing outside of its namespaces, contacts nothing, and decides
// nothing: who is blocked is up to guards and hub, the same program that is
// shipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func init() {
	// The kernel ends the town together with the thread that made it, so that
	// thread must be the one that lasts.
	runtime.LockOSThread()
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	tocsin string // the program
	replay bool   // do not even try to be live
	record string // where to write what sshd said
}

func run(ctx context.Context, args []string, w io.Writer) error {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&o.tocsin, "tocsin", "bin/tocsin", "the program that is shown")
	flags.BoolVar(&o.replay, "replay", false, "play the recording even where more is possible")
	flags.StringVar(&o.record, "record", "", "write what the servers said to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if o.tocsin, err = filepath.Abs(o.tocsin); err != nil {
		return err
	}
	if _, err := os.Stat(o.tocsin); err != nil {
		return fmt.Errorf("%w: make build makes it", err)
	}
	d := newDesk(w, cast())
	err = show(ctx, o, d)
	if ctx.Err() != nil {
		fmt.Fprintln(w) // the terminal shows ^C where the cursor is
		return errors.New("interrupted; nothing is left behind")
	}
	if err != nil {
		return err
	}
	return d.conclude()
}

// show plays the story live where this machine can, and the recording elsewhere.
func show(ctx context.Context, o options, d *desk) error {
	const recording = "Playing a recording against firewalls in memory instead: nothing is blocked.\n"
	switch {
	case o.replay:
		d.say("Playing a recording against firewalls in memory: nothing is blocked.\n")
		return replay(ctx, o, d)
	case os.Geteuid() != 0:
		d.say("Not root, so there can be no servers and no kernel firewalls of our own. " + recording)
		return replay(ctx, o, d)
	}
	t, err := openTown()
	if err != nil {
		d.say(fmt.Sprintf("This machine cannot show it live: %v. ", err) + recording)
		return replay(ctx, o, d)
	}
	err = live(ctx, o, d, t)
	return errors.Join(err, t.close())
}

// tellTime is how long telling what has settled may take.
const tellTime = 50 * time.Millisecond

// until waits for a condition, at most for a while.
func until(ctx context.Context, what string, f func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
	return nil
}

// rest pauses, for the reader's sake or the story's.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
