package authlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// A teller feeds lines of one log and counts what they tell.
type teller struct {
	p                           *Parser
	at                          time.Time
	failures, successes, probes int
	last                        tocsin.Attempt
}

func newTeller() *teller {
	return &teller{p: Default().Parser(time.UTC), at: time.Date(2026, 1, 15, 20, 54, 0, 0, time.UTC)}
}

func (l *teller) count(a tocsin.Attempt, n int) {
	if n == 0 {
		return
	}
	l.last = a
	switch a.Outcome {
	case tocsin.Failure:
		l.failures += n
	case tocsin.Success:
		l.successes += n
	case tocsin.Probe:
		l.probes += n
	}
}

// line feeds a message of program at the present moment, in which it is read.
func (l *teller) line(program, message string) {
	text := l.at.Format("Jan _2 15:04:05") + " host " + program + ": " + message
	l.count(l.p.Parse([]byte(text), l.at))
	l.overdue()
}

func (l *teller) overdue() {
	for a, ok := l.p.Overdue(l.at); ok; a, ok = l.p.Overdue(l.at) {
		l.count(a, 1)
	}
}

func (l *teller) wait(d time.Duration) { l.at = l.at.Add(d) }

// Each session counts what one person at the other end did.
func TestTwins(t *testing.T) {
	const from = " from 203.0.113.7 port 40122"
	const pam = "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7"
	const who = "203.0.113.7 port 40122"
	const key = " ssh2: RSA SHA256:x"
	for _, c := range []struct {
		name     string
		lines    []string // "+3s" waits
		want     [3]int   // failures, successes, probes
		program  string
		finished bool // nothing may be left waiting
	}{
		{"one guess at an account that is not there", []string{
			"Invalid user x" + from, pam, "+2s", "Failed password for invalid user x" + from + " ssh2",
			"Received disconnect from " + who + ":11: Bye Bye [preauth]", "Disconnected from invalid user x " + who + " [preauth]",
		}, [3]int{1, 0, 0}, "", true},
		{"one guess at root", []string{
			pam + "  user=root", "+2s", "Failed password for root" + from + " ssh2",
			"Connection closed by authenticating user root " + who + " [preauth]",
		}, [3]int{1, 0, 0}, "", true},
		{"six guesses, five of them repeated by the log daemon", []string{
			pam + "  user=root", "+2s", "Failed password for root" + from + " ssh2", "+9s",
			"message repeated 5 times: [ Failed password for root" + from + " ssh2]",
			"error: maximum authentication attempts exceeded for root" + from + " ssh2 [preauth]",
			"Disconnecting authenticating user root " + who + ": Too many authentication failures [preauth]",
		}, [3]int{6, 0, 0}, "", true},
		{"three guesses at an account that is not there", []string{
			"Invalid user x" + from, "Failed none for invalid user x" + from + " ssh2", "+2s",
			"Failed password for invalid user x" + from + " ssh2", "+7s", "Failed password for invalid user x" + from + " ssh2",
			"+7s", "Failed password for invalid user x" + from + " ssh2", "Connection closed by invalid user x " + who + " [preauth]",
		}, [3]int{3, 0, 0}, "", true},
		{"a name and nothing more", []string{
			"Invalid user x" + from, "Connection closed by invalid user x " + who + " [preauth]",
		}, [3]int{1, 0, 0}, "", true},
		{"an agent with three keys, the last of which fits", []string{
			"Failed publickey for bob" + from + key, "Failed publickey for bob" + from + key, "Accepted publickey for bob" + from + key,
			"+9s", "Received disconnect from " + who + ":11: disconnected by user", "Disconnected from user bob " + who,
		}, [3]int{0, 1, 0}, "", true},
		{"three keys, none of which fits", []string{
			"Failed publickey for bob" + from + key, "+6s", "Failed publickey for bob" + from + key, "+6s", "Failed publickey for bob" + from + key,
			"Connection closed by authenticating user bob " + who + " [preauth]",
		}, [3]int{1, 0, 0}, "", true},
		{"mistyped once", []string{
			pam + "  user=bob", "+2s", "Failed password for bob" + from + " ssh2", "+4s", "Accepted password for bob" + from + " ssh2",
		}, [3]int{1, 1, 0}, "", true},
		{"pam_unix refuses, the next module lets in", []string{
			pam + "  user=bob", "Accepted password for bob" + from + " ssh2",
		}, [3]int{0, 1, 0}, "", true},
		{"only PAM tells", []string{pam + "  user=bob", "+6s", "Server listening"}, [3]int{1, 0, 0}, "", true},
		{"not listed in AllowUsers", []string{
			"User root from 203.0.113.7 not allowed because not listed in AllowUsers", "+2s",
			"Failed password for invalid user root" + from + " ssh2",
		}, [3]int{1, 0, 0}, "", true},
		{"a scanner", []string{
			"Received disconnect from " + who + ":11: Bye Bye [preauth]", "Disconnected from " + who + " [preauth]",
		}, [3]int{0, 0, 1}, "", true},
		{"a guess that only the end tells", []string{
			"Received disconnect from " + who + ":11: Bye Bye [preauth]", "Disconnected from authenticating user root " + who + " [preauth]",
		}, [3]int{1, 0, 0}, "", true},
		{"QNAP tells twice", []string{
			"conn log: Users: admin, Source IP: 203.0.113.7, Computer name: ---, Connection type: HTTPS, Accessed resources: Administration, Action: Login Fail",
			`event log: Users: admin, Source IP: 203.0.113.7, Computer name: ---, Application: Users, Category: x, Content: [Users] Failed to log in via user account "admin". Source IP address: 203.0.113.7.`,
		}, [3]int{1, 0, 0}, "qulogd", true},
		{"QNAP tells twice, the event first", []string{
			`event log: Users: admin, Source IP: 203.0.113.7, Computer name: ---, Application: Users, Category: x, Content: [Users] Failed to log in via user account "admin". Source IP address: 203.0.113.7.`,
			"conn log: Users: admin, Source IP: 203.0.113.7, Computer name: ---, Connection type: HTTPS, Accessed resources: Administration, Action: Login Fail",
		}, [3]int{1, 0, 0}, "qulogd", true},
		{"dovecot: the worker, then the log-in process", []string{
			"auth-worker(1): pam(a,203.0.113.7): unknown user", "+3s", "auth-worker(1): pam(a,203.0.113.7): unknown user", "+170s",
			"imap-login: Disconnected: Inactivity (auth failed, 3 attempts in 173 secs): user=<a>, method=PLAIN, rip=203.0.113.7, lip=192.0.2.5",
		}, [3]int{3, 0, 0}, "dovecot", true},
		{"Samba in both forms", []string{
			`Auth: [SMB2,(null)] user [W]\[a] at [Thu, 15 Jan 2026 20:54:00 UTC] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [P] remote host [ipv4:203.0.113.7:4] mapped to [W]\[a]. local host [ipv4:192.0.2.5:445] `,
			`{"timestamp":"2026-01-15T20:54:00.1+0000","type":"Authentication","Authentication":{"status":"NT_STATUS_WRONG_PASSWORD","remoteAddress":"ipv4:203.0.113.7:4","serviceDescription":"SMB2","clientAccount":"a"}}`,
			`{"timestamp":"2026-01-15T20:54:00.2+0000","type":"Authentication","Authentication":{"status":"NT_STATUS_WRONG_PASSWORD","remoteAddress":"ipv4:203.0.113.7:4","serviceDescription":"SMB2","clientAccount":"a"}}`,
			`Auth: [SMB2,(null)] user [W]\[a] at [Thu, 15 Jan 2026 20:54:00 UTC] with [NTLMv2] status [NT_STATUS_WRONG_PASSWORD] workstation [P] remote host [ipv4:203.0.113.7:4] mapped to [W]\[a]. local host [ipv4:192.0.2.5:445] `,
		}, [3]int{2, 0, 0}, "smbd", true},
		{"Nextcloud: the failure, then the counter", []string{
			`{"time":"2026-01-15T20:54:00+00:00","remoteAddr":"203.0.113.7","app":"x","message":"Login failed: a (Remote IP: 203.0.113.7)"}`,
			`{"time":"2026-01-15T20:54:00+00:00","remoteAddr":"203.0.113.7","app":"core","message":"Bruteforce attempt from \"203.0.113.7\" detected for action \"login\"."}`,
		}, [3]int{1, 0, 0}, "nextcloud", true},
		{"DSM: PAM, then the connection log", []string{
			"Failed", "User [a] from [203.0.113.7] failed to sign in to [DSM] via [password] due to authorization failure.",
		}, [3]int{1, 0, 0}, "Connection", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newTeller()
			program := c.program
			if program == "" {
				program = "sshd[4101]"
			}
			for _, line := range c.lines {
				if d, err := time.ParseDuration(line); err == nil {
					l.wait(d)
					continue
				}
				l.line(program, line)
			}
			if _, ok := l.p.Pending(); ok == c.finished {
				t.Errorf("something waits: %v", ok)
			}
			l.wait(time.Hour)
			l.overdue()
			if got := [3]int{l.failures, l.successes, l.probes}; got != c.want {
				t.Errorf("got %v failures, successes, probes, want %v", got, c.want)
			}
		})
	}
}

