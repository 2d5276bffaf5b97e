package authlog

import "github.com/tocsin-io/tocsin"

const (
	fromSynologyHub = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/synology-dsm-logs.yaml"
	fromVictoria    = "VictoriaMetrics/VictoriaLogs: lib/logstorage/syslog_parser_test.go"
	fromWazuhDSM    = "Tomo-9925/wazuh-synology-dsm-decoder-and-rules: README.md"
)

// synology reads DSM: the PAM line of its web log-in, and the connection log
// that Log Center sends by syslog. Both tell one attempt.
func synology() Definition {
	return Definition{
		Name:     "synology",
		Title:    "Synology DSM",
		Programs: []string{"synoscgi_SYNO.API.Auth_#_login", "Connection"},
		Patterns: synologyPatterns(),
		Join:     ByAddress,
		Samples:  synologySamples(),
		Notes: []string{
			"The connection log is read in English only: DSM writes it in the language of the system.",
			"Log Center must be told to send connection logs; auth.log has the failures of the web log-in without it.",
			"Log-ins by SSH are told by sshd as well: read one of the two.",
		},
	}
}

func synologyPatterns() []Pattern {
	const pam = "pam_unix(webui:auth): authentication failure; logname= uid=<num> euid=<num> tty= ruser= rhost=<addr>"
	const who = "User [<account>] from [<addr>] "
	twin := func(p Pattern) Pattern { p.Role = TwinB; return p }
	return []Pattern{
		failure(pam, TwinA),
		{Text: pam + "  user=<account>", Outcome: tocsin.Failure, Role: TwinA, Unconfirmed: true},
		failure(who+"failed to sign in to [<field>] via [<field>] due to authorization failure.", TwinB),
		failure(who+"failed to log in via [<field>] due to authorization failure.", TwinB),
		twin(success(who + "signed in to [<field>] successfully via [<field>].")),
		twin(success(who + "logged in successfully via [<field>].")),
	}
}

func synologySamples() []Sample {
	const a, web, conn = "203.0.113.7", "synoscgi_SYNO.API.Auth_7_login", "Connection"
	const pam = "pam_unix(webui:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost="
	const end = " failed to sign in to [DSM] via [password] due to authorization failure."
	return []Sample{
		fails(web, pam+"203.0.113.7", a, 0, "", fromSynologyHub),
		fails("synoscgi_SYNO.API.Auth_6_login", pam+"::ffff:203.0.113.7", a, 0, "", fromSynologyHub),
		fails("synoscgi_SYNO.API.Auth_11_login", pam+"2001:db8::7", "2001:db8::7", 0, "", fromSynologyHub),
		fails(web, pam+"203.0.113.7  user=a rhost=198.51.100.7", a, 0, "a rhost=198.51.100.7", fromPAM),
		{
			Line: "2026-01-15T20:53:37+01:00 nas03 " + web + "[2197]: " + pam + "203.0.113.7\r\n",
			Want: tocsin.Failure, Addr: a, From: fromSynologyHub,
		},
		{
			Line: "<36>Jan 15 20:54:02 nas03 Connection: User [admin] from [203.0.113.7]" + end,
			Want: tocsin.Failure, Addr: a, Account: "admin", From: fromWazuhDSM,
		},
		fails(conn, "User [root] from [203.0.113.7] failed to log in via [SSH] due to authorization failure.", a, 0, "root", fromWazuhDSM),
		fails(conn, "User [x] from [198.51.100.7"+end+"] from [203.0.113.7]"+end, a, 0, "x] from [198.51.100.7 failed to sign in to [DSM] via [password] ", fromWazuhDSM+": the name is cut"),
		fails(conn, "User [\x1b[31m\xc3] from [203.0.113.7]"+end, a, 0, "\ufffd", fromWazuhDSM),
		succeeds(conn, "User [backup] from [192.0.2.10] signed in to [DSM] successfully via [password].", "192.0.2.10", 0, "backup", fromWazuhDSM),
		succeeds(conn, "User [backup] from [192.0.2.10] logged in successfully via [SSH].", "192.0.2.10", 0, "backup", fromVictoria),
		{
			Line: `<14>1 2026-01-15T20:54:28+01:00 nas03 Connection - - [synolog@6574 event="User [backup\] from [192.0.2.10\] x"][meta sequenceId="7"] User [backup] from [192.0.2.10] logged in successfully via [SSH].`,
			Want: tocsin.Success, Addr: "192.0.2.10", Account: "backup", From: fromVictoria,
		},
		unlike(conn, "Host [203.0.113.7] was blocked via [SSH].", fromWazuhDSM),
		unlike(conn, "User [admin] from [203.0.113.7] logged out from [DSM].", fromWazuhDSM),
		unlike(conn, "User [admin] from [203.0.113.7] failed to sign in to [DSM] via [password] due to", fromWazuhDSM),
		unlike("synoscgi_SYNO.API.Auth_x_login", pam+"203.0.113.7", fromSynologyHub),
		unlike(web, pam+"", fromPAM),
	}
}
