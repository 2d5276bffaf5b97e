package authlog

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A Definition is everything known about the log of one service. Adding a
// service is one file that returns one of these, and one word in All.
type Definition struct {
	Name  tocsin.Service // one word, lower case
	Title string         // for people

	// Programs are the names that the service logs under, through the log
	// daemon of the system. A # stands for any digits.
	Programs []string
	// Executables are the files that may attest a line: what such a program
	// wrote as root, the service wrote.
	Executables []string
	// Units are the systemd units whose Executables attest a line as any user.
	// Leave it empty where the unit also runs what users want it to run.
	Units []string
	// Files are the places, as glob patterns, of logs that only the service
	// itself writes.
	Files []string

	// Patterns are the messages of Programs, tried in this order.
	Patterns []Pattern
	// Bare are lines without a program name, after their time stamp if they
	// start with one.
	Bare []Pattern
	// Skip is what may stand before a message, such as "error: ".
	Skip []string
	// JSON reads messages that are one JSON object.
	JSON *JSONForm

	// Join says which lines may tell the same attempt.
	Join Join
	// Window is how long such lines may lie apart; zero is 5 s.
	Window time.Duration
	// Account takes the account out of what an <account> hole caught; nil
	// takes all of it. A nil answer means that no account was named.
	Account func(caught []byte) []byte
	// Named says that a line which names no account is no attempt.
	Named bool

	// Samples are lines with what they must give.
	Samples []Sample
	// NoSuccess says why no pattern reads successes; "" where one does.
	NoSuccess string
	// Notes tell the owner what to switch on and what is not seen.
	Notes []string
}

// A Pattern is one message, as literal text with holes:
//
//	<account>    any text, even none: what the attacker typed as a name
//	<text>       any text that nobody needs, hostile too
//	<addr>       the address of the client
//	<addr:port>  address and port, an IPv6 address with or without brackets
//	<port>       the port of the client
//	<count>      how many attempts the line tells of
//	<num>        a number that nobody needs
//	<word>       one word without spaces, double quotes and brackets
//	<field>      text without quotes and brackets other than ( and )
//	<phrase>     letters, digits, spaces, _ and -
//	<host>       an address or a name that nobody needs
//	<quoted>     text to the next double quote that no backslash precedes
//	<clf>        the time as web servers write it: 15/Jan/2026:20:54:03 +0000
//	<date>       the time in another form
//	<ok>         a status of 200 to 399
//	<word:x>     a word that must be x; any typed hole can ask for a value
//	<<           the character <
//
// All of the message must match. What stands before the first <account> or
// <text> is anchored at the left end, what stands after the last one at the
// right end: neither can be shifted by what the attacker typed. What stands
// between two of them, and has a hole itself, must occur exactly once in all
// that is not anchored, or the line says nothing; two places that differ only in
// a value asked for are two places. Plain text between two free holes counts
// where it occurs first.
//
// Every message that starts like a pattern must share the segment that holds
// the address: vsftpd's uploads look like its log-ins up to the word before it,
// so that word is a hole that asks for a value.
type Pattern struct {
	Text        string
	Outcome     tocsin.Outcome
	Role        Role
	Unknown     bool   // the service says that it has no such account
	Unconfirmed bool   // no public source shows the form: read, but decides nothing
	Account     string // the account, where the message names it by its words only
}

// Join says by what the lines that may tell one attempt are known.
type Join uint8

// By the process that serves the connection (and the address); by account and
// address; by address only.
const (
	ByProcess Join = iota
	ByAccount
	ByAddress
)

// A Role says what a line means beside the other lines of its session.
type Role uint8

const (
	// Verdict counts. If an Opening has counted the attempt already, it does
	// not count again.
	Verdict Role = iota
	// Opening counts at once, and the verdict that follows does not.
	Opening
	// Echo repeats what another line tells: it counts only if no other line
	// comes within the window.
	Echo
	// Offer is an Echo that many honest clients cause before they log in: it
	// counts at most once in a session.
	Offer
	// Closing ends a session: it counts only if nothing else did.
	Closing
	// TwinA and TwinB are two forms of the same message: within the window the
	// second one does not count.
	TwinA
	TwinB
)

// A Sample is a line, or a message with the name of its program, and what it
// must give when every service is active.
type Sample struct {
	Line    string // with its head; or
	Program string // Program and
	Message string // Message

	Want    tocsin.Outcome // zero: must not match
	Addr    string
	Port    uint16
	Account string
	N       int  // attempts told; 0 means 1, if Want is not zero
	Unknown bool // as in tocsin.Attempt
	Held    bool // an Echo: comes by Overdue

	From string // the public source that shows the format
}

// Outcomes returns the outcomes that d reads, in order, without repeats.
func (d *Definition) Outcomes() []tocsin.Outcome {
	var has [tocsin.Probe + 1]bool
	for _, list := range [][]Pattern{d.Patterns, d.Bare} {
		for _, p := range list {
			has[p.Outcome] = true
		}
	}
	if d.JSON != nil {
		for _, o := range d.JSON.Outcomes {
			has[o] = true
		}
	}
	var out []tocsin.Outcome
	for o, ok := range has {
		if ok {
			out = append(out, tocsin.Outcome(o))
		}
	}
	return out
}

// Unconfirmed returns the text of the patterns that nobody could confirm.
func (d *Definition) Unconfirmed() []string {
	var out []string
	for _, list := range [][]Pattern{d.Patterns, d.Bare} {
		for _, p := range list {
			if p.Unconfirmed {
				out = append(out, p.Text)
			}
		}
	}
	if d.JSON != nil && d.JSON.Unconfirmed != "" {
		out = append(out, d.JSON.Unconfirmed)
	}
	return out
}

// attests reports whether w, as the system saw it, is the service itself.
func (d *Definition) attests(w Writer) bool {
	if !w.Known || !contains(d.Executables, w.Exe) {
		return false
	}
	return w.UID == 0 || contains(d.Units, w.Unit)
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return s != ""
		}
	}
	return false
}

func (d *Definition) window() time.Duration {
	if d.Window > 0 {
		return d.Window
	}
	return 5 * time.Second
}

func (d *Definition) check(before []Definition) error {
	var errs []error
	if d.Name == "" || strings.ToLower(string(d.Name)) != string(d.Name) {
		errs = append(errs, fmt.Errorf("authlog: name %q: want one word in lower case", d.Name))
	}
	if _, twice := find(before, d.Name); twice {
		errs = append(errs, fmt.Errorf("authlog: %s: defined twice", d.Name))
	}
	if len(d.Patterns) > 0 && len(d.Programs) == 0 {
		errs = append(errs, fmt.Errorf("authlog: %s: patterns, but no program", d.Name))
	}
	if len(d.Patterns)+len(d.Bare) == 0 && d.JSON == nil {
		errs = append(errs, fmt.Errorf("authlog: %s: no pattern", d.Name))
	}
	return errors.Join(errs...)
}
