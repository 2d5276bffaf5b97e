package iptables

import (
	"bytes"
	"net/netip"
	"strings"
	"time"
)

// A snapshot is what the kernel holds of ours in one table.
type snapshot struct {
	chains map[string]bool // of our name
	rules  int             // in them
	jumps  map[string]int  // built-in chain → jumps to our entry
	behind map[string]bool // built-in chain → a rule before ours may let packets go
	docker bool            // there is a chain DOCKER-USER
}

// A found rule is one that blocks or passes a prefix.
type found struct {
	prefix netip.Prefix
	pass   bool
	until  time.Time // zero where the kernel was not told
}

// A reader makes a snapshot of the lines of iptables-save. Lines of others are
// hostile, or at least none of our business: unknown ones are passed over.
type reader struct {
	snapshot
	family family
	names  names
	rule   func(found) // called for each rule of ours, may be nil
	open   map[string]bool
}

func newReader(f family, n names, rule func(found)) *reader {
	return &reader{
		snapshot: snapshot{chains: map[string]bool{}, jumps: map[string]int{}, behind: map[string]bool{}},
		family:   f, names: n, rule: rule, open: map[string]bool{},
	}
}

func (r *reader) line(raw []byte) {
	switch {
	case bytes.HasPrefix(raw, []byte(":")):
		name, _, _ := bytes.Cut(raw[1:], []byte(" "))
		r.docker = r.docker || string(name) == dockerUser
		if r.names.own(name) {
			r.chains[string(name)] = true
		}
	case bytes.HasPrefix(raw, []byte("-A ")):
		chain, spec, _ := bytes.Cut(raw[3:], []byte(" "))
		if r.names.own(chain) {
			r.own(spec)
		} else {
			r.foreign(string(chain), string(spec))
		}
	}
}

// own counts a rule of ours: most of a big table, so it costs nothing unless
// somebody asks.
func (r *reader) own(spec []byte) {
	r.rules++
	if r.rule == nil {
		return
	}
	if f, ok := parseRule(string(spec), r.family, r.names); ok {
		r.rule(f)
	}
}

// foreign looks at a rule in a chain of others: is it our jump, or one before
// it that may let packets go?
func (r *reader) foreign(chain, spec string) {
	if spec == r.names.jump() {
		r.jumps[chain]++
		r.behind[chain] = r.behind[chain] || r.open[chain]
		return
	}
	if !harmless(spec) {
		r.open[chain] = true
	}
}

// harmless reports whether a rule before ours cannot end a packet's way through
// the chain by letting it go.
func harmless(spec string) bool {
	_, target, ok := strings.Cut(" "+spec, " -j ")
	if !ok {
		return !strings.Contains(" "+spec, " -g ")
	}
	target, _, _ = strings.Cut(target, " ")
	switch target {
	case "MARK", "CONNMARK", "CLASSIFY", "TOS", "DSCP", "TTL", "HL", "TCPMSS", "LOG", "NFLOG", "ULOG", "CT",
		"SET", "CONNSECMARK", "SECMARK", "TRACE", "DROP", "REJECT", "CHECKSUM", "ECN":
		return true
	}
	return false
}

// parseRule reads a rule that the filter wrote. Some versions print --utc, too.
func parseRule(spec string, f family, n names) (found, bool) {
	r := found{prefix: f.root()}
	words := strings.Fields(spec)
	for len(words) > 1 {
		word, value := words[0], words[1]
		var err error
		switch word {
		case "--utc":
			words = words[1:]
			continue
		case "-s":
			r.prefix, err = netip.ParsePrefix(value)
			r.prefix = normal(r.prefix)
		case "--datestop":
			r.until, err = time.Parse(stopFormat, value)
			r.until = r.until.Add(time.Second) // it matches to the end of that second
		case "-j", "-g":
			r.pass = word+" "+value == n.pass()
			return r, r.pass || word+" "+value == n.block()
		default:
			if word != "-m" || value != "time" {
				return found{}, false
			}
		}
		if err != nil || r.prefix.Addr().BitLen() != f.bits {
			return found{}, false
		}
		words = words[2:]
	}
	return found{}, false
}

const dockerUser = "DOCKER-USER"

// names are those of our chains, all made of one word.
type names struct{ base string }

func (n names) marker() string { return n.base + "-V1" }
func (n names) caught() string { return n.base + "-CAUGHT" }
func (n names) drop() string   { return n.base + "-DROP" }
func (n names) probe() string  { return n.base + "-PROBE" }
func (n names) block() string  { return "-g " + n.caught() }
func (n names) pass() string   { return "-j RETURN" }

// jump is the one rule in chains of others. Loopback is spared: what this
// machine sends itself is nobody's attack.
func (n names) jump() string { return "! -i lo -j " + n.base }

func (n names) own(chain []byte) bool {
	rest, ok := bytes.CutPrefix(chain, []byte(n.base))
	return ok && (len(rest) == 0 || rest[0] == '-')
}