// DSM tells one failure by two programs.
func TestTwinsOfTwoPrograms(t *testing.T) {
	l := newTeller()
	for range 3 {
		l.line("synoscgi_SYNO.API.Auth_7_login[1]", "pam_unix(webui:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=203.0.113.7")
		l.line("Connection", "User [a] from [203.0.113.7] failed to sign in to [DSM] via [password] due to authorization failure.")
		l.wait(3 * time.Second)
	}
	if l.failures != 3 {
		t.Errorf("got %d failures, want 3", l.failures)
	}
}

// Lines of one process number with another address are another session: who can
// write to the log must not be able to take an attempt of somebody else away.
func TestSessionsDoNotMix(t *testing.T) {
	l := newTeller()
	l.line("sshd[1]", "Invalid user x from 203.0.113.7 port 1")
	l.line("sshd[1]", "Failed password for invalid user x from 198.51.100.7 port 1 ssh2")
	l.line("sshd[2]", "Failed password for invalid user x from 203.0.113.7 port 1 ssh2")
	if l.failures != 3 {
		t.Errorf("got %d failures, want 3", l.failures)
	}
}

// A process number comes back after a while, and is then another session.
func TestSessionsEnd(t *testing.T) {
	l := newTeller()
	for range 3 {
		l.line("sshd[1]", "Connection closed by authenticating user root 203.0.113.7 port 1 [preauth]")
		l.wait(241 * time.Second)
	}
	l.wait(-1000 * time.Hour) // a clock that jumps back
	l.line("sshd[1]", "Connection closed by authenticating user root 203.0.113.7 port 1 [preauth]")
	if l.failures != 4 {
		t.Errorf("got %d failures, want 4", l.failures)
	}
}

