package zeek

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"time"
)

// latest is the last second that is believed, in 2106.
const latest = math.MaxUint32

// millis is from where a number cannot be seconds any more.
const millis = 25 * latest

var errTime = errors.New("want seconds since 1970 or ISO 8601, between 1970 and 2106")

// parseTime reads seconds or milliseconds since 1970, or ISO 8601. Without a zone
// that is UTC, which is what Zeek writes.
func parseTime(b []byte) (time.Time, error) {
	if i := bytes.IndexByte(b, '-'); i > 0 && bytes.IndexByte(b, 'e') < 0 {
		return parseISO(string(b))
	}
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	if s, ok := digits(whole); ok && s <= latest {
		if ns, ok := nanoseconds(fraction); ok {
			return time.Unix(s, ns).UTC(), nil
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0) {
		return time.Time{}, errTime
	}
	if f > millis {
		f /= 1000
	}
	if f > latest {
		return time.Time{}, errTime
	}
	s, part := math.Modf(f)
	return time.Unix(int64(s), int64(math.Round(part*1e6))*1000).UTC(), nil
}

// digits reads a number of at most ten digits.
func digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// nanoseconds reads the digits behind the point; those after the ninth tell
// nothing.
func nanoseconds(b []byte) (n int64, ok bool) {
	for i := range max(9, len(b)) {
		digit := byte('0')
		if i < len(b) {
			digit = b[i]
		}
		if digit < '0' || digit > '9' {
			return 0, false
		}
		if i < 9 {
			n = 10*n + int64(digit-'0')
		}
	}
	return n, true
}

// layouts are those that are met: of Zeek's JSON, of zeek-cut, and of people.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999",
}

func parseISO(text string) (time.Time, error) {
	if len(text) > 40 {
		return time.Time{}, errTime
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if s := t.Unix(); s < 0 || s > latest {
			return time.Time{}, errTime
		}
		return t.UTC(), nil
	}
	return time.Time{}, errTime
}
