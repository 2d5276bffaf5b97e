package footprints

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin"
)

// logs are files that are there as long as somebody keeps records.
var logs = []string{"var/log/auth.log", "var/log/secure", "var/log/syslog", "var/log/messages", "var/log/wtmp"}

// journals are found below folders named after the machine.
var journals = []string{"var/log/journal/*/system.journal", "run/log/journal/*/system.journal"}

// units are services that keep records or guard, and the folder in which systemd
// keeps a mark of each one that runs.
var units = []string{"systemd-journald", "rsyslog", "syslog-ng", "auditd", "firewalld", "ufw"}

const unitMarks = "run/systemd/units/invocation:"

// maxLogs bounds the journals that are kept in mind.
const maxLogs = 64

// compareLogs tells which logs were cut, and which logs or services have been
// gone for two rounds: a rotation takes less.
func (w *Watch) compareLogs(next *baseline, now time.Time) (clues []tocsin.Clue) {
	paths := w.logPaths(next)
	for _, path := range paths {
		old, had := next.Logs[path]
		m, st, err := stat(path, false)
		if missing(err) {
			if had && w.goneFor(path, now) >= 2*w.cfg.Every {
				delete(next.Logs, path)
				delete(w.gone, path)
				clues = append(clues, w.logClue(tocsin.LoggingOff, path, "gone", now))
			}
			continue
		}
		if err != nil {
			continue // of a folder that cannot be searched
		}
		delete(w.gone, path)
		if st.Mode&unix.S_IFMT != unix.S_IFREG || strings.HasSuffix(path, ".journal") {
			next.Logs[path] = mark{} // all that counts is that it is there
			continue
		}
		if had && m.Inode == old.Inode && m.Size < old.Size && !w.rotated(path, old) {
			clues = append(clues, w.logClue(tocsin.LogGap, path, fmt.Sprintf("%d bytes became %d", old.Size, m.Size), now))
		}
		m.Changed = now.UnixNano()
		next.Logs[path] = m
	}
	return clues
}

// logPaths returns the logs there are or were.
func (w *Watch) logPaths(b *baseline) (paths []string) {
	for _, name := range logs {
		paths = append(paths, w.path(name))
	}
	for _, name := range units {
		paths = append(paths, w.path(unitMarks+name+".service"))
	}
	for _, pattern := range journals {
		found, err := filepath.Glob(w.path(pattern))
		if err != nil {
			continue // only for a pattern that is none
		}
		paths = append(paths, found[:min(len(found), maxLogs)]...)
	}
	for path := range b.Logs {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// goneFor returns for how long a log has been missing.
func (w *Watch) goneFor(path string, now time.Time) time.Duration {
	since, ok := w.gone[path]
	if !ok || since.After(now) {
		w.gone[path] = now
		return 0
	}
	return now.Sub(since)
}

// rotated reports whether a log is shorter because it was copied away since it
// was last looked at.
func (w *Watch) rotated(path string, old mark) bool {
	names, err := w.names(filepath.Dir(path))
	if err != nil {
		return false
	}
	base := filepath.Base(path)
	for _, name := range names {
		if !strings.HasPrefix(name, base+".") && !strings.HasPrefix(name, base+"-") {
			continue
		}
		m, st, err := stat(filepath.Join(filepath.Dir(path), name), false)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || m.Changed < old.Changed-int64(slack) {
			continue
		}
		if packed := slices.Contains([]string{".gz", ".bz2", ".xz", ".zst"}, filepath.Ext(name)); packed || m.Size >= old.Size {
			return true
		}
	}
	return false
}

func (w *Watch) logClue(fact tocsin.Fact, path, what string, now time.Time) tocsin.Clue {
	shown := w.shown(path)
	if name, ok := strings.CutPrefix(shown, "/"+unitMarks); ok {
		shown = name
	}
	return tocsin.Clue{At: now, Fact: fact, Subject: shown, Digest: sha256.Sum256([]byte(shown + ": " + what))}
}
