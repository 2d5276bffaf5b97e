package authlog

import "github.com/tocsin-io/tocsin"

// Where the formats of OpenSSH are public.
const (
	fromAuth   = "openssh/openssh-portable: auth.c"
	fromPacket = "openssh/openssh-portable: packet.c"
	fromSSHD   = "openssh/openssh-portable: sshd.c"
	fromPAM    = "linux-pam/linux-pam: modules/pam_unix/support.c"
	fromHub    = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/sshd-logs.yaml"
	fromLoghub = "logpai/loghub: OpenSSH/OpenSSH_2k.log_templates.csv"
)

func fails(program, message, addr string, port uint16, account, from string) Sample {
	return Sample{Program: program, Message: message, Want: tocsin.Failure, Addr: addr, Port: port, Account: account, From: from}
}

func succeeds(program, message, addr string, port uint16, account, from string) Sample {
	s := fails(program, message, addr, port, account, from)
	s.Want = tocsin.Success
	return s
}

func probes(program, message, addr string, port uint16, from string) Sample {
	s := fails(program, message, addr, port, "", from)
	s.Want = tocsin.Probe
	return s
}

func unlike(program, message, from string) Sample {
	return Sample{Program: program, Message: message, From: from}
}

func unknown(s Sample) Sample { s.Unknown = true; return s }

func held(s Sample) Sample { s.Held = true; return s }