// However many sessions an attacker opens, memory is bounded and nothing that
// was held is lost as long as the caller asks.
func TestSessionsAreBounded(t *testing.T) {
	const sessions = 5 * MaxSessions
	l := newTeller()
	for i := range sessions {
		l.line(fmt.Sprintf("sshd[%d]", i+1), fmt.Sprintf(
			"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=198.18.%d.%d  user=a", i>>8, i&255))
		if n := len(l.p.echoes.list); n > MaxSessions {
			t.Fatalf("%d echoes are held", n)
		}
	}
	l.wait(time.Hour)
	l.overdue()
	if l.failures != sessions {
		t.Errorf("got %d failures, want %d", l.failures, sessions)
	}
	// And if the caller never asks, memory is bounded all the same.
	p := Default().Parser(nil)
	for i := range sessions {
		line := fmt.Sprintf("Jan 15 20:54:00 h sshd[%d]: Failed none for root from 198.18.%d.%d port 1 ssh2", i+1, i>>8, i&255)
		p.Parse([]byte(line), l.at)
	}
	if n := len(p.echoes.list) + len(p.echoes.expired); n > MaxSessions+maxExpired {
		t.Errorf("%d echoes are held", n)
	}
}

// Old logs are read much faster than they were written: there the stamps of the
// lines say when an echo is overdue.
func TestOverdueByTheStampsOfTheLines(t *testing.T) {
	p := Default().Parser(nil)
	now := time.Date(2026, 1, 16, 0, 0, 0, 0, time.UTC)
	p.Parse([]byte("Jan 15 20:54:00 h sshd[1]: Failed none for root from 203.0.113.7 port 1 ssh2"), now)
	if _, ok := p.Overdue(now); ok {
		t.Error("overdue at once")
	}
	p.Parse([]byte("Jan 15 20:54:06 h sshd[2]: Failed password for root from 203.0.113.9 port 1 ssh2"), now)
	a, ok := p.Overdue(now)
	if !ok || a.Source.Addr().String() != "203.0.113.7" || a.At.Second() != 0 {
		t.Errorf("got %v, %v", a, ok)
	}
}

func TestPending(t *testing.T) {
	p := Default().Parser(nil)
	if _, ok := p.Pending(); ok {
		t.Error("a new parser waits")
	}
	now := time.Date(2026, 1, 15, 20, 54, 0, 0, time.UTC)
	p.Parse([]byte("Jan 15 20:54:00 h sshd[1]: Failed none for root from 203.0.113.7 port 1 ssh2"), now)
	if d, ok := p.Pending(); !ok || !d.Equal(now.Add(5*time.Second)) {
		t.Errorf("got %v, %v", d, ok)
	}
	if _, ok := p.Overdue(now.Add(5 * time.Second)); !ok {
		t.Error("not overdue at its deadline")
	}
}
