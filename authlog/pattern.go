package authlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-io/tocsin"
)

// A kind is what an element of a pattern matches.
type kind uint8

const (
	literal kind = iota
	account      // free: any bytes
	text         // free: any bytes
	addr         // typed from here on: a class of bytes, as many as there are
	addrPort
	host
	port
	count
	num
	word
	field
	quoted
	clf
	date
	okStatus
	phrase
)

var kinds = map[string]kind{
	"account": account, "text": text, "addr": addr, "addr:port": addrPort, "port": port,
	"count": count, "num": num, "word": word, "field": field, "host": host, "quoted": quoted,
	"clf": clf, "date": date, "ok": okStatus, "phrase": phrase,
}

func (k kind) free() bool { return k == account || k == text }

// An element is literal text, or a hole, which may ask for one value.
type element struct {
	kind kind
	lit  string
}

// A pattern is a compiled [Pattern].
//
//	left  free  middle  free  middle  free  right
type pattern struct {
	prefix  string      // literal start, without which nothing matches
	left    []element   // anchored at the left end, after prefix
	frees   []kind      // the free holes
	middles [][]element // between two free holes, each found exactly once
	right   []element   // anchored at the right end
	outcome tocsin.Outcome
	role    Role
	unknown bool
	unsure  bool
	account string
	def     int
	src     *Definition
}

// parsePattern splits the text of a pattern into its elements.
func parsePattern(s string) ([]element, error) {
	var es []element
	lit := ""
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			lit, s = lit+s, ""
			break
		}
		lit, s = lit+s[:i], s[i+1:]
		if strings.HasPrefix(s, "<") {
			lit, s = lit+"<", s[1:]
			continue
		}
		name, rest, ok := strings.Cut(s, ">")
		k, known := kinds[name]
		value := ""
		if !known {
			name, value, _ = strings.Cut(name, ":")
			k, known = kinds[name]
		}
		if !ok || !known {
			return nil, fmt.Errorf("no hole is called <%s>", name)
		}
		if lit != "" {
			es = append(es, element{literal, lit})
		} else if len(es) > 0 && !(k.free() && es[len(es)-1].kind == addr) {
			return nil, fmt.Errorf("no text before <%s>: nobody could say where it starts", name)
		}
		es, lit, s = append(es, element{kind: k, lit: value}), "", rest
	}
	if lit != "" {
		es = append(es, element{literal, lit})
	}
	return es, nil
}

func compile(p Pattern) (pattern, error) {
	out := pattern{outcome: p.Outcome, role: p.Role, unknown: p.Unknown, unsure: p.Unconfirmed, account: p.Account}
	es, err := parsePattern(p.Text)
	if err != nil {
		return out, err
	}
	if !slices.ContainsFunc(es, func(e element) bool { return e.kind == addr || e.kind == addrPort }) {
		return out, fmt.Errorf("no <addr>: an attempt needs an address")
	}
	if p.Outcome < tocsin.Failure || p.Outcome > tocsin.Probe {
		return out, fmt.Errorf("no outcome")
	}
	parts := [][]element{nil}
	for _, e := range es {
		if e.kind.free() {
			out.frees = append(out.frees, e.kind)
			parts = append(parts, nil)
			continue
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], e)
	}
	out.left, out.right = parts[0], nil
	if n := len(parts); n > 1 {
		out.middles, out.right = parts[1:n-1], parts[n-1]
	}
	for _, e := range out.right {
		if e.kind == quoted {
			return out, fmt.Errorf("<quoted> after the last free hole cannot be read from the right")
		}
	}
	if len(out.left) > 0 && out.left[0].kind == literal {
		out.prefix, out.left = out.left[0].lit, out.left[1:]
	}
	return out, nil
}

// A group is the patterns that compete for one message, found by its first
// byte. It holds no pointer that is followed before a pattern is tried.
type group struct {
	patterns []pattern
	order    []candidate // by first byte
	start    [257]uint16 // order[start[b]:start[b+1]] may match a message starting with b
	skips    []pattern   // what may stand before the message

	skippable [256]bool // by the first byte: there may be such
	json      []jsonForm
	stamped   bool // messages may start with a stamp of their own
}

// A candidate is a pattern that may match, and the first eight bytes by which
// most others are told apart without looking at it.
type candidate struct {
	head, mask uint64
	pattern    uint16
}

func newCandidate(prefix string, i int) candidate {
	var head, mask [8]byte
	for b := range min(copy(head[:], prefix), 8) {
		mask[b] = 0xff
	}
	return candidate{binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(mask[:]), uint16(i)}
}

// headOf returns the first eight bytes of m, zeros where it is shorter.
func headOf(m []byte) uint64 {
	if len(m) >= 8 {
		return binary.LittleEndian.Uint64(m)
	}
	var b [8]byte
	copy(b[:], m)
	return binary.LittleEndian.Uint64(b[:])
}

// A builder collects the patterns of a group.
type builder struct {
	g group
}

func (b *builder) add(d *Definition, def int, list []Pattern) error {
	for _, p := range list {
		c, err := compile(p)
		if err != nil {
			return fmt.Errorf("authlog: %s: pattern %q: %w", d.Name, p.Text, err)
		}
		c.def, c.src = def, d
		b.g.patterns = append(b.g.patterns, c)
	}
	if len(list) == 0 && d.JSON == nil {
		return nil
	}
	b.g.stamped = b.g.stamped || len(d.Bare) > 0
	for _, s := range d.Skip {
		es, err := parsePattern(s)
		if err != nil || len(es) == 0 || es[0].kind != literal {
			return fmt.Errorf("authlog: %s: skip %q: want text, then holes: %w", d.Name, s, err)
		}
		b.g.skips = append(b.g.skips, pattern{prefix: es[0].lit, left: es[1:]})
		b.g.skippable[es[0].lit[0]] = true
	}
	if d.JSON != nil {
		b.g.json = append(b.g.json, jsonForm{JSONForm: d.JSON, def: def, src: d})
	}
	return nil
}

func (b *builder) build() *group {
	g := &b.g
	for c := range 256 {
		g.start[c] = uint16(len(g.order))
		for i := range g.patterns {
			if g.patterns[i].mayStart(byte(c)) {
				g.order = append(g.order, newCandidate(g.patterns[i].prefix, i))
			}
		}
	}
	g.start[256] = uint16(len(g.order))
	return g
}

// mayStart reports whether a message that starts with c may match.
func (p *pattern) mayStart(c byte) bool {
	if p.prefix != "" {
		return p.prefix[0] == c
	}
	if len(p.left) == 0 {
		return true
	}
	return p.left[0].kind == quoted || class[c]&(1<<p.left[0].kind) != 0
}

func wild(program string) bool { return strings.IndexByte(program, '#') >= 0 }

// withoutDigits returns name with every run of digits replaced by #, for the
// programs that carry a version in their name.
func withoutDigits(name []byte) string {
	var buf [64]byte
	out := buf[:0]
	if len(name) > len(buf) || !bytes.ContainsAny(name, "0123456789") {
		return ""
	}
	for i, c := range name {
		switch {
		case c < '0' || c > '9':
			out = append(out, c)
		case i == 0 || name[i-1] < '0' || name[i-1] > '9':
			out = append(out, '#')
		}
	}
	return string(out)
}
