// Package logkey holds the keys of log attributes, so that a word means one
// thing in every log line and one search finds a source across the fleet.
package logkey

// Keys, by alphabet.
const (
	Account = "account" // as the attacker typed it, quoted
	Addr    = "addr"    // an address of this machine
	Backend = "backend" // what enforces
	Count   = "count"
	Device  = "device"
	Err     = "err"
	Fact    = "fact"
	Log     = "log" // a log that is read
	Origin  = "origin"
	Outcome = "outcome"
	Part    = "part" // a long-lived part of a program
	Path    = "path"
	Prefix  = "prefix"
	Reason  = "reason"
	Rules   = "rules" // number of rules
	Service = "service"
	Source  = "source" // remote address
	Took    = "took"   // duration
	Until   = "until"
	User    = "user" // local user of this machine
)
