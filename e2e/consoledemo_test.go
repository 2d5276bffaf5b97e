package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/demo"
	"github.com/tocsin-io/tocsin/internal/testnet"
)

// A told demo is tocsin demo as a process, whose children are found by a word in
// their environment, and whose folders are below one that is empty.
type toldDemo struct {
	*exec.Cmd
	t      *testing.T
	dir    string
	mark   string
	errs   bytes.Buffer
	mounts string
}

func newDemo(t *testing.T, args ...string) *toldDemo {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d := &toldDemo{Cmd: exec.Command(bin, append([]string{"demo", "--headless", "--json"}, args...)...), t: t, dir: dir, mark: "DEMO_OF=" + dir, mounts: mountsOf(t)}
	d.Env = append(os.Environ(), d.mark, "TMPDIR="+dir)
	d.Stderr = &d.errs
	d.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		if d.Process != nil {
			_ = syscall.Kill(-d.Process.Pid, syscall.SIGKILL) // it has ended, mostly
		}
	})
	return d
}

// follow starts it and hands each line to f, until it says no more; the error is
// that of its end.
func (d *toldDemo) follow(f func(line []byte)) error {
	d.t.Helper()
	out, err := d.StdoutPipe()
	if err == nil {
		err = d.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f(lines.Bytes())
	}
	return d.Wait()
}

// nothingLeft looks for what must not outlive it.
func (d *toldDemo) nothingLeft() {
	d.t.Helper()
	until(d.t, "every process of the demo to end", func() bool { return marked(d.mark) == 0 })
	left, err := os.ReadDir(d.dir)
	if err != nil || len(left) > 0 {
		d.t.Errorf("%v is left, %v", left, err)
	}
	if after := mountsOf(d.t); after != d.mounts {
		d.t.Errorf("mounts before:\n%s\nafter:\n%s", d.mounts, after)
	}
}

