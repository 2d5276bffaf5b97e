package guard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/detect"
	"github.com/tocsin-io/tocsin/firewall"
	"github.com/tocsin-io/tocsin/firewall/memory"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/operator"
)

// lines is a log that a test writes.
type lines struct {
	ch    chan logsource.Line
	next  uint64
	marks []logsource.Mark // handed to Open last
}

func newLines() *lines { return &lines{ch: make(chan logsource.Line)} }

func (l *lines) Name() string { return "test" }

func (l *lines) Run(ctx context.Context, emit func(logsource.Line) error) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line := <-l.ch:
			if err := emit(line); err != nil {
				return err
			}
		}
	}
}

func (l *lines) input() Input {
	return Input{Name: "test", Trust: "attested", Open: func(marks []logsource.Mark) (logsource.Source, error) {
		l.marks = marks
		return l, nil
	}}
}

// fail writes what sshd says of a wrong password.
func (l *lines) fail(source, account string) {
	stamp := time.Now().UTC().Format(time.Stamp)
	l.write(fmt.Sprintf(stamp+" nas sshd[%d]: Failed password for invalid user %s from %s port 40000 ssh2", 1000+l.next, account, source), true)
}

func (l *lines) write(text string, live bool) {
	l.next++
	l.ch <- logsource.Line{
		Text: []byte(text), Received: time.Now(), Provenance: tocsin.Attested, Live: live, Mark: logsource.Mark{1, l.next},
	}
}

// a rig is a guard under test.
type rig struct {
	*Guard
	filter *faulty
	lines  *lines
	stop   func() error
	log    *strings.Builder
}

// faulty is a memory filter that can be told to fail and to be flushed.
type faulty struct {
	*memory.Filter
	mu       sync.Mutex // guards the fields below
	fail     error
	replaced int
	drifted  func()
}

func (f *faulty) Change(ctx context.Context, c tocsin.Change) error {
	if err := f.failure(); err != nil {
		return err
	}
	return f.Filter.Change(ctx, c)
}

func (f *faulty) Replace(ctx context.Context, all iter.Seq[tocsin.Rule]) error {
	if err := f.failure(); err != nil {
		return err
	}
	f.mu.Lock()
	f.replaced++
	f.mu.Unlock()
	return f.Filter.Replace(ctx, all)
}

func (f *faulty) Watch(ctx context.Context, drifted func()) error {
	f.mu.Lock()
	f.drifted = drifted
	f.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

func (f *faulty) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fail
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = err
}

var _ firewall.Filter = (*faulty)(nil)

func testConfig(dir string) Config {
	return Config{
		State: dir, Device: "nas", Policy: detect.Default(), Limits: blocklist.DefaultLimits,
		Protect: []netip.Prefix{netip.MustParsePrefix("198.51.100.20/32")},
		Facts:   []netip.Prefix{netip.MustParsePrefix("192.0.2.254/32")},
	}
}

func start(t *testing.T, dir string, now func() time.Time) *rig {
	t.Helper()
	if now == nil {
		now = time.Now
	}
	r := &rig{lines: newLines(), filter: &faulty{Filter: memory.New(now)}, log: new(strings.Builder)}
	g, err := New(t.Context(), testConfig(dir), Deps{
		Filter: r.filter, Backend: "memory", Inputs: []Input{r.lines.input()}, Matcher: authlog.Default(),
		Log:     slog.New(slog.NewTextHandler(r.log, nil)),
		Metrics: prometheus.NewRegistry(), Now: now, Zone: time.UTC,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Guard = g
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// blocked asks after the loop has taken every line written before.
func (r *rig) blocked(t *testing.T, addr string) bool {
	t.Helper()
	r.settle(t)
	return r.filter.Blocks(netip.MustParseAddr(addr))
}

// settle waits until the loop has nothing left to do. It runs in a bubble.
func (r *rig) settle(t *testing.T) {
	t.Helper()
	synctest.Wait()
}

func TestGuessesAreBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		for i := range 4 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		if r.blocked(t, "203.0.113.7") {
			t.Fatal("blocked after four failures")
		}
		r.lines.fail("203.0.113.7", "user4")
		if !r.blocked(t, "203.0.113.7") || r.blocked(t, "203.0.113.8") {
			t.Fatal("not blocked after five, or the neighbour is")
		}
		for i := range 10 {
			r.lines.fail("198.51.100.20", fmt.Sprint("user", i))
			r.lines.fail("192.0.2.254", fmt.Sprint("user", i))
		}
		if r.blocked(t, "198.51.100.20") || r.blocked(t, "192.0.2.254") {
			t.Error("the allowlist or the gateway is blocked")
		}
		time.Sleep(11 * time.Minute)
		if r.blocked(t, "203.0.113.7") {
			t.Error("the block did not end")
		}
	})
}

