package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
)

// jsonSink prints JSON lines. It writes them by hand: a scan prints millions,
// and the encoder of the standard library would take most of its time.
type jsonSink struct {
	w      io.Writer
	buf    []byte // not written yet
	minute int64  // of the attempt before, since 1970
	zone   *time.Location
	stamp  []byte // the same as text: many attempts share a minute

	service tocsin.Service // of the attempt before, too
	outcome tocsin.Outcome
	what    []byte // both as text, with what stands around them
}

func (s *jsonSink) attempt(line int, a tocsin.Attempt, n int) error {
	b := append(s.buf, `{"line":`...)
	b = strconv.AppendInt(b, int64(line), 10)
	b = append(b, `,"time":"`...)
	b = s.appendTime(b, a.At)
	if a.Service != s.service || a.Outcome != s.outcome {
		s.service, s.outcome = a.Service, a.Outcome
		s.what = append(appendString(append(s.what[:0], `","service":`...), string(a.Service)), `,"outcome":"`...)
		s.what = append(append(s.what, a.Outcome.String()...), `","source":"`...)
	}
	b = append(b, s.what...)
	b = a.Source.Addr().AppendTo(b)
	b = append(b, `","port":`...)
	b = strconv.AppendUint(b, uint64(a.Source.Port()), 10)
	b = append(b, `,"account":`...)
	b = appendString(b, a.Account)
	b = append(b, "}\n"...)
	row := b[len(s.buf):]
	for range n - 1 {
		b = append(b, row...)
	}
	if s.buf = b; len(b) < jsonBuffer {
		return nil
	}
	return s.end()
}

func (s *jsonSink) lines(int) {}

func (s *jsonSink) end() error {
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	return err
}

// appendTime appends t as RFC 3339, of which only the second changes often.
func (s *jsonSink) appendTime(b []byte, t time.Time) []byte {
	const second = len("2006-01-02T15:04:") // where it stands
	unix := t.Unix()
	if unix/60 != s.minute || t.Location() != s.zone || unix < 0 {
		s.minute, s.zone = unix/60, t.Location()
		s.stamp = t.AppendFormat(s.stamp[:0], time.RFC3339)
		if _, offset := t.Zone(); offset%60 != 0 || unix < 0 { // local mean time of old
			s.zone = nil
		}
		return append(b, s.stamp...)
	}
	n := byte(unix % 60)
	b = append(b, s.stamp[:second]...)
	b = append(b, '0'+n/10, '0'+n%10)
	return append(b, s.stamp[second+2:]...)
}

// jsonBuffer is how much is gathered for one write, in bytes.
const jsonBuffer = 64 << 10

// appendString appends s as a JSON string (RFC 8259, section 7).
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	if isPlain(s) {
		return append(append(b, s...), '"')
	}
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// isPlain reports whether s stands for itself in JSON.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// tableSink prints one row each, in columns of fixed width: a table that waits
// for its widest cell would print nothing until the end. They leave room for an
// account within 100; the longest IPv6 addresses push their own row aside.
type tableSink struct {
	w     *bufio.Writer
	begun bool
}

func newTableSink(w *bufio.Writer) *tableSink { return &tableSink{w: w} }

func (s *tableSink) attempt(line int, a tocsin.Attempt, n int) error {
	if !s.begun {
		s.begun = true
		fmt.Fprintf(s.w, "%-7s %-19s %-9s %-8s %-25s %5s  %s\n", "LINE", "TIME", "SERVICE", "OUTCOME", "SOURCE", "PORT", "ACCOUNT")
	}
	row := fmt.Sprintf("%-7d %-19s %-9s %-8s %-25s %5d  %s\n", line, a.At.Format("2006-01-02 15:04:05"),
		a.Service, a.Outcome, a.Source.Addr(), a.Source.Port(), account(a.Account))
	_, err := s.w.WriteString(strings.Repeat(row, n))
	return err
}

func (s *tableSink) lines(int)  {}
func (s *tableSink) end() error { return nil }

// account writes a name that the attacker typed so that its ends are seen.
func account(name string) string {
	if name == "" {
		return "-"
	}
	return strconv.Quote(name)
}
