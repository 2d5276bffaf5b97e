package inotify

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t testing.TB) *Instance {
	t.Helper()
	n, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() }) // some tests close it themselves
	return n
}

func write(t testing.TB, path string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadFolder(t *testing.T) {
	n, dir := open(t), t.TempDir()
	wd, err := n.Add(dir, unix.IN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "auth.log"))
	got, err := n.Read(nil, time.Time{})
	if want := []Event{{Watch: wd, Mask: unix.IN_CREATE, Name: "auth.log"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// An open file is followed by what it is: rotation renames it.
func TestAddOpen(t *testing.T) {
	n, path := open(t), filepath.Join(t.TempDir(), "auth.log")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	wd, err := n.AddOpen(int(f.Fd()), unix.IN_MODIFY)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	got, err := n.Read(nil, time.Time{})
	if want := []Event{{Watch: wd, Mask: unix.IN_MODIFY}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestAddNothing(t *testing.T) {
	wd, err := open(t).Add(filepath.Join(t.TempDir(), "none"), unix.IN_MODIFY)
	if wd != -1 || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %d, %v", wd, err)
	}
}

func TestReadUntil(t *testing.T) {
	n := open(t)
	for _, until := range []time.Time{time.Unix(1, 0), time.Now().Add(time.Millisecond)} {
		if got, err := n.Read(nil, until); len(got) != 0 || err != nil {
			t.Errorf("until %v: got %v, %v", until, got, err)
		}
	}
}

// A wake ends the wait, whether it comes before or during it, and all later ones.
func TestWake(t *testing.T) {
	n := open(t)
	ended := make(chan error)
	go func() {
		_, err := n.Read(nil, time.Time{})
		ended <- err
	}()
	n.Wake()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got, err := n.Read(nil, time.Time{}); len(got) != 0 || err != nil {
		t.Errorf("after wake: got %v, %v", got, err)
	}
}

// Ending a watch twice, or one that never was, is no error and no panic.
func TestRemove(t *testing.T) {
	n, dir := open(t), t.TempDir()
	wd, err := n.Add(dir, unix.IN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	n.Remove(wd)
	n.Remove(wd)
	n.Remove(-1)
	write(t, filepath.Join(dir, "a"))
	got, whole := n.Drain(nil)
	if want := []Event{{Watch: wd, Mask: unix.IN_IGNORED}}; !whole || !slices.Equal(got, want) {
		t.Errorf("got %v, %t, want %v", got, whole, want)
	}
}

// Drain returns what there is, over several reads, after what was there, and does
// not wait.
func TestDrain(t *testing.T) {
	n, dir := open(t), t.TempDir()
	if _, err := n.Add(dir, unix.IN_CREATE); err != nil {
		t.Fatal(err)
	}
	const files = 300 // names of 255 bytes: several reads
	for i := range files {
		write(t, filepath.Join(dir, strings.Repeat("x", 252)+string([]byte{'0' + byte(i/100), '0' + byte(i/10%10), '0' + byte(i%10)})))
	}
	got, whole := n.Drain([]Event{{Watch: -2}})
	if len(got) != files+1 || got[0].Watch != -2 || !whole {
		t.Errorf("got %d events, the first of watch %d, %t", len(got), got[0].Watch, whole)
	}
	if again, whole := n.Drain(nil); len(again) != 0 || !whole {
		t.Errorf("again: got %d events, %t", len(again), whole)
	}
}

func TestClosed(t *testing.T) {
	n := open(t)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n.Wake() // of a context that ends late
	if got, err := n.Read(nil, time.Time{}); err == nil {
		t.Errorf("got %v", got)
	}
}

// The guard's wake-ups are budgeted: what a followed file tells costs no memory.
func TestReadAllocatesNothing(t *testing.T) {
	n := open(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "auth.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := n.AddOpen(int(f.Fd()), unix.IN_MODIFY); err != nil {
		t.Fatal(err)
	}
	events, line := make([]Event, 0, 8), []byte("a line\n")
	allocs := testing.AllocsPerRun(100, func() {
		if _, err = f.Write(line); err == nil {
			events, err = n.Read(events[:0], time.Time{})
		}
		if err != nil || len(events) != 1 {
			t.Fatal(events, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for one event", allocs)
	}
}

func record(wd int32, mask uint32, name string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(wd))
	b = binary.NativeEndian.AppendUint32(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0) // cookie
	b = binary.NativeEndian.AppendUint32(b, uint32(len(name)))
	return append(b, name...)
}

func TestLost(t *testing.T) {
	got := parse(nil, record(-1, unix.IN_Q_OVERFLOW, ""))
	if len(got) != 1 || !got[0].Lost() || got[0].Watch != -1 {
		t.Errorf("got %v", got)
	}
}

// Records cut anywhere are read up to the last whole one, and always alike.
func FuzzParse(f *testing.F) {
	f.Add(make([]byte, 16), 3)
	f.Add(record(1, unix.IN_CREATE, "auth.log\x00\x00\x00\x00"), 20)
	f.Add(append(record(2, unix.IN_MODIFY, ""), record(-1, unix.IN_Q_OVERFLOW, "")...), 16)
	huge := record(1, unix.IN_CREATE, "")
	binary.NativeEndian.PutUint32(huge[12:], 1<<32-1)
	f.Add(huge, 16)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		all := parse(nil, b)
		if n := len(all); n > len(b)/unix.SizeofInotifyEvent {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
		size := 0
		for _, e := range all {
			if strings.HasSuffix(e.Name, "\x00") || !strings.Contains(string(b), e.Name) {
				t.Errorf("name %q", e.Name)
			}
			size += unix.SizeofInotifyEvent + len(e.Name)
		}
		if size > len(b) {
			t.Errorf("%d bytes of events in %d", size, len(b))
		}
		part := parse(nil, b[:max(0, min(cut, len(b)))])
		if len(part) > len(all) || !slices.Equal(part, all[:len(part)]) {
			t.Errorf("cut at %d: %v is no beginning of %v", cut, part, all)
		}
	})
}
