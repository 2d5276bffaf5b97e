package logsource_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/logsource"
)

// split reads r to its end and returns its lines, a cut one marked, and the
// offset after each.
func split(t testing.TB, r io.Reader) (lines []string, offsets []int64) {
	t.Helper()
	var l logsource.Lines
	note := func(line []byte, cut bool) {
		s := string(line)
		if cut {
			s = fmt.Sprintf("cut %d", len(line))
		}
		lines, offsets = append(lines, s), append(offsets, l.Offset())
	}
	for {
		n, err := r.Read(l.Space())
		l.Fill(n)
		for {
			line, cut, ok := l.Next()
			if !ok {
				break
			}
			note(line, cut)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if line, cut, ok := l.Rest(); ok {
		note(line, cut)
	}
	return lines, offsets
}

func TestLines(t *testing.T) {
	full := strings.Repeat("x", logsource.MaxLine)
	for _, tt := range []struct {
		name, in string
		want     []string
		offsets  []int64
	}{
		{"none", "", nil, nil},
		{"plain", "a\nbc\n", []string{"a", "bc"}, []int64{2, 5}},
		{"no end", "a\nbc", []string{"a", "bc"}, []int64{2, 4}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}, []int64{1, 2, 4}},
		{"CRLF", "a\r\nb\r\r\n\r\n", []string{"a", "b\r", ""}, []int64{3, 7, 9}},
		{"CR alone", "a\rb\n", []string{"a\rb"}, []int64{4}},
		{"NUL inside", "a\x00b\x00\n", []string{"a\x00b\x00"}, []int64{5}},
		{"hole before", "a\n\x00\x00\x00b\n", []string{"a", "b"}, []int64{2, 7}},
		{"invalid UTF-8", "\xff\xfe\n", []string{"\xff\xfe"}, []int64{3}},
		{"longest", full + "\r\nb\n", []string{full, "b"}, []int64{65538, 65540}},
		{"one over", full + "y\nb\n", []string{"cut 65536", "b"}, []int64{65538, 65540}},
		{"megabytes", strings.Repeat("x", 3<<20) + "\nb\n", []string{"cut 65536", "b"}, []int64{3<<20 + 1, 3<<20 + 3}},
		{"megabytes, no end", strings.Repeat("x", 3<<20), []string{"cut 65536"}, []int64{3 << 20}},
		{"big hole", strings.Repeat("\x00", 3<<20) + "b\n", []string{"b"}, []int64{3<<20 + 2}},
		{"nothing but a hole", strings.Repeat("\x00", 3<<20), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, offsets := split(t, strings.NewReader(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("lines (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.offsets, offsets); d != "" {
				t.Errorf("offsets (-want +got):\n%s", d)
			}
		})
	}
}

func TestLinesParkAndSkip(t *testing.T) {
	var l logsource.Lines
	shared := make([]byte, 2*logsource.MaxLine)
	take := func(in string) (got []string) {
		l.Lend(shared)
		l.Fill(copy(l.Space(), in))
		for {
			line, cut, ok := l.Next()
			if !ok {
				break
			}
			got = append(got, fmt.Sprint(string(line), cut))
		}
		l.Park()
		clear(shared) // somebody else uses it
		return got
	}
	l.Reset(100)
	l.SkipLine()
	for _, step := range []struct {
		in   string
		want []string
		off  int64
	}{
		{"middle of a li", nil, 100},
		{"ne\nwhole\nbeg", []string{"middle of a linetrue", "wholefalse"}, 123},
		{"un\n", []string{"begunfalse"}, 129},
	} {
		if d := cmp.Diff(step.want, take(step.in)); d != "" {
			t.Errorf("after %q (-want +got):\n%s", step.in, d)
		}
		if l.Offset() != step.off {
			t.Errorf("after %q: offset %d, want %d", step.in, l.Offset(), step.off)
		}
	}
}

// However the bytes arrive, lines and offsets are the same; they use up all
// bytes but zeros at the end, and no line is too long or holds a line end.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\x00\x00c"))
	f.Add([]byte(strings.Repeat("x", logsource.MaxLine+2) + "\nend"))
	f.Fuzz(func(t *testing.T, in []byte) {
		lines, offsets := split(t, bytes.NewReader(in))
		for i, line := range lines {
			if len(line) > logsource.MaxLine || strings.Contains(line, "\n") {
				t.Errorf("line %d: %d bytes", i, len(line))
			}
		}
		if n := len(offsets); n > 0 && int(offsets[n-1]) != len(in) && len(bytes.Trim(in[offsets[n-1]:], "\x00")) > 0 {
			t.Errorf("ends at %d of %d", offsets[n-1], len(in))
		}
		if len(in) < 1<<12 {
			slowly, same := split(t, iotest.OneByteReader(bytes.NewReader(in)))
			if d := cmp.Diff(lines, slowly); d != "" {
				t.Errorf("byte by byte (-whole +bytes):\n%s", d)
			}
			if d := cmp.Diff(offsets, same); d != "" {
				t.Errorf("byte by byte, offsets (-whole +bytes):\n%s", d)
			}
		}
	})
}

func BenchmarkLines(b *testing.B) {
	text := []byte(strings.Repeat("Oct 14 06:00:00 nas sshd[311]: Failed password for root from 192.0.2.1 port 5022 ssh2\n", 100_000))
	buf := make([]byte, 2*logsource.MaxLine)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	n := 0
	for b.Loop() {
		var l logsource.Lines
		l.Lend(buf)
		r := bytes.NewReader(text)
		for {
			got, err := r.Read(l.Space())
			l.Fill(got)
			for {
				if _, _, ok := l.Next(); !ok {
					break
				}
				n++
			}
			if err != nil {
				break
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
}
