package authlog

import (
	"bytes"

	"github.com/tocsin-io/tocsin"
)

const (
	fromNextcloudHub   = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/nextcloud-logs.yaml"
	fromNextcloudAudit = "nextcloud/documentation: admin_manual/configuration_server/logging_configuration.rst"
)

// nextcloud reads nextcloud.log and audit.log: one JSON object a line.
func nextcloud() Definition {
	return Definition{
		Name:     "nextcloud",
		Title:    "Nextcloud and ownCloud",
		Programs: []string{"nextcloud", "Nextcloud", "ownCloud"},
		Files: []string{
			"/var/www/nextcloud/data/nextcloud.log", "/var/www/html/data/nextcloud.log",
			"/var/www/html/nextcloud/data/nextcloud.log", "/var/nextcloud/data/nextcloud.log",
			"/var/www/nextcloud/data/audit.log", "/var/www/html/data/audit.log",
			"/var/www/html/nextcloud/data/audit.log", "/var/nextcloud/data/audit.log",
			"/var/snap/nextcloud/current/logs/nextcloud.log", "/var/log/nextcloud/nextcloud.log",
		},
		JSON: &JSONForm{
			Needs:    `"remoteAddr"`,
			Keys:     []string{"remoteAddr", "message", "time", "app"},
			Read:     readNextcloud,
			Outcomes: []tocsin.Outcome{tocsin.Failure, tocsin.Success},
		},
		Join:    ByAddress,
		Samples: nextcloudSamples(),
		Notes: []string{
			"Needs loglevel 2 (warning) or lower; successes need the app admin_audit.",
			"Nextcloud 30 writes no failures (nextcloud/server issue 48826).",
			"Behind a proxy set trusted_proxies, or every visitor has the address of the proxy.",
		},
	}
}

var (
	loginFailed     = []byte("Login failed: ")
	loginSuccessful = []byte(`Login successful: "`)
	remoteIP        = []byte(" (Remote IP: ")
	bruteforce      = []byte(`Bruteforce attempt from "`)
	forLogin        = []byte(`" detected for action "login".`)
)

// readNextcloud reads an object of the log. The address is a member of its own;
// the name is inside the message, which ends with the address.
func readNextcloud(v [][]byte) (r Reading, ok bool) {
	msg := v[1]
	r = Reading{Outcome: tocsin.Failure, Addr: v[0], Stamp: v[2]}
	switch {
	case bytes.HasPrefix(msg, loginFailed):
		name := msg[len(loginFailed):]
		i := bytes.LastIndex(name, remoteIP)
		if i < 0 {
			return r, false
		}
		r.Account = unquote(name[:i])
	case bytes.HasPrefix(msg, bruteforce) && bytes.HasSuffix(msg, forLogin):
		r.Role = Echo
	case bytes.HasPrefix(msg, loginSuccessful) && string(v[3]) == "admin_audit" && msg[len(msg)-1] == '"':
		if len(msg) <= len(loginSuccessful) {
			return r, false
		}
		r.Outcome, r.Account = tocsin.Success, msg[len(loginSuccessful):len(msg)-1]
	default:
		return r, false
	}
	return r, true
}

func unquote(b []byte) []byte {
	if n := len(b); n >= 2 && (b[0] == '\'' || b[0] == '"') && b[n-1] == b[0] {
		return b[1 : n-1]
	}
	return b
}

func nextcloudSamples() []Sample {
	object := func(addr, app, message string) string {
		return `{"reqId":"U1","level":2,"time":"2026-01-15T20:54:02+00:00","remoteAddr":"` + addr + `","user":"--","app":"` + app +
			`","method":"POST","url":"/login","message":"` + message + `","userAgent":"Mozilla/5.0","version":"23.0.0.10"}`
	}
	const a, v6, none = "203.0.113.7", "2001:db8::7", "no app in context"
	line := func(text, addr, account, from string) Sample {
		return Sample{Line: text, Want: tocsin.Failure, Addr: addr, Account: account, From: from}
	}
	not := func(text, from string) Sample { return Sample{Line: text, From: from} }
	login := object("192.0.2.10", "admin_audit", `Login successful: \"user1\"`)
	return []Sample{
		line(object(a, none, "Login failed: admin (Remote IP: 203.0.113.7)"), a, "admin", fromNextcloudHub),
		line(object(v6, none, "Login failed: 'a@example.org' (Remote IP: '2001:db8::7')")+"\r\n", v6, "a@example.org", fromNextcloudHub),
		line(object("::ffff:203.0.113.7", none, `Login failed: \"admin\" (Remote IP: \"203.0.113.7\")`), a, "admin", fromNextcloudHub),
		line(object(a, none, "Login failed: x (Remote IP: 198.51.100.7) (Remote IP: 203.0.113.7)"), a, "x (Remote IP: 198.51.100.7)", fromNextcloudHub),
		line(object(a, none, `Login failed: \u001b[31mx\u0000\n (Remote IP: 203.0.113.7)`), a, "x\ufffd\ufffd", fromNextcloudHub),
		line(object(a, none, `Login failed: \",\"remoteAddr\":\"198.51.100.7 (Remote IP: 203.0.113.7)`), a, `","remoteAddr":"198.51.100.7`, fromNextcloudHub),
		held(line(object(v6, "core", `Bruteforce attempt from \"2001:db8::7\" detected for action \"login\".`), v6, "", fromNextcloudHub)),
		{Line: login, Want: tocsin.Success, Addr: "192.0.2.10", Account: "user1", From: fromNextcloudAudit},
		not(object("172.18.0.200", "core", `Trusted domain error. \"172.18.0.200\" tried to access using \"x\" as host.`), fromNextcloudHub),
		not(object(a, "core", `Bruteforce attempt from \"203.0.113.7\" detected for action \"publicLinkAuth\".`), fromNextcloudHub),
		not(object(a, "admin_audit", `Login attempt: \"admin\"`), fromNextcloudAudit),
		not(object(a, "other", `Login successful: \"admin\"`), fromNextcloudAudit),
		not(object("", none, "Login failed: admin (Remote IP: )"), fromNextcloudHub),
		not(object(a, none, "x Login failed: admin (Remote IP: 203.0.113.7)"), fromNextcloudHub),
		not(object(a, none, `x","remoteAddr":"198.51.100.7","y":"Login failed: admin (Remote IP: 203.0.113.7)`), fromNextcloudHub+": a member twice"),
		not(object(a, none, "Login failed: admin (Remote IP: 203.0.113.7)")[:200], fromNextcloudHub),
		not("["+object(a, none, "Login failed: admin (Remote IP: 203.0.113.7)")+"]", fromNextcloudHub),
		not(object(a, none, "Login failed: a\xff (Remote IP: 203.0.113.7)\x00"), fromNextcloudHub),
	}
}
