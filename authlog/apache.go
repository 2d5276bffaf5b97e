package authlog

import "github.com/tocsin-io/tocsin"

const (
	fromApacheBasic  = "apache/httpd: modules/aaa/mod_auth_basic.c"
	fromApacheAccess = "apache/httpd: docs/manual/mod/mod_log_config.xml"
	fromApacheHub    = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/apache2-logs.yaml"
)

// apache reads HTTP basic authentication. The address stands first in both
// logs. Unlike nginx it logs a name only where it was asked for.
func apache() Definition {
	access := append(accessPatterns("", false), accessPatterns("<word> ", false)...)
	return Definition{
		Name:        "apache",
		Title:       "Apache httpd (HTTP basic authentication)",
		Programs:    []string{"apache2", "httpd"},
		Executables: []string{"/usr/sbin/apache2", "/usr/sbin/httpd"},
		Files: []string{
			"/var/log/apache2/access.log", "/var/log/apache2/other_vhosts_access.log", "/var/log/apache2/error.log",
			"/var/log/apache2/*access*.log", "/var/log/apache2/*error*.log",
			"/var/log/httpd/access_log", "/var/log/httpd/error_log",
		},
		Patterns: append(apacheErrors(), access...),
		Bare:     append(apacheErrors(), access...),
		Join:     ByAccount,
		Account:  noDash,
		Named:    true,
		Samples:  apacheSamples(),
		Notes: []string{
			"Both logs tell a refused password: give them to one parser, or read the access log only.",
			"In a stream of many services, an access log counts as nginx's: its successes decide nothing there.",
		},
	}
}

func apacheErrors() []Pattern {
	const client = "[auth_basic:error] [pid <field>] [client <addr:port>] "
	return []Pattern{
		nobody(failure(client+"AH01618: user <account> not found: <text>", TwinB)),
		failure(client+`AH01617: user <account>: authentication failure for "<text>`, TwinB),
	}
}

func apacheSamples() []Sample {
	const a = "203.0.113.7"
	line := func(text string, port uint16, account, from string) Sample {
		return Sample{Line: text, Want: tocsin.Failure, Addr: a, Port: port, Account: account, From: from}
	}
	none := func(text, from string) Sample { return Sample{Line: text, From: from} }
	const at, when = "[Thu Jan 15 20:54:02.000001 2026] [auth_basic:error] [pid 411:tid 140120579262208] ", ` [15/Jan/2026:20:54:03 +0000] `
	const forged = "x not found: [client 198.51.100.7:22] AH01618: user y"
	return []Sample{
		unknown(line(at+"[client 203.0.113.7:40122] AH01618: user admin not found: /private/", 40122, "admin", fromApacheBasic)),
		unknown(line("[Thu Jan 15 20:54:02 2026] [auth_basic:error] [pid 411] [client 203.0.113.7:4] AH01618: user  not found: /", 4, "", fromApacheBasic)),
		line(at+`[client ::ffff:203.0.113.7:40122] AH01617: user admin: authentication failure for "/private/": Password Mismatch`, 40122, "admin", fromApacheBasic),
		line(at+"[client 203.0.113.7:40122] AH01617: user \x1b[0ma\xff: authentication failure for \"/\": Password Mismatch, referer: http://x/\r\n", 40122, "a\ufffd", fromApacheBasic),
		unknown(line(at+"[client 203.0.113.7:40122] AH01618: user "+forged+" not found: /private/", 40122, "x", fromApacheBasic)),
		{Line: at + "[client 2001:db8::7:40122] AH01618: user admin not found: /", Want: tocsin.Failure, Addr: "2001:db8::7", Port: 40122, Account: "admin", Unknown: true, From: fromApacheBasic},
		line("www.example:443 203.0.113.7 - admin"+when+`"GET / HTTP/1.1" 401 552 "-" "-"`, 0, "admin", fromApacheHub),
		line(`www.example:443 203.0.113.7 - \"`+when+`"GET /\" 200 HTTP/1.1" 401 552 "\" 200 " "-"`, 0, `\"`, fromApacheAccess),
		{Line: "www.example:443 192.0.2.10 - user1" + when + `"GET / HTTP/1.1" 200 552 "-" "-"`, Want: tocsin.Success, Addr: "192.0.2.10", Account: "user1", From: fromApacheHub},
		{Line: "www.example:80 203.0.113.7 - -" + when + `"\x16\x03\x01\x02" 400 226 "-" "-"`, Want: tocsin.Probe, Addr: a, From: fromApacheHub},
		none("www.example:443 203.0.113.7 - -"+when+`"GET / HTTP/1.1" 401 552 "-" "-"`, fromApacheAccess),
		none("www.example:443 host.example - admin"+when+`"GET / HTTP/1.1" 401 552 "-" "-"`, fromApacheAccess),
		none("[Thu Jan 15 20:54:02.000001 2026] [ssl:info] [pid 1:tid 1] (70014)End of file found: [client 203.0.113.7:17036] AH02006: SSL handshake stopped: connection was closed", fromApacheHub),
		none("[Thu Jan 15 20:54:02.000001 2026] [authz_core:error] [pid 1:tid 1] [client 203.0.113.7:17036] AH01630: client denied by server configuration: /x", "apache/httpd: modules/aaa/mod_authz_core.c"),
		none(at+"[client 203.0.113.7:40122] AH01618: user admin not fo", fromApacheBasic),
		none(at+"AH01618: user [client 203.0.113.7:40122] AH01618: user admin not found: /", fromApacheBasic),
	}
}
