package authlog

import (
	"time"
)

// A civil is a time of day as a log writes it, before anybody knows its zone,
// and perhaps its year.
type civil struct {
	year           int // 0: not written
	month, day     int
	hour, min, sec int
	nsec           int
	offset         int // seconds east of UTC
	zoned          bool
	epoch          bool // sec and nsec count from 1970
}

// ParseStamp reads the time stamp that text starts with, in any usual form:
// RFC 3164, ISO 8601 (RFC 5424), seconds or milliseconds since 1970, those of
// Apache, nginx, Samba and of asctime, with or without brackets. What the stamp
// does not say is inferred: the zone is zone, the year is the one that puts it
// next to received, at most a day later. A stamp that cannot be true (before
// the year 2000, or more than a day after received) gives received itself.
//
// The rest starts right after the stamp; ok is false if there is none.
func ParseStamp(text []byte, zone *time.Location, received time.Time) (at time.Time, rest []byte, ok bool) {
	if zone == nil {
		zone = time.UTC
	}
	k := clock{zone: zone}
	c, n := scanStamp(text)
	if n == 0 {
		return time.Time{}, text, false
	}
	return k.resolve(c, received), text[n:], true
}

// scanStamp returns the stamp that b starts with and its length, 0 if none.
func scanStamp(b []byte) (c civil, n int) {
	if len(b) < 10 {
		return c, 0
	}
	switch {
	case b[0] == '[':
		c, n = scanStamp(b[1:])
		if n == 0 {
			return c, 0
		}
		for n++; n < len(b) && n < 60 && b[n] != ']'; n++ { // Samba: ",  3", and the like
			if b[n] == '[' {
				return c, 0
			}
		}
		return c, min(n+1, len(b))
	case b[0] >= 'A' && b[0] <= 'Z':
		if c, n = scanBSD(b); n > 0 {
			return c, n
		}
		if b[3] == ',' {
			return scanRFC1123(b)
		}
		return scanASCTime(b)
	case b[0] < '0' || b[0] > '9':
		return c, 0
	case b[4] == '-' || b[4] == '/':
		return scanISO(b)
	case b[2] == '/':
		return scanCLF(b)
	}
	return scanEpoch(b)
}

// scanBSD reads "Jan 15 20:54:01", "Jan  5 …" and "Jan 5 …".
func scanBSD(b []byte) (c civil, n int) {
	c.month = monthOf(b)
	if c.month == 0 || len(b) < 14 || b[3] != ' ' {
		return c, 0
	}
	i := 4
	if b[4] == ' ' {
		i = 5
	}
	day, i := digitsAt(b, i, 1, 2)
	if i < 0 || i >= len(b) || b[i] != ' ' {
		return c, 0
	}
	c.day = day
	if i = c.clock(b, i+1); i < 0 {
		return c, 0
	}
	return c, i
}

// scanASCTime reads "Thu Jan 15 20:54:02 2026", perhaps with a fraction.
func scanASCTime(b []byte) (c civil, n int) {
	if len(b) < 23 || b[3] != ' ' {
		return c, 0
	}
	c, n = scanBSD(b[4:])
	if n == 0 || 4+n+5 > len(b) || b[4+n] != ' ' {
		return c, 0
	}
	year, i := digitsAt(b, 4+n+1, 4, 4)
	if i < 0 {
		return c, 0
	}
	c.year = year
	return c, i
}

// scanRFC1123 reads "Thu, 15 Jan 2026 20:54:02.023984 UTC". The name of any
// other zone says nothing: many share it.
func scanRFC1123(b []byte) (c civil, n int) {
	var i int
	if len(b) < 25 || b[4] != ' ' {
		return c, 0
	}
	if c.day, i = digitsAt(b, 5, 1, 2); i < 0 || i+9 > len(b) || b[i] != ' ' || b[i+4] != ' ' {
		return c, 0
	}
	if c.month = monthOf(b[i+1:]); c.month == 0 {
		return c, 0
	}
	if c.year, i = digitsAt(b, i+5, 4, 4); i < 0 || i >= len(b) || b[i] != ' ' {
		return c, 0
	}
	if i = c.clock(b, i+1); i < 0 {
		return c, 0
	}
	if name := b[i:]; len(name) >= 4 && (string(name[:4]) == " UTC" || string(name[:4]) == " GMT") {
		c.zoned = true
		return c, i + 4
	}
	return c, c.zone(b, i)
}

