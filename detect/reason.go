package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// maxNamed is how many accounts a reason names; the rest are counted.
const maxNamed = 3

// reason says in one line for a person why o's source is blocked. Nothing in it
// but the account just tried is the attacker's text, and that is quoted.
func (d *Detector) reason(o *observed, v verdict, all *window.Recent) tocsin.Reason {
	var s string
	switch v.rule {
	case byProbes:
		s = fmt.Sprintf("%d connections without a log-in %s", v.count, during(v.span))
	case byInstant:
		s = "tried " + plain(o.Account) + ", an account that nobody honest uses"
	case bySpray:
		s = fmt.Sprintf("one of at least %d sources that tried %s within a day", v.count, plain(o.Account))
	case byGuesses:
		s = "tried " + d.tried(o, all) + " " + during(v.span)
	default:
		s = fmt.Sprintf("%d failures %s", v.count, during(v.span))
		if list := d.tried(o, all); list != "" {
			s += ": " + list
		}
	}
	return tocsin.Reason(s + on(o.Service))
}

func on(s tocsin.Service) string {
	if s == "" {
		return ""
	}
	return " (" + plain(string(s)) + ")"
}

// tried lists the accounts of the source's failures, the newest first.
func (d *Detector) tried(o *observed, all *window.Recent) string {
	if all == nil {
		return ""
	}
	var named []string
	var seen []tag
	other := 0
	for _, e := range all.Events() {
		if e.Tag&nameless != 0 || contains(seen, e.Tag) {
			continue
		}
		seen = append(seen, e.Tag)
		name, ok := d.names.byTag[e.Tag&^flags]
		if same(e.Tag, o.tag) && o.tag&nameless == 0 {
			name, ok = o.Account, true
		}
		if ok && len(named) < maxNamed {
			named = append(named, plain(name))
		} else {
			other++
		}
	}
	return join(named, other)
}

func contains(seen []tag, t tag) bool {
	for _, s := range seen {
		if same(s, t) {
			return true
		}
	}
	return false
}

func join(named []string, other int) string {
	if other > 0 {
		switch {
		case len(named) == 0 && other == 1:
			return "1 account"
		case len(named) == 0:
			return strconv.Itoa(other) + " accounts"
		case other == 1:
			named = append(named, "1 other")
		default:
			named = append(named, strconv.Itoa(other)+" others")
		}
	}
	if n := len(named); n > 1 {
		return strings.Join(named[:n-1], ", ") + " and " + named[n-1]
	}
	return strings.Join(named, "")
}

// plain returns name as it may stand in a line: quoted and cut unless it is made
// of letters, digits and a few signs.
func plain(name string) string {
	const most = 32
	ok := name != "" && len(name) <= most
	for i := 0; i < len(name) && ok; i++ {
		c := name[i]
		ok = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("._-@$", c) >= 0
	}
	if ok {
		return name
	}
	if len(name) > most {
		return strconv.QuoteToASCII(name[:most]) + "…"
	}
	return strconv.QuoteToASCII(name)
}

// during says how long seconds are, rounded up, in the largest fitting unit.
func during(seconds uint32) string {
	for _, u := range []struct {
		length uint32
		word   string
	}{{uint32(daySpan / time.Second), "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}} {
		if seconds > u.length || u.length == 1 {
			n := max((seconds+u.length-1)/u.length, 1)
			word := u.word
			if n > 1 {
				word += "s"
			}
			return fmt.Sprintf("within %d %s", n, word)
		}
	}
	return ""
}
