package iptables

import (
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
	if len(raw) == 0 {
		return
	}
	s := string(raw)
	if name, ok := strings.CutPrefix(s, ":"); ok {
		name, _, _ = strings.Cut(name, " ")
		r.docker = r.docker || name == dockerUser
		if r.names.own(name) {
			r.chains[name] = true
		}
		return
	}
	rest, ok := strings.CutPrefix(s, "-A ")
	if !ok {
		return
	}
	chain, spec, _ := strings.Cut(rest, " ")
	if r.names.own(chain) {
		r.rules++
		if r.rule == nil {
			return
		}
		if f, ok := parseRule(spec, r.family, r.names); ok {
			r.rule(f)
		}
		return
	}
	r.foreign(chain, spec)
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

// parseRule reads a rule that the filter wrote.
func parseRule(spec string, f family, n names) (found, bool) {
	r := found{prefix: f.root()}
	words := strings.Fields(spec)
	target := ""
	for i := 0; i+1 < len(words); i += 2 {
		word, value := words[i], words[i+1]
		switch word {
		case "-s":
			p, err := netip.ParsePrefix(value)
			if err != nil {
				return found{}, false
			}
			r.prefix = normal(p)
		case "--datestop":
			t, err := time.Parse(stopFormat, value)
			if err != nil {
				return found{}, false
			}
			r.until = t.Add(time.Second) // it matches to the end of that second
		case "-m":
			if value != "time" {
				return found{}, false
			}
		case "-j", "-g":
			target = word + " " + value
		default:
			return found{}, false
		}
	}
	switch target {
	case n.block():
		return r, r.prefix.Addr().BitLen() == f.bits
	case n.pass():
		r.pass = true
		return r, r.prefix.Addr().BitLen() == f.bits
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

func (n names) own(chain string) bool {
	rest, ok := strings.CutPrefix(chain, n.base)
	return ok && (rest == "" || rest[0] == '-')
}
