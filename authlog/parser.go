package authlog

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// MaxLine bounds a line that is read, in bytes; a longer one tells nothing.
const MaxLine = 64 << 10

// MaxRepeat bounds how many attempts one line may tell.
const MaxRepeat = 1000

// A Parser reads one stream of lines. It holds what joins them: the year, and
// the sessions. It is not safe for concurrent use.
type Parser struct {
	m    *Matcher
	only int // index of the one definition of this stream, -1 for any

	clock clock
	quick quick
	iso   quickISO
	last  lastStamp
	c     capture
	names internTable

	program  [maxProgram]byte // of the line before
	programN int
	scratch  [maxProgram]byte
	writer   Writer // of the entry being read
	entry    bool   // an entry is being read, not a line of text
	json     scanner
	group    *group

	now      int64     // the newest line, by its stamp
	received int64     // when the line was read, as nanoseconds
	readAt   time.Time // the same
	visitors [visitors]visitor
	table    *sessionTable
	echoes   echoes
}

// Only says that the stream is the own log of one service: lines of no other
// are read. A service that the matcher does not have is an error.
func (p *Parser) Only(service tocsin.Service) error {
	for i := range p.m.defs {
		if p.m.defs[i].Name == service {
			p.only, p.programN = i, 0
			return nil
		}
	}
	return fmt.Errorf("authlog: service %q is not among those compiled", service)
}

// Parse reads a line of text with whatever head it has, received at the given
// time; n is how many attempts it tells, mostly 0 or 1. The caller says who
// vouches for the stream: Provenance is left zero, and so is Device. The line
// may be changed once Parse has returned.
func (p *Parser) Parse(line []byte, received time.Time) (a tocsin.Attempt, n int) {
	line = trimEnd(line)
	if len(line) == 0 || len(line) > MaxLine {
		return a, 0
	}
	h := head{}
	p.head(line, received, &h)
	g := p.groupOf(&h)
	if g == nil {
		return a, 0
	}
	p.received, p.readAt = nanos(received), received
	if n = p.read(g, &h, &a); n == 0 {
		return tocsin.Attempt{}, 0
	}
	return a, n
}

// An Entry is a message of a log that keeps its fields apart, such as the
// journal.
type Entry struct {
	Message  []byte
	Program  string // the name that the writer gave itself
	PID      int    // 0 is unknown
	At       time.Time
	Received time.Time
	Writer   Writer
}

// A Writer is who wrote an entry, attested by the system and not by himself;
// it has the fields of logsource.Writer. The zero Writer is nobody known.
type Writer struct {
	Known bool
	UID   uint32
	Exe   string
	Unit  string
}

// ParseEntry is Parse for an entry. Its attempt is Attested if the writer is
// the service itself, and Local otherwise: any user may call himself sshd.
func (p *Parser) ParseEntry(e Entry) (a tocsin.Attempt, n int) {
	msg := trimEnd(e.Message)
	if len(msg) == 0 || len(msg) > MaxLine || len(e.Program) > maxProgram {
		return a, 0
	}
	h := head{at: e.At, pid: uint32(e.PID), msg: trimLeft(msg), program: append(p.scratch[:0], e.Program...)}
	if h.at.IsZero() || h.at.Unix() < earliest || h.at.Sub(e.Received) > slack && !e.Received.IsZero() {
		h.at = e.Received
	}
	g := p.groupOf(&h)
	if g == nil {
		return a, 0
	}
	p.received, p.readAt = nanos(e.Received), e.Received
	p.writer, p.entry = e.Writer, true
	n = p.read(g, &h, &a)
	p.writer, p.entry = Writer{}, false
	if n == 0 {
		return tocsin.Attempt{}, 0
	}
	return a, n
}

// groupOf returns the patterns for a line with head h.
func (p *Parser) groupOf(h *head) *group {
	if h.group != nil {
		return h.group
	}
	if len(h.program) == 0 {
		return p.bare()
	}
	if p.programN != len(h.program) || string(p.program[:p.programN]) != string(h.program) {
		p.programN = copy(p.program[:], h.program)
		p.group = p.m.group(h.program)
	}
	if p.group == nil && h.whole != nil {
		h.msg = h.whole
		return p.bare()
	}
	if h.after != nil && p.group != nil {
		p.quick.keepTag(h.after, h, p.group)
	}
	return p.group
}

func (p *Parser) bare() *group {
	if p.only >= 0 {
		return p.m.bareOf[p.only]
	}
	return p.m.bare
}

var repeated = []byte("message repeated ")

// unrepeat takes the message out of "message repeated 5 times: [ … ]".
func unrepeat(m []byte) (inner []byte, times int) {
	if len(m) < len(repeated) || m[0] != 'm' || !bytes.HasPrefix(m, repeated) {
		return m, 1
	}
	rest := m[len(repeated):]
	n, end := digitsAt(rest, 0, 1, 9)
	if end < 0 || !bytes.HasPrefix(rest[end:], []byte(" times: [ ")) || rest[len(rest)-1] != ']' {
		return m, 1
	}
	return rest[end+len(" times: [ ") : len(rest)-1], n
}

