package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/operator"
)

// TestAnOrderThatTheKernelRefuses must not be answered as done.
func TestAnOrderThatTheKernelRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		r.filter.set(errors.New("netlink: no buffer space"))
		p := netip.MustParsePrefix("203.0.113.7/32")
		_, err := r.Order(t.Context(), operator.Order{Verb: operator.Block, Prefix: p, By: "root"})
		if err == nil || !strings.Contains(err.Error(), "no buffer space") {
			t.Errorf("got %v", err)
		}
		for i := range 5 {
			r.lines.fail("203.0.113.8", fmt.Sprint("user", i))
		}
		r.settle(t)
		if strings.Contains(r.log.String(), "msg=blocked") {
			t.Error("told as blocked what the kernel does not hold")
		}
		r.filter.set(nil)
		time.Sleep(2 * mendAgain)
		if !r.blocked(t, "203.0.113.7") || !r.blocked(t, "203.0.113.8") {
			t.Error("not in force once the kernel took rules again")
		}
	})
}

// setClock is a clock that a test sets.
type setClock struct {
	mu     sync.Mutex // guards offset
	offset time.Duration
}

func (c *setClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *setClock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = d
}

// TestARestartAt1970 boots without a battery: what was remembered comes from a
// future that the clock only reaches when it is set.
func TestARestartAt1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var c setClock
		r := start(t, dir, c.now)
		for i := range 4 {
			r.lines.fail("203.0.113.9", fmt.Sprint("user", i))
		}
		for i := range 5 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		r.settle(t)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}

		c.set(-29 * 365 * 24 * time.Hour)
		r = start(t, dir, c.now)
		if !r.blocked(t, "203.0.113.7") {
			t.Error("a restart at 1970 lifted the block")
		}
		c.set(0)
		r.lines.fail("203.0.113.99", "wakes the loop")
		r.settle(t)
		time.Sleep(11 * time.Minute)
		r.lines.fail("203.0.113.99", "wakes the loop")
		if r.blocked(t, "203.0.113.7") {
			t.Error("a block of ten minutes became one of decades")
		}
		time.Sleep(8 * 24 * time.Hour)
		r.lines.fail("203.0.113.9", "user9")
		if r.blocked(t, "203.0.113.9") {
			t.Error("failures of more than a week ago still count")
		}
	})
}

// TestAnAllowFrom1970 is ordered before the clock was set; then the guard is
// killed.
func TestAnAllowFrom1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c setClock
		c.set(-29 * 365 * 24 * time.Hour)
		dir, copied := t.TempDir(), t.TempDir()
		r := start(t, dir, c.now)
		p := netip.MustParsePrefix("203.0.113.7/32")
		if _, err := r.Order(t.Context(), operator.Order{Verb: operator.Allow, Prefix: p, By: "root"}); err != nil {
			t.Fatal(err)
		}
		c.set(0)
		r.lines.fail("203.0.113.99", "wakes the loop")
		r.settle(t)
		kill(t, dir, copied)
		r = start(t, copied, c.now)
		if _, passes := passesOf(t, r); passes != 1 {
			t.Error("an order that was answered is lost")
		}
	})
}

func TestRebase(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name     string
		at       time.Time
		wantLeft time.Duration
	}{
		{"just now", at, time.Hour},
		{"half of it is over", at.Add(-30 * time.Minute), 30 * time.Minute},
		{"from the future", at.AddDate(3, 0, 0), time.Hour},
		{"from 1970", time.Unix(1000, 0), time.Hour},
	} {
		d := rebase(tocsin.Decision{At: c.at, Until: c.at.Add(time.Hour)}, at)
		if left := d.Until.Sub(at); left != c.wantLeft {
			t.Errorf("%s: %v left, want %v", c.name, left, c.wantLeft)
		}
	}
}

func passesOf(t *testing.T, r *rig) (blocks, passes int) {
	t.Helper()
	st, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st.Blocks, st.Passes
}

// kill copies what is on the disk at this moment.
func kill(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{snapshotFile, decisionsFile, keyFile} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestUnblockIsForTheWholeNetworkOfACustomer lifts the /64 that was blocked when
// a person names the address that he has in it.
func TestUnblockIsForTheWholeNetworkOfACustomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		for i := range 5 {
			r.lines.fail("2001:db8::7", fmt.Sprint("user", i))
		}
		if !r.blocked(t, "2001:db8::7") {
			t.Fatal("not blocked")
		}
		d, err := r.Order(t.Context(), operator.Order{Verb: operator.Unblock, Prefix: netip.MustParsePrefix("2001:db8::7/128"), By: "root"})
		if err != nil || d.Lifted != 1 || d.Prefix.Bits() != 64 {
			t.Errorf("got %+v, %v", d, err)
		}
		if r.blocked(t, "2001:db8::8") {
			t.Error("his next address is still blocked")
		}
	})
}

// TestOneLineForMany has a source that is never blocked fail for ever.
func TestOneLineForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		for i := range 3000 {
			r.lines.fail("192.0.2.254", fmt.Sprint("user", i))
			r.lines.fail(fmt.Sprintf("192.168.%d.%d", i/200, i%200+1), "root")
			time.Sleep(10 * time.Millisecond)
		}
		for i := range 40 {
			for j := range 5 {
				r.lines.fail(fmt.Sprintf("192.168.7.%d", i+1), fmt.Sprint("user", j))
			}
		}
		r.settle(t)
		if n := strings.Count(r.log.String(), "\n"); n > 100 {
			t.Errorf("%d lines of ours", n)
		}
	})
}

// TestALogGivenUpIsTold shows it to whoever asks for the status.
func TestALogGivenUpIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		bad := Input{Name: "/var/log/odd", Open: func([]logsource.Mark) (logsource.Source, error) {
			return nil, errors.New("it is a folder")
		}}
		if err := r.Reload(t.Context(), testConfig(""), []Input{r.lines.input(), bad}); err != nil {
			t.Fatal(err)
		}
		r.settle(t)
		st, err := r.Status(t.Context())
		if err != nil || !strings.Contains(strings.Join(st.Warnings, " "), "/var/log/odd is not read any more: it is a folder") {
			t.Errorf("got %q, %v", st.Warnings, err)
		}
	})
}

// TestAReloadCountsNothingTwice changes the configuration while what lines told
// is on its way to the loop.
func TestAReloadCountsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t.TempDir(), nil)
		r.settle(t)
		held, let := make(chan struct{}), make(chan struct{})
		go func() {
			if err := r.do(t.Context(), func(context.Context) { close(held); <-let }); err != nil {
				t.Error(err)
			}
		}()
		<-held // the loop is busy: with a mend, say
		for i := range 3 {
			r.lines.fail("203.0.113.7", fmt.Sprint("user", i))
		}
		synctest.Wait()
		replaced := make(chan error, 1)
		go func() { replaced <- r.replaceStreams(t.Context(), []Input{r.lines.input()}) }()
		synctest.Wait()
		close(let)
		if err := <-replaced; err != nil {
			t.Fatal(err)
		}
		if marks := r.reading()[0].kept(); len(marks) != 1 || marks[0][1] != 3 {
			t.Errorf("reading goes on at %v: lines are read twice", marks)
		}
	})
}

// TestAStateFolderOfOthers is no second guard.
func TestAStateFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, lockFile), 0o700); err != nil { // cannot be opened, even by root
		t.Fatal(err)
	}
	if _, _, _, err := openState(dir); err == nil || strings.Contains(err.Error(), "another guard") || !strings.Contains(err.Error(), "state folder") {
		t.Errorf("got %v", err)
	}
}
