package journal_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/internal/testjournal"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

func TestLive(t *testing.T) {
	j := testjournal.Start(t)
	r := start(t, j.Dir, journal.Options{Programs: []string{"sshd"}})
	j.Send("cron", 0, "not of interest")
	before := time.Now().Add(-time.Minute)
	j.Send("sshd", 0, "from root")
	l := r.want("+from root")[0]
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := logsource.Writer{Known: true, UID: 0, Exe: exe, Unit: l.Writer.Unit}
	if d := cmp.Diff(want, l.Writer); d != "" {
		t.Errorf("writer (-want +got):\n%s", d)
	}
	if l.Program != "sshd" || l.PID != os.Getpid() || l.At.Before(before) || l.Received.Before(l.At) {
		t.Errorf("line %+v", l)
	}
	// Anybody may call himself sshd: the writer tells.
	j.Send("sshd", 65534, "from nobody")
	l = r.want("+from nobody")[0]
	// A program that ended before journald looked has no path any more.
	if l.Writer.UID != 65534 || l.Writer.Exe != "" && filepath.Base(l.Writer.Exe) != "logger" {
		t.Errorf("writer of a forged line: %+v", l.Writer)
	}
	out := j.Run("sh", "-c", "echo from a stream | systemd-cat -t sshd")
	r.want("+from a stream")
	if out != "" {
		t.Errorf("systemd-cat: %s", out)
	}
}

func TestHostileFields(t *testing.T) {
	j := testjournal.Start(t)
	r := start(t, j.Dir, journal.Options{Programs: []string{"sshd"}})
	long := strings.Repeat("compressible ", 200)
	longer := strings.Repeat("x", logsource.MaxLine+10)
	noise := make([]byte, 2000)
	for i := range noise {
		noise[i] = byte('a' + rand.IntN(26))
	}
	send := func(pairs ...string) { j.Fields(append(pairs, "SYSLOG_IDENTIFIER", "sshd")...) }
	// journald drops fields that claim to be trusted; what it lets through of a
	// client decides nothing.
	send("MESSAGE", "trusted?", "_UID", "1", "_EXE", "/usr/sbin/sshd", "_PID", "1")
	send("MESSAGE", "one", "MESSAGE", "two")
	send("MESSAGE", "named twice", "SYSLOG_IDENTIFIER", "other")
	send("PRIORITY", "6")
	send("MESSAGE", "")
	send("MESSAGE", long, "OTHER", strings.Repeat("y", 3000))
	send("MESSAGE", string(noise))
	send("MESSAGE", longer)
	send("MESSAGE", "bytes \x00\xff\x1b[2J\nFailed password\n")
	got := r.want("+trusted?", "+", "+"+strings.TrimSpace(long)+" ", "+"+string(noise), "+"+longer[:logsource.MaxLine],
		"+bytes \x00\xff\x1b[2J\nFailed password")
	if w := got[0].Writer; w.UID != 0 || w.Exe == "/usr/sbin/sshd" {
		t.Errorf("forged writer %+v", w)
	}
	for i, l := range got {
		if l.Cut != (i == 4) {
			t.Errorf("line %d: cut %v", i, l.Cut)
		}
	}
}

// What the machine's journal says of users stands in files that are not read.
func TestUsersAreLeftOut(t *testing.T) {
	j := testjournal.StartPersistent(t)
	r := start(t, j.Dir, journal.Options{})
	j.Send("sshd", 4711, "from a user")
	j.Send("sshd", 0, "from root")
	j.Sync()
	if _, err := os.Stat(filepath.Join(j.Dir, "user-4711.journal")); err != nil {
		t.Errorf("journald did not split: %v", err)
	}
	r.want("+from root")
}

func TestRotation(t *testing.T) {
	j := testjournal.Start(t)
	r := start(t, j.Dir, journal.Options{Programs: []string{"many"}})
	var all []string
	for i := range 5 {
		all = append(all, fill(j, i*100, 100)...)
		j.Rotate()
	}
	all = append(all, fill(j, 500, 10)...)
	r.want(each("+", all)...)
	j.Run("journalctl", "--vacuum-files=1", "--directory=/run/log/journal")
	r.want(each("+", fill(j, 510, 10))...)
}

