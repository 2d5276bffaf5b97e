package iptables

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// splitAt is how many rules a chain may hold before those that can move into
// chains below it: attackers choose where rules crowd, and their neighbours
// must not pay for a long walk. With it no chain is longer than splitAt and the
// 15 prefixes that are too short to move, or 16 branches and these.
const splitAt = 16

// lastStop is the last moment that xt_time takes, less a day of doubt.
var lastStop = time.Date(2038, 1, 18, 0, 0, 0, 0, time.UTC)

// A tree is rules by prefix, and the chains that find them: each looks at four
// more bits of the source than the one above, and exists only where the one
// above was crowded. Each change is also written into a batch, for the kernel
// to follow.
//
// It is pure: whether the kernel did follow is the business of Filter.
type tree struct {
	family
	prefix string // of the chains' names
	top    string // name of the root chain
	target string // what a rule does, such as "-g TOCSIN-CAUGHT"
	tail   string // what happens at the end of each chain, "" for returning
	timed  bool   // rules carry their end, for the kernel to obey

	rules map[netip.Prefix]time.Time // until when
	nodes map[netip.Prefix]*node
}

// A node is one chain.
type node struct {
	rules []netip.Prefix // in this very chain
	deep  int            // of these, how many could be in a chain below
	kids  int            // chains below
	split bool
}

func (t *tree) clear() {
	t.rules = map[netip.Prefix]time.Time{}
	t.forget()
}

func (t *tree) forget() { t.nodes = map[netip.Prefix]*node{t.root(): {}} }

// name returns the chain of a node.
func (t *tree) name(at netip.Prefix) string {
	if at.Bits() == 0 {
		return t.top
	}
	return t.prefix + label(at)
}

// sinks reports whether p could be in a chain below at.
func (t *tree) sinks(p, at netip.Prefix) bool {
	return at.Bits() < t.deep && p.Bits() >= at.Bits()+step
}

// below returns the node under at that p belongs to.
func below(p, at netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(p.Addr(), at.Bits()+step).Masked()
}

// home returns the node whose chain holds p, or would; the node may have to be
// made.
func (t *tree) home(p netip.Prefix) netip.Prefix {
	at := t.root()
	for {
		n := t.nodes[at]
		if n == nil || !n.split || !t.sinks(p, at) {
			return at
		}
		at = below(p, at)
	}
}

// set adds p, or renews it, until then.
func (t *tree) set(p netip.Prefix, until time.Time, b *batch) {
	old, had := t.rules[p]
	t.rules[p] = until
	at := t.home(p)
	if had {
		if from, to := t.spec(p, old), t.spec(p, until); from != to {
			b.line("-I", t.name(at), to)
			b.line("-D", t.name(at), from)
		}
		return
	}
	n := t.ensure(at, b)
	if t.sinks(p, at) && n.deep >= splitAt {
		t.splitUp(at, append(n.rules, p), b)
		return
	}
	t.place(p, at, b)
}

// place writes one rule into the chain at.
func (t *tree) place(p, at netip.Prefix, b *batch) {
	n := t.nodes[at]
	n.rules = append(n.rules, p)
	if t.sinks(p, at) {
		n.deep++
	}
	b.line("-I", t.name(at), t.spec(p, t.rules[p]))
}

// unset removes p, if it is there, and the chains that it leaves empty.
func (t *tree) unset(p netip.Prefix, b *batch) {
	until, had := t.rules[p]
	if !had {
		return
	}
	at := t.home(p)
	b.line("-D", t.name(at), t.spec(p, until))
	delete(t.rules, p)
	n := t.nodes[at]
	n.rules = slices.DeleteFunc(n.rules, func(q netip.Prefix) bool { return q == p })
	if t.sinks(p, at) {
		n.deep--
	}
	t.prune(at, b)
}

// ensure returns the node at, with its chain and the way to it from the one
// above, which is there.
func (t *tree) ensure(at netip.Prefix, b *batch) *node {
	if n := t.nodes[at]; n != nil {
		return n
	}
	up := above(at)
	parent := t.nodes[up]
	parent.kids++
	n := &node{}
	t.nodes[at] = n
	b.chain(t.name(at))
	t.end(at, b)
	// Behind the rules of the chain above: who branches off does not come back.
	b.line("-I", t.name(up), strconv.Itoa(len(parent.rules)+1)+" "+t.branch(at))
	return n
}

