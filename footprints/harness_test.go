package footprints_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/footprints"
)

// patience bounds how long a test waits for a condition before it fails.
const patience = 20 * time.Second

// A machine is a root folder and what watches it.
type machine struct {
	t     testing.TB
	root  string
	state string
	every time.Duration
	stop  func()
	watch *footprints.Watch

	sentinels int

	mu    sync.Mutex // guards the fields below
	came  *sync.Cond
	clues []tocsin.Clue
	looks int
	begun bool
	ahead time.Duration // of the device's clock
	fail  error
	err   error
	log   bytes.Buffer
}

const passwd = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
ann:x:1000:1000:Ann:/home/ann:/bin/bash
`

const group = `root:x:0:
sudo:x:27:ann
users:x:100:bob
`

// old is before any look-back.
var old = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// newMachine makes a device as it came from its maker.
func newMachine(t testing.TB) *machine {
	m := &machine{t: t, root: t.TempDir(), state: t.TempDir(), every: time.Hour, stop: func() {}}
	m.came = sync.NewCond(&m.mu)
	for name, content := range map[string]string{
		"etc/passwd": passwd, "etc/group": group, "etc/crontab": "# nothing\n", "etc/cron.d/raid": "0 3 * * * root check\n",
		"etc/systemd/system/own.service": "[Service]\n", "home/ann/.ssh/authorized_keys": "ssh-ed25519 AAAA ann\n",
		"var/log/auth.log": "one\ntwo\nthree\n", "proc/net/tcp": tcpHead + tcpLine(22), "proc/self/mountinfo": "1\n",
		"root/.profile": "",
	} {
		m.write(name, content)
		m.age(name)
	}
	return m
}

const tcpHead = "  sl  local_address rem_address   st tx_queue rx_queue\n"

func tcpLine(port int) string { return fmt.Sprintf("   0: 00000000:%04X 00000000:0000 0A 0 0\n", port) }

func (m *machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// write replaces a file at once, as programs do that may not leave half of one.
func (m *machine) write(name, content string) {
	m.t.Helper()
	m.check(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.check(os.WriteFile(m.path("new"), []byte(content), 0o644))
	m.check(os.Rename(m.path("new"), m.path(name)))
}

// edit writes into a file that is there.
func (m *machine) edit(name, content string) {
	m.t.Helper()
	m.check(os.WriteFile(m.path(name), []byte(content), 0o644))
}

// age makes a file look old.
func (m *machine) age(name string) {
	m.t.Helper()
	m.check(os.Chtimes(m.path(name), old, old))
}

// start watches until the test ends or stop is called, and waits for the first
// look.
func (m *machine) start() {
	m.t.Helper()
	w, err := footprints.New(footprints.Config{
		Root: m.root, State: m.state, Device: "nas", Every: m.every, Settle: 5 * time.Millisecond,
		Now: m.now, Ready: m.ready, Log: slog.New(slog.NewTextHandler(&locked{m}, nil)),
	})
	m.check(err)
	m.watch = w
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := w.Run(ctx, m.take)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.err = err
		m.came.Broadcast()
	}()
	m.stop = sync.OnceFunc(func() { cancel(); <-done })
	m.t.Cleanup(m.stop)
	m.until("the baseline", func() bool {
		return m.begun || m.err != nil
	})
}

// restart stops, lets change happen, and starts again.
func (m *machine) restart(change func()) {
	m.t.Helper()
	m.stop()
	m.mu.Lock()
	m.begun, m.clues, m.err = false, nil, nil
	m.mu.Unlock()
	change()
	m.start()
}

// now is asked at each look.
func (m *machine) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	m.came.Broadcast()
	return time.Now().Add(m.ahead)
}

func (m *machine) ready() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun = true
	m.came.Broadcast()
}

func (m *machine) take(c tocsin.Clue) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.clues = append(m.clues, c)
	m.came.Broadcast()
	return nil
}

// locked writes to the machine's log.
type locked struct{ m *machine }

func (l *locked) Write(p []byte) (int, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.m.log.Write(p)
}

// until waits for a condition about what the lock guards.
func (m *machine) until(what string, holds func() bool) {
	m.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		late = true
		m.came.Broadcast()
	})
	defer timer.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !holds() {
		if late {
			m.t.Fatalf("%s did not come; error %v, clues %v, log:\n%s", what, m.err, told(m.clues), m.log.String())
		}
		m.came.Wait()
	}
}

// told is clues in a few words.
func told(clues []tocsin.Clue) (words []string) {
	for _, c := range clues {
		words = append(words, c.Fact.String()+": "+c.Subject)
	}
	slices.Sort(words)
	return words
}

// wants waits until exactly these were told. What must not be told is proved by
// something else that comes after it: see sentinel.
func (m *machine) wants(words ...string) {
	m.t.Helper()
	slices.Sort(words)
	m.until(fmt.Sprint(words), func() bool {
		have := told(m.clues)
		if len(have) > len(words) {
			m.t.Fatalf("got %q, want %q", have, words)
		}
		return slices.Equal(have, words)
	})
}

// sentinel makes a change and returns how it will be told: whatever happened
// before it was looked at by then.
func (m *machine) sentinel() string {
	m.t.Helper()
	m.sentinels++
	name := fmt.Sprintf("etc/cron.d/sentinel%d", m.sentinels)
	m.write(name, "x\n")
	return autorun("/" + name)
}

func autorun(path string) string { return tocsin.AutorunAdded.String() + ": " + path }
func keys(path string) string    { return tocsin.KeysChanged.String() + ": " + path }
func added(name string) string   { return tocsin.AccountAdded.String() + ": " + name }

var errFull = errors.New("spool is full")
