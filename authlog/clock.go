package authlog

import "time"

// A clock turns stamps into instants. It remembers the last hour, because
// looking up a zone costs more than all the rest of a line.
type clock struct {
	zone *time.Location

	hour     civil // the last one looked up, minutes and below zero
	hourUnix int64
}

// earliest is the first second that a stamp is believed: no device with a
// network and a clock that was ever set writes an earlier one.
const earliest = 946_684_800 // 2000-01-01

// slack is how far a stamp may lie after its receipt: a day, for logs of a
// machine that has the zone wrong.
const slack = 24 * time.Hour

// resolve returns the instant of c, as close to the truth as received allows.
func (k *clock) resolve(c civil, received time.Time) time.Time {
	if !c.epoch && !c.valid() {
		return received
	}
	var sec int64
	switch {
	case c.epoch:
		sec = int64(c.sec)
	case c.year == 0:
		year, ok := k.yearOf(c, received)
		if !ok {
			return received
		}
		c.year = year
		sec = k.unix(c)
	default:
		sec = k.unix(c)
	}
	at := time.Unix(sec, int64(c.nsec)).UTC()
	if sec < earliest || !received.IsZero() && at.Sub(received) > slack {
		return received
	}
	return at
}

// valid reports whether c is on the calendar (29 February of a year that is not
// known is).
func (c *civil) valid() bool {
	if c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 {
		return false
	}
	return c.day <= daysIn(c.month, c.year) || c.year == 0 && c.month == 2 && c.day == 29
}

func daysIn(month, year int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// yearOf returns the latest year that does not put c more than a day after
// received. On 29 February it goes back to a year that has one.
func (k *clock) yearOf(c civil, received time.Time) (int, bool) {
	if received.IsZero() {
		return 0, false
	}
	limit := received.Add(slack)
	for year, n := limit.In(k.zone).Year(), 0; n < 9; year, n = year-1, n+1 {
		c.year = year
		if c.valid() && c.day <= daysIn(c.month, year) && k.unix(c) <= limit.Unix() {
			return year, true
		}
	}
	return 0, false
}

// unix returns the seconds since 1970 of c.
func (k *clock) unix(c civil) int64 {
	rest := int64(c.min*60 + c.sec)
	if c.zoned {
		return daysFrom1970(c.year, c.month, c.day)*86400 + int64(c.hour)*3600 + rest - int64(c.offset)
	}
	h := k.hour
	if h.year != c.year || h.month != c.month || h.day != c.day || h.hour != c.hour {
		k.hour = civil{year: c.year, month: c.month, day: c.day, hour: c.hour}
		k.hourUnix = time.Date(c.year, time.Month(c.month), c.day, c.hour, 0, 0, 0, k.zone).Unix()
	}
	return k.hourUnix + rest
}

// daysFrom1970 counts days by the Gregorian calendar (after Howard Hinnant's
// days_from_civil).
func daysFrom1970(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}
