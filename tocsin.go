// Package tocsin is the vocabulary of the system: the nouns that guard, hub and
// console share. It does no input or output and imports only the standard
// library, so that every other package may import it.
//
// An [Attempt] is what one log line tells one device. A [Fact] is something
// else worth telling. A [Sighting] is what a device tells the hub. A [Decision]
// is what a device, the fleet or an operator concluded. A [Rule] is a Decision
// as devices enforce it: they act on rules, never on each other's attempts.
//
// The map of the packages is ARCHITECTURE.md.
package tocsin

import (
	"net/netip"
	"time"
)

// A DeviceID names one enrolled device. It is opaque: compare it, log it, but
// never parse it.
type DeviceID string

// A Service is what the attacker knocked on, such as "ssh" or "samba".
type Service string

// MaxAccount bounds the account name kept in an [Attempt], in bytes.
const MaxAccount = 64

// An Attempt is one log-in tried, as one log line tells it. Attempts are
// observations: they are stored, never changed.
type Attempt struct {
	At         time.Time // when it happened, by the log or by the clock of whoever read it
	Device     DeviceID
	Service    Service
	Outcome    Outcome
	Source     netip.AddrPort // the real client, unmapped (never ::ffff:a.b.c.d); port 0 is unknown
	Via        netip.Addr     // relay alias or listed proxy it came through, if any
	Account    string         // as the attacker typed it: hostile, at most [MaxAccount] bytes; "" is unknown
	Provenance Provenance
	Unknown    bool // the service said that it has no such account
	Tentative  bool // read by a pattern that nobody could confirm: told, but decides nothing
}

// Outcome says how an attempt ended.
type Outcome uint8

// The zero Outcome is invalid, so that a forgotten field cannot pass for an
// observation. The values travel: add at the end, never renumber.
const (
	_       Outcome = iota
	Failure         // tried and was refused
	Success         // tried and was let in
	Probe           // left before it tried to log in
)

// String returns the word that the command line and the wire use.
func (o Outcome) String() string {
	switch o {
	case Failure:
		return "failure"
	case Success:
		return "success"
	case Probe:
		return "probe"
	}
	return "invalid"
}

// Provenance says who could have written the line of an [Attempt].
type Provenance uint8

// The zero Provenance is invalid and counts for nothing.
const (
	_        Provenance = iota
	Attested            // only the service itself
	Local               // any user of the device
	Network             // anybody who can send a datagram: never decides alone
)

// String returns the word that the command line and the wire use.
func (p Provenance) String() string {
	switch p {
	case Attested:
		return "attested"
	case Local:
		return "local"
	case Network:
		return "network"
	}
	return "invalid"
}

// A Decision says what to do with traffic from Prefix until Until, and why.
type Decision struct {
	Prefix    netip.Prefix // masked
	Action    Action
	At, Until time.Time
	Origin    Origin
	Reason    Reason
}

// Rule returns d as devices enforce it.
func (d Decision) Rule() Rule { return Rule{Prefix: d.Prefix, Action: d.Action, Until: d.Until} }

// Action is what a rule does with a packet.
type Action uint8

// A Pass wins over every Block. The values travel: never renumber.
const (
	_ Action = iota
	Block
	Pass
)

// String returns the word that the command line and the wire use.
func (a Action) String() string {
	switch a {
	case Block:
		return "block"
	case Pass:
		return "pass"
	}
	return "invalid"
}

// Origin says who decided.
type Origin uint8

// Who may decide. The values travel: never renumber.
const (
	_          Origin = iota
	ByDevice          // this device, from what it saw itself
	ByFleet           // the hub, from what many devices saw
	ByOperator        // a person
)

// String returns the word that the command line and the wire use.
func (o Origin) String() string {
	switch o {
	case ByDevice:
		return "device"
	case ByFleet:
		return "fleet"
	case ByOperator:
		return "operator"
	}
	return "invalid"
}

// A Reason is one line for a person: shown in the console and in the log.
type Reason string

// A Rule is a Decision as devices enforce it. It ends by itself at Until.
type Rule struct {
	Prefix netip.Prefix // masked: 203.0.113.0/24, never 203.0.113.7/24
	Action Action
	Until  time.Time
}

// A Change is rules added and removed. Removals come first; a rule added again
// is renewed.
type Change struct{ Add, Remove []Rule }

// Empty reports whether c changes nothing.
func (c Change) Empty() bool { return len(c.Add)+len(c.Remove) == 0 }

// SourcePrefix returns what counts as one source: an IPv4 address, or the /64
// that one customer of an IPv6 network owns. The address may be IPv4-mapped; an
// invalid address gives an invalid prefix.
func SourcePrefix(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
