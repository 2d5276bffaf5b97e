package file_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
)

// pack compresses the file name to name+ext and removes it, as rotation does:
// the time of the last change stays.
func (d disk) pack(name, ext string) {
	d.t.Helper()
	st, err := os.Stat(d.path(name))
	d.check(err)
	text, err := os.ReadFile(d.path(name))
	d.check(err)
	var b bytes.Buffer
	var w io.WriteCloser
	switch ext {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	}
	d.check(err)
	_, err = w.Write(text)
	d.check(err)
	d.check(w.Close())
	d.check(os.WriteFile(d.path(name+ext), b.Bytes(), 0o600))
	d.check(os.Chtimes(d.path(name+ext), st.ModTime(), st.ModTime()))
	d.remove(name)
}

// aged sets the time of the file's last change to so many days ago.
func (d disk) aged(name string, days int) {
	d.t.Helper()
	at := time.Now().AddDate(0, 0, -days)
	d.check(os.Chtimes(d.path(name), at, at))
}

const first = "a first line that is long enough to be recognised\n"

// What happens to a log between two runs: no line is lost or comes twice.
func TestResume(t *testing.T) {
	for _, tt := range []struct {
		name   string
		do     func(d disk)
		missed []string
	}{
		{"nothing", func(disk) {}, nil},
		{"appended", func(d disk) { d.add("log", "one\ntwo\n") }, []string{"-one", "-two"}},
		{"appended, no end", func(d disk) { d.add("log", "one\ntw") }, []string{"-one"}},
		{"renamed", func(d disk) {
			d.add("log", "one\n")
			d.rename("log", "log.1")
			d.add("log", "two\n")
		}, []string{"-one", "-two"}},
		{"renamed, nothing new", func(d disk) {
			d.add("log", "one\nno end")
			d.rename("log", "log.1")
		}, []string{"-one", "-no end"}},
		{"renamed and packed, three times", func(d disk) {
			d.add("log", "one\n")
			d.rename("log", "log.3")
			d.aged("log.3", 3)
			d.pack("log.3", ".gz")
			d.add("log.2", "a second file with a line of its own\n")
			d.aged("log.2", 2)
			d.pack("log.2", ".xz")
			d.add("log.1", "a third file with a line of its own\n")
			d.aged("log.1", 1)
			d.pack("log.1", ".zst")
			d.add("log", "four\n")
		}, []string{"-one", "-a second file with a line of its own", "-a third file with a line of its own", "-four"}},
		{"copied and truncated", func(d disk) {
			d.add("log", "one\n")
			d.copyTruncate("log", "log.1")
			d.add("log", "two\n")
		}, []string{"-one", "-two"}},
		{"copied, truncated, grown beyond", func(d disk) {
			d.add("log", "one\n")
			d.copyTruncate("log", "log-20260101")
			d.add("log", strings.Repeat("y", 300)+"\n")
		}, []string{"-one", "-" + strings.Repeat("y", 300)}},
		{"read file is gone", func(d disk) {
			d.remove("log")
			d.add("log.1", "one\n")
			d.add("log", "two\n")
		}, []string{"-one", "-two"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add("log", first)
			r := start(t, d.path("log"), file.Options{})
			d.add("log", "seen\n")
			r.want("+seen")
			marks := r.stopped()

			tt.do(d)
			r = start(t, d.path("log"), file.Options{Marks: marks})
			r.want(tt.missed...)
			wanted := 0
			if tt.name == "read file is gone" {
				wanted = 1
			}
			r.mu.Lock()
			if len(r.lost) != wanted {
				t.Errorf("said to be missing: %q", r.lost)
			}
			r.mu.Unlock()
			// The new lines come after the old ones or before, but they are live.
			d.add("log", "\nnow\n")
			r.until("live line", func() bool { return len(r.lines) > 0 && r.lines[len(r.lines)-1] == "+now" })
			r.lines = nil
			again := start(t, d.path("log"), file.Options{Marks: r.stopped()})
			d.add("log", "end\n")
			again.want("+end")
		})
	}
}

