package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// settled is how long after its start a guard is looked at: it notices within 40 s
// that it is at rest, and then gives memory back, which costs some 100 wake-ups
// once.
const settled = 45 * time.Second

// quiet is how long a guard at rest is looked at, and nothing happens.
const quiet = 30 * time.Second

// calm is how long after an attack a guard is looked at: it goes on looking at
// the journal for 20 s, and then notices within 40 s that it is at rest.
const calm = 75 * time.Second

// yesterday is how many lines of sshd the journal holds before the guard starts.
const yesterday = 2000

// assault is how many lines come at once later.
const assault = 4000

// measureRest looks at a guard that has nothing to do.
func measureRest(ctx context.Context, e *env) (section, error) {
	b, err := openBox(ctx, e, "rest")
	if err != nil {
		return section{}, err
	}
	defer b.close()
	for i := range yesterday {
		if err := b.say(fmt.Sprintf("Failed password for root from 198.18.%d.%d port 4711 ssh2", i/8/250, i/8%250+1)); err != nil {
			return section{}, err
		}
	}
	g, err := b.guard(ctx, "")
	if err != nil {
		return section{}, err
	}
	defer g.stop()
	time.Sleep(settled)
	before, err := look(g.Process.Pid)
	if err != nil {
		return section{}, err
	}
	_, said := g.since(0)
	time.Sleep(quiet)
	after, err := look(g.Process.Pid)
	if err != nil {
		return section{}, err
	}
	if text, _ := g.since(said); text != "" {
		fmt.Fprintf(os.Stderr, "the guard at rest said: %s\n", text)
	}
	for i := range assault {
		if err := b.say(fmt.Sprintf("Failed password for root from 198.18.%d.%d port 4711 ssh2", 100+i/8/250, i/8%250+1)); err != nil {
			return section{}, err
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(calm)
	later, err := look(g.Process.Pid)
	if err != nil {
		return section{}, err
	}
	peer := "not installed"
	if rss, err := b.fail2ban(ctx); err == nil {
		peer = fmt.Sprintf("fail2ban, one jail, in this run %.1f MiB", mib(rss))
	} else {
		peer = "fail2ban: " + err.Error()
	}
	return restSection(before, after, later, peer), nil
}

func restSection(before, after, later snapshot, peer string) section {
	wakes := float64(after.switches-before.switches) / quiet.Seconds()
	written := after.written - before.written
	return section{
		rows: []row{
			{figure: "guard at rest, its journal reader included", must: "≤ 15 MiB resident",
				measured: after.resident(), verdict: judge(after.rss <= 15<<20), known: "fail2ban 38 MiB, CrowdSec 136 MiB; " + peer},
			{figure: fmt.Sprintf("… %v after an attack of %d lines", calm, assault), must: "≤ 15 MiB resident",
				measured: later.resident(), verdict: judge(later.rss <= 15<<20)},
			{figure: "… wake-ups", must: "≤ 1 per second", measured: fmt.Sprintf("%.2f per second, all threads", wakes), verdict: judge(wakes <= 1)},
			{figure: "… disk writes when nothing happens", must: "none", measured: fmt.Sprintf("%d bytes in %v", written, quiet), verdict: judge(written == 0)},
		},
		detail: fmt.Sprintf("## At rest\n\nDefault configuration, nft, a real journald with %d lines of sshd to read back; looked at from %v to %v after the\n"+
			"start. Wake-ups are voluntary context switches of all threads; writes are write_bytes of\n"+
			"/proc/PID/io. Peak resident %.1f MiB, %d threads. Pages mapped from files are those of the program; they stand in the page\n"+
			"cache, and a guard that comes to rest lets go of them.\n", yesterday, settled, settled+quiet, mib(after.peak), after.threads),
		commands: []string{"grep -E 'VmRSS|RssAnon|RssFile' /proc/PID/status; cat /proc/PID/io"},
	}
}

// A snapshot is what the kernel says of a process.
type snapshot struct {
	rss, anon, file, peak, pss int // bytes
	switches, threads          int
	written                    int // bytes, to a disk
}

func (s snapshot) resident() string {
	return fmt.Sprintf("%.1f MiB (%.1f of it the program's own, %.1f mapped from files); PSS %.1f MiB",
		mib(s.rss), mib(s.anon), mib(s.file), mib(s.pss))
}

func look(pid int) (s snapshot, err error) {
	root := filepath.Join("/proc", strconv.Itoa(pid))
	status, err := fields(filepath.Join(root, "status"))
	if err != nil {
		return s, err
	}
	s.rss, s.anon, s.file, s.peak = status["VmRSS"]<<10, status["RssAnon"]<<10, status["RssFile"]<<10, status["VmHWM"]<<10
	maps, err := fields(filepath.Join(root, "smaps_rollup"))
	if err != nil {
		return s, err
	}
	s.pss = maps["Pss"] << 10
	io, err := fields(filepath.Join(root, "io"))
	if err != nil {
		return s, err
	}
	s.written = io["write_bytes"]
	tasks, err := os.ReadDir(filepath.Join(root, "task"))
	if err != nil {
		return s, err
	}
	for _, t := range tasks {
		f, err := fields(filepath.Join(root, "task", t.Name(), "status"))
		if err != nil {
			return s, err
		}
		s.switches += f["voluntary_ctxt_switches"]
		s.threads++
	}
	return s, nil
}

// fields reads a file of lines such as "VmRSS:  1234 kB". What is no number is
// left out.
func fields(path string) (map[string]int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := map[string]int{}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(line, ":")
		words := strings.Fields(value)
		if !ok || len(words) == 0 {
			continue
		}
		if n, err := strconv.Atoi(words[0]); err == nil {
			m[key] = n
		}
	}
	return m, nil
}

// fail2ban starts fail2ban with the jail that Debian enables, on the same
// journal, and returns what it has resident.
func (b *box) fail2ban(ctx context.Context) (rss int, err error) {
	for path, text := range map[string]string{
		"/etc/fail2ban/fail2ban.local": "[Definition]\nlogtarget = STDERR\ndbfile = None\n",
		"/etc/fail2ban/jail.local":     "[DEFAULT]\nbackend = systemd\nbanaction = nftables\n[sshd]\nenabled = true\n",
	} {
		if err := b.write(ctx, path, text); err != nil {
			return 0, err
		}
	}
	const socket = "/run/f2b.sock"
	d, err := b.start(ctx, []string{"fail2ban-client", "-s", socket, "status", "sshd"},
		"fail2ban-server", "-xf", "-s", socket, "-p", "/run/f2b.pid", "start")
	if err != nil {
		return 0, err
	}
	defer d.stop()
	time.Sleep(quiet / 3)
	s, err := look(d.Process.Pid)
	return s.rss, err
}