// scanISO reads "2026-01-15T20:54:02.123+01:00" with a space for the T, a comma
// for the point, slashes for the hyphens, with or without fraction and zone.
func scanISO(b []byte) (c civil, n int) {
	sep := b[4]
	var i int
	if c.year, i = digitsAt(b, 0, 4, 4); i < 0 || b[7] != sep {
		return c, 0
	}
	if c.month, i = digitsAt(b, 5, 2, 2); i < 0 {
		return c, 0
	}
	if c.day, i = digitsAt(b, 8, 2, 2); i < 0 || i >= len(b) || b[i] != 'T' && b[i] != ' ' && b[i] != 't' {
		return c, 0
	}
	if i = c.clock(b, i+1); i < 0 {
		return c, 0
	}
	return c, c.zone(b, i)
}

// scanCLF reads "15/Jan/2026:20:54:03 +0000", as web servers write it.
func scanCLF(b []byte) (c civil, n int) {
	if len(b) < 20 || b[6] != '/' || b[11] != ':' {
		return c, 0
	}
	var i int
	if c.day, i = digitsAt(b, 0, 2, 2); i < 0 {
		return c, 0
	}
	if c.month = monthOf(b[3:]); c.month == 0 {
		return c, 0
	}
	if c.year, i = digitsAt(b, 7, 4, 4); i < 0 {
		return c, 0
	}
	if i = c.clock(b, 12); i < 0 {
		return c, 0
	}
	if i+1 < len(b) && b[i] == ' ' {
		if end := c.zone(b, i+1); end > i+1 {
			return c, end
		}
	}
	return c, i
}

// scanEpoch reads seconds since 1970, also with a fraction, or milliseconds.
func scanEpoch(b []byte) (c civil, n int) {
	v := 0
	for n < len(b) && n < 14 && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	c.epoch, c.sec = true, v
	switch n {
	case 13:
		c.sec, c.nsec = v/1000, v%1000*1e6
	case 10:
		n = c.fraction(b, n)
	default:
		return c, 0
	}
	if n < len(b) && b[n] != ' ' && b[n] != ':' && b[n] != ']' && b[n] != '\t' {
		return c, 0
	}
	return c, n
}

// clock reads "20:54:02" and a fraction at b[i:], and returns where it ends.
func (c *civil) clock(b []byte, i int) int {
	if i+8 > len(b) || b[i+2] != ':' || b[i+5] != ':' {
		return -1
	}
	var a, d, e int
	c.hour, a = digitsAt(b, i, 2, 2)
	c.min, d = digitsAt(b, i+3, 2, 2)
	c.sec, e = digitsAt(b, i+6, 2, 2)
	if a < 0 || d < 0 || e < 0 || c.hour > 23 || c.min > 59 || c.sec > 60 {
		return -1
	}
	return c.fraction(b, i+8)
}

// fraction reads ".023984" or ",023984" at b[i:], if there is one.
func (c *civil) fraction(b []byte, i int) int {
	if i+1 >= len(b) || b[i] != '.' && b[i] != ',' || b[i+1] < '0' || b[i+1] > '9' {
		return i
	}
	unit := 100_000_000
	for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		c.nsec += int(b[i]-'0') * unit
		unit /= 10
	}
	return i
}

// zone reads "Z", "+01:00" or "-0100" at b[i:], with one space before it, if
// there is one.
func (c *civil) zone(b []byte, i int) int {
	j := i
	if j+1 < len(b) && b[j] == ' ' && (b[j+1] == '+' || b[j+1] == '-') {
		j++
	}
	if j >= len(b) {
		return i
	}
	switch b[j] {
	case 'Z', 'z':
		c.zoned = true
		return j + 1
	case '+', '-':
	default:
		return i
	}
	h, k := digitsAt(b, j+1, 2, 2)
	if k < 0 {
		return i
	}
	if k < len(b) && b[k] == ':' {
		k++
	}
	m, end := digitsAt(b, k, 2, 2)
	if end < 0 || h > 14 || m > 59 {
		return i
	}
	c.zoned, c.offset = true, h*3600+m*60
	if b[j] == '-' {
		c.offset = -c.offset
	}
	return end
}

// digitsAt reads a number of least to most digits at b[i:]; next is -1 if there
// is none.
func digitsAt(b []byte, i, least, most int) (n, next int) {
	end := i
	for end < len(b) && end < i+most && b[end] >= '0' && b[end] <= '9' {
		n = n*10 + int(b[end]-'0')
		end++
	}
	if end < i+least {
		return 0, -1
	}
	return n, end
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// monthOf returns the month that b starts with, 0 if none.
func monthOf(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	for m := 0; m < 36; m += 3 {
		if b[0] == monthNames[m] && b[1] == monthNames[m+1] && b[2] == monthNames[m+2] {
			return m/3 + 1
		}
	}
	return 0
}