func TestRestartRemembers(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				r := start(t, dir, nil)
				for i := range 5 {
					r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
				}
				for i := range 3 {
					r.lines.fail("203.0.113.8", fmt.Sprint("user", i))
				}
				_, err := r.Order(t.Context(), operator.Order{Verb: operator.Block, Prefix: netip.MustParsePrefix("203.0.113.128/25"), By: "anna"})
				if err != nil {
					t.Fatal(err)
				}
				r.settle(t)
				if crash { // the folder as a crash leaves it, without the last snapshot
					dir = copyFolder(t, dir)
				}
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
				again := start(t, dir, nil)
				if !again.blocked(t, "203.0.113.7") || !again.blocked(t, "203.0.113.200") {
					t.Error("a block is forgotten")
				}
				if crash {
					return // the lines are read again: their marks were not saved
				}
				if len(again.lines.marks) != 1 || again.lines.marks[0] != (logsource.Mark{1, 8}) {
					t.Errorf("resumes at %v", again.lines.marks)
				}
				again.lines.fail("203.0.113.8", "user3")
				again.lines.fail("203.0.113.8", "user4")
				if !again.blocked(t, "203.0.113.8") {
					t.Error("the three failures before the restart are forgotten")
				}
			})
		})
	}
}

func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		order := func(verb operator.Verb, prefix string) (operator.Done, error) {
			return r.Order(t.Context(), operator.Order{Verb: verb, Prefix: netip.MustParsePrefix(prefix), By: "anna", Note: "for\x1b[31m a test"})
		}
		for _, tt := range []struct {
			verb   operator.Verb
			prefix string
			want   string
		}{
			{operator.Block, "192.0.2.254/32", "never blocked"},
			{operator.Block, "0.0.0.0/0", "wider than /8"},
			{operator.Block, "2000::/3", "wider than /8 (IPv6 /16)"},
			{"dance", "203.0.113.7/32", "not known"},
		} {
			if _, err := order(tt.verb, tt.prefix); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s %s: %v", tt.verb, tt.prefix, err)
			}
		}
		if d, err := order(operator.Block, "203.0.113.0/24"); err != nil || time.Until(d.Until) != 24*time.Hour {
			t.Fatalf("got %+v, %v", d, err)
		}
		if d, err := order(operator.Unblock, "203.0.113.0/24"); err != nil || d.Lifted != 1 || r.blocked(t, "203.0.113.7") {
			t.Errorf("got %+v, %v", d, err)
		}
		for i := range 10 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		if r.blocked(t, "203.0.113.7") {
			t.Error("blocked again while it passes")
		}
		if _, err := order(operator.Block, "203.0.113.7/32"); err == nil || !strings.Contains(err.Error(), "a pass wins") {
			t.Errorf("got %v", err)
		}
		var rules []operator.Rule
		if err := r.Rules(t.Context(), func(rule operator.Rule) error { rules = append(rules, rule); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(rules) != 1 || rules[0].Action != "pass" || rules[0].Reason != "unblocked by anna: for?[31m a test" {
			t.Errorf("rules: %+v", rules)
		}
		end := operator.Order{Verb: operator.End, Of: operator.Allow, Prefix: netip.MustParsePrefix("203.0.113.0/24")}
		if _, err := r.Order(t.Context(), end); err != nil {
			t.Error(err)
		}
		if _, err := r.Order(t.Context(), end); err == nil {
			t.Error("taken back twice")
		}
	})
}

func TestDriftIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		for i := range 5 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		r.settle(t)
		if err := r.filter.Filter.Replace(t.Context(), func(func(tocsin.Rule) bool) {}); err != nil {
			t.Fatal(err)
		}
		if r.blocked(t, "203.0.113.7") {
			t.Fatal("the flush failed")
		}
		r.filter.drifted()
		if !r.blocked(t, "203.0.113.7") {
			t.Error("not mended")
		}
		st, err := r.Status(t.Context())
		if err != nil || st.Drifts != 1 {
			t.Errorf("status: %+v, %v", st, err)
		}
	})
}

func TestAFilterThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		r.filter.set(errors.New("no buffer space"))
		for i := range 5 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		if r.blocked(t, "203.0.113.7") {
			t.Fatal("the fault does not work")
		}
		r.filter.set(nil)
		time.Sleep(2 * mendAgain)
		if !r.blocked(t, "203.0.113.7") {
			t.Error("given up")
		}
	})
}

func TestTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset time.Duration
		var mu sync.Mutex
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}
		r := start(t, t.TempDir(), now)
		for i := range 5 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		r.settle(t)
		mu.Lock()
		offset = 26 * 365 * 24 * time.Hour
		mu.Unlock()
		r.lines.fail("203.0.113.99", "wakes the loop")
		if !r.blocked(t, "203.0.113.7") {
			t.Error("setting the clock ended the block")
		}
		time.Sleep(11 * time.Minute)
		if r.blocked(t, "203.0.113.7") {
			t.Error("setting the clock made the block eternal")
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		for i := range 5 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		r.lines.fail("203.0.113.8", "user0")
		r.settle(t)
		cfg := testConfig(r.cfg.State)
		cfg.Protect = append(cfg.Protect, netip.MustParsePrefix("203.0.113.7/32"))
		cfg.Policy.Fast.Count = 2
		next := newLines()
		if err := r.Reload(t.Context(), cfg, []Input{next.input()}); err != nil {
			t.Fatal(err)
		}
		if r.blocked(t, "203.0.113.7") {
			t.Error("newly allowed, but blocked")
		}
		next.next = 100
		next.fail("203.0.113.8", "user1")
		if !r.blocked(t, "203.0.113.8") {
			t.Error("the new policy, or the old memory, is not used")
		}
		if len(next.marks) != 1 || next.marks[0][1] != 6 {
			t.Errorf("the new source resumes at %v", next.marks)
		}
	})
}

func TestOneGuardAFolder(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	_, err := New(t.Context(), testConfig(dir), Deps{Filter: memory.New(time.Now), Matcher: authlog.Default(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "another guard runs") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedState(t *testing.T) {
	tests := []struct {
		name     string
		snapshot string
		err      string // of New
		kept     bool   // the damaged file is set aside
	}{
		{"not ours", "hello", "", true},
		{"truncated", `{"version":1,"decisions":3}` + "\n", "", true},
		{"a huge detector", `{"version":1,"detector_bytes":99999999999}` + "\n", "", true},
		{"a negative one", `{"version":1,"detector_bytes":-1}` + "\n", "", true},
		{"a newer tocsin's", `{"version":99}` + "\n", "newer tocsin", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, snapshotFile), []byte(tt.snapshot), 0o600); err != nil {
				t.Fatal(err)
			}
			g, err := New(t.Context(), testConfig(dir), Deps{Filter: memory.New(time.Now), Matcher: authlog.Default(), Log: slog.New(slog.DiscardHandler), Now: time.Now})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(g.warned()) != 1 {
				t.Errorf("warnings: %q", g.warned())
			}
			if b, err := os.ReadFile(filepath.Join(dir, snapshotFile+".unreadable")); tt.kept && (err != nil || string(b) != tt.snapshot) {
				t.Errorf("the damaged snapshot is not kept: %q, %v", b, err)
			}
		})
	}
}

// TestALogPutBack writes lines of long ago to a live log.
func TestALogPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := func() time.Time { return time.Now().AddDate(24, 0, 0) } // a bubble begins in 2000
		r := start(t, t.TempDir(), now)
		stamp := now().UTC().Add(-3*time.Hour - 7*time.Minute).Format(time.RFC3339)
		for i := range 20 {
			r.lines.ch <- logsource.Line{
				Text:     fmt.Appendf(nil, "%s nas sshd[%d]: Failed password for invalid user u%d from 203.0.113.7 port 40000 ssh2", stamp, 100+i, i),
				Received: now(), Provenance: tocsin.Attested, Live: true, Mark: logsource.Mark{1, uint64(i)},
			}
		}
		if r.blocked(t, "203.0.113.7") {
			t.Error("an old line blocked somebody")
		}
		if n := r.metrics.services["ssh"].failures; n != 20 {
			t.Errorf("%d failures remembered", n)
		}
		if n := strings.Count(r.log.String(), "block nobody"); n != 1 {
			t.Errorf("told %d times that such lines decide nothing", n)
		}
	})
}

func TestOffset(t *testing.T) {
	now := time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)
	for lag, want := range map[time.Duration]bool{
		0: true, time.Minute: true, -time.Minute: true, 5 * time.Minute: false, time.Hour: true, -2 * time.Hour: true,
		5*time.Hour + 45*time.Minute: true, 90*time.Minute + 7*time.Minute: false, 14 * time.Hour: true, 24 * time.Hour: false, 7 * 24 * time.Hour: false,
	} {
		if zone, got := offset(now.Add(-lag), now); got != want || got && (zone-lag).Abs() > slack {
			t.Errorf("%v late: zone %v, %v", lag, zone, got)
		}
	}
}

func TestIsNow(t *testing.T) {
	now := time.Date(2023, 10, 14, 12, 0, 0, 0, time.UTC)
	var back parsers
	for m := range 15 * 60 { // a log put back at once, its oldest line first
		if lag := time.Duration(15*60-m) * time.Minute; lag > slack && back.isNow(now.Add(-lag), now) {
			t.Errorf("a line of %v ago is taken for one of now", lag)
		}
	}
	var zoned parsers // a daemon that writes in UTC where local time is expected
	for m := range 10 {
		at := now.Add(time.Duration(m) * time.Minute)
		if got := zoned.isNow(at.Add(-2*time.Hour), at); got != (m >= 5) {
			t.Errorf("%d minutes in its zone: %v", m, got)
		}
		if !zoned.isNow(at, at) {
			t.Error("another line with a right stamp is not of now")
		}
	}
}