func TestResume(t *testing.T) {
	j := testjournal.Start(t)
	opt := journal.Options{Programs: []string{"many"}}
	r := start(t, j.Dir, opt)
	r.want(each("+", fill(j, 0, 10))...)
	opt.Marks = r.stopped()

	missed := fill(j, 10, 50)
	j.Rotate()
	missed = append(missed, fill(j, 60, 50)...)
	j.Rotate()
	missed = append(missed, fill(j, 110, 5)...)
	r = start(t, j.Dir, opt)
	r.want(each("-", missed)...)
	r.want(each("+", fill(j, 115, 5))...)
	opt.Marks = r.stopped()
	r = start(t, j.Dir, opt)
	r.want(each("+", fill(j, 120, 5))...)
}

// A reader stopped in the middle of a gap goes on there, and what was live
// meanwhile is not told again.
func TestResumeWithinGap(t *testing.T) {
	j := testjournal.Start(t)
	opt := journal.Options{Programs: []string{"many"}, Folders: []string{j.Dir}}
	opt.Marks = start(t, j.Dir, opt).stopped()
	missed := fill(j, 0, 20)
	kept := map[uint64]logsource.Mark{}
	s, err := journal.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	n := 0
	err = s.Run(t.Context(), func(l logsource.Line) error {
		if l.Text != nil {
			if n++; n > 7 {
				return stop
			}
		}
		kept[l.Mark.Stream()] = l.Mark
		return nil
	})
	if err != stop {
		t.Fatal(err)
	}
	opt.Marks = nil
	for _, m := range kept {
		opt.Marks = append(opt.Marks, m)
	}
	missed = append(missed, fill(j, 20, 5)...)
	start(t, j.Dir, opt).want(each("-", missed[7:])...)
}

func TestSince(t *testing.T) {
	j := testjournal.Start(t)
	fill(j, 0, 30)
	j.Rotate()
	since := time.Now()
	late := fill(j, 30, 30)
	j.Rotate()
	late = append(late, fill(j, 60, 3)...)
	r := start(t, j.Dir, journal.Options{Programs: []string{"many"}, Since: since})
	r.want(each("-", late)...)
}

// journald dies, and a new one puts the file it finds aside.
func TestCrashOfJournald(t *testing.T) {
	j := testjournal.Start(t)
	r := start(t, j.Dir, journal.Options{Programs: []string{"many"}})
	r.want(each("+", fill(j, 0, 10))...)
	if err := os.Rename(filepath.Join(j.Dir, "system.journal"), filepath.Join(j.Dir, "system@0-0.journal~")); err != nil {
		t.Fatal(err)
	}
	r.want(each("+", fill(j, 10, 10))...)
	j.Rotate()
	r.want(each("+", fill(j, 20, 10))...)
}

// A log-in opens a file long before its line is told by journald.
func TestHint(t *testing.T) {
	j := testjournal.Start(t)
	hint := filepath.Join(t.TempDir(), "shadow")
	if err := os.WriteFile(hint, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, j.Dir, journal.Options{Hints: []string{hint, "/missing"}})
	for _, line := range []string{"one", "two"} {
		if _, err := os.ReadFile(hint); err != nil {
			t.Fatal(err)
		}
		j.Send("sshd", 0, line)
		r.want("+" + line)
		// Replaced, as passwd does.
		if err := os.WriteFile(hint+"+", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(hint+"+", hint); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoJournal(t *testing.T) {
	dir := t.TempDir()
	if _, err := journal.New(journal.Options{Folders: []string{filepath.Join(dir, "none")}}); !errors.Is(err, journal.ErrNone) {
		t.Errorf("got %v, want ErrNone", err)
	}
	// A file that is no journal is said, and waited for.
	if err := os.WriteFile(filepath.Join(dir, "system.journal"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, journal.Options{})
	r.until("a message", func() bool { return strings.Contains(r.log.String(), "not a journal file") })
}
