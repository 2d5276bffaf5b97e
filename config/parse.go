package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Mistakes are everything wrong with a file, in the order of its lines.
type Mistakes []Mistake

// A Mistake is one thing wrong, and where.
type Mistake struct {
	Line int // from 1; 0 where no line is to blame
	Text string
}

// Error lists every mistake, one a line.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.Text
		if one.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", one.Line, one.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// A schema is what a file of one kind may say.
type schema[C any] struct {
	tables   []string
	settings []setting[C] // in the order of the sample file
	list     string       // the only list of tables, if there is one
	item     func(c *C, line int)
	keys     []setting[C]       // of the last item of the list
	check    func(r *reader[C]) // what single values cannot tell
}

// A setting is one key of a file.
type setting[C any] struct {
	key string
	doc string
	at  func(*C) any // where the value goes
}

// parse reads a file into c, which holds the defaults. Its error is of type
// [Mistakes] and holds every mistake found, not only the first: an unknown key
// is one, so that a typo cannot disarm anything.
func (s *schema[C]) parse(b []byte, c *C) error {
	if len(b) > maxFile {
		return Mistakes{{0, fmt.Sprintf("the file has %d bytes, more than %d", len(b), maxFile)}}
	}
	var any map[string]any
	if err := toml.Unmarshal(b, &any); err != nil {
		return syntax(err)
	}
	r := reader[C]{schema: s, config: c, lines: make(map[string]int)}
	r.read(b)
	s.check(&r)
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	if len(r.mistakes) > 0 {
		return r.mistakes
	}
	return nil
}

func syntax(err error) Mistakes {
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ := at.Position()
		return Mistakes{{line, strings.TrimPrefix(at.Error(), "toml: ")}}
	}
	return Mistakes{{0, err.Error()}}
}

// A reader walks the file once and puts each value where it belongs.
type reader[C any] struct {
	*schema[C]
	config   *C
	lines    map[string]int // key → line
	items    int
	mistakes Mistakes
}

func (r *reader[C]) fault(line int, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{line, fmt.Sprintf(format, args...)})
}

func (r *reader[C]) read(b []byte) {
	var p unstable.Parser
	p.Reset(b)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		name, line := keyOf(&p, e)
		switch e.Kind {
		case unstable.Table:
			table = name
			if r.list != "" && name == r.list {
				r.fault(line, "[%s] is a list of tables: write [[%s]]", name, name)
			} else if !slices.Contains(r.tables, name) {
				r.fault(line, "[%s] is not known: the tables are [%s]%s", name, strings.Join(r.tables, "], ["), r.listed(" and [[", "]]"))
			}
		case unstable.ArrayTable:
			table = name
			if r.list == "" || name != r.list {
				r.fault(line, "[[%s]] is not known%s", name, r.listed(": the only list of tables is [[", "]]"))
				continue
			}
			r.items++
			r.item(r.config, line)
		case unstable.KeyValue:
			r.value(table, name, line, e.Value())
		}
	}
	if err := p.Error(); err != nil { // Unmarshal has read it before
		r.fault(0, "%v", err)
	}
}

// keyOf returns the dotted name of a table or key, and its line.
func keyOf(p *unstable.Parser, e *unstable.Node) (name string, line int) {
	var parts []string
	for it := e.Key(); it.Next(); {
		if line == 0 {
			line = p.Shape(it.Node().Raw).Start.Line
		}
		parts = append(parts, string(it.Node().Data))
	}
	return strings.Join(parts, "."), line
}

func (r *reader[C]) value(table, key string, line int, v *unstable.Node) {
	name := strings.TrimPrefix(table+"."+key, ".")
	var to any
	inList := r.list != "" && table == r.list
	if inList && r.items == 0 {
		return // told at its table
	}
	if inList {
		to = find(r.keys, r.config, key)
	} else {
		to = find(r.settings, r.config, name)
		r.lines[name] = line
	}
	switch {
	case to == nil && (slices.Contains(r.tables, table) || inList || table == ""):
		r.fault(line, "%s is not known%s", name, r.nearest(name))
	case to != nil:
		if err := set(to, v); err != nil {
			r.fault(line, "%s: %v", name, err)
		}
	}
}

