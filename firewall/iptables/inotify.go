package iptables

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/inotify"
)

// watchFile returns a channel that gets a value, at most one waiting, after
// each time a process has closed the file at path, and is closed when the file
// is gone or ctx ends. Changes to the file do not count: the lock of iptables is
// opened and closed, and never written.
func watchFile(ctx context.Context, path string) (<-chan struct{}, error) {
	n, err := inotify.Open()
	if err != nil {
		return nil, err
	}
	mask := uint32(unix.IN_CLOSE_WRITE | unix.IN_CLOSE_NOWRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF)
	if _, err := n.Add(path, mask); err != nil {
		_ = n.Close() // nothing was written
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	touched := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, n.Wake)
	go func() {
		defer close(touched)
		defer n.Close() // nothing was written
		defer stop()
		readEvents(ctx, n, touched)
	}()
	return touched, nil
}

func readEvents(ctx context.Context, n *inotify.Instance, touched chan<- struct{}) {
	var events []inotify.Event
	for {
		var err error
		if events, err = n.Read(events[:0], time.Time{}); err != nil || ctx.Err() != nil {
			return
		}
		select {
		case touched <- struct{}{}:
		default: // one look is enough for many
		}
		if slices.ContainsFunc(events, func(e inotify.Event) bool { return e.Mask&inotify.Gone != 0 }) {
			return
		}
	}
}