func TestSince(t *testing.T) {
	d := newDisk(t)
	for days, name := range []string{"log", "log.1", "log.2", "log.3"} {
		d.add(name, "line of "+name+"\n")
		d.aged(name, days)
	}
	d.pack("log.2", ".gz")
	d.add("log.1.gz", "still being packed")
	d.aged("log.1.gz", 1)
	d.add("logger", "another log\n")
	r := start(t, d.path("log"), file.Options{Since: time.Now().Add(-60 * time.Hour)})
	r.want("-line of log.2", "-line of log.1", "-line of log")
	d.add("log", "now\n")
	r.want("+now")
	// Since is for a first start only.
	r = start(t, d.path("log"), file.Options{Since: time.Now().Add(-60 * time.Hour), Marks: r.stopped()})
	d.add("log", "later\n")
	r.want("+later")
}

// A reader stopped in the middle of a gap goes on there, and the lines that
// were live meanwhile are not told again.
func TestResumeWithinGap(t *testing.T) {
	d := newDisk(t)
	d.add("log", first)
	marks := start(t, d.path("log"), file.Options{}).stopped()
	d.add("log", "one\ntwo\nthree\n")

	kept := map[uint64]logsource.Mark{}
	stop := os.ErrClosed
	err := file.New(d.path("log"), file.Options{Marks: marks}).Run(t.Context(), func(l logsource.Line) error {
		if string(l.Text) == "two" {
			return stop // before it is digested
		}
		kept[l.Mark.Stream()] = l.Mark
		return nil
	})
	if err != stop {
		t.Fatal(err)
	}
	marks = nil
	for _, m := range kept {
		marks = append(marks, m)
	}
	d.add("log", "four\n")
	d.rename("log", "log.1")
	d.add("log", "five\n")
	r := start(t, d.path("log"), file.Options{Marks: marks})
	r.want("-two", "-three", "-four", "-five")
}

// Marks of a disk that broke must not break the reader.
func TestNonsenseMarks(t *testing.T) {
	d := newDisk(t)
	d.add("log", first)
	var bad []logsource.Mark
	for _, m := range start(t, d.path("log"), file.Options{}).stopped() {
		for slot := range uint64(256) {
			n := logsource.Mark{m[0]&^0xff | slot}
			for i := range n[1:] {
				n[i+1] = ^uint64(0) >> (slot % 64)
			}
			bad = append(bad, n)
		}
	}
	r := start(t, d.path("log"), file.Options{Marks: bad})
	d.add("log", "now\n")
	r.until("a live line", func() bool { return len(r.lines) > 0 && r.lines[len(r.lines)-1] == "+now" })
}

// A backlog does not delay what happens now: it is held up here for ever.
func TestBacklogDoesNotDelay(t *testing.T) {
	d := newDisk(t)
	d.add("log", strings.Repeat("old\n", 1000))
	live := make(chan string, 1)
	old := make(chan struct{})
	go func() {
		<-old
		d.add("log", "now\n")
	}()
	stop := os.ErrClosed
	err := file.New(d.path("log"), file.Options{Since: time.Unix(1, 0)}).Run(t.Context(), func(l logsource.Line) error {
		switch {
		case len(l.Text) == 0:
		case l.Live:
			live <- string(l.Text)
			return stop
		default:
			close(old)
			if got := <-live; got != "now" {
				t.Errorf("live line: %q", got)
			}
			return stop
		}
		return nil
	})
	if err != stop {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	d := newDisk(t)
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		name := "log" + ext
		d.add("log", "one\ntwo\n")
		if ext != "" {
			d.pack("log", ext)
		}
		r, err := file.Open(d.path(name))
		d.check(err)
		got, err := io.ReadAll(r)
		if string(got) != "one\ntwo\n" || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if r.Taken() != r.Size() {
			t.Errorf("%s: taken %d of %d", name, r.Taken(), r.Size())
		}
		d.check(r.Close())
		d.remove(name)
	}
	if _, err := file.Open(d.dir); err == nil || !strings.Contains(err.Error(), "name a file") {
		t.Errorf("folder: got %v", err)
	}
	// An xz file that asks for 4 GiB of memory.
	d.add("bomb", "\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	if _, err := file.Open(d.path("bomb")); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("xz bomb: got %v", err)
	}
}

// Whatever bytes a file holds, reading it ends without panic.
func FuzzOpen(f *testing.F) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte("text"))
	if err != nil || w.Close() != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00"))
	f.Add([]byte("BZh9"))
	f.Add([]byte("plain\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d := newDisk(t)
		d.add("log", string(in))
		r, err := file.Open(d.path("log"))
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r, 1<<20) // damage is an error, any one
		d.check(r.Close())
	})
}
