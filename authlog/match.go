package authlog

import (
	"bytes"
	"net/netip"
)

// A capture is what the holes of a pattern caught.
type capture struct {
	addr    netip.Addr
	port    uint16
	count   int
	account []byte
	named   bool
	stamp   []byte // text of <clf> or <date>
	loose   bool   // any value of a hole that asks for one will do
	who     *visitor
}

func (c *capture) reset() { *c = capture{count: 1, who: c.who} }

// match reports whether all of m, which starts with p.prefix, matches p, and
// what the holes caught.
func (p *pattern) match(m []byte, c *capture) bool {
	i := len(p.prefix)
	j := backward(p.right, m, i, c)
	if j < 0 {
		return false
	}
	if i = forward(p.left, m, i, j, c); i < 0 {
		return false
	}
	if len(p.frees) == 0 {
		return i == len(m)
	}
	first := i
	for f, mid := range p.middles {
		at, end := middle(mid, m, first, i, j, c)
		if at < i || end < 0 {
			return false
		}
		c.free(p.frees[f], m[i:at])
		i = end
	}
	c.free(p.frees[len(p.frees)-1], m[i:j])
	return true
}

func (c *capture) free(k kind, caught []byte) {
	if k == account {
		c.account, c.named = caught, true
	}
}

// middle finds es in m[i:j]. Text without holes carries nothing that is acted
// upon: there the first place will do.
func middle(es []element, m []byte, first, i, j int, c *capture) (at, end int) {
	if len(es) > 1 {
		return once(es, m, first, j, c)
	}
	k := bytes.Index(m[i:j], []byte(es[0].lit))
	if k < 0 {
		return -1, -1
	}
	return i + k, i + k + len(es[0].lit)
}

// once finds the one place in m[first:j] where es matches, whatever values its
// holes ask for. Two places mean that the attacker wrote one of them: then
// nobody can say which, and end is -1. It looks at all that is not anchored,
// for the attacker's words may stand before and behind those of the service.
func once(es []element, m []byte, first, j int, c *capture) (at, end int) {
	at, end = -1, -1
	lit := []byte(es[0].lit)
	for from := first; ; {
		k := bytes.Index(m[from:j], lit)
		if k < 0 {
			break
		}
		k += from
		from = k + 1
		try := capture{loose: true}
		stop := forward(es, m, k, j, &try)
		if stop < 0 {
			continue
		}
		if end >= 0 {
			return -1, -1
		}
		at, end = k, stop
	}
	if end >= 0 {
		end = forward(es, m, at, j, c)
	}
	return at, end
}

// forward matches es at m[i:j] and returns where it ended, -1 if nowhere.
func forward(es []element, m []byte, i, j int, c *capture) int {
	for e := range es {
		if es[e].kind == literal {
			lit := es[e].lit
			if j-i < len(lit) || string(m[i:i+len(lit)]) != lit {
				return -1
			}
			i += len(lit)
			continue
		}
		end := i
		if es[e].kind == addr {
			if end, ok := c.who.after(m, i, j); ok {
				c.addr, i = c.who.addr, end
				continue
			}
			if a, end, ok := quad(m[:j], i); ok {
				c.who.keep(m[i:end], a)
				c.addr, i = a, end
				continue
			}
		}
		if es[e].kind == quoted {
			end = unquoted(m, i, j)
		} else {
			for bit := uint16(1) << es[e].kind; end < j && class[m[end]]&bit != 0; {
				end++
			}
			// "203.0.113.7: …": the colon is not part of the address.
			if k := es[e].kind; k <= host && k >= addr && end-i > 2 && m[end-1] == ':' && m[end-2] != ':' {
				end--
			}
			// "[client 203.0.113.7:40122]": the bracket belongs to the text.
			if es[e].kind == addrPort && end > i && m[end-1] == ']' && m[i] != '[' {
				end--
			}
		}
		if !c.take(es[e].kind, m[i:end]) || es[e].lit != "" && !c.loose && string(m[i:end]) != es[e].lit {
			return -1
		}
		i = end
	}
	return i
}

// backward matches es so that it ends at the end of m, not before floor, and
// returns where it started, -1 if nowhere.
func backward(es []element, m []byte, floor int, c *capture) int {
	j := len(m)
	for e := len(es) - 1; e >= 0; e-- {
		if es[e].kind == literal {
			lit := es[e].lit
			if j-floor < len(lit) || string(m[j-len(lit):j]) != lit {
				return -1
			}
			j -= len(lit)
			continue
		}
		if es[e].kind == addr {
			if start, ok := c.who.before(m, floor, j); ok {
				c.addr, j = c.who.addr, start
				continue
			}
		}
		start := j
		for bit := uint16(1) << es[e].kind; start > floor && class[m[start-1]]&bit != 0; {
			start--
		}
		if !c.take(es[e].kind, m[start:j]) || es[e].lit != "" && string(m[start:j]) != es[e].lit {
			return -1
		}
		j = start
	}
	return j
}

// unquoted returns the first place in m[i:j] of a double quote that no
// backslash precedes, or j.
func unquoted(m []byte, i, j int) int {
	for ; i < j && m[i] != '"'; i++ {
		if m[i] == '\\' && i+1 < j {
			i++
		}
	}
	return i
}

// take keeps what a typed hole caught, and reports whether it is of its type.
func (c *capture) take(k kind, b []byte) (ok bool) {
	switch k {
	case addr:
		if c.addr, ok = parseAddr(b); ok {
			c.who.keep(b, c.addr)
		}
	case addrPort:
		c.addr, c.port, ok = parseAddrPort(b)
	case port:
		var n int
		n, ok = number(b, 65535)
		c.port = uint16(n)
	case count:
		c.count, ok = number(b, 1<<31-1)
	case num:
		ok = len(b) > 0
	case word, field, phrase, host:
		ok = len(b) > 0
	case quoted:
		ok = true
	case clf, date:
		c.stamp, ok = b, len(b) > 0
	case okStatus:
		ok = len(b) == 3 && (c.loose || b[0] == '2' || b[0] == '3')
	}
	return ok
}

// class says of each byte which typed holes may hold it.
var class = func() (t [256]uint16) {
	set := func(k kind, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= 1 << k
		}
	}
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, k := range []kind{port, count, num, okStatus} {
		set(k, digits)
	}
	for _, k := range []kind{addr, addrPort, host} {
		set(k, digits+letters+":.%_-")
	}
	set(addrPort, "[]")
	set(word, digits+letters+"!#$%&*+-./:;=?@^_`|~'\\")
	set(field, digits+letters+"!#$%&*+-./:;=?@^_`|~'\\,() ")
	set(phrase, digits+letters+" _-")
	set(clf, digits+letters+"/:+- ")
	set(date, digits+letters+"/:+-., ")
	for c := 0x80; c < 256; c++ {
		t[c] |= 1 << date // names of days in other languages
	}
	return t
}()
