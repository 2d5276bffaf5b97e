package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/internal/durable"
)

// open opens the log at path and returns its records.
func open(t testing.TB, path string) (*durable.Log, []string) {
	t.Helper()
	var got []string
	l, err := durable.OpenLog(path, func(r []byte) error {
		got = append(got, string(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, got
}

func add(t testing.TB, l *durable.Log, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := l.Append([]byte(r), false); err != nil {
			t.Fatal(err)
		}
	}
}

func wantRecords(t *testing.T, path string, want ...string) *durable.Log {
	t.Helper()
	l, got := open(t, path)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	return l
}

func TestLogKeepsRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	if !l.Empty() {
		t.Error("a new log is not empty")
	}
	long := strings.Repeat("x", durable.MaxRecord)
	add(t, l, "one", "", long)
	if err := l.Append([]byte("two"), true); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(make([]byte, durable.MaxRecord+1), false); !errors.Is(err, durable.ErrTooLong) {
		t.Errorf("too long: got %v", err)
	}
	l = wantRecords(t, path, "one", "", long, "two")
	if l.Empty() || l.Cut() != 0 {
		t.Errorf("empty %v, cut %d", l.Empty(), l.Cut())
	}
}

// A crash may leave any part of what was being written, or zeros of its
// length. Whatever it left, the whole records before it stay and the next ones
// follow them.
func TestLogTornAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	l, _ := open(t, whole)
	add(t, l, "first", "second record", "third")
	image, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{8, 8 + 8 + 5, 8 + 8 + 5 + 8 + 13, len(image)}
	for n := range len(image) + 1 {
		var want []string
		for i, r := range []string{"first", "second record", "third"} {
			if n >= ends[i+1] {
				want = append(want, r)
			}
		}
		zeros := append(bytes.Clone(image[:n]), make([]byte, len(image)-n)...)
		for kind, torn := range map[string][]byte{"cut": image[:n], "zeros": zeros} {
			if kind == "zeros" && n > 0 && n < 8 {
				continue // one block: its bytes arrive together
			}
			path := filepath.Join(dir, fmt.Sprintf("%s-%d", kind, n))
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			l := wantRecords(t, path, want...)
			add(t, l, "next")
			wantRecords(t, path, append(want, "next")...)
		}
	}
}

func TestLogLeavesForeignFileAlone(t *testing.T) {
	for name, content := range map[string]string{
		"short": "x", "text": "someone's letters\n", "newer format": "tocsinL2........",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := durable.OpenLog(path, func([]byte) error { return nil })
			if !errors.Is(err, durable.ErrForeign) {
				t.Errorf("got %v, want ErrForeign", err)
			}
			wantFile(t, path, content)
		})
	}
}

func TestLogRewrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	add(t, l, "a", "b", "c")
	err := l.Rewrite(func(add func([]byte) error) error { return add([]byte("sum")) })
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, "d")
	l = wantRecords(t, path, "sum", "d")

	failed := errors.New("failed")
	err = l.Rewrite(func(add func([]byte) error) error {
		return errors.Join(add([]byte("lost")), failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("got %v, want the writer's error", err)
	}
	add(t, l, "e")
	l = wantRecords(t, path, "sum", "d", "e")

	if err := l.Rewrite(func(func([]byte) error) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if !l.Empty() {
		t.Error("rewritten to nothing, but not empty")
	}
	wantRecords(t, path)
}

// Opening a log that is in order and appending nothing must not wake a disk.
func TestLogAtRestIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, path)
	add(t, l, "a")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, path, "a")
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !before.ModTime().Equal(after.ModTime()) {
		t.Error("opening changed the file")
	}
}

// Reopening what any bytes left gives the same records as the first time, and
// never more than there are bytes for.
func FuzzLog(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed")
	l, _ := open(f, path)
	add(f, l, "one", "", "two")
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-1])
	f.Add(append(bytes.Clone(seed), "\xff\xff\xff\xff"...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, image []byte) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Fatal(err)
		}
		var first []string
		sum := 8
		l, err := durable.OpenLog(path, func(r []byte) error {
			first = append(first, string(r))
			sum += 8 + len(r)
			return nil
		})
		if errors.Is(err, durable.ErrForeign) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if sum > max(8, len(image)) || int64(sum) != l.Size() {
			t.Errorf("records of %d bytes from %d, size %d", sum, len(image), l.Size())
		}
		add(t, l, "next")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = wantRecords(t, path, append(first, "next")...)
		if l.Cut() != 0 {
			t.Errorf("cut %d bytes a second time", l.Cut())
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l, _ := open(b, filepath.Join(b.TempDir(), "log"))
	record := []byte(strings.Repeat("r", 200))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(record, false); err != nil {
			b.Fatal(err)
		}
	}
}
