package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A recorder writes down what is heard of all machines.
type recorder struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (r *recorder) line(e authlog.Entry, machine int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := fmt.Fprintf(r.w, "%s %s %s[%d]: %s\n", e.At.UTC().Format(stampLayout), machines[machine].name, e.Program, e.PID, e.Message)
	return err
}

// A listener makes attempts of what the sshd of a machine says, by the guard's
// own parser, and may have it written down.
type listener struct {
	desk    *desk
	machine int
	parser  *authlog.Parser
	record  *recorder // nil is not recorded
}

func newListener(d *desk, machine int, r *recorder) *listener {
	return &listener{desk: d, machine: machine, parser: authlog.Default().Parser(time.UTC), record: r}
}

// journal takes an entry of journalctl --output=json.
func (l *listener) journal(line string) {
	var e struct {
		Message  string `json:"MESSAGE"`
		Program  string `json:"SYSLOG_IDENTIFIER"`
		PID      string `json:"_PID"`
		Sent     string `json:"_SOURCE_REALTIME_TIMESTAMP"` // when the kernel took it from sshd
		Received string `json:"__REALTIME_TIMESTAMP"`       // when journald did
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		l.desk.fail("journalctl says %q: %v", line, err)
		return
	}
	stamp := e.Sent
	if stamp == "" {
		stamp = e.Received
	}
	us, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		l.desk.fail("journalctl gives the time %q", stamp)
		return
	}
	at := time.UnixMicro(us)
	pid, err := strconv.Atoi(e.PID)
	if err != nil {
		pid = 0 // the parser does without
	}
	l.hear(authlog.Entry{Message: []byte(e.Message), Program: e.Program, PID: pid, At: at, Received: at})
}

// hear takes what sshd said.
func (l *listener) hear(e authlog.Entry) {
	if l.record != nil {
		if err := l.record.line(e, l.machine); err != nil {
			l.desk.fail("%v", err)
		}
	}
	text := string(e.Message)
	a, n := l.parser.ParseEntry(e)
	if n == 0 || a.Outcome == tocsin.Probe {
		return
	}
	l.desk.post(event{at: e.At, on: l.machine, kind: attempt, who: a.Source.Addr(), text: quote(a, text), note: func(who *actor) {
		if a.Outcome == tocsin.Success {
			who.letIn++
			return
		}
		who.guesses = append(who.guesses, guess{e.At, l.machine})
	}})
}

// quote is what sshd said, without what the line shows anyway.
func quote(a tocsin.Attempt, message string) string {
	outcome := "refused"
	if a.Outcome == tocsin.Success {
		outcome = "let in"
	}
	if i := strings.LastIndex(message, " from "); i > 0 {
		message = message[:i]
	}
	return fmt.Sprintf("%-7s  %-8s  sshd: %q", outcome, a.Account, message)
}

// report is a line of a guard's or the hub's own log, as JSON.
type report struct {
	Time    time.Time     `json:"time"`
	Level   string        `json:"level"`
	Message string        `json:"msg"`
	Prefix  netip.Prefix  `json:"-"`
	Until   time.Time     `json:"until"`
	Reason  string        `json:"reason"`
	Took    time.Duration `json:"took"`
	Err     any           `json:"err"`

	Owner   string `json:"owner"`
	Verdict string `json:"verdict"`
	List    string `json:"list"`
	Serial  uint64 `json:"serial"`
	Bytes   int    `json:"bytes"`

	Named json.RawMessage `json:"prefix"` // one, or several
}

// parse reads a line of a log. What is not of the log is why the program ends, in
// plain words.
func (d *desk) parse(who, line string) (r report, ok bool) {
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		d.fail("%s says: %s", who, line)
		return r, false
	}
	if json.Unmarshal(r.Named, &r.Prefix) != nil {
		r.Prefix = netip.Prefix{} // several, or none
	}
	if r.Level == "ERROR" {
		d.fail("%s says: %s (%s: %v)", who, r.Message, logkey.Err, r.Err)
	}
	return r, true
}

