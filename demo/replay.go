package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tocsin-io/tocsin/authlog"
)

// recording is what sshd said in a live run, written by bin/demo -record.
//
//go:embed testdata/nas.log
var recording string

// stampLayout is how the recording and the log replayed give times (RFC 5424).
const stampLayout = "2006-01-02T15:04:05.000000Z07:00"

// The recording is played faster than it was recorded, and its long pauses are
// cut.
const (
	faster   = 3
	maxPause = 400 * time.Millisecond
)

// A recorded is one line of the recording.
type recorded struct {
	at      time.Time
	program string
	pid     int
	message string
}

// parseRecorded reads a line such as "2026-01-15T20:54:09.250000Z nas
// sshd[41]: text".
func parseRecorded(line string) (r recorded, err error) {
	stamp, rest, _ := strings.Cut(line, " ")
	_, rest, _ = strings.Cut(rest, " ") // the host
	tag, message, ok := strings.Cut(rest, "]: ")
	program, pid, ok2 := strings.Cut(tag, "[")
	if r.at, err = time.Parse(stampLayout, stamp); err != nil || !ok || !ok2 {
		return r, fmt.Errorf("recording: %q is no line of sshd", line)
	}
	r.program, r.message = program, message
	r.pid, err = strconv.Atoi(pid)
	return r, err
}

// replay plays the recording to a real guard whose firewall is in memory.
func replay(ctx context.Context, o options, d *desk) (err error) {
	d.inMem = true
	dir, err := os.MkdirTemp("", "tocsin-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// A guard that root starts may give up root.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "auth.log"))
	if err != nil {
		return err
	}
	defer log.Close() // nothing of it is kept
	r := &replayed{desk: d, dir: dir, tocsin: o.tocsin, log: log, hear: newListener(d)}
	d.say("ATTEMPT is what sshd said when it was recorded, DECISION what tocsin guard says now, KERNEL what its firewall in memory " +
		"holds, where a kernel would drop.\n")
	stop, err := r.guard(ctx)
	if err != nil {
		return err
	}
	end := d.begin()
	d.post(event{at: d.begun, kind: scene, text: fmt.Sprintf("Two loud bots, a slow one, one that changes its IPv6 address, "+
		"Anna, and a script on the allowlist; %d times as fast as it was.", faster)})
	err = r.feed(ctx)
	if err == nil {
		err = r.settle(ctx)
	}
	err = errors.Join(err, stop())
	end()
	return err
}

// replayed is a replay under way.
type replayed struct {
	desk   *desk
	dir    string
	tocsin string
	log    *os.File
	hear   *listener
}

// guard starts the guard and waits until it answers. stop ends it in good order.
func (r *replayed) guard(ctx context.Context) (stop func() error, err error) {
	file := filepath.Join(r.dir, "guard.toml")
	text := fmt.Sprintf("[guard]\nstate = %q\nsocket = %q\ndevice = \"nas\"\n[firewall]\nbackend = \"memory\"\n[read]\njournal = \"no\"\n"+
		"[[log]]\npath = %q\nservice = \"ssh\"\n[never_block]\nallow = [\"198.51.100.20\"]\n",
		filepath.Join(r.dir, "state"), filepath.Join(r.dir, "run", "guard.sock"), r.log.Name())
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(r.tocsin, "guard", "--config", file, "--json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			r.desk.guard(lines.Text())
		}
		io.Copy(io.Discard, out) // or a line too long would stop the guard
	}()
	stop = func() error {
		serr := cmd.Process.Signal(syscall.SIGTERM)
		<-read
		return errors.Join(serr, cmd.Wait())
	}
	err = until(ctx, "the guard", func() bool {
		select {
		case <-read:
			return true
		default:
			return r.ask(ctx, "status").Run() == nil
		}
	})
	select {
	case <-read:
		err = errors.Join(err, cmd.Wait(), errors.New(strings.Join(r.desk.trouble, "\n")))
	default:
		if err != nil {
			err = errors.Join(err, stop())
		}
	}
	return stop, err
}

func (r *replayed) ask(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, r.tocsin, append(args, "--socket", filepath.Join(r.dir, "run", "guard.sock"))...)
}

// feed writes the recording to the log, as if it happened now.
func (r *replayed) feed(ctx context.Context) error {
	var before time.Time
	for line := range strings.Lines(recording) {
		rec, err := parseRecorded(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return err
		}
		if !before.IsZero() {
			rest(ctx, min(rec.at.Sub(before)/faster, maxPause))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		before = rec.at
		at := time.Now()
		r.hear.hear(authlog.Entry{Message: []byte(rec.message), Program: rec.program, PID: rec.pid, At: at, Received: at})
		if _, err := fmt.Fprintf(r.log, "%s nas %s[%d]: %s\n", at.Format(stampLayout), rec.program, rec.pid, rec.message); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the rules of all attackers and asks for them.
func (r *replayed) settle(ctx context.Context) error {
	rest(ctx, settle+tellTime)
	out, err := r.ask(ctx, "rules", "--json").Output()
	if err != nil {
		return fmt.Errorf("tocsin rules: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var rule struct {
			Prefix netip.Prefix `json:"prefix"`
			Action string       `json:"action"`
			Until  time.Time    `json:"until"`
		}
		err := dec.Decode(&rule)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tocsin rules: %w", err)
		}
		if who := r.desk.of(rule.Prefix.Addr()); who != nil && rule.Action == "block" {
			r.desk.holds = append(r.desk.holds, fmt.Sprintf("%-12s %-18s expires in %v", rule.Action, who.who(), time.Until(rule.Until).Round(time.Second)))
		}
	}
}

// held reports what the guard proved in its memory.
func (d *desk) held(r report, who string) {
	d.post(event{at: r.Time, kind: kernel, who: who, note: func(a *actor) {
		a.blocked, a.element = r.Time, true
	}, tell: func(a *actor) string {
		return fmt.Sprintf("in memory only, %s after the line (guard %s)", span(a.reaction()), span(a.took))
	}})
}
