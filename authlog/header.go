package authlog

import (
	"bytes"
	"math"
	"time"
)

// A head is what stands before a message.
type head struct {
	at      time.Time
	program []byte // nil: the line names no program
	pid     uint32
	msg     []byte
	whole   []byte // the message with what may be its program, if there was no stamp
	left    int    // bytes after the bracket before the process number; 0: none
	after   []byte // what follows the stamp, if host and program do
	group   *group // patterns for the program, if known already
}

// lastStamp remembers the stamp of the line before: most lines have the same.
type lastStamp struct {
	text     [40]byte
	n        int
	at       time.Time
	received time.Time
}

// head takes line apart.
func (p *Parser) head(line []byte, received time.Time, h *head) {
	h.at, h.msg = received, line
	rest, version := priority(line)
	if version {
		if p.head5424(rest, received, h) {
			return
		}
	}
	n := p.quick.stamp(rest, received, h)
	if n == 0 {
		n = p.iso.stamp(rest, received, h)
	}
	if n > 0 {
		if !p.quick.head(rest[n:], h) {
			h.msg, h.after = trimLeft(rest[n:]), rest[n:]
			h.hostAndTag(rest[n+1:])
		}
		return
	}
	if n = p.stamp(rest, received, h); n == 0 {
		h.msg = rest
		h.tagOnly()
		return
	}
	after := rest[n:]
	h.msg = trimLeft(after)
	// Only the log daemon's stamps stand before a host and a program.
	if len(after) > 0 && after[0] == ' ' && rest[0] != '[' && daemonStamp(rest) {
		if !p.quick.head(after, h) {
			h.after = after
			h.hostAndTag(after[1:])
		}
	}
}

// daemonStamp reports whether the stamp is of a kind that log daemons write.
func daemonStamp(b []byte) bool {
	if b[0] >= '0' && b[0] <= '9' {
		return b[4] != '/' && b[2] != '/'
	}
	return monthOf(b) != 0
}

// stamp reads the stamp that b starts with into h.at and returns its length.
func (p *Parser) stamp(b []byte, received time.Time, h *head) int {
	l := &p.last
	if n := l.n; n > 0 && len(b) > n && string(b[:n]) == string(l.text[:n]) && !continues(b[n]) {
		if received == l.received || near(received, l.received) {
			h.at = l.at
			return n
		}
	}
	c, n := scanStamp(b)
	if n == 0 {
		return 0
	}
	h.at = p.clock.resolve(c, received)
	l.n = 0
	if n <= len(l.text) && h.at != received {
		p.iso.keep(b, n, h.at)
		l.n, l.at, l.received = n, h.at, received
		copy(l.text[:], b[:n])
		p.quick.keepHour(b, h.at)
	}
	return n
}

// continues reports whether a stamp that c follows could go on.
func continues(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == ',' || c == '+' || c == '-' || c == 'Z'
}

func near(a, b time.Time) bool {
	d := a.Sub(b)
	return d > -time.Hour && d < time.Hour
}

// priority takes off "<34>"; version says that the "1 " of RFC 5424 followed.
func priority(b []byte) (rest []byte, version bool) {
	if len(b) < 3 || b[0] != '<' {
		return b, false
	}
	i := 1
	for i < len(b) && i < 4 && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == 1 || i >= len(b) || b[i] != '>' {
		return b, false
	}
	b = b[i+1:]
	if len(b) > 2 && b[0] == '1' && b[1] == ' ' {
		return b[2:], true
	}
	return b, false
}

// head5424 reads what follows the version: stamp, host, program, process,
// message id, structured data.
func (p *Parser) head5424(b []byte, received time.Time, h *head) bool {
	if len(b) > 2 && b[0] == '-' && b[1] == ' ' {
		b = b[2:]
	} else {
		n := p.stamp(b, received, h)
		if n == 0 || n >= len(b) || b[n] != ' ' {
			return false
		}
		b = b[n+1:]
	}
	var field [4][]byte
	for i := range field {
		f, rest, ok := bytes.Cut(b, space)
		if !ok {
			return false
		}
		field[i], b = f, rest
	}
	b, ok := structured(b)
	if !ok {
		return false
	}
	// QuLog Center writes "qulogd:" as the name of the program.
	h.program = bytes.TrimSuffix(field[1], colon)
	if n, ok := number(field[2], math.MaxInt32); ok {
		h.pid = uint32(n)
	}
	h.msg = bytes.TrimPrefix(trimLeft(b), byteOrderMark)
	return true
}

var (
	space         = []byte(" ")
	colon         = []byte(":")
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// structured skips the structured data of RFC 5424.
func structured(b []byte) (rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		return b[1:], true
	}
	for len(b) > 0 && b[0] == '[' {
		i, inside := 1, false
		for ; i < len(b) && (inside || b[i] != ']'); i++ {
			switch {
			case inside && b[i] == '\\':
				i++
			case b[i] == '"':
				inside = !inside
			}
		}
		if i >= len(b) {
			return nil, false
		}
		b, ok = b[i+1:], true
	}
	return b, ok
}

// hostAndTag reads "host program[pid]: message"; the host may be missing.
func (h *head) hostAndTag(b []byte) {
	b = trimLeft(b)
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return
	}
	if b[i-1] == ':' { // no host: this is the program already
		h.tag(b)
		return
	}
	h.tag(trimLeft(b[i+1:]))
}

// maxProgram bounds the name of a program: RFC 5424 says 48.
const maxProgram = 64

// tag reads "program[pid]: message" or "program: message", and leaves h alone
// if b is neither.
func (h *head) tag(b []byte) bool {
	i := 0
	for i < len(b) && i <= maxProgram && tagByte[b[i]] {
		i++
	}
	if i == 0 || i >= len(b) || i > maxProgram {
		return false
	}
	program, pid := b[:i], 0
	if b[i] == '[' || b[i] == '(' {
		closing := byte(']')
		if b[i] == '(' { // dovecot's own log
			closing = ')'
		}
		if closing == ']' {
			h.left = len(b) - i - 1
		}
		n, end := digitsAt(b, i+1, 1, 10)
		if end < 0 || end >= len(b) || b[end] != closing {
			return false
		}
		pid, i = n, end+1
	}
	if i >= len(b) || b[i] != ':' {
		return false
	}
	h.program, h.pid, h.msg = program, uint32(pid), trimLeft(b[i+1:])
	return true
}

// tagOnly reads a line without a stamp, such as "sshd[411]: message". What
// looks like a program may be a word of the message: h.whole keeps it.
func (h *head) tagOnly() {
	h.msg = trimLeft(h.msg)
	h.whole = h.msg
	if len(h.msg) > 0 && (h.msg[0] >= 'a' && h.msg[0] <= 'z' || h.msg[0] >= 'A' && h.msg[0] <= 'Z') {
		h.tag(h.msg)
	}
}

var tagByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c > ' ' && c < 0x7f && c != ':' && c != '[' && c != '(' && c != '"' && c != '{'
	}
	return t
}()

func trimLeft(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// trimEnd takes off line ends, also as rsyslog writes them.
func trimEnd(b []byte) []byte {
	for len(b) > 0 {
		if c := b[len(b)-1]; c == '\n' || c == '\r' {
			b = b[:len(b)-1]
			continue
		}
		if len(b) > 4 && (string(b[len(b)-4:]) == "#015" || string(b[len(b)-4:]) == "#012") {
			b = b[:len(b)-4]
			continue
		}
		return b
	}
	return b
}
