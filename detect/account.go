package detect

import (
	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/internal/window"
)

// A tag is what is remembered of one failure: a keyed hash of the account and
// what the failure was like. Names are not kept: they are the attacker's text,
// and sometimes somebody's password typed into the wrong field.
type tag = uint32

const (
	unknown  tag = 1 << iota // the service said that it has no such account
	public                   // on the list of names that everybody knows
	local                    // the line could have been forged on this device
	nameless                 // the line tells no account

	flags = unknown | public | local | nameless
)

// same reports whether two failures concern one account.
func same(a, b tag) bool { return (a^b)&^flags == 0 }

// account is what the policy says about the account of an attempt.
type account struct {
	hash    uint64
	tag     tag
	guest   bool
	instant bool
}

type class struct {
	name                   string
	public, guest, instant bool
}

// names are the listed account names by their hash.
type names struct {
	seed  window.Seed
	known map[uint64]class
	byTag map[tag]string // for reasons that people read
}

func newNames(p Policy) names {
	n := names{seed: p.Seed, known: map[uint64]class{}, byTag: map[tag]string{}}
	mark := func(list []string, set func(*class)) {
		for _, name := range list {
			h := n.hash(name)
			c := n.known[h]
			c.name = name
			set(&c)
			n.known[h] = c
			n.byTag[tag(h)&^flags] = name
		}
	}
	mark(p.Public, func(c *class) { c.public = true })
	mark(p.Guests, func(c *class) { c.guest = true })
	mark(p.Instant, func(c *class) { c.instant = true })
	return n
}

func (n *names) account(a tocsin.Attempt) account {
	h := n.hash(a.Account)
	c := n.known[h]
	acc := account{hash: h, tag: tag(h) &^ flags, guest: c.guest, instant: c.instant}
	if a.Account == "" {
		acc.tag, acc.guest = nameless, true
	}
	if a.Unknown {
		acc.tag |= unknown
	}
	if c.public {
		acc.tag |= public
	}
	if a.Provenance != tocsin.Attested {
		acc.tag |= local
	}
	return acc
}

// hash ignores the case of ASCII letters: a person who types Admin, then admin
// tries one account, and an attacker gains nothing by it.
func (n *names) hash(name string) uint64 {
	var b [tocsin.MaxAccount]byte
	k := copy(b[:], name)
	for i, c := range b[:k] {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return n.seed.HashBytes(b[:k])
}
