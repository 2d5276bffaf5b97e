package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/internal/testjournal"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

// patience bounds how long a test waits for a condition before it fails.
const patience = 20 * time.Second

// A reader runs a source and keeps what it emits, as a guard would.
type reader struct {
	t    testing.TB
	stop func()

	mu    sync.Mutex // guards the fields below
	came  *sync.Cond
	lines []logsource.Line
	marks map[uint64]logsource.Mark
	log   bytes.Buffer
	err   error
	begun bool
	ended bool
}

// start reads j until the test ends or stop is called.
func start(t testing.TB, folder string, opt journal.Options) *reader {
	t.Helper()
	r := &reader{t: t, marks: map[uint64]logsource.Mark{}}
	r.came = sync.NewCond(&r.mu)
	for _, m := range opt.Marks {
		r.marks[m.Stream()] = m
	}
	opt.Folders = []string{folder}
	opt.Log = slog.New(slog.NewTextHandler(&locked{r}, nil))
	s, err := journal.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Run(ctx, r.take)
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
	r.marks[l.Mark.Stream()] = l.Mark
	defer r.came.Broadcast()
	if l.Text == nil {
		r.begun = r.begun || l.Live
		return nil
	}
	l.Text = bytes.Clone(l.Text)
	r.lines = append(r.lines, l)
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
			r.t.Fatalf("waited in vain for %s; %d lines, log:\n%s", what, len(r.lines), &r.log)
		}
		r.came.Wait()
	}
}

// want waits for as many lines, compares them ("+text" live, "-text" older),
// and returns them.
func (r *reader) want(lines ...string) []logsource.Line {
	r.t.Helper()
	r.until(fmt.Sprintf("lines %.200q", lines), func() bool { return len(r.lines) >= len(lines) || r.ended })
	r.mu.Lock()
	defer r.mu.Unlock()
	var got []string
	for _, l := range r.lines {
		got = append(got, map[bool]string{true: "+", false: "-"}[l.Live]+string(l.Text))
	}
	if d := cmp.Diff(lines, got); d != "" {
		r.t.Fatalf("lines (-want +got):\n%s\nlog:\n%s", d, &r.log)
	}
	all := r.lines
	r.lines = nil
	return all
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

// fill logs so many lines, each with a field that no other has.
func fill(j *testjournal.Journal, from, n int) (texts []string) {
	for i := from; i < from+n; i++ {
		texts = append(texts, fmt.Sprintf("line %d of many", i))
		j.Fields("MESSAGE", texts[i-from], "SYSLOG_IDENTIFIER", "many", "PRIORITY", "6", "TOCSIN_TEST", strings.Repeat("x", i%97))
	}
	j.Sync()
	return texts
}

func each(sign string, texts []string) []string {
	var all []string
	for _, s := range texts {
		all = append(all, sign+s)
	}
	return all
}
