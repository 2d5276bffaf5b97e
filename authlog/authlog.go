// Package authlog turns hostile log lines into attempts. Its promise: whatever
// an attacker types as a name, the address of an [tocsin.Attempt] is the one
// that the service wrote, or there is no attempt; and one log-in tried counts
// once, however many lines tell it.
//
// A service is a [Definition]: patterns of literal text with typed holes,
// matched by hand, never by regular expressions (docs/adr/0010). Compile makes
// a [Matcher] of definitions, and a [Parser] reads one stream with it.
//
// It is not a log reader (package logsource), and it does not judge: who is
// blocked is the business of package detect. It reads no clock.
package authlog

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Matcher knows the lines of some services. It is immutable: any number of
// parsers share it.
type Matcher struct {
	defs     []Definition
	bare     *group   // lines without the name of a program
	bareOf   []*group // the same, of one definition only
	programs map[string]*group
	digits   bool // some program name holds digits that vary
}

var known = []func() Definition{
	ssh, dropbear, qnap, synology, samba, vsftpd, nginx, apache, nextcloud, dovecot,
}

// All returns the definition of every service known, in the order in which
// their patterns are tried.
func All() []Definition {
	defs := make([]Definition, 0, len(known))
	for _, def := range known {
		defs = append(defs, def())
	}
	return defs
}

// Some returns the definitions of the services named. A name that is not known
// is an error.
func Some(names ...tocsin.Service) ([]Definition, error) {
	var defs []Definition
	var errs []error
	for _, name := range names {
		if d, ok := find(All(), name); ok {
			defs = append(defs, d)
			continue
		}
		errs = append(errs, fmt.Errorf("authlog: service %q is not known: see tocsin services", name))
	}
	return defs, errors.Join(errs...)
}

func find(defs []Definition, name tocsin.Service) (Definition, bool) {
	for _, d := range defs {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

// everything is compiled when it is first asked for: most commands read no log.
var everything = sync.OnceValue(func() *Matcher {
	m, err := Compile(All()...)
	if err != nil {
		panic(err) // our own definitions: TestSamples reads every one of them
	}
	return m
})

// Default returns the matcher of every service known.
func Default() *Matcher { return everything() }

// Compile returns the matcher of defs. Where lines of two services look alike,
// the service given first has them. All mistakes are reported at once.
func Compile(defs ...Definition) (*Matcher, error) {
	m := &Matcher{defs: defs, programs: map[string]*group{}}
	var errs []error
	for i := range defs {
		errs = append(errs, defs[i].check(defs[:i]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	bare := &builder{}
	users := map[string][]int{} // program → definitions, in order
	for i := range defs {
		own := &builder{}
		errs = append(errs, own.add(&defs[i], i, defs[i].Bare), bare.add(&defs[i], i, defs[i].Bare))
		m.bareOf = append(m.bareOf, own.build())
		for _, name := range defs[i].Programs {
			users[name] = append(users[name], i)
			m.digits = m.digits || wild(name)
		}
	}
	m.bare = bare.build()
	shared := map[string]*group{} // programs of the same definitions share a group
	for name, list := range users {
		key := fmt.Sprint(list)
		if shared[key] == nil {
			b := &builder{}
			for _, i := range list {
				errs = append(errs, b.add(&defs[i], i, defs[i].Patterns))
			}
			shared[key] = b.build()
		}
		m.programs[name] = shared[key]
	}
	return m, errors.Join(errs...)
}

// Definitions returns what m was compiled from. Do not change it.
func (m *Matcher) Definitions() []Definition { return m.defs }

// group returns the patterns for lines of a program, nil if no service known
// has a program of that name.
func (m *Matcher) group(program []byte) *group {
	if g := m.programs[string(program)]; g != nil || !m.digits {
		return g
	}
	return m.programs[withoutDigits(program)]
}

// Parser returns a parser for one stream of lines. Stamps without a zone are in
// zone; nil is UTC.
func (m *Matcher) Parser(zone *time.Location) *Parser {
	if zone == nil {
		zone = time.UTC
	}
	return &Parser{m: m, only: -1, clock: clock{zone: zone}}
}
