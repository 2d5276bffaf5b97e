package authlog

import (
	"bytes"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
)

// A JSONForm reads messages that are one JSON object.
type JSONForm struct {
	// Needs is text that every such message holds: a cheap first look.
	Needs string
	// Keys are the members wanted: "message", or "Authentication.status" for
	// one of an object inside. An object that has one of them twice is refused:
	// parsers differ on which of the two counts.
	Keys []string
	// Read makes something of the values of Keys, in that order; one that is
	// missing is nil. Strings come decoded, everything else as it stands.
	Read func(values [][]byte) (Reading, bool)

	Outcomes    []tocsin.Outcome // that Read may give
	Unconfirmed string           // what nobody could confirm, "" if nothing
}

// A Reading is what a JSONForm made of an object.
type Reading struct {
	Outcome tocsin.Outcome
	Role    Role
	Addr    []byte // with or without a port
	Account []byte
	Stamp   []byte // nil: the time of the line
	Unknown bool
	Unsure  bool // the form is not confirmed
}

// A jsonForm is a JSONForm of one definition, compiled.
type jsonForm struct {
	*JSONForm
	def int
	src *Definition
}

// readJSON reads a message that is one JSON object.
func (p *Parser) readJSON(g *group, h *head, m []byte, times int, a *tocsin.Attempt) int {
	for i := range g.json {
		f := &g.json[i]
		if p.only >= 0 && f.def != p.only || !bytes.Contains(m, []byte(f.Needs)) {
			continue
		}
		values, ok := p.json.scan(m, f.Keys)
		if !ok {
			continue
		}
		r, ok := f.Read(values)
		if !ok {
			continue
		}
		c := &p.c
		c.reset()
		if c.addr, c.port, ok = parseAddrPort(r.Addr); !ok {
			return 0
		}
		c.account, c.named = r.Account, true
		if r.Stamp != nil {
			c.stamp = r.Stamp
		}
		pt := pattern{outcome: r.Outcome, role: r.Role, unknown: r.Unknown, unsure: r.Unsure, def: f.def, src: f.src}
		return p.tell(&pt, h, times, a)
	}
	return 0
}

// maxDepth bounds how deep objects and lists may nest.
const maxDepth = 16

// A scanner finds some members of a JSON object. It is strict where it matters:
// keys are compared as they read once decoded, and by case.
type scanner struct {
	b       []byte
	i       int
	keys    []string
	values  [][]byte
	parents [8][]byte // members that hold objects with keys wanted
	nparent int
	decoded []byte // strings that held escapes
	failed  bool
}