func sshSamples() []Sample {
	const a, v6 = "203.0.113.7", "2001:db8::7"
	const forged = "x from 198.51.100.7 port 22 ssh2"
	return []Sample{
		fails("sshd", "Failed password for root from 203.0.113.7 port 40130 ssh2", a, 40130, "root", fromAuth),
		unknown(fails("sshd-session", "Failed password for invalid user test from 203.0.113.7 port 40122 ssh2", a, 40122, "test", fromAuth)),
		unknown(fails("sshd", "Failed password for invalid user  from 2001:db8::7 port 40122 ssh2", v6, 40122, "", fromAuth)),
		fails("sshd", "Failed password for root from ::ffff:203.0.113.7 port 1 ssh2", a, 1, "root", fromAuth),
		fails("sshd", "Failed password for root from fe80::1%eth0 port 1 ssh2", "fe80::1", 1, "root", fromAuth),
		fails("sshd", "Failed keyboard-interactive/pam for root from 203.0.113.7 port 40131 ssh2", a, 40131, "root", fromAuth),
		unknown(fails("sshd", "Failed password for invalid user "+forged+" from 203.0.113.7 port 5 ssh2", a, 5, forged, fromAuth)),
		unknown(fails("sshd", "Failed password for invalid user \x1b[31mroot\x1b[0m from 203.0.113.7 port 5 ssh2", a, 5, "root", fromAuth)),
		unknown(fails("sshd", "Failed password for invalid user a\x00\xff from 203.0.113.7 port 5 ssh2", a, 5, "a\ufffd\ufffd", fromAuth)),
		unknown(fails("sshd", "Failed password for invalid user Jan 15 20:54:01 host sshd[1]: x from 203.0.113.7 port 5 ssh2", a, 5, "Jan 15 20:54:01 host sshd[1]: x", fromAuth)),
		held(fails("sshd", "Failed none for root from 203.0.113.7 port 40131 ssh2", a, 40131, "root", fromAuth)),
		held(unknown(fails("sshd", "Failed publickey for invalid user x from 203.0.113.7 port 40131 ssh2: RSA SHA256:EXAMPLE", a, 40131, "x", fromAuth))),
		held(fails("sshd", "Failed publickey for root from 203.0.113.7 port 40131 ssh2", a, 40131, "root", fromAuth)),
		held(unknown(fails("sshd", "Failed publickey for invalid user x from 198.51.100.7 port 22 ssh2: z from 203.0.113.7 port 1 ssh2: RSA SHA256:EXAMPLE",
			a, 1, "x from 198.51.100.7 port 22 ssh2: z", fromAuth))),
		held(unknown(fails("sshd", "Failed publickey for invalid user x from 198.51.100.7 port 22 ssh2: z from 203.0.113.7 port 1 ssh2",
			a, 1, "x from 198.51.100.7 port 22 ssh2: z", fromAuth))),
		unknown(fails("sshd", "Invalid user test from 203.0.113.7 port 40122", a, 40122, "test", fromAuth)),
		unknown(fails("sshd", "Invalid user test from 203.0.113.7", a, 0, "test", fromLoghub)),
		unknown(fails("sshd", "Invalid user  from 203.0.113.7 port 40122", a, 40122, "", fromAuth)),
		unknown(fails("sshd", "Invalid user x from 198.51.100.7 port 22 from 203.0.113.7 port 40122", a, 40122, "x from 198.51.100.7 port 22", fromAuth)),
		fails("sshd", "User root from 203.0.113.7 not allowed because not listed in AllowUsers", a, 0, "root", fromAuth),
		fails("sshd", "error: maximum authentication attempts exceeded for root from 203.0.113.7 port 3 ssh2 [preauth]", a, 3, "root", fromAuth),
		unknown(fails("sshd", "error: maximum authentication attempts exceeded for invalid user x from 203.0.113.7 port 3 ssh2 [preauth]", a, 3, "x", fromAuth)),
		held(fails("sshd", "ROOT LOGIN REFUSED FROM 203.0.113.7 port 4", a, 4, "root", fromAuth)),
		held(fails("sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root", a, 0, "root", fromPAM)),
		held(fails("sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7", a, 0, "", fromPAM)),
		held(fails("sshd", "pam_sss(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7 user=bob", a, 0, "bob", "SSSD/sssd: src/sss_client/pam_sss.c")),
		held(unknown(fails("sshd", "error: PAM: User not known to the underlying authentication module for illegal user x y from 203.0.113.7", a, 0, "x y", "openssh/openssh-portable: auth-pam.c"))),
		held(fails("sshd", "error: PAM: Authentication failure for root from 203.0.113.7", a, 0, "root", "openssh/openssh-portable: auth-pam.c")),
		fails("sshd", "Connection closed by authenticating user root 203.0.113.7 port 40130 [preauth]", a, 40130, "root", fromPacket),
		unknown(fails("sshd", "Disconnected from invalid user a 198.51.100.7 port 1 [preauth] 203.0.113.7 port 40122 [preauth]", a, 40122, "a 198.51.100.7 port 1 [preauth]", fromPacket)),
		fails("sshd", "Disconnecting authenticating user root 203.0.113.7 port 40130: Too many authentication failures [preauth]", a, 40130, "root", fromPacket),
		{
			Line: "Jan 15 20:54:09 host1 sshd[4107]: message repeated 5 times: [ Failed password for root from 203.0.113.7 port 40130 ssh2]",
			Want: tocsin.Failure, Addr: a, Port: 40130, Account: "root", N: 5, From: "rsyslog/rsyslog: runtime/msg.c",
		},
		{
			Line: "<38>1 2026-01-15T20:54:09.25+01:00 host1 sshd 4107 - [x@1 a=\"]\\\"\"] Failed password for root from 203.0.113.7 port 40130 ssh2\r",
			Want: tocsin.Failure, Addr: a, Port: 40130, Account: "root", From: "RFC 5424, section 6",
		},
		succeeds("sshd-session", "Accepted password for user1 from 2001:db8::10 port 43124 ssh2", "2001:db8::10", 43124, "user1", fromAuth),
		succeeds("sshd", "Accepted publickey for backup from 192.0.2.10 port 56296 ssh2: ED25519 SHA256:EXAMPLE+/a=", "192.0.2.10", 56296, "backup", fromAuth),
		succeeds("sshd", `Accepted publickey for backup from 192.0.2.10 port 56296 ssh2: RSA-CERT SHA256:E ID "me" (serial 7) CA RSA SHA256:F`,
			"192.0.2.10", 56296, "backup", "openssh/openssh-portable: auth2-pubkey.c"),
	}
}

