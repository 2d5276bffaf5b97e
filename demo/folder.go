package demo

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockName is the file by whose lock others see that a folder is in use.
const lockName = "lock"

// lockFolder locks a folder until the file is closed, or the process has ended.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// room is what a show takes, with some to spare.
const room = 512 << 20

// roomy reports whether a folder can be written to and has room for a show.
func roomy(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && unix.Access(dir, unix.W_OK) == nil && s.Bavail*uint64(s.Bsize) > room
}