// guard takes a line of a guard's log.
func (d *desk) guard(machine int, line string) {
	r, ok := d.parse("the guard of "+machines[machine].name, line)
	switch {
	case !ok:
	case r.Message == "blocked" && d.of(r.Prefix.Addr()) != nil:
		// The log's time is when the rule was proved; it was decided just after
		// the line was read.
		d.post(event{at: r.Time.Add(-r.Took), on: machine, near: true, kind: decision, who: r.Prefix.Addr(), note: func(a *actor) {
			a.took, a.by = r.Took, machine
		}, text: "block " + length(r.Until.Sub(r.Time)) + ": " + r.Reason})
		if d.inMem {
			d.hold(machine, r.Prefix.Addr(), r.Time, "in memory")
		}
	case r.Message == "rules of the fleet" && d.inMem && d.rules != nil:
		d.rules(machine, r.Time)
	}
}

// hub takes a line of the hub's log.
func (d *desk) hub(line string) {
	if !strings.HasPrefix(line, "{") {
		return // its greeting; if it ends, its last words are told anyway
	}
	r, ok := d.parse("the hub", line)
	switch {
	case !ok:
	case r.Message == "decided" && d.of(r.Prefix.Addr()) != nil:
		d.mu.Lock()
		d.decided = r.Prefix.Addr()
		d.mu.Unlock()
		scope := "every device"
		if r.Owner != "" {
			scope = "the devices of " + r.Owner
		}
		d.post(event{at: r.Time, on: hub, near: true, kind: decision, who: r.Prefix.Addr(),
			text: "block at " + scope + ", " + length(r.Until.Sub(r.Time)) + ": " + r.Reason})
	case r.Message == "published":
		d.mu.Lock()
		who := d.decided
		d.mu.Unlock()
		d.post(event{at: r.Time, on: hub, kind: frame, who: who,
			text: fmt.Sprintf("signed and sent: list %s, serial %d, %d bytes", r.List, r.Serial, r.Bytes)})
	}
}

// length rounds a block to how it was meant.
func length(d time.Duration) string {
	if d = d.Round(time.Minute); d < 2*time.Hour {
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Round(time.Hour).Hours()))
}

// monitored takes a line of a machine's nft monitor, such as
//
//	add element inet tocsin b4_32_2 { 203.0.113.7 timeout 10m expires 10m }
func (d *desk) monitored(machine int, line string, at time.Time) {
	// What is never blocked stands in sets of its own.
	if set, addr, ok := element(line); ok && strings.HasPrefix(set, "b") {
		d.hold(machine, addr, at, "in set "+set)
	}
}

// hold takes down that a machine's firewall holds an actor.
func (d *desk) hold(machine int, addr netip.Addr, at time.Time, how string) {
	who := d.of(addr)
	if who == nil {
		return
	}
	d.mu.Lock()
	if who.heard == nil {
		who.heard = make(map[int]bool)
	}
	again := who.heard[machine]
	who.heard[machine] = true // told later, but he need not guess any more
	d.mu.Unlock()
	if again {
		return // the same rule with another end
	}
	d.post(event{at: at, on: machine, near: true, kind: kernel, who: addr, tell: func(a *actor) string {
		if !a.hold(machine, at) {
			return ""
		}
		line, after := a.decisive()
		return fmt.Sprintf("%s, %s after %s's line", how, span(at.Sub(line)), machines[after].name)
	}})
}

// element reads a line of nft monitor.
func element(line string) (set string, addr netip.Addr, ok bool) {
	head, rest, found := strings.Cut(line, "{")
	words, first := strings.Fields(head), strings.Fields(rest)
	if !found || len(words) != 5 || words[0] != "add" || words[1] != "element" || len(first) == 0 {
		return "", addr, false
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(first[0], ","))
	return words[4], addr, err == nil
}
