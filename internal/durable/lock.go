package durable

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A LockedError says that another process holds a lock.
type LockedError struct {
	Path string
	PID  int // 0 if the holder did not say
}

// Error says who holds the lock and what to do.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = "process " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("%s: in use by %s: stop it first, or use another folder", e.Path, who)
}

// Lock takes the lock at path, whose file it makes and never removes (a lock
// removed while another process opens it would be held twice), and writes this
// process's id into it. If another process holds it the error is a
// [*LockedError]. The lock ends with unlock, or with the process however it
// dies.
func Lock(path string) (unlock func() error, err error) {
	// A bare descriptor: an os.File that the caller dropped would be closed,
	// and the lock lost, at the next garbage collection.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.Join(&LockedError{Path: path, PID: holder(fd)}, unix.Close(fd))
	}
	if err == nil {
		err = sign(fd)
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, unix.Close(fd))
	}
	return func() error { return unix.Close(fd) }, nil
}

// holder reads who wrote the lock; 0 if that cannot be told.
func holder(fd int) int {
	buf := make([]byte, 16)
	n, err := unix.Pread(fd, buf, 0)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(buf[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func sign(fd int) error {
	if err := unix.Ftruncate(fd, 0); err != nil {
		return err
	}
	_, err := unix.Pwrite(fd, []byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}
