package journal_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/internal/testjournal"
	"github.com/tocsin-io/tocsin/logsource"
	"github.com/tocsin-io/tocsin/logsource/journal"
)

// exported is an entry as journalctl exports it: the values of each field.
type exported map[string][]string

// readExport reads journalctl's export format.
func readExport(t *testing.T, s string) (all []exported) {
	t.Helper()
	e := exported{}
	for len(s) > 0 {
		line, rest, ok := strings.Cut(s, "\n")
		if !ok {
			t.Fatalf("export ends within %q", s)
		}
		s = rest
		if line == "" {
			all, e = append(all, e), exported{}
			continue
		}
		name, value, plain := strings.Cut(line, "=")
		if !plain {
			n := binary.LittleEndian.Uint64([]byte(s[:8]))
			value, s = s[8:8+n], s[8+n+1:]
		}
		e[name] = append(e[name], value)
	}
	return all
}

// expect returns the line that an exported entry should give.
func (e exported) expect() (l logsource.Line, ok bool) {
	one := func(name string) string {
		if len(e[name]) == 1 {
			return e[name][0]
		}
		return ""
	}
	if len(e["MESSAGE"]) != 1 || len(e["SYSLOG_IDENTIFIER"]) > 1 {
		return l, false
	}
	text := one("MESSAGE")
	if l.Cut = len(text) > logsource.MaxLine; l.Cut {
		text = text[:logsource.MaxLine]
	} else {
		text = strings.TrimRight(text, "\r\n")
	}
	l.Text = []byte(text)
	l.Program = one("SYSLOG_IDENTIFIER")
	for _, name := range []string{"_PID", "SYSLOG_PID"} {
		if n, err := strconv.Atoi(one(name)); err == nil && l.PID == 0 {
			l.PID = n
		}
	}
	if uid, err := strconv.ParseUint(one("_UID"), 10, 32); err == nil {
		l.Writer = logsource.Writer{Known: true, UID: uint32(uid), Exe: one("_EXE"), Unit: one("_SYSTEMD_UNIT")}
	}
	return l, true
}

// What is read of a file is what journalctl reads of it, field by field: by
// every compression journald knows, in regular and in compact files.
func TestSameAsJournalctl(t *testing.T) {
	// Compact and keyed is Debian's default; other versions write the rest.
	for _, tt := range []struct {
		name  string
		env   []string
		flags byte
	}{
		{"default", nil, 0x1c},
		{"regular", []string{"SYSTEMD_JOURNAL_COMPACT=0"}, 0x0c},
		{"unkeyed", []string{"SYSTEMD_JOURNAL_KEYED_HASH=0"}, 0x18},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, testjournal.Start(t, tt.env...), tt.flags) })
	}
}

func compare(t *testing.T, j *testjournal.Journal, flags byte) {
	for _, n := range []int{0, 1, 100, 511, 512, 600, 5000, 65536, 65537, 150000} {
		j.Fields("MESSAGE", strings.Repeat("m", n), "SYSLOG_IDENTIFIER", "sized")
		j.Fields("MESSAGE", "binary \x00\x01\n"+strings.Repeat("ü", n/2), "SYSLOG_IDENTIFIER", "binary", "OTHER", strings.Repeat("o", n))
	}
	j.Fields("MESSAGE", "a", "MESSAGE", "b")
	j.Fields("NO_MESSAGE", "c")
	j.Send("sshd", 65534, "from nobody")
	fill(j, 0, 2000)
	j.Rotate()
	fill(j, 2000, 500)

	var want []logsource.Line
	for _, e := range readExport(t, j.Export()) {
		if l, ok := e.expect(); ok {
			want = append(want, l)
		}
	}
	if len(want) < 2500 {
		t.Fatalf("journalctl exports %d entries", len(want))
	}
	var got []logsource.Line
	paths, err := filepath.Glob(filepath.Join(j.Dir, "*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(paths) // "system@…" sorts behind "system.journal"
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], 12); err != nil || b[0] != flags {
			t.Errorf("%s: flags %#x, %v, want %#x", path, b[0], err, flags)
		}
		err = journal.ReadAll(f, func(l logsource.Line) {
			got = append(got, logsource.Line{Text: append([]byte{}, l.Text...), Program: l.Program, PID: l.PID, Writer: l.Writer, Cut: l.Cut})
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if d := cmp.Diff(texts(want), texts(got)); d != "" {
		t.Errorf("texts (-journalctl +got):\n%.3000s", d)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-journalctl +got):\n%.3000s", d)
	}
}

func texts(lines []logsource.Line) (all []string) {
	for _, l := range lines {
		all = append(all, string(l.Text[:min(len(l.Text), 80)]))
	}
	return all
}
