package iptables

import (
	"bytes"
	"net/netip"
	"time"
)

// splitAt is how many rules the chain of a /16 (/48) may hold before it
// branches once more: an attacker may own most of one network, and its
// neighbours must not pay for a long walk.
const splitAt = 128

// lastStop is the last moment that xt_time takes, less a day of doubt.
var lastStop = time.Date(2038, 1, 18, 0, 0, 0, 0, time.UTC)

// A tree is rules by prefix, and the chains that find them: from the root to
// the chain of the first byte, of the first two, and of the first three where
// these are many. Only chains that are needed exist. Each change to it is also
// written into a batch, for the kernel to follow.
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

type node struct {
	rules, kids int
	split       bool
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
	return t.prefix + t.label(at)
}

// home returns the node whose chain holds p.
func (t *tree) home(p netip.Prefix) netip.Prefix {
	at := t.root()
	for i, level := range t.levels {
		if p.Bits() < level {
			break
		}
		if i == 2 && !t.splits(at) {
			break
		}
		at = netip.PrefixFrom(p.Addr(), level).Masked()
	}
	return at
}

func (t *tree) splits(at netip.Prefix) bool {
	n := t.nodes[at]
	return n != nil && n.split
}

// parent returns the node above at, which is not the root.
func (t *tree) parent(at netip.Prefix) netip.Prefix {
	bits := 0
	for _, level := range t.levels {
		if level < at.Bits() {
			bits = level
		}
	}
	return netip.PrefixFrom(at.Addr(), bits).Masked()
}

// set adds p, or renews it, until then.
func (t *tree) set(p netip.Prefix, until time.Time, b *batch) {
	old, had := t.rules[p]
	t.rules[p] = until
	if had {
		at := t.name(t.home(p))
		if from, to := t.spec(p, old), t.spec(p, until); from != to {
			b.line("-I", at, to)
			b.line("-D", at, from)
		}
		return
	}
	at := t.home(p)
	n := t.ensure(at, b)
	if at.Bits() == t.levels[1] && !n.split && n.rules >= splitAt {
		t.splitUp(at, b)
		return
	}
	n.rules++
	b.line("-I", t.name(at), t.spec(p, until))
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
	t.nodes[at].rules--
	t.prune(at, b)
}

// ensure returns the node at, with its chain and the ways to it.
func (t *tree) ensure(at netip.Prefix, b *batch) *node {
	if n := t.nodes[at]; n != nil {
		return n
	}
	up := t.parent(at)
	parent := t.ensure(up, b)
	parent.kids++
	n := &node{}
	t.nodes[at] = n
	b.chain(t.name(at))
	t.end(at, b)
	b.line("-I", t.name(up), t.branch(at))
	return n
}

// end writes the last rule of a chain, if it has one.
func (t *tree) end(at netip.Prefix, b *batch) {
	if t.tail != "" {
		b.line("-A", t.name(at), t.tail)
	}
}

func (t *tree) prune(at netip.Prefix, b *batch) {
	n := t.nodes[at]
	if n.rules > 0 || n.kids > 0 || at.Bits() == 0 {
		return
	}
	up := t.parent(at)
	b.line("-D", t.name(up), t.branch(at))
	b.line("-F", t.name(at), "")
	b.line("-X", t.name(at), "")
	delete(t.nodes, at)
	t.nodes[up].kids--
	t.prune(up, b)
}

// splitUp moves what the crowded chain at holds into chains below it. The walk
// over all rules is paid for by the many that came before.
func (t *tree) splitUp(at netip.Prefix, b *batch) {
	n := t.nodes[at]
	n.split, n.rules = true, 0
	b.line("-F", t.name(at), "")
	t.end(at, b)
	for p, until := range t.rules {
		if p.Bits() >= at.Bits() && at.Contains(p.Addr()) {
			t.place(p, until, b)
		}
	}
}

// place writes one rule into its chain.
func (t *tree) place(p netip.Prefix, until time.Time, b *batch) {
	at := t.home(p)
	t.ensure(at, b).rules++
	b.line("-I", t.name(at), t.spec(p, until))
}

// build writes all chains and rules anew; the root chain is declared by the
// caller.
func (t *tree) build(b *batch) {
	t.forget()
	crowd := map[netip.Prefix]int{}
	for p := range t.rules {
		crowd[t.home(p)]++
	}
	for at, n := range crowd {
		if at.Bits() == t.levels[1] && n > splitAt {
			t.ensure(at, b).split = true
		}
	}
	for p, until := range t.rules {
		t.place(p, until, b)
	}
	t.end(t.root(), b)
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
	return until.UTC().Format(stopFormat)
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