// scan returns the values of keys in b, which must be one object and nothing
// more. They are valid until the next scan.
func (s *scanner) scan(b []byte, keys []string) ([][]byte, bool) {
	values := s.values[:0]
	for range keys {
		values = append(values, nil)
	}
	*s = scanner{b: b, keys: keys, values: values, decoded: s.decoded[:0]}
	s.object(nil, 0)
	s.space()
	ok := !s.failed && s.i == len(s.b)
	s.b = nil
	return s.values, ok
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// eat takes c, if it is next after any space.
func (s *scanner) eat(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) fail() { s.failed, s.i = true, len(s.b) }

// object reads an object, which is the member parent of the outer one, or
// something that nobody wants at a greater depth.
func (s *scanner) object(parent []byte, depth int) {
	if depth > maxDepth || !s.eat('{') {
		s.fail()
		return
	}
	if s.eat('}') {
		return
	}
	for !s.failed {
		s.space()
		key := s.str()
		if s.failed || !s.eat(':') {
			s.fail()
			return
		}
		want := s.wanted(parent, key, depth)
		if depth == 0 && s.isParent(key) {
			s.space()
			if s.i < len(s.b) && s.b[s.i] == '{' {
				s.object(key, 1)
				if s.more('}') {
					continue
				}
				return
			}
		}
		v := s.value(depth + 1)
		if want >= 0 && !s.failed {
			if s.values[want] != nil {
				s.fail()
				return
			}
			s.values[want] = v
		}
		if !s.more('}') {
			return
		}
	}
}

// more reads the comma before another member, or the closing bracket.
func (s *scanner) more(closing byte) bool {
	if s.eat(',') {
		return true
	}
	if !s.eat(closing) {
		s.fail()
	}
	return false
}

// wanted returns the index of the key wanted, -1 if nobody wants it.
func (s *scanner) wanted(parent, key []byte, depth int) int {
	if depth > 1 || depth == 1 && parent == nil {
		return -1
	}
	for i, k := range s.keys {
		if depth == 1 {
			if len(k) != len(parent)+1+len(key) || k[:len(parent)] != string(parent) || k[len(parent)] != '.' {
				continue
			}
			k = k[len(parent)+1:]
		}
		if k == string(key) && !bytes.ContainsRune(key, '.') {
			return i
		}
	}
	return -1
}

// isParent reports whether key holds members wanted; a second one is an error.
func (s *scanner) isParent(key []byte) bool {
	for _, k := range s.keys {
		if len(k) > len(key) && k[:len(key)] == string(key) && k[len(key)] == '.' {
			for _, seen := range s.parents[:s.nparent] {
				if bytes.Equal(seen, key) {
					s.fail()
					return false
				}
			}
			if s.nparent < len(s.parents) {
				s.parents[s.nparent] = key
				s.nparent++
			}
			return true
		}
	}
	return false
}

// value reads any value: a string decoded, a number or word as it stands, an
// object or list as an empty one.
func (s *scanner) value(depth int) []byte {
	s.space()
	if s.i >= len(s.b) || depth > maxDepth {
		s.fail()
		return nil
	}
	switch c := s.b[s.i]; c {
	case '"':
		return s.str()
	case '{':
		s.object(nil, depth)
		return s.b[s.i:s.i]
	case '[':
		s.i++
		if s.eat(']') {
			return s.b[s.i:s.i]
		}
		for !s.failed {
			s.value(depth + 1)
			if !s.more(']') {
				break
			}
		}
		return s.b[s.i:s.i]
	}
	start := s.i
	for s.i < len(s.b) && (s.b[s.i] >= '0' && s.b[s.i] <= '9' || s.b[s.i] >= 'a' && s.b[s.i] <= 'z' ||
		s.b[s.i] == '-' || s.b[s.i] == '+' || s.b[s.i] == '.' || s.b[s.i] == 'E') {
		s.i++
	}
	if s.i == start {
		s.fail()
	}
	return s.b[start:s.i]
}

// str reads a string and decodes it.
func (s *scanner) str() []byte {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		s.fail()
		return nil
	}
	s.i++
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1]
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.fail()
			return nil
		}
		s.i++
	}
	s.fail()
	return nil
}

// escaped goes on with a string that started at start and has an escape next.
func (s *scanner) escaped(start int) []byte {
	from := len(s.decoded)
	s.decoded = append(s.decoded, s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return s.decoded[from:len(s.decoded):len(s.decoded)]
		case c < ' ':
			s.fail()
			return nil
		case c != '\\':
			s.decoded = append(s.decoded, c)
		default:
			s.escape()
		}
	}
	s.fail()
	return nil
}

// escape decodes what follows a backslash.
func (s *scanner) escape() {
	if s.i >= len(s.b) {
		s.fail()
		return
	}
	c := s.b[s.i]
	s.i++
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if k := bytes.IndexByte([]byte(from), c); k >= 0 {
		s.decoded = append(s.decoded, to[k])
		return
	}
	if c != 'u' {
		s.fail()
		return
	}
	r := s.hex4()
	if r >= 0xd800 && r < 0xdc00 && s.i+1 < len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		s.i += 2
		if low := s.hex4(); low >= 0xdc00 && low < 0xe000 {
			r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
		}
	}
	s.decoded = utf8.AppendRune(s.decoded, r) // half a pair becomes U+FFFD
}

func (s *scanner) hex4() (r rune) {
	if s.i+4 > len(s.b) {
		s.fail()
		return utf8.RuneError
	}
	for _, c := range s.b[s.i : s.i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			s.fail()
			return utf8.RuneError
		}
	}
	s.i += 4
	return r
}