// namespaces returns the processes whose network is not this one's.
func (d *toldDemo) namespaces() (pids []int) {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		d.t.Fatal(err)
	}
	list, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		d.t.Fatal(err)
	}
	for _, path := range list {
		env, err := os.ReadFile(path)
		ns, e := os.Readlink(filepath.Join(filepath.Dir(path), "ns", "net"))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && e == nil && ns != own && bytes.Contains(env, []byte(d.mark)) { // it may have ended
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestConsoleDemo has the story come to its end, three devices by the kernel.
func TestConsoleDemo(t *testing.T) {
	testnet.Need(t, "nft", "nsenter")
	d := newDemo(t, "--firewall", "kernel", "--seed", "1")
	var stories []api.DemoStory
	var sum *api.DemoSummary
	err := d.follow(func(line []byte) {
		var kind struct {
			Stage string `json:"stage"`
		}
		if err := json.Unmarshal(line, &kind); err != nil || sum != nil {
			t.Errorf("%v, after the summary %v: %s", err, sum != nil, line)
			return
		}
		if kind.Stage == "" {
			v := one[api.DemoSummary](t, string(line))
			sum = &v
			return
		}
		s := one[api.DemoStory](t, string(line))
		if stories = append(stories, s); s.Stage == string(demo.Everywhere) {
			d.wantInKernels(s)
		}
	})
	if err != nil || sum == nil || !sum.OK {
		t.Fatalf("%v, it says %s\nstories %+v\nsummary %+v", err, d.errs.String(), stories, sum)
	}
	d.nothingLeft()
	wantStories(t, stories)
	if len(sum.Reached) != len(demo.Stages) || len(sum.Missing) > 0 || sum.Kernels != 3 || sum.Devices != 60 || sum.Elapsed <= 0 || len(sum.NotShown) == 0 {
		t.Errorf("summary %+v", sum)
	}
	for _, r := range sum.Rows {
		if strings.Contains(r.Here, "shut down") || r.How != "measured here" && r.How != "simulated time" {
			t.Errorf("row %+v", r)
		}
	}
	if !slices.ContainsFunc(sum.Rows, func(r api.DemoRow) bool { return strings.Contains(r.Here, "drafted in") }) {
		t.Errorf("rows %+v", sum.Rows)
	}
	if c := sum.Compared; c.Controller == "" || c.Entered == 0 || c.Confirmed > c.Entered {
		t.Errorf("compared with the truth: %+v", c)
	}
	t.Logf("%.0f s; %+v", sum.Elapsed, sum.Compared) // how well it is found is up to other tests
}

// wantStories looks at every caption.
func wantStories(t *testing.T, stories []api.DemoStory) {
	t.Helper()
	seen := map[string]bool{}
	for i, s := range stories {
		if s.N != i+1 || seen[s.Stage] || !slices.Contains(demo.Stages, demo.Stage(s.Stage)) || s.EN == "" || s.FR == "" || s.EN == s.FR ||
			s.At.Year() != 2023 || s.Clock != s.At.Format(time.TimeOnly) || i > 0 && s.Elapsed < stories[i-1].Elapsed {
			t.Errorf("caption %d: %+v", i+1, s)
		}
		if text := strings.ToLower(s.EN); strings.Contains(text, "shut down") {
			t.Errorf("caption %d tells what did not happen: %s", i+1, s.EN)
		}
		seen[s.Stage] = true
	}
	if s := stories[0]; s.Stage != string(demo.Attack) || s.Clock != "18:42:00" {
		t.Errorf("it begins with %+v", s)
	}
}

// wantInKernels asks nft in each namespace about the block that was told.
func (d *toldDemo) wantInKernels(s api.DemoStory) {
	d.t.Helper()
	source, _ := s.Measured["source"].(string)
	pids := d.namespaces()
	if len(pids) != 3 || source == "" || s.Measured["kernels"] != 3.0 {
		d.t.Errorf("%d processes in namespaces; %+v", len(pids), s)
	}
	for _, pid := range pids {
		out, err := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-n", "nft", "list", "table", "inet", "tocsin").CombinedOutput()
		if err != nil || !strings.Contains(string(out), source+" timeout") {
			d.t.Errorf("the kernel does not hold %s: %v\n%.2000s", source, err, out)
		}
	}
}

// TestConsoleDemoWithoutAFirewall cannot come to its end, and says so soon.
func TestConsoleDemoWithoutAFirewall(t *testing.T) {
	d := newDemo(t, "--firewall", "off")
	var last string
	if err := d.follow(func(line []byte) { last = string(line) }); d.ProcessState.ExitCode() != 1 {
		t.Fatalf("%v, it says %s", err, d.errs.String())
	}
	d.nothingLeft()
	sum := one[api.DemoSummary](t, last)
	if sum.OK || !slices.Contains(sum.Reached, string(demo.Attack)) || !slices.Contains(sum.Missing, string(demo.FirstBlock)) ||
		!slices.Contains(sum.Missing, string(demo.Everywhere)) || !strings.Contains(d.errs.String(), "first-block") {
		t.Errorf("summary %+v, and it says %s", sum, d.errs.String())
	}
}

// TestConsoleDemoInterrupted ends it in the middle: in good order, and in the way
// that leaves it no time for anything but what the next one tidies up.
func TestConsoleDemoInterrupted(t *testing.T) {
	testnet.Need(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			d := newDemo(t)
			sent := false
			err := d.follow(func([]byte) {
				if sent {
					return // a line that was on its way
				}
				sent = true
				if n := len(d.namespaces()); n != 3 {
					t.Errorf("%d processes in namespaces, want 3", n)
				}
				if err := d.Process.Signal(s); err != nil {
					t.Error(err)
				}
			})
			if err == nil {
				t.Error("status 0 for half a story")
			}
			if s == syscall.SIGKILL {
				until(t, "every process of the demo to end", func() bool { return marked(d.mark) == 0 })
				next := newDemo(t, "--seed", "2")
				next.Env = append(os.Environ(), d.mark, "TMPDIR="+d.dir)
				old, err := os.ReadDir(d.dir)
				if err != nil || len(old) != 1 {
					t.Fatalf("%v, %v", old, err)
				}
				if err := next.Start(); err != nil {
					t.Fatal(err)
				}
				until(t, "the next demo to remove the folder", func() bool {
					_, err := os.Stat(filepath.Join(d.dir, old[0].Name()))
					return os.IsNotExist(err)
				})
				if err := next.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if err := next.Wait(); err == nil {
					t.Error("status 0 for no story")
				}
			} else if !strings.Contains(d.errs.String(), "nothing is left behind") {
				t.Errorf("it says %s", d.errs.String())
			}
			d.nothingLeft()
		})
	}
}