func above(at netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(at.Addr(), at.Bits()-step).Masked()
}

// end writes the last rule of a chain, if it has one.
func (t *tree) end(at netip.Prefix, b *batch) {
	if t.tail != "" {
		b.line("-A", t.name(at), t.tail)
	}
}

func (t *tree) prune(at netip.Prefix, b *batch) {
	n := t.nodes[at]
	if n.kids == 0 {
		n.split = false
	}
	if len(n.rules) > 0 || n.kids > 0 || at.Bits() == 0 {
		return
	}
	up := above(at)
	b.line("-D", t.name(up), t.branch(at))
	b.line("-F", t.name(at), "")
	b.line("-X", t.name(at), "")
	delete(t.nodes, at)
	t.nodes[up].kids--
	t.prune(up, b)
}

// splitUp empties the crowded chain at, and places its rules anew.
func (t *tree) splitUp(at netip.Prefix, rules []netip.Prefix, b *batch) {
	b.line("-F", t.name(at), "")
	t.end(at, b)
	t.grow(at, rules, b)
}

// grow writes rules into the empty chain at, or into chains below it where they
// crowd.
func (t *tree) grow(at netip.Prefix, rules []netip.Prefix, b *batch) {
	n := t.nodes[at]
	n.rules, n.deep, n.split = nil, 0, false
	for _, p := range rules {
		if t.sinks(p, at) {
			n.deep++
		}
	}
	n.split, n.deep = n.deep > splitAt, 0
	under := map[netip.Prefix][]netip.Prefix{}
	for _, p := range rules {
		if n.split && t.sinks(p, at) {
			kid := below(p, at)
			under[kid] = append(under[kid], p)
		} else {
			t.place(p, at, b)
		}
	}
	for kid, ps := range under {
		t.ensure(kid, b)
		t.grow(kid, ps, b)
	}
}

// build writes all chains and rules anew, below the root chain, which is
// declared by the caller.
func (t *tree) build(b *batch) {
	t.forget()
	t.end(t.root(), b)
	t.grow(t.root(), slices.Collect(maps.Keys(t.rules)), b)
}

// spec is the rule of p as iptables takes it.
func (t *tree) spec(p netip.Prefix, until time.Time) string {
	s := "-s " + p.String()
	if stop := stopOf(until); t.timed && stop != "" {
		s += " -m time --datestop " + stop
	}
	return s + " " + t.target
}

func (t *tree) branch(at netip.Prefix) string {
	return "-s " + at.String() + " -g " + t.name(at)
}

// covers reports whether a rule in force at now holds a.
func (t *tree) covers(a netip.Addr, now time.Time) bool {
	for bits := range t.bits + 1 {
		p, err := a.Prefix(bits)
		if err != nil {
			return false
		}
		if until, ok := t.rules[p]; ok && now.Before(until) {
			return true
		}
	}
	return false
}

// stopFormat is how xt_time takes and prints a moment, in UTC.
const stopFormat = "2006-01-02T15:04:05"

// stopOf returns the last second in which a rule that ends at until matches, or
// "" when it lies beyond what the kernel can count to.
func stopOf(until time.Time) string {
	if until.After(lastStop) {
		return ""
	}
	return until.Add(-1).UTC().Format(stopFormat) // so that reading it back changes nothing
}

// A batch is the input of iptables-restore for one table.
type batch struct{ bytes.Buffer }

func newBatch(table string) *batch {
	b := &batch{}
	b.WriteString("*" + table + "\n")
	return b
}

// chain declares a chain: it is made, or emptied if it is there.
func (b *batch) chain(name string) { b.WriteString(":" + name + " - [0:0]\n") }

func (b *batch) line(verb, chain, spec string) {
	b.WriteString(verb)
	b.WriteByte(' ')
	b.WriteString(chain)
	if spec != "" {
		b.WriteByte(' ')
		b.WriteString(spec)
	}
	b.WriteByte('\n')
}
