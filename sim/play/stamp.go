package play

import (
	"bytes"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin/authlog"
)

// A stamp is where a line tells its time, and how.
type stamp struct {
	from, to int
	layout   string         // of package time
	zone     *time.Location // that the stamp names; nil is none
	at       time.Time
}

// findStamp finds the time of a line of an invented log, in any of the forms that
// package sim/incident writes. Times without a zone are in UTC there; a year that
// is missing is the one next to end.
func findStamp(line []byte, end time.Time) (stamp, bool) {
	from := stampBegins(line)
	if from < 0 {
		return stamp{}, false
	}
	at, rest, ok := authlog.ParseStamp(line[from:], time.UTC, end)
	if !ok {
		return stamp{}, false
	}
	s := stamp{from: from, to: len(line) - len(rest), at: at}
	text := string(line[s.from:s.to])
	if s.layout = layoutOf(text); s.layout == "" {
		return stamp{}, false
	}
	t, err := time.Parse(s.layout, text)
	if err != nil {
		return stamp{}, false
	}
	switch {
	case strings.HasSuffix(s.layout, "MST"):
		s.zone = time.UTC
	case strings.HasSuffix(s.layout, "07:00"), strings.HasSuffix(s.layout, "0700"):
		_, offset := t.Zone()
		s.zone = time.FixedZone("", offset)
	}
	return s, true
}

// Samba writes the time of an attempt within its lines: in the text behind the
// account, in JSON as the first field.
var (
	sambaText = []byte("  Auth: [")
	sambaTime = []byte("] at [")
	sambaJSON = []byte(`  {"timestamp": "`)
)

// stampBegins returns where the stamp of a line begins, -1 if there is none.
func stampBegins(line []byte) int {
	switch {
	case len(line) == 0:
		return -1
	case line[0] == '[':
		return 1
	case line[0] == '<':
		n := bytes.IndexByte(line[:min(len(line), 6)], '>') + 1
		if n > 0 && bytes.HasPrefix(line[n:], []byte("1 ")) { // RFC 5424
			n += 2
		}
		return n
	case bytes.HasPrefix(line, sambaJSON):
		return len(sambaJSON)
	case bytes.HasPrefix(line, sambaText):
		if i := bytes.Index(line, sambaTime); i >= 0 {
			return i + len(sambaTime)
		}
		return -1
	}
	return 0
}

// layoutOf returns how package time writes such a stamp, "" if no log here does.
func layoutOf(text string) string {
	if len(text) < len(time.Stamp) {
		return ""
	}
	switch {
	case text[0] >= 'A' && text[3] == ',':
		return "Mon, 02 Jan 2006 15:04:05" + fraction(text) + " MST"
	case text[0] >= 'A' && len(text) == len(time.ANSIC):
		return time.ANSIC
	case text[0] >= 'A' && len(text) == len(time.Stamp):
		return time.Stamp
	case len(text) < 19:
		return ""
	case text[4] == '/':
		return "2006/01/02 15:04:05" + fraction(text)
	case text[4] == '-':
		return "2006-01-02" + text[10:11] + "15:04:05" + fraction(text) + zoneOf(text[19:])
	}
	return ""
}

// fraction returns the layout of the part of a second in text.
func fraction(text string) string {
	_, after, ok := strings.Cut(text, ".")
	n := 0
	for n < len(after) && after[n] >= '0' && after[n] <= '9' {
		n++
	}
	if !ok || n == 0 {
		return ""
	}
	return "." + strings.Repeat("0", n)
}

// zoneOf returns the layout of the zone at the end of text.
func zoneOf(text string) string {
	i := strings.IndexAny(text, "Z+-")
	switch {
	case i < 0:
		return ""
	case text[i] == 'Z':
		return "Z07:00"
	case strings.Contains(text[i:], ":"):
		return "-07:00"
	}
	return "-0700"
}

// restamp appends line to out with its stamp moved to at, in the form that it has;
// where the stamp names no zone, in zone.
func restamp(out, line []byte, s stamp, at time.Time, zone *time.Location) []byte {
	if s.zone != nil {
		zone = s.zone
	}
	out = append(out, line[:s.from]...)
	out = at.In(zone).AppendFormat(out, s.layout)
	return append(out, line[s.to:]...)
}
