package authlog

import (
	"bytes"

	"github.com/tocsin-io/tocsin"
)

const (
	fromDovecotLogin = "dovecot/core: src/login-common/client-common.c"
	fromDovecotAuth  = "dovecot/core: src/auth/auth-request.c"
	fromDovecotHub   = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/dovecot-logs.yaml"
)

// dovecot reads the log-in processes and the workers that check passwords; both
// tell one attempt. It never looks at what follows "given password:".
func dovecot() Definition {
	return Definition{
		Name:  "dovecot",
		Title: "Dovecot (IMAP, POP3, submission)",
		Programs: []string{
			"dovecot", "imap-login", "pop3-login", "submission-login", "managesieve-login", "auth-worker",
		},
		Executables: []string{"/usr/lib/dovecot/log", "/usr/libexec/dovecot/log", "/usr/sbin/dovecot"},
		Files:       []string{"/var/log/dovecot.log", "/var/log/dovecot-info.log"},
		Patterns:    append(dovecotLogins(), dovecotWorkers()...),
		Skip: []string{
			"imap-login: ", "pop3-login: ", "submission-login: ", "managesieve-login: ", "Info: ",
			"auth-worker(<num>): ", "auth-worker<<<num>>: ", "auth-worker: ", "auth: ",
			"conn unix:auth-worker (pid=<num>,uid=<num>): ",
		},
		Join:    ByAccount,
		Account: bareName,
		Samples: dovecotSamples(),
		Notes: []string{
			"The lines of PAM in auth.log tell the same failures and are not read.",
			"Where auth_verbose_passwords is on, the log holds passwords: this reader never keeps them, but others may.",
		},
	}
}

// bareName takes "name" out of "name>, method=PLAIN" and "name>".
func bareName(caught []byte) []byte {
	if i := bytes.LastIndex(caught, []byte(">, method=")); i >= 0 {
		return caught[:i]
	}
	return bytes.TrimSuffix(caught, []byte(">"))
}

func dovecotLogins() []Pattern {
	var ps []Pattern
	// ">, method=PLAIN" may stand before the comma: bareName takes it off. The
	// address must be found by what all forms have in common.
	const tail = "user=<<<account>, rip=<addr>, lip=<text>"
	for _, end := range []string{"Disconnected", "Aborted login", "Login aborted"} {
		for _, secs := range []string{" in <num> secs): ", " in <num> secs) (auth_failed): ", "): "} {
			ps = append(ps,
				failure(end+" (auth failed, <count> attempts"+secs+tail, Verdict),
				failure(end+": <text> (auth failed, <count> attempts"+secs+tail, Verdict))
		}
		const gone = " (no auth attempts in <num> secs): user=<<>, rip=<addr>, lip=<text>"
		ps = append(ps,
			Pattern{Text: end + gone, Outcome: tocsin.Probe, Role: Verdict},
			Pattern{Text: end + ": <text>" + gone, Outcome: tocsin.Probe, Role: Verdict})
	}
	return append(ps, success("Login: "+tail), success("Logged in: "+tail))
}

// dovecotWorkers are lines such as "pam(name,address,<session>): unknown user".
func dovecotWorkers() []Pattern {
	var ps []Pattern
	// Named one by one: other processes start their lines in the same way and go
	// on with what strangers wrote, such as the subject of a mail.
	for _, by := range []string{"pam", "sql", "passwd-file", "shadow", "passwd", "ldap", "lua", "checkpassword"} {
		for _, why := range []string{"unknown user", "Password mismatch", "password mismatch", "pam_authenticate() failed: "} {
			p := failure(by+"(<account>,<addr><text>): "+why+"<text>", Opening)
			p.Unknown = why == "unknown user"
			ps = append(ps, p)
		}
	}
	return ps
}

