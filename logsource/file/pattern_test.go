package file_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/file"
)

func TestPattern(t *testing.T) {
	d := newDisk(t)
	d.add("log.a", first)
	d.add("log.a.1", "rotated before\n")
	d.add("other", "no match\n")
	d.mkdir("log.folder")
	r := start(t, d.path("log.*"), file.Options{})
	d.add("log.a", "one\n")
	r.want("+one")
	d.add("log.b", "two\n")
	r.want("+two")
	// A name that only looks rotated: its client chose it.
	d.add("log.a.2", "three\n")
	r.want("+three")
	// Rotated to a name that matches: nothing is told twice, late lines are told.
	d.rename("log.a", "log.a.1")
	d.add("log.a.1", "late\n")
	r.want("+late")
	d.add("log.a", "four\n")
	r.want("+four")
	// Copied to a name that matches.
	d.add("log.b", "a line that is long enough to be recognised\n")
	r.want("+a line that is long enough to be recognised")
	d.copyTruncate("log.b", "log.b.1")
	d.add("log.b", "five\n")
	r.want("+five")
	d.remove("log.b")
	d.add("log.b", "six\n")
	r.want("+six")
	marks := r.stopped()

	d.add("log.a", "seven\n")
	d.add("log.new", "eight\n")
	r = start(t, d.path("log.*"), file.Options{Marks: marks})
	r.want("-seven", "-eight")
	d.add("log.new", "nine\n")
	r.want("+nine")
}

func TestPatternFolderComesLater(t *testing.T) {
	d := newDisk(t)
	r := start(t, d.path("samba/log.*"), file.Options{})
	d.mkdir("samba")
	d.add("samba/log.a", "one\n")
	r.want("+one")
	d.check(os.RemoveAll(d.path("samba")))
	d.mkdir("samba")
	d.add("samba/log.a", "two\n")
	r.want("+two")
}

// Clients choose names: whatever they do, files and marks are bounded, and the
// busy log stays.
func TestPatternIsBounded(t *testing.T) {
	d := newDisk(t)
	d.add("log.smbd", "before\n")
	at := time.Now().Add(-time.Hour)
	for i := range 2 * file.MaxFiles {
		name := fmt.Sprintf("log.%d-x", i)
		d.add(name, "x\n")
		d.check(os.Chtimes(d.path(name), at, at))
	}
	before := openFiles(t)
	r := start(t, d.path("log.*"), file.Options{})
	r.says("name fewer")
	if n := openFiles(t) - before; n > file.MaxFiles+8 {
		t.Errorf("%d files open, limit %d", n, file.MaxFiles)
	}
	d.add("log.smbd", "one\n")
	r.want("+one")
	if n := len(r.marks); n > file.MaxFiles+1 {
		t.Errorf("%d marks, limit %d", n, file.MaxFiles+1)
	}
	d.add("log.late", "two\n")
	r.want("+two")
	d.add("log.smbd", "three\n")
	r.want("+three")
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestProvenance(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  tocsin.Provenance
		do   func(d disk)
		want tocsin.Provenance
	}{
		{"not asked", 0, func(disk) {}, tocsin.Local},
		{"only the daemon", tocsin.Attested, func(disk) {}, tocsin.Attested},
		{"file for its group", tocsin.Attested, func(d disk) { d.check(os.Chmod(d.path("log"), 0o660)) }, tocsin.Local},
		{"file for all", tocsin.Attested, func(d disk) { d.check(os.Chmod(d.path("log"), 0o602)) }, tocsin.Local},
		{"folder for its group", tocsin.Attested, func(d disk) { d.check(os.Chmod(d.dir, 0o770)) }, tocsin.Local},
		{"folder for all, sticky", tocsin.Attested, func(d disk) { d.check(os.Chmod(d.dir, 0o777|os.ModeSticky)) }, tocsin.Local},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDisk(t)
			d.add("log", "before\n")
			tt.do(d)
			r := start(t, d.path("log"), file.Options{
				Provenance: tt.ask, Owners: []uint32{uint32(os.Getuid())}, Since: time.Unix(1, 0),
			})
			r.want("-before")
			d.add("log", "now\n")
			r.want("+now")
			for _, l := range r.all {
				if l.Provenance != tt.want {
					t.Errorf("%s: got %v, want %v", l.Text, l.Provenance, tt.want)
				}
			}
			if tt.ask == tocsin.Attested && tt.want == tocsin.Local {
				r.says("counts as written by any local user")
			}
		})
	}
}

// Trust is taken back, and given again, as the attributes change.
func TestProvenanceChanges(t *testing.T) {
	d := newDisk(t)
	d.add("log", "before\n")
	r := start(t, d.path("log"), file.Options{Provenance: tocsin.Attested, Owners: []uint32{uint32(os.Getuid())}})
	d.check(os.Chmod(d.path("log"), 0o666))
	r.says("can be written by everybody")
	d.add("log", "one\n")
	r.want("+one")
	if got := r.all[0].Provenance; got != tocsin.Local {
		t.Errorf("got %v, want local", got)
	}
}

func BenchmarkAppendToEmit(b *testing.B) {
	d := newDisk(b)
	d.add("log", "before\n")
	got := make(chan logsource.Line, 1)
	go func() {
		err := file.New(d.path("log"), file.Options{}).Run(b.Context(), func(l logsource.Line) error {
			got <- l
			return nil
		})
		if b.Context().Err() == nil {
			b.Error(err)
		}
	}()
	<-got
	f, err := os.OpenFile(d.path("log"), os.O_APPEND|os.O_WRONLY, 0)
	d.check(err)
	defer f.Close() //nolint:errcheck // a test's scratch file
	line := []byte("Oct 14 06:00:00 nas sshd[311]: Failed password for root from 192.0.2.1 port 5022 ssh2\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		<-got
	}
}

func BenchmarkReadBack(b *testing.B) {
	const lines = 300_000
	d := newDisk(b)
	text := ""
	for i := range 1000 {
		text += fmt.Sprintf("Oct 14 06:00:00 nas sshd[%d]: Failed password for root from 192.0.2.1 port 5022 ssh2\n", i)
	}
	for range lines / 1000 {
		d.add("log", text)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := file.New(d.path("log"), file.Options{Since: time.Unix(1, 0)}).Run(b.Context(), func(l logsource.Line) error {
			if len(l.Text) > 0 {
				n++
			}
			if n == lines {
				return os.ErrClosed
			}
			return nil
		})
		if err != os.ErrClosed {
			b.Fatal(err)
		}
	}
	b.ReportMetric(lines*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
