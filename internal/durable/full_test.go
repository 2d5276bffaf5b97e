package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tinyDisk returns a folder on a file system of 64 KiB. It needs root: the
// mount is made in a namespace of its own, on a thread that dies with the test.
func tinyDisk(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root to mount a tiny file system")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestLogOnFullDisk(t *testing.T) {
	path := filepath.Join(tinyDisk(t), "log")
	l, _ := open(t, path)
	var want []string
	var err error
	for err == nil {
		r := strings.Repeat("x", 3000)
		if err = l.Append([]byte(r), true); err == nil {
			want = append(want, r)
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want a full disk", err)
	}
	if len(want) < 10 {
		t.Fatalf("only %d records fitted", len(want))
	}
	// A smaller record still fits, and nothing of the failed one stays.
	if err := l.Append([]byte("small"), true); err == nil {
		want = append(want, "small")
	} else if !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	err = l.Rewrite(func(add func([]byte) error) error {
		return add([]byte(strings.Repeat("y", 40000)))
	})
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("rewrite: got %v, want a full disk", err)
	}
	wantAlone(t, path)
	wantRecords(t, path, want...)
}
