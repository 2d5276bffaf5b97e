package footprints

import (
	"crypto/sha256"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// quietBoot is after how many rounds a machine that was started must have logged
// something: an hour, by default. Something runs every hour everywhere.
const quietBoot = 12

// compareBoot tells, once for each start of the machine, that nothing was logged
// since. A machine without a log that could tell is none of its business.
func (w *Watch) compareBoot(next *baseline, now time.Time) []tocsin.Clue {
	id := strings.TrimSpace(w.short("proc/sys/kernel/random/boot_id"))
	up, ok := uptime(w.short("proc/uptime"))
	if id == "" || id == next.Boot || !ok || up < quietBoot*w.cfg.Every {
		return nil
	}
	next.Boot = id
	newest := w.lastLine(next)
	booted := now.Add(-up)
	if newest.IsZero() || !newest.Before(booted.Add(-slack)) {
		return nil
	}
	return []tocsin.Clue{{
		At: booted, Fact: tocsin.LogGap, Subject: "nothing logged since the machine was started",
		Digest: sha256.Sum256([]byte(id + " " + newest.UTC().Format(time.RFC3339Nano))),
	}}
}

// lastLine returns when one of the logs was last written; zero if there is none.
// The file of log-ins does not count: the start itself is written into it.
func (w *Watch) lastLine(b *baseline) (newest time.Time) {
	for path := range b.Logs {
		_, st, err := stat(path, false)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || filepath.Base(path) == "wtmp" {
			continue
		}
		if t := unixTime(st.Mtim); t.After(newest) {
			newest = t
		}
	}
	return newest
}

// short returns the beginning of a file of the kernel, "" if it has none.
func (w *Watch) short(name string) string {
	var b []byte
	err := read(w.path(name), func(r io.Reader) (err error) { b, err = io.ReadAll(io.LimitReader(r, 128)); return err })
	if err != nil {
		return ""
	}
	return string(b)
}

// uptime reads for how long the machine has been running.
func uptime(s string) (time.Duration, bool) {
	first, _, _ := strings.Cut(strings.TrimSpace(s), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || !(seconds >= 0) || seconds > 1e9 {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
