package file_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
)

func TestFollow(t *testing.T) {
	long := strings.Repeat("x", 3*logsource.MaxLine)
	for _, tt := range []struct {
		name string
		do   func(d disk, r *reader)
	}{
		{"append", func(d disk, r *reader) {
			d.add("log", "one\ntwo\n")
			r.want("+one", "+two")
		}},
		{"no end", func(d disk, r *reader) {
			d.add("log", "one\nbeg")
			r.want("+one")
			d.add("log", "un\n")
			r.want("+begun")
		}},
		{"hostile bytes", func(d disk, r *reader) {
			d.add("log", "a\r\n\n\x00\xff\x00b\x1b[2J\n")
			r.want("+a", "+\xff\x00b\x1b[2J")
		}},
		{"long lines", func(d disk, r *reader) {
			d.add("log", long)
			d.add("log", long+"\nnext\n")
			r.want("+xxxxx...65536", "+next")
		}},
		{"renamed, and written on", func(d disk, r *reader) {
			d.rename("log", "log.1")
			d.add("log.1", "late\n")
			d.add("log", "new\n")
			r.want("+late", "+new")
			d.add("log.1", "later\nno end")
			r.want("+later")
			d.add("log", "newer\n")
			r.want("+no end", "+newer")
		}},
		{"renamed without a line end", func(d disk, r *reader) {
			d.add("log", "no end")
			d.rename("log", "log.1")
			d.add("log", "new\n")
			r.want("+no end", "+new")
		}},
		{"rotated ten times", func(d disk, r *reader) {
			for range 10 {
				d.add("log", "a\n")
				d.rename("log", "log.1")
				d.add("log", "b\n")
				r.want("+a", "+b")
			}
		}},
		{"copied and truncated", func(d disk, r *reader) {
			d.add("log", "one\n")
			r.want("+one")
			d.copyTruncate("log", "log.1")
			d.add("log", "two\n")
			r.want("+two")
		}},
		{"truncated and grown beyond", func(d disk, r *reader) {
			d.check(os.WriteFile(d.path("log"), []byte("quite another beginning\n"), 0o600))
			r.want("+quite another beginning")
		}},
		{"truncated, with a hole", func(d disk, r *reader) {
			d.check(os.Truncate(d.path("log"), 0))
			d.check(os.Truncate(d.path("log"), 1<<40))
			d.add("log", "after\n")
			r.want("+after")
		}},
		{"removed and made again", func(d disk, r *reader) {
			d.remove("log")
			r.says("no such file")
			d.add("log", "again\n")
			r.want("+again")
			r.says("log can be read")
		}},
		{"replaced", func(d disk, r *reader) {
			d.add("other", "whole\n")
			d.rename("other", "log")
			r.want("+whole")
		}},
		{"folder renamed and made again", func(d disk, r *reader) {
			d.check(os.Rename(d.dir, d.dir+"-old"))
			d.mkdir("")
			d.add("log", "elsewhere\n")
			r.want("+elsewhere")
			d.check(os.RemoveAll(d.dir + "-old"))
		}},
		{"a folder in its place", func(d disk, r *reader) {
			d.remove("log")
			d.mkdir("log")
			r.says("name a regular file")
			d.remove("log")
			d.add("log", "again\n")
			r.want("+again")
		}},
		{"a pipe in its place", func(d disk, r *reader) {
			d.remove("log")
			d.check(unix.Mkfifo(d.path("log"), 0o600))
			r.says("name a regular file")
			d.remove("log")
			d.add("log", "again\n")
			r.want("+again")
		}},
		{"a link to itself in its place", func(d disk, r *reader) {
			d.remove("log")
			d.link("log", "log")
			r.says("too many levels")
			d.remove("log")
			d.add("log", "again\n")
			r.want("+again")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add("log", "before\n")
			tt.do(d, start(t, d.path("log"), file.Options{}))
		})
	}
}

func TestFollowWhatIsNotThere(t *testing.T) {
	d := newDisk(t)
	r := start(t, d.path("a/b/log"), file.Options{})
	r.says("no such file")
	d.mkdir("a")
	d.mkdir("a/b")
	d.add("a/b/log", "first\n")
	r.want("+first")
	d.rename("a", "z")
	d.mkdir("a/b")
	d.add("a/b/log", "moved\n")
	r.want("+moved")
	d.check(os.RemoveAll(d.path("a")))
	d.mkdir("a/b")
	d.add("a/b/log", "second\n")
	r.want("+second")
}

func TestFollowLinks(t *testing.T) {
	d := newDisk(t)
	d.mkdir("logs/mon")
	d.mkdir("logs/tue")
	d.add("logs/mon/x", "before\n")
	d.link("logs/mon", "today")
	d.link("today/x", "log")
	r := start(t, d.path("log"), file.Options{})
	d.add("logs/mon/x", "one\n")
	r.want("+one")
	// The target rotates behind two links.
	d.rename("logs/mon/x", "logs/mon/x.1")
	d.add("logs/mon/x", "two\n")
	r.want("+two")
	// A link of the way is changed, at once as cronolog does.
	d.add("logs/tue/x", "three\n")
	d.link("logs/tue", "new")
	d.rename("new", "today")
	r.want("+three")
	// The link itself becomes another one, to nothing yet.
	d.remove("log")
	d.link("logs/wed", "log")
	d.add("logs/wed", "four\n")
	r.want("+four")
}

func TestUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		// Root reads everything: give that up on this thread, which the source
		// does not share, so the child process of the test does it.
		runAsNobody(t, "TestUnreadable")
		return
	}
	d := newDisk(t)
	d.add("log", "before\n")
	d.check(os.Chmod(d.path("log"), 0))
	r := start(t, d.path("log"), file.Options{})
	r.says("CAP_DAC_READ_SEARCH")
	d.check(os.Chmod(d.path("log"), 0o600))
	r.says("log can be read")
	r.want("+before")
	d.add("log", "one\n")
	r.want("+one")
	d.check(os.Chmod(d.dir, 0))
	d.check(os.Chmod(d.dir, 0o700))
	d.add("log", "two\n")
	r.want("+two")
}

func TestEmitErrorEndsRun(t *testing.T) {
	d := newDisk(t)
	d.add("log", "before\n")
	full := os.ErrDeadlineExceeded
	err := file.New(d.path("log"), file.Options{}).Run(t.Context(), func(logsource.Line) error { return full })
	if err != full {
		t.Errorf("got %v, want the error of emit", err)
	}
	for _, bad := range []string{d.path("*/log"), d.path("log[")} {
		if err := file.New(bad, file.Options{}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: got %v, want an error that names it", bad, err)
		}
	}
}
