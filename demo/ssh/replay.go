package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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

// recording is what the servers said in a live run, written by bin/demo -record.
//
//go:embed testdata/town.log
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
	machine int
	program string
	pid     int
	message string
}

// parseRecorded reads a line such as "2026-01-15T20:54:09.250000Z A sshd[41]:
// text".
func parseRecorded(line string) (r recorded, err error) {
	stamp, rest, _ := strings.Cut(line, " ")
	host, rest, _ := strings.Cut(rest, " ")
	tag, message, ok := strings.Cut(rest, "]: ")
	program, pid, ok2 := strings.Cut(tag, "[")
	r.machine = machineOf(host)
	if r.at, err = time.Parse(stampLayout, stamp); err != nil || !ok || !ok2 || r.machine <= hub {
		return r, fmt.Errorf("recording: %q is no line of sshd", line)
	}
	r.program, r.message = program, message
	r.pid, err = strconv.Atoi(pid)
	return r, err
}

// replayed is a replay under way.
type replayed struct {
	*crew
	dir  string
	logs map[int]*os.File
	hear map[int]*listener
}

// replay plays the recording to real guards whose firewalls are in memory, and
// to a real hub, all on the loopback of this machine.
func replay(ctx context.Context, o options, d *desk) (err error) {
	d.inMem = true
	dir, err := os.MkdirTemp("", "tocsin-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &replayed{dir: dir, logs: make(map[int]*os.File), hear: make(map[int]*listener)}
	r.crew = &crew{
		desk: d, tocsin: o.tocsin, at: alone,
		config: func(m int) string { return filepath.Join(r.folder(m), "config.toml") },
		socket: func(m int) string { return filepath.Join(r.folder(m), "sock") },
	}
	if err := r.prepare(); err != nil {
		return err
	}
	d.rules = func(m int, at time.Time) { r.ours(ctx, m, at) }
	d.say("A hub; A, B and C of one owner (home); D of another (ben): the real programs with real certificates, connected by " +
		"loopback. ATTEMPT is what sshd said when it was recorded, DECISION what guard or hub says now, FRAME what the hub signs and " +
		"sends, KERNEL what the firewall in memory holds, where a kernel would drop.\n")
	err = r.crew.start(ctx)
	if err == nil {
		err = r.play(ctx)
	}
	return errors.Join(err, r.stop())
}

// alone is a program of this very machine. Ctrl-C at the terminal does not reach
// it: the demo ends it.
func alone(ctx context.Context, _ int, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (r *replayed) folder(machine int) string { return filepath.Join(r.dir, machines[machine].name) }

// prepare writes the configuration of hub and guards.
func (r *replayed) prepare() error {
	// Programs that root starts give up root.
	if err := os.Chmod(r.dir, 0o755); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		return err
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	for m := range machines {
		if err := os.Mkdir(r.folder(m), 0o755); err != nil {
			return err
		}
		text := fmt.Sprintf("[hub]\nfolder = %q\nsocket = %q\nlisten = %q\naddresses = [%q]\n",
			filepath.Join(r.folder(m), "hub"), r.socket(m), at, at)
		if m != hub {
			log := filepath.Join(r.folder(m), "auth.log")
			if r.logs[m], err = os.Create(log); err != nil {
				return err
			}
			r.hear[m] = newListener(r.desk, m, nil)
			text = fmt.Sprintf("[guard]\nstate = %q\nsocket = %q\ndevice = %q\n[firewall]\nbackend = \"memory\"\n[read]\njournal = \"no\"\nchanges = false\n"+
				"[[log]]\npath = %q\nservice = \"ssh\"\n", filepath.Join(r.folder(m), "state"), r.socket(m), machines[m].name, log)
		}
		if err := os.WriteFile(r.config(m), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// play is the story, as the recording tells it.
func (r *replayed) play(ctx context.Context) error {
	end := r.desk.begin()
	defer end()
	r.scene(ctx, fmt.Sprintf("A loud bot at A, Anna at B, a patient bot that guesses once at A and once at B, and a second bot at C; "+
		"%d times as fast as it was.", faster))
	if err := r.feed(ctx); err != nil {
		return err
	}
	var patient *actor
	for _, a := range r.desk.actors {
		if a.part != attacker {
			continue
		}
		if err := r.held(ctx, a); err != nil {
			return err
		}
		if len(a.tries) == 2 {
			patient = a
		}
	}
	if err := r.tour(ctx, patient); err != nil {
		return err
	}
	list, err := r.rulesOf(ctx, devC)
	for _, rule := range list {
		if r.desk.of(rule.Prefix.Addr()) != nil {
			r.desk.holds = append(r.desk.holds, fmt.Sprintf("%-12s %-18s expires in %v", rule.Action, rule.Prefix.Addr(),
				time.Until(rule.Until).Round(time.Second)))
		}
	}
	return err
}

// stop ends guards and hub in good order.
func (r *replayed) stop() error {
	var errs []error
	for i := len(r.kept) - 1; i >= 0; i-- {
		errs = append(errs, r.kept[i].stop())
	}
	for _, log := range r.logs {
		log.Close() // nothing of it is kept
	}
	return errors.Join(errs...)
}

// feed writes the recording to the logs, as if it happened now.
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
		r.hear[rec.machine].hear(authlog.Entry{Message: []byte(rec.message), Program: rec.program, PID: rec.pid, At: at, Received: at})
		_, err = fmt.Fprintf(r.logs[rec.machine], "%s %s %s[%d]: %s\n", at.Format(stampLayout), machines[rec.machine].name,
			rec.program, rec.pid, rec.message)
		if err != nil {
			return err
		}
	}
	return nil
}

// A rule is one of tocsin rules --json.
type rule struct {
	Prefix netip.Prefix `json:"prefix"`
	Action string       `json:"action"`
	Until  time.Time    `json:"until"`
}

// rulesOf asks a guard which rules are in force.
func (r *replayed) rulesOf(ctx context.Context, machine int) (list []rule, err error) {
	out, err := r.at(ctx, machine, r.tocsin, "rules", "--json", "--socket", r.socket(machine)).Output()
	if err != nil {
		return nil, fmt.Errorf("tocsin rules: %w", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var one rule
		if err := dec.Decode(&one); errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fmt.Errorf("tocsin rules: %w", err)
		}
		list = append(list, one)
	}
}

// ours takes down what a guard has of the hub, of which its log only tells how
// much.
func (r *replayed) ours(ctx context.Context, machine int, at time.Time) {
	list, err := r.rulesOf(ctx, machine)
	if err != nil && ctx.Err() == nil {
		r.desk.fail("%v", err)
	}
	for _, one := range list {
		if one.Action == "block" {
			r.desk.hold(machine, one.Prefix.Addr(), at, "in memory")
		}
	}
}
