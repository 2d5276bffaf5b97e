package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/store"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

// childEnv makes this test program a hub's database that appends until it dies:
// its value is what to do, the argument after "--" where.
const childEnv = "TOCSIN_TEST_CHILD"

func TestMain(m *testing.M) {
	var err error
	folder := os.Args[len(os.Args)-1]
	switch os.Getenv(childEnv) {
	case "append":
		err = appendForEver(folder)
	case "fill":
		err = fillTinyDisk(folder)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns this program as one that does something in a folder.
func child(t *testing.T, what, folder string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), own, folder)
	c.Env = append(os.Environ(), childEnv+"="+what)
	c.Stderr = os.Stderr
	return c
}

// appenders is how many devices append at the same time.
const appenders = 4

// appendForEver appends batches of several devices, and prints device, counter
// and serial of each sighting once it was acknowledged.
func appendForEver(folder string) error {
	s, err := sqlite.Open(context.Background(), folder, time.Now)
	if err != nil {
		return err
	}
	next := map[uint64]uint64{}
	for e, err := range s.Since(context.Background(), 0) {
		if err != nil {
			return err
		}
		var d uint64
		if _, err := fmt.Sscanf(string(e.Received.ID.Device), "9f8e7d6c5b4a3928-%d", &d); err != nil {
			return err
		}
		next[d] = e.Received.ID.Counter
	}
	errs := make(chan error)
	var mu sync.Mutex
	for d := range uint64(appenders) {
		counter := next[d] + 1
		go func() {
			for {
				fresh, err := s.Append(context.Background(), sightings(d, counter, 20))
				if err != nil || len(fresh) != 20 {
					errs <- fmt.Errorf("%d fresh: %w", len(fresh), err)
					return
				}
				counter += 20
				var line strings.Builder
				for _, e := range fresh {
					fmt.Fprintln(&line, e.Received.ID.Device, e.Received.ID.Counter, e.Serial)
				}
				mu.Lock()
				_, err = io.WriteString(os.Stdout, line.String())
				mu.Unlock()
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

func TestKilledAtRandom(t *testing.T) {
	folder := t.TempDir()
	acknowledged := map[string]string{} // device and counter → serial
	for range 10 {
		c := child(t, "append", folder)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines, kill := bufio.NewScanner(out), 1+rand.IntN(3000)
		for n := 0; lines.Scan(); n++ {
			id, serial, _ := cutLast(lines.Text())
			if serial != "" {
				acknowledged[id] = serial
			}
			if n == kill {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended by itself: %v", err)
		}
	}
	s := open(t, folder, time.Now)
	defer s.Close()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	n := uint64(0)
	for e, err := range s.Since(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if e.Serial != n {
			t.Fatalf("serial %d after %d", e.Serial, n-1)
		}
		id := fmt.Sprint(e.Received.ID.Device, " ", e.Received.ID.Counter)
		if serial, ok := acknowledged[id]; ok && serial != fmt.Sprint(e.Serial) {
			t.Errorf("%s was acknowledged as %s and is %d", id, serial, e.Serial)
		}
		delete(acknowledged, id)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d of %d acknowledged sightings are missing", len(acknowledged), n)
	}
	t.Logf("%d sightings", n)
}

// cutLast cuts a line at its last space; a line that was cut off by the kill
// has no third word.
func cutLast(line string) (before, after string, ok bool) {
	if strings.Count(line, " ") != 2 {
		return "", "", false
	}
	i := strings.LastIndexByte(line, ' ')
	return line[:i], line[i+1:], true
}

func TestSecondHub(t *testing.T) {
	folder := t.TempDir()
	c := child(t, "append", folder)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("the child says nothing")
	}
	_, err = sqlite.Open(t.Context(), folder, time.Now)
	var locked *durable.LockedError
	if !errors.As(err, &locked) || locked.PID != c.Process.Pid {
		t.Errorf("got %v, want in use by process %d", err, c.Process.Pid)
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.Wait() // killed
	if err := open(t, folder, time.Now).Close(); err != nil {
		t.Error(err)
	}
}

// fillTinyDisk runs in a mount namespace of its own. It fills a file system of
// 3 MB, makes room, and goes on.
func fillTinyDisk(folder string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=3m"); err != nil {
		return err
	}
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	s, err := sqlite.Open(context.Background(), folder, time.Now)
	if err != nil {
		return err
	}
	counter := uint64(1)
	add := func() error {
		fresh, err := s.Append(context.Background(), sightings(1, counter, 50))
		counter += uint64(len(fresh))
		return err
	}
	for err == nil {
		err = add()
	}
	if !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("got %w, want a full disk", err)
	}
	if err := s.Backup(context.Background(), filepath.Join(folder, "copy")); !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("backup: got %w, want a full disk", err)
	}
	if err := wantCounters(s, counter-1); err != nil {
		return fmt.Errorf("while full: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	for range 3 {
		if err := add(); err != nil {
			return fmt.Errorf("after making room: %w", err)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = sqlite.Open(context.Background(), folder, time.Now); err != nil {
		return err
	}
	if err := errors.Join(wantCounters(s, counter-1), s.Check(context.Background())); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return s.Close()
}

// wantCounters says whether just the sightings 1 to n are there.
func wantCounters(s *sqlite.Store, n uint64) error {
	i := uint64(0)
	for e, err := range s.Since(context.Background(), 0) {
		if i++; err != nil || e.Received.ID.Counter != i {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	if i != n || n == 0 {
		return fmt.Errorf("%d events, want %d", i, n)
	}
	return nil
}

func TestTinyDisk(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root to mount a tiny file system")
	}
	c := child(t, "fill", t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := c.Run(); err != nil {
		t.Error(err)
	}
}