func sshLookAlikes() []Sample {
	none := func(message, from string) Sample { return unlike("sshd", message, from) }
	return []Sample{
		none("Failed password for root from 203.0.113.7 port 40130 ssh", fromAuth),
		none("Failed password for root from 203.0.113.7 port 401300 ssh2", fromAuth),
		none("Failed password for root from host.example port 40130 ssh2", fromAuth),
		none("Failed password for root from 203.0.113.07 port 4 ssh2", fromAuth),
		none("Failed password for root from 203.0.113.7 port", fromAuth),
		none("Failed password for root from 0.0.0.0 port 4 ssh2", fromAuth),
		none("Failed pass word for root from 203.0.113.7 port 4 ssh2: x", fromAuth),
		none(" x Failed password for root from 203.0.113.7 port 4 ssh2", fromAuth),
		none("Postponed publickey for root from 203.0.113.7 port 40130 ssh2 [preauth]", fromAuth),
		none("Partial publickey for root from 203.0.113.7 port 40130 ssh2", fromAuth),
		none("input_userauth_request: invalid user x from 203.0.113.7 port 1 ssh2 [preauth]", fromLoghub),
		none("pam_unix(sshd:auth): check pass; user unknown", fromPAM),
		none("pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=host.example  user=root", fromPAM),
		none("pam_unix(sshd:session): session opened for user root by (uid=0)", fromPAM),
		none("pam_unix(sudo:auth): authentication failure; logname=a uid=1000 euid=0 tty=/dev/pts/1 ruser=a rhost=  user=a", fromPAM),
		none("PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7  user=root", fromPAM),
		none("reverse mapping checking getaddrinfo for host.example [203.0.113.7] failed - POSSIBLE BREAK-IN ATTEMPT!", fromLoghub),
		none("Connection from 203.0.113.7 port 4 on 192.0.2.5 port 22 rdomain \"\"", fromSSHD),
		none("Received disconnect from 203.0.113.7 port 34928:11: disconnected by user", fromPacket),
		none("Disconnected from user root 203.0.113.7 port 34928", fromPacket),
		none("Disconnected from 203.0.113.7 port 34928", fromPacket),
		none("Close session: user a from 203.0.113.7 port 34928 id 0", "openssh/openssh-portable: session.c"),
		none("Starting session: shell on pts/0 for a from 203.0.113.7 port 34928 id 0", "openssh/openssh-portable: session.c"),
		none("error: kex_exchange_identification: Connection closed by remote host", "openssh/openssh-portable: kex.c"),
		none("error: kex_exchange_identification: client sent invalid protocol identifier \"x from 203.0.113.7 port 1\"", "openssh/openssh-portable: kex.c"),
		none("User root not allowed because account is locked", fromAuth),
		none("Server listening on 0.0.0.0 port 22.", fromSSHD),
		none("Disconnecting: Too many authentication failures [preauth]", fromLoghub),
		none("message repeated 5 times: [ Failed password for root from 203.0.113.7 port 40130 ssh2", "rsyslog/rsyslog: runtime/msg.c"),
		unlike("CRON", "Failed password for root from 203.0.113.7 port 40130 ssh2", fromAuth),
		unlike("sudo", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.7", fromPAM),
	}
}

func sshProbes() []Sample {
	const a = "203.0.113.7"
	visit := func(message string, port uint16, from string) Sample { return probes("sshd", message, a, port, from) }
	return []Sample{
		visit("Connection closed by 203.0.113.7 port 40130 [preauth]", 40130, fromPacket),
		visit("Connection reset by 203.0.113.7 port 40130 [preauth]", 40130, fromPacket),
		visit("Connection closed by 203.0.113.7 [preauth]", 0, fromLoghub),
		visit("Disconnected from 203.0.113.7 port 40130 [preauth]", 40130, fromPacket),
		held(visit("Received disconnect from 203.0.113.7 port 40130:11: Bye Bye [preauth]", 40130, fromPacket)),
		held(visit("Received disconnect from 203.0.113.7: 11:  [preauth]", 0, fromLoghub)),
		held(visit("error: Received disconnect from 203.0.113.7: 3: com.jcraft.jsch.JSchException: Auth fail [preauth]", 0, fromLoghub)),
		visit("Did not receive identification string from 203.0.113.7 port 40130", 40130, fromSSHD),
		visit("Did not receive identification string from 203.0.113.7", 0, fromLoghub),
		visit("banner exchange: Connection from 203.0.113.7 port 40140: invalid format", 40140, "openssh/openssh-portable: kex.c"),
		visit("Bad protocol version identification 'GET / from 198.51.100.7 port 2' from 203.0.113.7 port 40140", 40140, fromSSHD),
		visit("Bad protocol version identification '\\026\\003\\001' from 203.0.113.7", 0, fromSSHD),
		visit("Protocol major versions differ for 203.0.113.7: SSH-2.0-OpenSSH_6.6 vs. SSH-1.5-x", 0, fromSSHD),
		visit("fatal: Unable to negotiate with 203.0.113.7 port 40131: no matching host key type found. Their offer: ssh-dss [preauth]", 40131, fromPacket),
		visit("ssh_dispatch_run_fatal: Connection from 203.0.113.7 port 48680: message authentication code incorrect [preauth]", 48680, fromPacket),
		visit("fatal: Timeout before authentication for 203.0.113.7 port 40144", 40144, fromSSHD),
		visit("Timeout before authentication for connection from 203.0.113.7 to 192.0.2.5, pid = 411", 0, fromSSHD),
		visit("drop connection #10 from [203.0.113.7]:40144 on [192.0.2.5]:22 past MaxStartups", 40144, fromSSHD),
		visit("drop connection #0 from [203.0.113.7]:40144 on [192.0.2.5]:22 penalty: failed authentication", 40144, fromSSHD),
		visit("refused connect from host.example (198.51.100.7) (203.0.113.7)", 0, fromHub),
		visit("refused connect from ::ffff:203.0.113.7 (::ffff:203.0.113.7)", 0, fromHub),
	}
}
