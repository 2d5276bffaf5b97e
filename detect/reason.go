package detect

import (
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// maxNamed is how many accounts a reason names; the rest are counted.
const maxNamed = 3

// reason says in one line for a person why o's source is blocked. Nothing in it
// but the account just tried and the service is text from outside, and that is
// quoted. It is written into one buffer: a flood decides often.
func (d *Detector) reason(o *observed, v verdict, all *window.Recent) tocsin.Reason {
	var buf [256]byte
	b := buf[:0]
	switch v.rule {
	case byProbes:
		b = append(strconv.AppendInt(b, int64(v.count), 10), " connections without a log-in "...)
		b = appendSpan(b, v.span)
	case byInstant:
		b = append(appendName(append(b, "tried "...), o.Account), ", an account that nobody honest uses"...)
	case bySpray:
		b = append(strconv.AppendInt(append(b, "one of at least "...), int64(v.count), 10), " sources that tried "...)
		b = append(appendName(b, o.Account), " within a day"...)
	case byGuesses:
		b = append(d.appendTried(append(b, "tried "...), o, all), ' ')
		b = appendSpan(b, v.span)
	default:
		b = append(strconv.AppendInt(b, int64(v.count), 10), " failures "...)
		b = appendSpan(b, v.span)
		before := len(b)
		if b = d.appendTried(append(b, ": "...), o, all); len(b) == before+2 {
			b = b[:before] // no line told an account
		}
	}
	if o.Service != "" {
		b = append(appendName(append(b, " ("...), string(o.Service)), ')')
	}
	return tocsin.Reason(b)
}

// appendTried lists the accounts of the source's failures, the newest first.
func (d *Detector) appendTried(b []byte, o *observed, all *window.Recent) []byte {
	var named [maxNamed]string
	var n, other int
	list := all.Events()
	for i, e := range list {
		if e.Tag&nameless != 0 || tried(list[:i], e.Tag) {
			continue
		}
		name, ok := o.Account, same(e.Tag, o.tag) && o.tag&nameless == 0
		if !ok {
			name, ok = d.names.byTag[e.Tag&^flags]
		}
		if ok && n < maxNamed {
			named[n] = name
			n++
		} else {
			other++
		}
	}
	for i, name := range named[:n] {
		switch {
		case i > 0 && i == n-1 && other == 0:
			b = append(b, " and "...)
		case i > 0:
			b = append(b, ", "...)
		}
		b = appendName(b, name)
	}
	return appendOthers(b, n, other)
}

func tried(list []window.Event, t tag) bool {
	for _, e := range list {
		if e.Tag&nameless == 0 && same(e.Tag, t) {
			return true
		}
	}
	return false
}

func appendOthers(b []byte, named, other int) []byte {
	if other == 0 {
		return b
	}
	word := " account"
	if named > 0 {
		b, word = append(b, " and "...), " other"
	}
	b = append(strconv.AppendInt(b, int64(other), 10), word...)
	if other > 1 {
		b = append(b, 's')
	}
	return b
}

// appendName appends name as it may stand in a line: quoted and cut unless it is
// made of letters, digits and a few signs.
func appendName(b []byte, name string) []byte {
	const most = 32
	ok := name != "" && len(name) <= most
	for i := 0; i < len(name) && ok; i++ {
		c := name[i]
		ok = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("._-@$", c) >= 0
	}
	switch {
	case ok:
		return append(b, name...)
	case len(name) > most:
		return append(strconv.AppendQuoteToASCII(b, name[:most]), "…"...)
	}
	return strconv.AppendQuoteToASCII(b, name)
}

// appendSpan says how long seconds are, rounded up, in the largest fitting unit.
func appendSpan(b []byte, seconds uint32) []byte {
	length, word := uint32(1), " second"
	switch {
	case seconds > uint32(daySpan/time.Second):
		length, word = uint32(daySpan/time.Second), " day"
	case seconds > 3600:
		length, word = 3600, " hour"
	case seconds > 60:
		length, word = 60, " minute"
	}
	n := max((seconds+length-1)/length, 1)
	b = append(strconv.AppendUint(append(b, "within "...), uint64(n), 10), word...)
	if n > 1 {
		b = append(b, 's')
	}
	return b
}
