package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/internal/logkey"
)

// guardGCPercent keeps the garbage of a guard below a quarter of what it remembers:
// it allocates little for a line, so collecting more often costs less than the
// memory is worth on a small device.
const guardGCPercent = 25

// A guard is looked at each settleEvery; one that used less than idle of the
// processor since the last look is at rest.
const (
	settleEvery = 20 * time.Second
	idle        = 20 * time.Millisecond
)

// settle gives back, each time a guard comes to rest, what only its work
// needed: free memory, and those pages of the program that are mapped because
// the work ran through them. The kernel keeps both for a process that sleeps;
// what is used comes back by itself, out of the page cache.
func settle(ctx context.Context, ready <-chan struct{}, log *slog.Logger) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-ready:
	}
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for worked, before := true, time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		used := processorTime()
		resting := used-before < idle
		if resting && worked {
			debug.FreeOSMemory()
			if err := unmapProgram(); err != nil {
				log.Debug("pages of the program stay mapped", logkey.Err, err)
			}
			used = processorTime()
		}
		worked, before = !resting, used
	}
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // not known: as if at rest
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// unmapProgram lets go of the clean pages of our own program file.
func unmapProgram() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	areas, err := cleanAreas(f, exe)
	if err != nil {
		return err
	}
	for _, a := range areas {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, a.start, a.end-a.start, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("madvise: %w", errno)
		}
	}
	return nil
}

// An area is a part of the address space.
type area struct{ start, end uintptr }

// cleanAreas reads smaps for areas of the file that nobody can write and that
// have no page of their own: a page that was changed, as a loader does before it
// takes the right to write away, would be lost with its changes.
func cleanAreas(smaps io.Reader, file string) (areas []area, err error) {
	var now area // zero unless the area at hand is of the file
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 2 && !strings.HasSuffix(words[0], ":"):
			now = area{}
			if len(words) == 6 && words[5] == file && !strings.Contains(words[1], "w") {
				now, err = parseArea(words[0])
			}
			if err != nil {
				return nil, err
			}
		case len(words) >= 2 && words[0] == "Anonymous:" && words[1] == "0" && now.end > now.start:
			areas = append(areas, now)
		}
	}
	return areas, lines.Err()
}

func parseArea(s string) (a area, err error) {
	from, to, _ := strings.Cut(s, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return a, fmt.Errorf("smaps: %w", err)
	}
	end, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil {
		return a, fmt.Errorf("smaps: %w", err)
	}
	return area{uintptr(start), uintptr(end)}, nil
}
