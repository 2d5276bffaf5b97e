package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
	"github.com/tocsin-io/tocsin/internal/logkey"
)

// A listener makes attempts of what sshd says, by the guard's own parser, and
// may write it down.
type listener struct {
	desk   *desk
	parser *authlog.Parser
	record *os.File // nil is not recorded
}

func newListener(d *desk) *listener {
	return &listener{desk: d, parser: authlog.Default().Parser(time.UTC)}
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
		_, err := fmt.Fprintf(l.record, "%s nas %s[%d]: %s\n", e.At.UTC().Format(stampLayout), e.Program, e.PID, e.Message)
		if err != nil {
			l.desk.fail("%v", err)
		}
	}
	text := string(e.Message)
	a, n := l.parser.ParseEntry(e)
	if n == 0 || a.Outcome == tocsin.Probe {
		return
	}
	l.desk.post(event{at: e.At, kind: attempt, who: a.Source.Addr().String(), text: quote(a, text), note: func(who *actor) {
		if a.Outcome == tocsin.Success {
			who.letIn++
			return
		}
		who.guesses = append(who.guesses, e.At)
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

// report is a line of the guard's own log, as JSON.
type report struct {
	Time    time.Time     `json:"time"`
	Level   string        `json:"level"`
	Message string        `json:"msg"`
	Prefix  netip.Prefix  `json:"prefix"`
	Until   time.Time     `json:"until"`
	Reason  string        `json:"reason"`
	Took    time.Duration `json:"took"`
	Err     any           `json:"err"`
}

// guard takes a line of the guard's log.
func (d *desk) guard(line string) {
	var r report
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		d.fail("the guard says: %s", line) // it tells why it ends in plain words
		return
	}
	if r.Level == "ERROR" {
		d.fail("the guard says: %s (%s: %v)", r.Message, logkey.Err, r.Err)
	}
	who := r.Prefix.String()
	if r.Prefix.IsValid() && r.Prefix.IsSingleIP() {
		who = r.Prefix.Addr().String()
	}
	switch r.Message {
	case "blocked":
		// The log's time is when the rule was proved; it was decided just after
		// the line was read.
		d.post(event{at: r.Time.Add(-r.Took), near: true, kind: decision, who: who, note: func(a *actor) {
			a.took, a.until = r.Took, r.Until
		}, text: fmt.Sprintf("block %s, until %s: %s", length(r.Until.Sub(r.Time)), r.Until.Local().Format(time.TimeOnly), r.Reason)})
		if d.inMem {
			d.held(r, who)
		}
	case "not blocked":
		d.post(event{at: r.Time.Add(-r.Took), near: true, kind: decision, who: who, note: func(a *actor) { a.spared = true },
			text: fmt.Sprintf("spared, the allowlist names it: %s", r.Reason)})
	}
}

// length rounds a block to whole minutes, which is how it was meant.
func length(d time.Duration) string {
	return fmt.Sprintf("%d min", int(d.Round(time.Minute).Minutes()))
}

// monitor takes a line of nft monitor, such as
//
//	add element inet tocsin block4 { 203.0.113.7 timeout 10m expires 10m }
func (d *desk) monitor(line string) { d.monitored(line, time.Now()) }

func (d *desk) monitored(line string, at time.Time) {
	set, addr, ok := element(line)
	if !ok {
		return
	}
	who := d.of(addr)
	if who == nil || who.part == allowed {
		return // what is never blocked stands in sets of its own
	}
	d.mu.Lock()
	who.held = true // told later, but he need not guess any more
	d.mu.Unlock()
	d.post(event{at: at, near: true, kind: kernel, who: who.who(), note: func(a *actor) {
		a.blocked, a.element = at, true
	}, tell: func(a *actor) string {
		return fmt.Sprintf("in set %s, %s after sshd's line (guard %s)", set, span(a.reaction()), span(a.took))
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
