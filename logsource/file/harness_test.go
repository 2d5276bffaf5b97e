package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
)

// patience bounds how long a test waits for a condition before it fails.
const patience = 20 * time.Second

// A reader runs a source and keeps what it emits, as a guard would.
type reader struct {
	t    testing.TB
	stop func()

	mu    sync.Mutex // guards the fields below
	came  *sync.Cond
	lines []string // live ones "+text", older ones "-text", a cut one "text...n"
	all   []logsource.Line
	marks map[uint64]logsource.Mark
	lost  []string // what a line without text says to be missing
	log   bytes.Buffer
	err   error
	begun bool // the live mark came: what is added from now on is live
	ended bool
}

// start reads path until the test ends or stop is called.
func start(t testing.TB, path string, opt file.Options) *reader {
	t.Helper()
	r := &reader{t: t, marks: map[uint64]logsource.Mark{}}
	r.came = sync.NewCond(&r.mu)
	for _, m := range opt.Marks {
		r.marks[m.Stream()] = m
	}
	opt.Log = slog.New(slog.NewTextHandler(&locked{r}, nil))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := file.New(path, opt).Run(ctx, r.take)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err, r.ended = err, true
		r.came.Broadcast()
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	r.until("its mark", func() bool { return r.begun || r.ended })
	return r
}

func (r *reader) take(l logsource.Line) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.Missing != "" {
		r.lost = append(r.lost, l.Missing)
		r.came.Broadcast()
		return nil
	}
	r.marks[l.Mark.Stream()] = l.Mark
	r.came.Broadcast()
	if len(l.Text) == 0 {
		r.begun = r.begun || l.Live
		return nil
	}
	text := string(l.Text)
	if l.Cut {
		text = fmt.Sprintf("%.5s...%d", text, len(text))
	}
	l.Text = bytes.Clone(l.Text)
	r.all = append(r.all, l)
	r.lines = append(r.lines, map[bool]string{true: "+", false: "-"}[l.Live]+text)
	return nil
}

// locked writes to the reader's log.
type locked struct{ *reader }

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.came.Broadcast()
	return l.log.Write(p)
}

// until waits for ok, which is called with the lock held.
func (r *reader) until(what string, ok func() bool) {
	r.t.Helper()
	late := time.AfterFunc(patience, r.came.Broadcast)
	defer late.Stop()
	end := time.Now().Add(patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok() {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain for %s; lines %q, log:\n%s", what, r.lines, &r.log)
		}
		r.came.Wait()
	}
}

// want waits for as many lines, and compares them.
func (r *reader) want(lines ...string) {
	r.t.Helper()
	r.until(fmt.Sprintf("lines %q", lines), func() bool { return len(r.lines) >= len(lines) || r.ended })
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := cmp.Diff(lines, r.lines); d != "" {
		r.t.Fatalf("lines (-want +got):\n%s\nlog:\n%s", d, &r.log)
	}
	r.lines = nil
}

// says waits until the log says text, and fails if it says it twice.
func (r *reader) says(text string) {
	r.t.Helper()
	r.until("the message "+text, func() bool { return strings.Contains(r.log.String(), text) })
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := strings.Count(r.log.String(), text); n > 1 {
		r.t.Errorf("said %d times: %s", n, text)
	}
}

// stopped stops the source and returns the marks it left.
func (r *reader) stopped() []logsource.Mark {
	r.t.Helper()
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(r.err, context.Canceled) {
		r.t.Errorf("Run: got %v, want the context's error", r.err)
	}
	var all []logsource.Mark
	for _, m := range r.marks {
		all = append(all, m)
	}
	return all
}

// A disk is a folder to play in.
type disk struct {
	t   testing.TB
	dir string
}

func newDisk(t testing.TB) disk { return disk{t, t.TempDir()} }

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// add appends text to the file name.
func (d disk) add(name, text string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	d.check(err)
	_, err = f.WriteString(text)
	d.check(err)
	d.check(f.Close())
}

func (d disk) rename(from, to string) {
	d.t.Helper()
	d.check(os.Rename(d.path(from), d.path(to)))
}

func (d disk) remove(name string) {
	d.t.Helper()
	d.check(os.Remove(d.path(name)))
}

func (d disk) link(to, name string) {
	d.t.Helper()
	d.check(os.Symlink(to, d.path(name)))
}

func (d disk) mkdir(name string) {
	d.t.Helper()
	d.check(os.MkdirAll(d.path(name), 0o755))
}

// copyTruncate rotates as logrotate's option of that name does.
func (d disk) copyTruncate(from, to string) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(from))
	d.check(err)
	d.check(os.WriteFile(d.path(to), b, 0o600))
	d.check(os.Truncate(d.path(from), 0))
}
