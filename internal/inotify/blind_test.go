package inotify

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A blind instance tells the same file by the same watch, and that something may
// have happened.
func TestBlind(t *testing.T) {
	n, err := Blind(time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "auth.log")
	write(t, path)
	file, err := n.Add(path, unix.IN_MODIFY)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if again, err := n.Add(path+".1", unix.IN_MODIFY); err != nil || again != file {
		t.Errorf("renamed it has watch %d, %v, want %d", again, err, file)
	}
	if folder, err := n.Add(dir, unix.IN_ONLYDIR); err != nil || folder == file {
		t.Errorf("the folder has watch %d, %v", folder, err)
	}
	if _, err := n.Add(path+".1", unix.IN_ONLYDIR); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as a folder: %v", err)
	}
	if _, err := n.Add(path, unix.IN_MODIFY); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone: %v", err)
	}
	n.Remove(file)
	if again, err := n.Add(path+".1", unix.IN_MODIFY); err != nil || again == file {
		t.Errorf("after its end the watch is %d again, %v", again, err)
	}
	events, err := n.Read(nil, time.Time{})
	if err != nil || len(events) != 1 || !events[0].Lost() {
		t.Errorf("it reads %v, %v", events, err)
	}
	if _, whole := n.Drain(nil); whole {
		t.Error("it knows that there is no more")
	}
	n.Wake()
	if events, err := n.Read(nil, time.Time{}); err != nil || len(events) != 0 {
		t.Errorf("woken it reads %v, %v", events, err)
	}
}
