package authlog

import (
	"math"
	"time"
)

// A quickISO remembers the hour and the zone of the last ISO 8601 stamp, which
// rsyslog writes with microseconds: no two lines have the same.
type quickISO struct {
	hour  [13]byte // "2026-01-15T20"
	zone  [7]byte  // "+01:00 ", what follows the seconds
	zoneN int
	unix  int64 // the start of that hour
	lo    int64 // it holds for lines received from here on
}

// stamp reads a stamp of the hour that it remembers.
func (q *quickISO) stamp(b []byte, received time.Time, h *head) int {
	if q.zoneN == 0 || len(b) < 20+q.zoneN || string(b[:13]) != string(q.hour[:]) {
		return 0
	}
	m1, m0, s1, s0 := b[14]-'0', b[15]-'0', b[17]-'0', b[18]-'0'
	if b[13] != ':' || b[16] != ':' || m1 > 5 || m0 > 9 || s1 > 5 || s0 > 9 || received.Unix() < q.lo {
		return 0
	}
	c := civil{}
	n := c.fraction(b, 19)
	if len(b) < n+q.zoneN || string(b[n:n+q.zoneN]) != string(q.zone[:q.zoneN]) {
		return 0
	}
	sec := int64(m1)*600 + int64(m0)*60 + int64(s1)*10 + int64(s0)
	h.at = time.Unix(q.unix+sec, int64(c.nsec)).UTC()
	return n + q.zoneN - 1
}

// keep remembers the hour of the stamp b[:n], which resolved to at.
func (q *quickISO) keep(b []byte, n int, at time.Time) {
	if n < 19 || n >= len(b) || b[n] != ' ' || b[4] != '-' || b[13] != ':' || b[16] != ':' {
		return
	}
	m, _ := digitsAt(b, 14, 2, 2)
	s, _ := digitsAt(b, 17, 2, 2)
	c := civil{}
	end := c.fraction(b, 19)
	if s > 59 || end > n || n+1-end > len(q.zone) {
		return
	}
	copy(q.hour[:], b)
	q.zoneN = copy(q.zone[:], b[end:n+1])
	q.unix = at.Unix() - int64(m*60+s)
	q.lo = q.unix + 3600 - 86400 // before, a stamp of this hour may lie too far ahead
	if q.unix < earliest {
		q.lo = math.MaxInt64
	}
}