// read matches the message of h.
func (p *Parser) read(g *group, h *head, a *tocsin.Attempt) int {
	m, times := unrepeat(h.msg)
	if len(m) > 0 && g.skippable[m[0]] {
		m = g.skip(m)
	}
	if len(m) == 0 {
		return 0
	}
	if g.stamped && m[0] >= '0' && m[0] <= '9' {
		m = p.innerStamp(m, h)
	}
	if m[0] == '{' && len(g.json) > 0 {
		return p.readJSON(g, h, m, times, a)
	}
	c := &p.c
	c.who = p.visitor(h)
	first := headOf(m)
	for _, try := range g.order[g.start[m[0]]:g.start[int(m[0])+1]] {
		if first&try.mask != try.head {
			continue
		}
		pt := &g.patterns[try.pattern]
		if p.only >= 0 && pt.def != p.only {
			continue
		}
		if n := len(pt.prefix); n > 8 && (len(m) < n || string(m[8:n]) != pt.prefix[8:]) || n > len(m) {
			continue
		}
		c.reset()
		if pt.match(m, c) {
			return p.tell(pt, h, times, a)
		}
	}
	return 0
}

// visitor returns whom the process of h told of last.
func (p *Parser) visitor(h *head) *visitor { return &p.visitors[h.pid%visitors] }

// skip takes off what may stand before a message.
func (g *group) skip(m []byte) []byte {
	for range 6 {
		before := len(m)
		for i := range g.skips {
			s := &g.skips[i]
			if len(m) < len(s.prefix) || m[0] != s.prefix[0] || string(m[:len(s.prefix)]) != s.prefix {
				continue
			}
			var c capture
			if end := forward(s.left, m, len(s.prefix), len(m), &c); end >= 0 {
				m = m[end:]
				break
			}
		}
		if len(m) == before || len(m) == 0 {
			break
		}
	}
	return m
}

// tell makes the attempt of a matched pattern and counts it.
func (p *Parser) tell(pt *pattern, h *head, times int, a *tocsin.Attempt) int {
	c, d := &p.c, pt.src
	name := c.account
	if d.Account != nil {
		name = d.Account(name)
	}
	if d.Named && c.named && name == nil {
		return 0
	}
	n := min(c.count, MaxRepeat) * min(times, MaxRepeat)
	n = min(n, MaxRepeat)
	if n < 1 {
		return 0
	}
	if c.stamp != nil {
		p.inner(h)
	}
	a.At = h.at
	a.Service = d.Name
	a.Outcome = pt.outcome
	a.Source = netip.AddrPortFrom(c.addr, c.port)
	a.Account = pt.account
	if len(name) > 0 {
		a.Account = p.names.account(name)
	}
	a.Provenance = p.provenance(d)
	a.Unknown = pt.unknown
	a.Tentative = pt.unsure
	return p.count(pt.def, pt.role, h, name, a, n)
}

// provenance says who could have written an entry; zero for a line of text.
func (p *Parser) provenance(d *Definition) tocsin.Provenance {
	switch {
	case !p.entry:
		return 0
	case d.attests(p.writer):
		return tocsin.Attested
	}
	return tocsin.Local
}

// innerStamp takes off the stamp that a message has of its own: what a service
// writes to a file, sent through the log daemon.
func (p *Parser) innerStamp(m []byte, h *head) []byte {
	s, n := scanStamp(m)
	if n == 0 || n+1 >= len(m) || m[n] != ' ' {
		return m
	}
	h.at = p.clock.resolve(s, p.readAt)
	return m[n+1:]
}

// inner replaces the time of h by the one that stands inside the message.
func (p *Parser) inner(h *head) {
	if s, n := scanStamp(p.c.stamp); n > 0 {
		h.at = p.clock.resolve(s, p.readAt)
	}
}

// count returns how many attempts the line tells, once the lines before it are
// taken into account.
func (p *Parser) count(def int, role Role, h *head, name []byte, a *tocsin.Attempt, n int) int {
	d := &p.m.defs[def]
	id := uint64(h.pid) | 1<<63
	switch {
	case d.Join == ByAddress:
		id = 0
	case d.Join == ByAccount || h.pid == 0:
		id = hash(name) &^ (1 << 63)
	}
	p.now = nanos(h.at)
	if a.Provenance == tocsin.Attested {
		// What others write under the same number joins no line of the service.
		def |= 1 << 15
	}
	s := p.session(p.visitor(h), keyOf(def, a.Source.Addr(), id), p.now)
	return p.settle(role, s, a, n, p.now, d.window())
}
