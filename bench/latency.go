package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// oneIsEnough makes each line a block, so that each line is a sample.
const oneIsEnough = "[firewall]\nbackend = \"nft\"\n[detect]\nfast_failures = 1\nperson_fast_failures = 1\n"

const (
	latencyRuns    = 3
	fileSamples    = 600
	journalSamples = 300
	// linger is how long the journal's reader goes on looking often; see package
	// logsource/journal.
	linger     = 20 * time.Second
	restedRuns = 2
	knockRuns  = 3
	// knock is how long sshd takes at least from a connection to the first line.
	knock = 20 * time.Millisecond
)

// A stand is a guard whose lines become blocks, and the kernel that tells so.
type stand struct {
	box   *box
	guard *daemon
	got   <-chan landing
	stop  func()
	next  netip.Addr
	write func(line string) error // one line of sshd
}

func openStand(ctx context.Context, e *env, name, config string) (*stand, error) {
	b, err := openBox(ctx, e, name)
	if err != nil {
		return nil, err
	}
	s := &stand{box: b, next: netip.MustParseAddr("198.18.0.1")}
	if s.got, s.stop, err = landings(b.net.Device); err != nil {
		b.close()
		return nil, err
	}
	if s.guard, err = b.guard(ctx, config); err != nil {
		s.stop()
		b.close()
		return nil, err
	}
	return s, nil
}

func (s *stand) close() {
	s.guard.stop()
	s.stop()
	s.box.close()
}

var errLost = errors.New("a line did not become a block")

// sample writes a line of a source never seen, and waits for it in the kernel.
func (s *stand) sample(ctx context.Context, wait time.Duration) (time.Duration, error) {
	a := s.next
	s.next = a.Next()
	line := fmt.Sprintf("Failed password for root from %v port %d ssh2", a, 1024+rand.IntN(60000))
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	start := time.Now()
	if err := s.write(line); err != nil {
		return 0, err
	}
	for {
		select {
		case l := <-s.got:
			if l.addr == a {
				return l.at.Sub(start), nil
			}
		case <-timeout.C:
			return 0, fmt.Errorf("%w within %v; the guard said: %s", errLost, wait, s.guard.output())
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// ready writes lines until one becomes a block: the guard may not read yet.
func (s *stand) ready(ctx context.Context) error {
	for end := time.Now().Add(patience); ; {
		_, err := s.sample(ctx, time.Second)
		if err == nil || !errors.Is(err, errLost) || time.Now().After(end) {
			return err
		}
	}
}

// samples paces lines at random between from and to apart.
func (s *stand) samples(ctx context.Context, n int, from, to time.Duration) (all latencies, err error) {
	for range n {
		took, err := s.sample(ctx, patience)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
		time.Sleep(from + rand.N(to-from))
	}
	return all, nil
}

// runs repeats samples.
func (s *stand) runs(ctx context.Context, n int, from, to time.Duration) (list []latencies, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	for range latencyRuns {
		l, err := s.samples(ctx, n, from, to)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// measureFile times lines appended to a file that only sshd writes.
func measureFile(ctx context.Context, e *env) (section, error) {
	path := filepath.Join(e.dir, "appended.log")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return section{}, err
	}
	defer f.Close()
	s, err := openStand(ctx, e, "file", oneIsEnough+"[read]\njournal = \"no\"\n[[log]]\npath = \""+path+"\"\nservice = \"ssh\"\n")
	if err != nil {
		return section{}, err
	}
	defer s.close()
	s.write = func(line string) error {
		_, err := fmt.Fprintf(f, "%s nas sshd[%d]: %s\n", time.Now().Format(time.Stamp), os.Getpid(), line)
		return err
	}
	runs, err := s.runs(ctx, fileSamples, 20*time.Millisecond, 30*time.Millisecond)
	if err != nil {
		return section{}, err
	}
	best := quietest(runs)
	return section{
		rows: []row{{
			figure: "line appended to a file → element in the kernel set", must: "p50 ≤ 1.5 ms, p99 ≤ 5 ms", measured: best.String(),
			verdict: judge(best.at(0.5) <= 1500*time.Microsecond && best.at(0.99) <= 5*time.Millisecond),
			known:   "sshguard 7 ms, fail2ban 408 ms, CrowdSec 9.3 s",
		}},
		detail: "## From line to kernel\n\nA real guard in a network namespace, its state on the disk; one failure is configured to be enough, so that each\n" +
			"line is a block. Time runs from before the write until nf_tables tells by netlink that the element is in force.\n\n" + runsTable("file", runs),
	}, nil
}

func runsTable(name string, runs []latencies) string {
	text := "| " + name + " | |\n|---|---|\n"
	for i, l := range runs {
		text += fmt.Sprintf("| run %d | %v |\n", i+1, l)
	}
	return text
}

// measureJournal times lines sent to a real journald: those that follow one
// another, and the first after a rest.
func measureJournal(ctx context.Context, e *env) (section, error) {
	s, err := openStand(ctx, e, "journal", oneIsEnough)
	if err != nil {
		return section{}, err
	}
	defer s.close()
	s.write = s.box.say
	runs, err := s.runs(ctx, journalSamples, 30*time.Millisecond, 100*time.Millisecond)
	if err != nil {
		return section{}, err
	}
	rested, err := s.rested(ctx, restedRuns, func() error { return nil })
	if err != nil {
		return section{}, err
	}
	known := "journald itself tells its readers after 250 to 500 ms"
	rows := []row{{figure: "… the first line after 20 s without any", measured: rested.String(), verdict: told, known: known}}
	if _, err := os.Stat(sshd); err == nil {
		knocked, err := s.rested(ctx, knockRuns, s.box.knock)
		if err != nil {
			return section{}, err
		}
		rows = append(rows, row{figure: "… the first line of a connection to OpenSSH after 20 s without any", measured: knocked.String(), verdict: told})
	}
	best := quietest(runs)
	return section{
		rows: append([]row{{
			figure: "line sent to journald → the same, during an attack", must: "p99 ≤ 50 ms", measured: best.String(),
			verdict: judge(best.at(0.99) <= 50*time.Millisecond), known: "sshguard 7 ms, fail2ban 408 ms, CrowdSec 9.3 s",
		}}, rows...),
		detail: runsTable("journald", runs) + "\njournald tells its readers of new entries 250 to 500 ms later (a timer of 250 ms with as much leeway). While lines\n" +
			"of interest come, the guard looks by itself every 10 ms; the first line after 20 s without any waits for journald.\n" +
			"A connection to OpenSSH wakes it before there is a line: the server opens its own program. That is measured by opening\n" +
			"it 20 ms before the line. The first line is the first of an attack, not the one\n" +
			"that decides, unless one failure is configured to be enough.\n",
	}, nil
}

// rested samples the first line after a rest, some time after what comes before
// it.
func (s *stand) rested(ctx context.Context, n int, before func() error) (all latencies, err error) {
	for range n {
		time.Sleep(linger + time.Second + rand.N(time.Second))
		if err := before(); err != nil {
			return nil, err
		}
		time.Sleep(knock)
		took, err := s.sample(ctx, patience)
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

// sshd is the program that OpenSSH runs anew for each connection.
const sshd = "/usr/sbin/sshd"

// knock opens the box's own sshd, as running it does.
func (b *box) knock() error {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(b.cmd.Process.Pid), "root", sshd))
	if err != nil {
		return err
	}
	return f.Close()
}
