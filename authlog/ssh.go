package authlog

import "github.com/tocsin-io/tocsin"

// ssh reads OpenSSH 6 to 10. The name of the account stands before the address
// and may be empty or imitate a whole line, so nearly everything is anchored at
// the right.
func ssh() Definition {
	return Definition{
		Name:     "ssh",
		Title:    "OpenSSH",
		Programs: []string{"sshd", "sshd-session", "sshd-auth"},
		Executables: []string{
			"/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd",
			"/usr/lib/openssh/sshd-session", "/usr/lib/openssh/sshd-auth", // Debian, Ubuntu
			"/usr/libexec/openssh/sshd-session", "/usr/libexec/openssh/sshd-auth", // Fedora, RHEL
			"/usr/lib/ssh/sshd-session", "/usr/lib/ssh/sshd-auth", // Arch, Alpine, SUSE
			"/usr/libexec/ssh/sshd-session", "/usr/libexec/ssh/sshd-auth",
			"/usr/libexec/sshd-session", "/usr/libexec/sshd-auth",
		},
		Skip:     []string{"error: ", "fatal: "},
		Patterns: append(append(sshVerdicts(), sshEchoes()...), sshClosings()...),
		Samples:  append(append(sshSamples(), sshLookAlikes()...), sshProbes()...),
		Notes: []string{
			"LogLevel VERBOSE in sshd_config also tells which public keys were refused.",
			"UseDNS yes makes some lines name a host instead of an address: those cannot be counted.",
		},
	}
}

func failure(text string, role Role) Pattern {
	return Pattern{Text: text, Outcome: tocsin.Failure, Role: role}
}

func success(text string) Pattern { return Pattern{Text: text, Outcome: tocsin.Success} }

func probe(text string) Pattern {
	return Pattern{Text: text, Outcome: tocsin.Probe, Role: Closing}
}

// nobody marks a pattern of an account that the service does not have.
func nobody(p Pattern) Pattern { p.Unknown = true; return p }

// sshVerdicts are the lines that say how an attempt ended (auth.c, auth_log).
// Those that end in "ssh2" come before those that tell the key: only so can a
// name not pass for the end of the address.
func sshVerdicts() []Pattern {
	const end = " from <addr> port <port> ssh2"
	const key = end + ": <word> <word>"
	const cert = end + ": <word> <word> ID <text> (serial <num>) CA <word> <word>"
	ps := []Pattern{
		nobody(failure("Failed password for invalid user <account>"+end, Verdict)),
		failure("Failed password for <account>"+end, Verdict),
		nobody(failure("Invalid user <account> from <addr> port <port>", Opening)),
		nobody(failure("Invalid user <account> from <addr>", Opening)),
		failure("User <account> from <addr> not allowed because <text>", Opening),
	}
	for _, method := range []string{"none", "publickey", "hostbased", "gssapi-with-mic"} {
		role := Offer
		if method == "none" {
			role = Echo
		}
		for _, tail := range []string{end, key, cert} {
			ps = append(ps,
				nobody(failure("Failed "+method+" for invalid user <account>"+tail, role)),
				failure("Failed "+method+" for <account>"+tail, role))
		}
	}
	ps = append(ps,
		nobody(failure("Failed <word> for invalid user <account>"+end, Verdict)),
		failure("Failed <word> for <account>"+end, Verdict))
	for _, tail := range []string{end, key, cert} {
		ps = append(ps, success("Accepted <word> for <account>"+tail))
	}
	return ps
}

// sshEchoes are the lines that repeat what another one tells.
func sshEchoes() []Pattern {
	const pam = "(sshd:auth): authentication failure; logname= uid=<num> euid=<num> tty=ssh ruser= rhost=<addr>"
	ps := []Pattern{
		failure("pam_unix"+pam+"  user=<account>", Echo),
		failure("pam_unix"+pam, Echo),
		{Text: "ROOT LOGIN REFUSED FROM <addr> port <port>", Outcome: tocsin.Failure, Role: Echo, Account: "root"},
		{Text: "ROOT LOGIN REFUSED FROM <addr>", Outcome: tocsin.Failure, Role: Echo, Account: "root"},
	}
	for _, module := range []string{"sss", "winbind", "ldap", "krb5"} {
		ps = append(ps,
			failure("pam_"+module+pam+" user=<account>", Echo),
			failure("pam_"+module+pam, Echo))
	}
	for _, why := range []string{
		"Authentication failure", "User not known to the underlying authentication module", "Permission denied",
	} {
		ps = append(ps,
			nobody(failure("PAM: "+why+" for illegal user <account> from <addr>", Echo)),
			failure("PAM: "+why+" for <account> from <addr>", Echo))
	}
	return ps
}

// sshClosings are the last lines of a session, and those of visitors who never
// got as far as a name (packet.c, sshd.c, kex.c).
func sshClosings() []Pattern {
	const who = " <addr> port <port>"
	var ps []Pattern
	for _, end := range []string{"Connection closed by", "Connection reset by", "Disconnected from"} {
		ps = append(ps,
			failure(end+" authenticating user <account>"+who+" [preauth]", Closing),
			nobody(failure(end+" invalid user <account>"+who+" [preauth]", Closing)),
			probe(end+who+" [preauth]"),
			probe(end+" <addr> [preauth]"))
	}
	return append(ps,
		nobody(failure("maximum authentication attempts exceeded for invalid user <account> from <addr> port <port> ssh2 [preauth]", Closing)),
		failure("maximum authentication attempts exceeded for <account> from <addr> port <port> ssh2 [preauth]", Closing),
		failure("Disconnecting authenticating user <account>"+who+": <text> [preauth]", Closing),
		nobody(failure("Disconnecting invalid user <account>"+who+": <text> [preauth]", Closing)),
		Pattern{Text: "Received disconnect from <addr> port <port>:<num>: <text> [preauth]", Outcome: tocsin.Probe, Role: Echo},
		Pattern{Text: "Received disconnect from <addr>: <num>: <text> [preauth]", Outcome: tocsin.Probe, Role: Echo},
		probe("Did not receive identification string from <addr> port <port>"),
		probe("Did not receive identification string from <addr>"),
		probe("banner exchange: Connection from <addr> port <port>: <text>"),
		probe("Bad protocol version identification '<text>' from <addr> port <port>"),
		probe("Bad protocol version identification '<text>' from <addr>"),
		probe("Protocol major versions differ for <addr> port <port>: <text>"),
		probe("Protocol major versions differ for <addr>: <text>"),
		probe("Unable to negotiate with <addr> port <port>: <text>"),
		probe("Unable to negotiate with <addr>: <text>"),
		probe("ssh_dispatch_run_fatal: Connection from <addr> port <port>: <text> [preauth]"),
		failure("ssh_dispatch_run_fatal: Connection from authenticating user <account>"+who+": <text> [preauth]", Closing),
		nobody(failure("ssh_dispatch_run_fatal: Connection from invalid user <account>"+who+": <text> [preauth]", Closing)),
		probe("Timeout before authentication for connection from <addr> to <host>, pid = <num>"),
		probe("Timeout before authentication for <addr> port <port>"),
		probe("Timeout before authentication for <addr>"),
		probe("drop connection #<num> from [<addr>]:<port> on [<host>]:<num> <text>"),
		probe("refused connect from <text> (<addr>)"),
	)
}
