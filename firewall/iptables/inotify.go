package iptables

import (
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// watchFile returns a channel that gets a value, at most one waiting, after
// each time a process has closed the file at path, and is closed when the file
// is gone or ctx ends. Changes to the file do not count: the lock of iptables is
// opened and closed, and never written.
func watchFile(ctx context.Context, path string) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init", err)
	}
	file := os.NewFile(uintptr(fd), "inotify")
	mask := uint32(unix.IN_CLOSE_WRITE | unix.IN_CLOSE_NOWRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF)
	if _, err := unix.InotifyAddWatch(fd, path, mask); err != nil {
		file.Close()
		return nil, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	touched := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { file.Close() }) // ends the read below
	go func() {
		defer close(touched)
		defer file.Close()
		defer stop()
		readEvents(file, touched)
	}()
	return touched, nil
}

func readEvents(file *os.File, touched chan<- struct{}) {
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := file.Read(buf)
		if err != nil {
			return
		}
		select {
		case touched <- struct{}{}:
		default: // one look is enough for many
		}
		if gone(buf[:n]) {
			return
		}
	}
}

// gone reports whether an event in buf says that the file is no longer there.
// The kernel writes whole events: a watch on a file has no names in them.
func gone(buf []byte) bool {
	for ; len(buf) >= unix.SizeofInotifyEvent; buf = buf[unix.SizeofInotifyEvent:] {
		mask := binary.NativeEndian.Uint32(buf[4:])
		if mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 {
			return true
		}
	}
	return false
}
