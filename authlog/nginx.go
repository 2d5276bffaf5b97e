package authlog

import "github.com/tocsin-io/tocsin"

const (
	fromNginxAuth   = "nginx/nginx: src/http/modules/ngx_http_auth_basic_module.c"
	fromNginxAccess = "nginx/nginx: src/http/modules/ngx_http_log_module.c"
	fromNginxHub    = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/nginx-logs.yaml"
)

// nginx reads HTTP basic authentication. A success is told only tentatively:
// nginx logs the name that the client sent even where nothing asked for it, so
// any status of 200 would let an attacker look like a user.
func nginx() Definition {
	errs := nginxErrors()
	return Definition{
		Name:        "nginx",
		Title:       "nginx (HTTP basic authentication)",
		Programs:    []string{"nginx"},
		Executables: []string{"/usr/sbin/nginx", "/usr/local/nginx/sbin/nginx"},
		Units:       []string{"nginx.service"},
		Files:       []string{"/var/log/nginx/access.log", "/var/log/nginx/error.log"},
		Patterns:    append(accessPatterns("", true), errs...),
		Bare:        append(accessPatterns("", true), errs...),
		Join:        ByAccount,
		Account:     noDash,
		Named:       true,
		Samples:     nginxSamples(),
		Notes: []string{
			"Both logs tell a refused password: give them to one parser, or read the access log only.",
			"The error log has the request unescaped: whoever puts the words of the log into it hides the line, but not the one in the access log.",
			"Successes decide nothing: nginx logs the name that was sent, asked for or not.",
		},
	}
}

func nginxErrors() []Pattern {
	const who = `[error] <num>#<num>: *<num> user "<account>"`
	const from = `<text>, client: <addr>, server: <text>`
	return []Pattern{
		nobody(failure(who+` was not found in "`+from, TwinB)),
		failure(who+`: password mismatch`+from, TwinB),
	}
}

func nginxSamples() []Sample {
	const a = "203.0.113.7"
	line := func(text string, want tocsin.Outcome, account, from string) Sample {
		return Sample{Line: text, Want: want, Addr: a, Account: account, From: from}
	}
	none := func(text, from string) Sample { return Sample{Line: text, From: from} }
	const at, req = "2026/01/15 20:54:02 [error] 334#334: *338 ", `, server: nas.example, request: "GET / HTTP/1.1", host: "nas.example"`
	const when = ` [15/Jan/2026:20:54:03 +0000] `
	return []Sample{
		unknown(line(at+`user "admin" was not found in "/etc/nginx/.htpasswd", client: 203.0.113.7`+req, tocsin.Failure, "admin", fromNginxAuth)),
		line(at+`user "admin": password mismatch, client: ::ffff:203.0.113.7`+req, tocsin.Failure, "admin", fromNginxAuth),
		line(at+"user \"a\x00\xffb\": password mismatch, client: 203.0.113.7"+req+"\r", tocsin.Failure, "a\ufffd\ufffdb", fromNginxAuth),
		unknown(line("Jan 15 20:54:03 web nginx: "+at+`user "x" was not found in "/p", client: 203.0.113.7`+req, tocsin.Failure, "x", fromNginxAuth)),
		line(a+" - admin"+when+`"GET /private/ HTTP/1.1" 401 552 "-" "agent"`, tocsin.Failure, "admin", fromNginxAccess),
		line(a+` - \x22 x`+when+`"GET /\x22 401 HTTP/1.1" 401 552 "-" "\x22 200 "`, tocsin.Failure, `\x22 x`, fromNginxAccess),
		{Line: "2001:db8::7 - a b [c]" + when + `"GET / HTTP/1.1" 401 0 "-" "-"`, Want: tocsin.Failure, Addr: "2001:db8::7", Account: "a b [c]", From: fromNginxAccess},
		line(a+" - user1"+when+`"GET / HTTP/1.1" 200 150 "-" "curl"`, tocsin.Success, "user1", fromNginxHub),
		line(a+" - user1"+when+`"PROPFIND / HTTP/1.1" 207 150 "-" "dav"`, tocsin.Success, "user1", fromNginxHub),
		line(a+" - -"+when+`"\x16\x03\x01\x00t\x01" 400 157 "-" "-"`, tocsin.Probe, "", fromNginxHub),
		none(at+`user "x" was not found in "/p", client: 198.51.100.7, server: y" was not found in "/p", client: 203.0.113.7`+req, fromNginxAuth+": the address twice, nobody knows whose"),
		none(at+`user "admin": password mismatch, client: 203.0.113.7, server: x, request: "GET /" was not found in "y, client: 198.51.100.7, server: z HTTP/1.1"`, fromNginxAuth+": the address twice"),
		none(at+`"/usr/share/nginx/html/x" is not found (2: No such file or directory), client: 203.0.113.7`+req, fromNginxHub),
		none(at+`user "admin": password mismatch, client: 203.0.113`, fromNginxAuth),
		none(at+`user "admin": password mismatch, client: unix:`+req, fromNginxAuth),
		none(a+" - -"+when+`"GET /private/ HTTP/1.1" 401 552 "-" "agent"`, fromNginxAccess),
		none(a+" - -"+when+`"GET / HTTP/1.1" 200 552 "-" "401 admin"`, fromNginxAccess),
		none(a+" - -"+when+`"GET /\x16\x03\x01 HTTP/1.1" 400 552 "-" "-"`, fromNginxAccess),
		none(a+" - admin"+when+`"GET / HTTP/1.1" 500 552 "-" "-"`, fromNginxAccess),
		none(a+" - admin"+when+`"GET / HTTP/1.1`, fromNginxAccess),
		none("host.example - admin"+when+`"GET / HTTP/1.1" 401 552 "-" "-"`, fromNginxAccess),
	}
}