// find returns where the value of a key goes; nil is not known.
func find[C any](list []setting[C], c *C, key string) any {
	for _, s := range list {
		if s.key == key {
			return s.at(c)
		}
	}
	return nil
}

// set stores the value of node v where to points.
func set(to any, v *unstable.Node) error {
	text := string(v.Data)
	switch to := to.(type) {
	case *string:
		if v.Kind != unstable.String {
			return fmt.Errorf(`write it in quotes: "%s"`, text)
		}
		*to = text
	case *bool:
		if v.Kind != unstable.Bool {
			return errors.New("write true or false")
		}
		*to = text == "true"
	case *int:
		n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
		if v.Kind != unstable.Integer || err != nil {
			return errors.New("write a whole number")
		}
		*to = n
	case *time.Duration:
		d, err := ParseDuration(text)
		if v.Kind != unstable.String || err != nil {
			return errors.New(`write a time such as "90s", "10m", "24h" or "7d"`)
		}
		*to = d
	case *[]string:
		return setStrings(to, v)
	case *[]netip.Prefix:
		return setPrefixes(to, v)
	case *[]uint16:
		return setPorts(to, v)
	}
	return nil
}

func setStrings(to *[]string, v *unstable.Node) error {
	if v.Kind != unstable.Array {
		return errors.New(`write a list: ["one", "two"]`)
	}
	*to = []string{}
	for it := v.Children(); it.Next(); {
		if it.Node().Kind != unstable.String {
			return fmt.Errorf("write each in quotes: %q", it.Node().Data)
		}
		*to = append(*to, string(it.Node().Data))
	}
	return nil
}

func setPrefixes(to *[]netip.Prefix, v *unstable.Node) error {
	var words []string
	if err := setStrings(&words, v); err != nil {
		return err
	}
	*to = []netip.Prefix{}
	for _, w := range words {
		p, err := ParsePrefix(w)
		if err != nil {
			return err
		}
		*to = append(*to, p)
	}
	return nil
}

func setPorts(to *[]uint16, v *unstable.Node) error {
	if v.Kind != unstable.Array {
		return errors.New("write a list: [443, 7443]")
	}
	*to = nil
	for it := v.Children(); it.Next(); {
		text := string(it.Node().Data)
		n, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 16)
		if it.Node().Kind != unstable.Integer || err != nil || n == 0 {
			return fmt.Errorf("%q is not the number of a port, from 1 to 65535", text)
		}
		*to = append(*to, uint16(n))
	}
	return nil
}

// ParsePrefix reads an address or a prefix as people write it. Bits behind the
// length are cleared, IPv4-mapped addresses unmapped.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a prefix such as 203.0.113.0/24", s)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, fmt.Errorf("%q covers more than IPv4: write it as IPv4", s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// ParseDuration reads a time.Duration that may also count days: "7d".
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is not a number of days", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

// listed returns the name of the list of tables between two words, if there is
// one.
func (r *reader[C]) listed(before, after string) string {
	if r.list == "" {
		return ""
	}
	return before + r.list + after
}

// nearest suggests the known key that shares most with name.
func (r *reader[C]) nearest(name string) string {
	best, shared := "", 0
	for _, s := range r.settings {
		if n := common(s.key, name); n > shared {
			best, shared = s.key, n
		}
	}
	if shared*3 < len(name)*2 {
		return ""
	}
	return ": did you mean " + best + "?"
}

// common counts letters that a and b have in common, from both ends.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	a, b = a[n:], b[n:]
	m := 0
	for m < len(a) && m < len(b) && a[len(a)-1-m] == b[len(b)-1-m] {
		m++
	}
	return n + m
}