func dovecotSamples() []Sample {
	const a, v6, p = "203.0.113.7", "2001:db8::7", "dovecot"
	const tail = ", method=PLAIN, rip=203.0.113.7, lip=192.0.2.5, TLS, session=<x/y+1>"
	many := func(s Sample, n int) Sample { s.N = n; return s }
	const conn = "conn unix:auth-worker (pid=919,uid=112): auth-worker<1>: "
	const forged = "x>, method=PLAIN, rip=198.51.100.7, lip=192.0.2.5"
	return []Sample{
		fails(p, "imap-login: Disconnected (auth failed, 1 attempts in 6 secs): user=<a@example.org>"+tail, a, 0, "a@example.org", fromDovecotLogin),
		many(fails(p, "pop3-login: Aborted login (auth failed, 3 attempts in 9 secs): user=<a@example.org>"+tail, a, 0, "a@example.org", fromDovecotLogin), 3),
		fails(p, "imap-login: Info: Disconnected: Too many invalid commands (auth failed, 1 attempts in 0 secs): user=<a>, rip=2001:db8::7, lip=2001:db8::5", v6, 0, "a", fromDovecotHub),
		many(fails(p, "imap-login: Login aborted: Connection closed (auth failed, 2 attempts in 2 secs) (auth_failed): user=<a b>"+tail, a, 0, "a b", fromDovecotLogin), 2),
		fails(p, "imap-login: Disconnected (auth failed, 1 attempts): user=<>, method=PLAIN, rip=::ffff:203.0.113.7, lip=::ffff:192.0.2.5\r", a, 0, "", fromDovecotHub),
		fails(p, "imap-login: Disconnected (auth failed, 1 attempts in 6 secs): user=<\x1b[31ma\xff\x00>"+tail, a, 0, "a\ufffd\ufffd", fromDovecotLogin),
		{
			Line: "Jan 15 20:54:02 imap-login: Info: Disconnected (auth failed, 1 attempts in 2 secs): user=<a>" + tail,
			Want: tocsin.Failure, Addr: a, Account: "a", From: fromDovecotLogin,
		},
		fails(p, "auth-worker(24058): pam(a@example.org,203.0.113.7): pam_authenticate() failed: Authentication failure (password mismatch?)", a, 0, "a@example.org", fromDovecotHub),
		fails(p, "auth-worker(24058): pam(toto,203.0.113.7,<youpi>): pam_authenticate() failed: Authentication failure (password mismatch?)", a, 0, "toto", fromDovecotHub),
		unknown(fails(p, "auth-worker(10377): "+conn+"sql(a@example.org,203.0.113.7): unknown user (given password: Secret$1)", a, 0, "a@example.org", fromDovecotHub)),
		unknown(fails(p, "auth-worker(63712): Info: "+conn+"sql(contact,2001:db8::7): unknown user", v6, 0, "contact", fromDovecotHub)),
		fails(p, "auth-worker(63712): Info: "+conn+"sql(contact,203.0.113.7): Password mismatch", a, 0, "contact", fromDovecotAuth),
		succeeds(p, "imap-login: Login: user=<a@example.org>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.5, mpid=18, TLS, session=<y>", "192.0.2.10", 0, "a@example.org", fromDovecotLogin),
		succeeds(p, "imap-login: Logged in: user=<a@example.org>, method=PLAIN, rip=192.0.2.10, lip=192.0.2.5, mpid=18, TLS", "192.0.2.10", 0, "a@example.org", fromDovecotLogin),
		probes(p, "imap-login: Disconnected (no auth attempts in 2 secs): user=<>, rip=203.0.113.7, lip=192.0.2.5, session=<z>", a, 0, fromDovecotLogin),
		unlike(p, "imap-login: Disconnected (auth failed, 1 attempts in 6 secs): user=<"+forged+">"+tail, fromDovecotLogin+": the address twice, nobody knows whose"),
		unlike(p, "imap-login: Login: user=<"+forged+">"+tail, fromDovecotLogin),
		unlike(p, "imap-login: Disconnected (auth failed, 0 attempts in 6 secs): user=<a>"+tail, fromDovecotLogin),
		unlike(p, "imap(a@example.org)<4101><x>: Disconnected: Logged out in=1 out=2, rip=203.0.113.7, lip=192.0.2.5", "dovecot/core: src/imap/imap-client.c"),
		unlike(p, "imap-login: Login aborted: Connection closed (auth service reported temporary failure): user=<a>"+tail, fromDovecotLogin),
		unlike(p, "auth: ldap(a,203.0.113.7): Connection appears to be hanging, reconnecting", fromDovecotAuth),
		unlike(p, "auth-worker(1): pam(x,198.51.100.7): unknown user,203.0.113.7): unknown user", fromDovecotAuth+": the address twice, nobody knows whose"),
		unlike(p, "imap-login: Disconnected (auth failed, 1 attempts in 6 secs): user=<a>, method=PLAIN, rip=203.0.", fromDovecotLogin),
		unlike(p, "imap(bob)<411><x>: save: box=INBOX, uid=1, msgid=<y>, subject=x,198.51.100.7): unknown user", "dovecot/core: src/plugins/mail-log/mail-log-plugin.c"),
		unlike(p, "imap-login: Disconnected (auth failed, 1 attempts in 6 secs): user=<x>, rip=198.51.100.7, lip=1>"+tail, fromDovecotLogin),
		unlike(p, "auth-worker(1): pam(x,198.51.100.7): unknown user,203.0.113.7,<s>): Password mismatch", fromDovecotAuth),
		unlike("auth", "pam_unix(dovecot:auth): authentication failure; logname= uid=0 euid=0 tty=dovecot ruser=a rhost=203.0.113.7", fromPAM),
	}
}
