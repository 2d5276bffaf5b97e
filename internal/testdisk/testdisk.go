// Package testdisk gives tests a disk that is soon full.
package testdisk

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Tiny returns a folder on a file system of that size, such as "64k". It needs
// root, and ends a test in CI that has none: the mount is made in a namespace of
// its own, on a thread that dies with the test.
func Tiny(t testing.TB, size string) string {
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
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}
