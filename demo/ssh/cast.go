package main

import (
	"net/netip"
	"slices"
	"time"
)

// A machine is one of the story: the first is the hub, the others run a guard.
type machine struct {
	name  string
	owner string // "" is the hub
}

// The machines, by their place in the town.
const (
	hub = iota
	devA
	devB
	devC
	devD // a stranger's
)

var machines = []machine{{name: "hub"}, {"A", "home"}, {"B", "home"}, {"C", "home"}, {"D", "ben"}}

// devices are the machines that run a guard.
func devices() []int { return []int{devA, devB, devC, devD} }

// ours are the devices of the owner whom the story is about.
func ours() []int { return []int{devA, devB, devC} }

// machineOf finds a machine by name, or returns -1.
func machineOf(name string) int {
	return slices.IndexFunc(machines, func(m machine) bool { return m.name == name })
}

// A part is what an actor has in the story, and so how it must end.
type part uint8

const (
	attacker part = iota // is blocked at all devices of the owner, and at no other's
	person               // mistypes, gets in, is never blocked
)

// An actor is somebody at the devices' doors, and what became of him.
type actor struct {
	name  string
	part  part
	from  netip.Addr
	tries []try // in turn
	pause time.Duration
	holds int // the machine that he has a connection to all the while; 0 is none
	seen      // what was seen of him
}

// A try is one guess.
type try struct {
	at      int
	account string
}

// seen is what became of an actor. Times are those of the journals and of
// whoever watches the kernels, on one clock.
type seen struct {
	guesses []guess
	letIn   int
	blocked map[int]time.Time // by machine: when its firewall held him first
	heard   map[int]bool      // and whether that is known, told or not
	by      int               // the machine whose guard decided; the hub, if none did
	took    time.Duration     // by the guard: from the line read to the rule proved
	answers map[int]bool      // by machine: whether his next connection was answered
	cutOff  bool              // the connection that he held is dead
}

type guess struct {
	at time.Time // of the line that told it
	on int
}

const shortly = 250 * time.Millisecond

// cast returns the actors, all from addresses set aside for documentation.
func cast() []*actor {
	return []*actor{
		{name: "loud bot", from: netip.MustParseAddr("203.0.113.7"), pause: shortly, holds: devB,
			tries: all(devA, "root", "admin", "oracle", "postgres", "test", "ubuntu", "pi", "guest")},
		{name: "anna", part: person, from: netip.MustParseAddr("203.0.113.50"), pause: 2 * shortly, tries: all(devB, "anna", "anna")},
		{name: "patient bot", from: netip.MustParseAddr("198.18.0.9"), pause: 8 * shortly, tries: []try{{devA, "root"}, {devB, "admin"}}},
		{name: "second bot", from: netip.MustParseAddr("198.51.100.9"), pause: shortly,
			tries: all(devC, "admin", "root", "test", "user", "pi", "guest", "ftp", "oracle")},
	}
}

func all(at int, accounts ...string) (list []try) {
	for _, a := range accounts {
		list = append(list, try{at, a})
	}
	return list
}

// decisive is the newest guess before the first rule.
func (s *seen) decisive() (last time.Time, on int) {
	var first time.Time
	for _, at := range s.blocked {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	for _, g := range s.guesses {
		if g.at.After(last) && !g.at.After(first) {
			last, on = g.at, g.on
		}
	}
	return last, on
}

// reaction is how long it took from the line that told the decisive guess to the
// rule at a machine.
func (s *seen) reaction(machine int) time.Duration {
	line, _ := s.decisive()
	return s.blocked[machine].Sub(line)
}

// hold takes down that a machine's firewall holds the actor, and reports whether
// it is the first time.
func (s *seen) hold(machine int, at time.Time) bool {
	if _, known := s.blocked[machine]; known {
		return false
	}
	if s.blocked == nil {
		s.blocked = make(map[int]time.Time)
	}
	s.blocked[machine] = at
	return true
}

// answered takes down whether a machine answered the actor's next connection.
func (s *seen) answered(machine int, yes bool) {
	if s.answers == nil {
		s.answers = make(map[int]bool)
	}
	s.answers[machine] = yes
}
