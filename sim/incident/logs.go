package incident

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin"
)

// every is how many seconds apart a log shows that its writer is alive, whatever
// else happens: so a gap can be seen.
const every = 300

// How a device's log daemon writes heads.
const (
	short  = iota // RFC 3164, in UTC
	iso           // the short form with the time of RFC 3339, two hours east of UTC
	long          // RFC 5424
	styles = iota
)

var east = time.FixedZone("", 2*3600)

// writeLogs writes the folder of every device.
func (w *world) writeLogs(ctx context.Context, f *folder) error {
	lists := make([][]attempt, len(w.devices))
	for i := range w.devices {
		n := 0
		for _, c := range w.devices[i].count {
			n += c
		}
		lists[i] = make([]attempt, 0, n)
	}
	for _, a := range w.attempts {
		lists[a.device] = append(lists[a.device], a)
	}
	for i := range w.devices {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.c.Progress("writing logs", i, len(w.devices))
		if err := w.writeDevice(f, &w.devices[i], lists[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) writeDevice(f *folder, d *device, list []attempt) error {
	base := "devices/" + string(d.name) + "/"
	if d.lacks(goneLogs) {
		return f.makeAll(f.dir + "/" + base[:len(base)-1])
	}
	type part struct {
		suffix   string
		from, to int64
	}
	parts := []part{{"", w.start, w.end}}
	if d.rotated > 0 {
		half := w.start - history/2
		parts = []part{{".2.gz", w.start - history, half}, {".1", half, d.rotated}, {"", d.rotated, w.end}}
	}
	for _, s := range d.services {
		c := scribe{d: d, service: s, processes: map[uint32]int{}, rest: list}
		for _, p := range parts {
			err := f.file(base+logFiles[s]+p.suffix, func(out *bufio.Writer) error {
				c.out = out
				c.part(p.from, p.to)
				return nil // out keeps its first error
			})
			if err != nil {
				return err
			}
		}
	}
	return f.file(base+"events.jsonl", func(out *bufio.Writer) error { return writeEvents(out, d) })
}

func writeEvents(out *bufio.Writer, d *device) error {
	enc := json.NewEncoder(out)
	for _, e := range d.events {
		err := enc.Encode(struct {
			At      time.Time `json:"at"`
			Fact    string    `json:"fact"`
			Subject string    `json:"subject"`
		}{time.Unix(e.at, 0).UTC(), e.fact.String(), e.subject})
		if err != nil {
			return err
		}
	}
	return nil
}

// A scribe writes the log of one service of one device.
type scribe struct {
	d         *device
	service   service
	out       *bufio.Writer
	processes map[uint32]int // of connections that go on
	rest      []attempt      // of the device, in order
}

// part writes what happened from one time until another.
func (c *scribe) part(from, to int64) {
	sign := from + (every-from%every)%every
	for ; len(c.rest) > 0 && c.rest[0].at < to; c.rest = c.rest[1:] {
		a := &c.rest[0]
		if a.service != c.service || a.at < from {
			continue
		}
		for ; sign <= a.at; sign += every {
			c.alive(sign)
		}
		c.attempt(a)
	}
	for ; sign < to; sign += every {
		c.alive(sign)
	}
}

// process returns the number of the process that serves a connection.
func (c *scribe) process(conn uint32, last bool) int {
	pid, ok := c.processes[conn]
	if !ok {
		c.d.next[c.service] += 1 + int(conn%3)
		pid = c.d.next[c.service]
		c.processes[conn] = pid
	}
	if last {
		delete(c.processes, conn)
	}
	return pid
}

// alive writes a line that tells of no log-in.
func (c *scribe) alive(at int64) {
	if c.d.lacks(goneLines) && at >= c.d.gap[0] && at < c.d.gap[1] {
		return
	}
	switch c.service {
	case ssh:
		c.line(at, "CRON", 700+int(at/every%200), "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
	case qnap:
		c.qulog(at, 30, "System", unset3, "event log: Users: System, Source IP: ---, Computer name: ---, Application: NTP Service, Category: Time, "+
			"Content: [NTP] The clock is in step.")
	case samba:
		c.sambaHead(at, 3, "smbd/process.c:2904(housekeeping_fn)")
	case vsftpd:
		c.ftp(at, 3, fmt.Sprintf("CONNECT: Client %q", mapped(c.d.address)))
	}
}

func (c *scribe) attempt(a *attempt) {
	switch c.service {
	case ssh:
		c.ssh(a)
	case qnap:
		c.qnap(a)
	case samba:
		c.samba(a)
	case vsftpd:
		pid := c.process(a.conn, a.last)
		if a.first {
			c.ftp(a.at, pid, fmt.Sprintf("CONNECT: Client %q", mapped(a.source)))
		}
		word := "FAIL"
		if a.outcome == tocsin.Success {
			word = "OK"
		}
		c.ftp(a.at, pid, fmt.Sprintf("[%s] %s LOGIN: Client %q", a.account, word, mapped(a.source)))
	}
}

// line writes a message with the head that the device's log daemon writes.
func (c *scribe) line(at int64, program string, pid int, message string) {
	t := time.Unix(at, 0).UTC()
	switch c.d.style {
	case short:
		fmt.Fprintf(c.out, "%s %s %s[%d]: %s\n", t.Format(time.Stamp), c.d.name, program, pid, message)
	case iso:
		fmt.Fprintf(c.out, "%s %s %s[%d]: %s\n", t.In(east).Format("2006-01-02T15:04:05.000000-07:00"), c.d.name, program, pid, message)
	case long:
		fmt.Fprintf(c.out, "<38>1 %s %s %s %d - - %s\n", t.Format("2006-01-02T15:04:05.000000Z07:00"), c.d.name, program, pid, message)
	}
}

// ssh writes what OpenSSH writes of an attempt.
func (c *scribe) ssh(a *attempt) {
	program := "sshd"
	if c.d.firmware == models[1].firmware[0] || c.d.firmware == models[0].firmware[0] {
		program = "sshd-session"
	}
	pid := c.process(a.conn, a.last)
	say := func(format string, args ...any) { c.line(a.at, program, pid, fmt.Sprintf(format, args...)) }
	who, state, user := a.account, "authenticating", "  user="+a.account
	if a.unknown {
		who, state, user = "invalid user "+a.account, "invalid", ""
	}
	switch a.outcome {
	case tocsin.Probe:
		say("Connection closed by %s port %d [preauth]", a.source, a.port)
		return
	case tocsin.Success:
		if a.machine {
			say("Accepted publickey for %s from %s port %d ssh2: ED25519 SHA256:EXAMPLE", a.account, a.source, a.port)
		} else {
			say("Accepted password for %s from %s port %d ssh2", a.account, a.source, a.port)
		}
		say("pam_unix(sshd:session): session opened for user %s(uid=1000) by (uid=0)", a.account)
		return
	}
	if a.unknown && a.first {
		say("Invalid user %s from %s port %d", a.account, a.source, a.port)
	}
	say("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s%s", a.source, user)
	say("Failed password for %s from %s port %d ssh2", who, a.source, a.port)
	if a.last {
		say("Connection closed by %s user %s %s port %d [preauth]", state, a.account, a.source, a.port)
	}
}

const unset3 = "---" // how QNAP writes that it does not know

// qnap writes what QTS sends to a log server: two lines for a failure, one by
// the old firmware.
func (c *scribe) qnap(a *attempt) {
	old := c.old()
	kind, action, priority := "HTTPS", "Login Fail", 28
	if old {
		kind = "HTTP"
	}
	if a.outcome == tocsin.Success {
		action, priority = "Login Success", 30
		if old {
			action = "Login OK"
		}
	}
	c.qulog(a.at, priority, a.account, a.source.String(), fmt.Sprintf(
		"conn log: Users: %s, Source IP: %s, Computer name: ---, Connection type: %s, Accessed resources: Administration, Action: %s",
		a.account, a.source, kind, action))
	if !old && a.outcome == tocsin.Failure {
		c.qulog(a.at, priority, a.account, a.source.String(), fmt.Sprintf(
			"event log: Users: %s, Source IP: %s, Computer name: ---, Application: Users, Category: Login and Security, "+
				"Content: [Users] Failed to log in via user account %q. Source IP address: %s.", a.account, a.source, a.account, a.source))
	}
}

// old reports whether a device has the firmware before.
func (c *scribe) old() bool { return c.d.firmware == models[0].firmware[1] }

func (c *scribe) qulog(at int64, priority int, user, address, message string) {
	t := time.Unix(at, 0).UTC()
	switch {
	case c.old():
		fmt.Fprintf(c.out, "<%d>%s %s qlogd[3310]: %s\n", priority, t.Format(time.Stamp), c.d.name, message)
	case c.d.style == long:
		fmt.Fprintf(c.out, "<%d>1 %s %s qulogd: 14387 - [QuLog@Event user=%q ip=%q] %s\n",
			priority, t.In(east).Format("2006-01-02T15:04:05-07:00"), c.d.name, user, address, message)
	default:
		fmt.Fprintf(c.out, "<%d>%s %s qulogd[14387]: %s\n", priority, t.Format(time.Stamp), c.d.name, message)
	}
}

// samba writes both audit forms of an attempt.
func (c *scribe) samba(a *attempt) {
	t := time.Unix(a.at, 0).UTC()
	status, then, id := "NT_STATUS_WRONG_PASSWORD", "mapped to", 4625
	switch {
	case a.outcome == tocsin.Success:
		status, then, id = "NT_STATUS_OK", "became", 4624
	case a.unknown:
		status = "NT_STATUS_NO_SUCH_USER"
	}
	remote, local := sambaAddress(a.source, a.port), sambaAddress(c.d.address, 445)
	sid := ""
	if a.outcome == tocsin.Success {
		sid = " [S-1-5-21-0-0-0-1000]"
	}
	c.sambaHead(a.at, 2, "auth/auth_log.c:635(log_authentication_event_human_readable)")
	fmt.Fprintf(c.out, "  Auth: [SMB2,(null)] user [WORKGROUP]\\[%s] at [%s] with [NTLMv2] status [%s] workstation [PC-1] remote host [%s] %s [WORKGROUP]\\[%s]%s. local host [%s] \n",
		a.account, t.Format("Mon, 02 Jan 2006 15:04:05.000000 MST"), status, remote, then, a.account, sid, local)
	c.sambaHead(a.at, 2, "auth/auth_log.c:749(log_json)")
	fmt.Fprintf(c.out, `  {"timestamp": %q, "type": "Authentication", "Authentication": {"version": {"major": 1, "minor": 2}, "eventId": %d, "status": %q, `+
		`"localAddress": %q, "remoteAddress": %q, "serviceDescription": "SMB2", "clientDomain": "WORKGROUP", "clientAccount": %q, "workstation": "PC-1"}}`+"\n",
		t.Format("2006-01-02T15:04:05.000000-0700"), id, status, local, remote, a.account)
}

func (c *scribe) sambaHead(at int64, level int, where string) {
	fmt.Fprintf(c.out, "[%s,  %d] ../../source3/%s\n", time.Unix(at, 0).UTC().Format("2006/01/02 15:04:05.000000"), level, where)
}

func sambaAddress(a netip.Addr, port uint16) string {
	family := "ipv4"
	if a.Is6() {
		family = "ipv6"
	}
	return fmt.Sprintf("%s:%s:%d", family, a, port)
}

func (c *scribe) ftp(at int64, pid int, message string) {
	fmt.Fprintf(c.out, "%s [pid %d] %s\n", time.Unix(at, 0).UTC().Format(time.ANSIC), pid, message)
}

// mapped is how vsftpd writes an address.
func mapped(a netip.Addr) string {
	if a.Is4() {
		return "::ffff:" + a.String()
	}
	return a.String()
}
