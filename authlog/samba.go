package authlog

import (
	"bytes"
	"slices"

	"github.com/tocsin-io/tocsin"
)

const (
	fromSamba     = "samba-team/samba: auth/auth_log.c"
	fromSambaHub  = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/smb-logs.yaml"
	fromSambaList = "lists.samba.org, samba mailing list, 2020 to 2022: output of auth_audit and auth_json_audit"
)

// sambaServices are the doors that a client knocks on himself. SamLogon is not
// among them: there the remote host is a member server that asks for another.
var sambaServices = []string{"SMB2", "SMB", "LDAP", "Kerberos KDC"}

// sambaRefusals are the answers that mean a wrong name or password.
var sambaRefusals = []string{
	"NT_STATUS_WRONG_PASSWORD", "NT_STATUS_NO_SUCH_USER", "NT_STATUS_LOGON_FAILURE",
	"NT_STATUS_ACCOUNT_LOCKED_OUT", "NT_STATUS_ACCOUNT_DISABLED",
}

// sambaSure is how many of sambaRefusals a public source shows.
const sambaSure = 3

// samba reads both audit forms, which together tell one attempt. In the text
// form the client's own words stand on both sides of the address; the JSON form
// cannot be confused.
func samba() Definition {
	return Definition{
		Name:        "samba",
		Title:       "Samba",
		Programs:    []string{"smbd", "smb", "samba"},
		Executables: []string{"/usr/sbin/smbd", "/usr/sbin/samba", "/usr/local/samba/sbin/smbd"},
		Files:       []string{"/var/log/samba/log.*"},
		Patterns:    sambaText(),
		Bare:        sambaText(),
		JSON: &JSONForm{
			Needs: `"Authentication"`,
			Keys: []string{
				"type", "timestamp", "Authentication.status", "Authentication.remoteAddress",
				"Authentication.clientAccount", "Authentication.serviceDescription",
			},
			Read:     readSamba,
			Outcomes: []tocsin.Outcome{tocsin.Failure, tocsin.Success},
		},
		Skip:    []string{"JSON Authentication: "},
		Join:    ByAccount,
		Account: afterDomain,
		Named:   true,
		Samples: sambaSamples(),
		Notes: []string{
			"Needs log level = 1 auth_audit:3 auth_json_audit:3 in smb.conf; without it failures are not logged with an address.",
			"Prefer auth_json_audit: in the text form a client can hide its line with a made-up workstation or domain.",
			"Answers other than a wrong name or password are not counted.",
		},
	}
}

// afterDomain takes the account out of "DOMAIN]\[account".
func afterDomain(caught []byte) []byte {
	if i := bytes.LastIndex(caught, []byte(`]\[`)); i >= 0 {
		caught = caught[i+3:]
	}
	if len(caught) == 0 {
		return nil // an anonymous session
	}
	return caught
}

func sambaText() []Pattern {
	var ps []Pattern
	for _, service := range sambaServices {
		head := "Auth: [" + service + ",<field>] user [<account>] at [<date>] with [<field>] status [<word:"
		const tail = ">] workstation [<text>] remote host [<addr:port>] <text>"
		for i, status := range sambaRefusals {
			p := failure(head+status+tail, TwinA)
			p.Unknown = status == "NT_STATUS_NO_SUCH_USER"
			p.Unconfirmed = i >= sambaSure
			ps = append(ps, p)
		}
		ok := success(head + "NT_STATUS_OK" + tail)
		ok.Role = TwinA
		ps = append(ps, ok)
	}
	return ps
}

// readSamba reads an object of auth_json_audit.
func readSamba(v [][]byte) (r Reading, ok bool) {
	if string(v[0]) != "Authentication" || !slices.Contains(sambaServices, string(v[5])) || len(v[4]) == 0 {
		return r, false
	}
	status := string(v[2])
	r = Reading{Outcome: tocsin.Failure, Role: TwinB, Addr: v[3], Account: v[4], Stamp: v[1]}
	r.Unknown = status == "NT_STATUS_NO_SUCH_USER"
	if status == "NT_STATUS_OK" {
		r.Outcome = tocsin.Success
		return r, true
	}
	i := slices.Index(sambaRefusals, status)
	r.Unsure = i >= sambaSure
	return r, i >= 0
}

func sambaSamples() []Sample {
	const a, v6 = "203.0.113.7", "2001:db8::7"
	text := func(user, status, workstation, remote, then string) string {
		return `  Auth: [SMB2,(null)] user [WORKGROUP]\[` + user + `] at [Thu, 15 Jan 2026 20:54:02.023984 UTC] with [NTLMv2] status [` +
			status + `] workstation [` + workstation + `] remote host [` + remote + `] ` + then + ` [WORKGROUP]\[` + user + `]. local host [ipv4:192.0.2.5:445] `
	}
	object := func(status, remote, account string) string {
		return `{"timestamp": "2026-01-15T20:54:02.023984+0000", "type": "Authentication", "Authentication": {"version": {"major": 1, "minor": 2}, "eventId": 4625, "status": "` +
			status + `", "localAddress": "ipv4:192.0.2.5:445", "remoteAddress": "` + remote + `", "serviceDescription": "SMB2", "clientDomain": "WORKGROUP", "clientAccount": "` +
			account + `", "workstation": "PC-1"}}`
	}
	line := func(text string, want tocsin.Outcome, addr, account, from string) Sample {
		return Sample{Line: text, Want: want, Addr: addr, Port: 44896, Account: account, From: from}
	}
	none := func(text, from string) Sample { return Sample{Line: text, From: from} }
	const bad = "NT_STATUS_WRONG_PASSWORD"
	const ip = "ipv4:203.0.113.7:44896"
	return []Sample{
		line(text("admin", bad, "PC-1", ip, "mapped to"), tocsin.Failure, a, "admin", fromSambaHub),
		unknown(line("Jan 15 20:54:02 nas smbd[2725]: "+text("toto", "NT_STATUS_NO_SUCH_USER", "", "ipv6:2001:db8::7:44896", "mapped to")+"#015", tocsin.Failure, v6, "toto", fromSambaHub)),
		line(text("pamela", "NT_STATUS_LOGON_FAILURE", "PC-1", "ipv6:::ffff:203.0.113.7:44896", "mapped to"), tocsin.Failure, a, "pamela", fromSambaList),
		line(text("a]\x1b[0m\x00\xff", bad, "] [", ip, "mapped to"), tocsin.Failure, a, "a]\ufffd\ufffd", fromSambaHub),
		line(text("user1", "NT_STATUS_OK", "PC-2", ip, "became"), tocsin.Success, a, "user1", fromSambaList),
		line("  "+object(bad, ip, "admin")+"\r\n", tocsin.Failure, a, "admin", fromSambaList),
		line("Jan 15 20:54:02 nas smbd[2725]: JSON Authentication: "+object(bad, "ipv6:2001:db8::7:44896", `\"} \u0061\u001b`), tocsin.Failure, v6, "\"} a\ufffd", fromSambaList),
		line(object("NT_STATUS_OK", ip, "user1"), tocsin.Success, a, "user1", fromSambaList),
		none(text("admin", "NT_STATUS_NO_LOGON_SERVERS", "PC-1", ip, "mapped to"), fromSambaList),
		none(text("admin", bad, "x] remote host [ipv4:198.51.100.7:1] mapped to [", ip, "mapped to"), fromSamba+": the address twice, nobody knows whose"),
		none(text("x] at [Thu] with [x] status ["+bad+"] workstation [] remote host [ipv4:198.51.100.7:1] mapped to [", bad, "", ip, "mapped to"), fromSamba),
		none(text("admin] at [Thu] with [x] status [NT_STATUS_OK] workstation [", bad, "", ip, "mapped to"), fromSamba+": no success by the name"),
		none(text("", "NT_STATUS_OK", "", ip, "became"), fromSambaList+": an anonymous session is no log-in"),
		none(text("admin", bad, "PC-1", "unix:", "mapped to"), fromSamba),
		none(text("admin", bad, "PC-1", ip, "mapped")[:150], fromSamba),
		none(`  Auth: [SamLogon,network] user [W]\[a] at [Thu, 15 Jan 2026 20:54:02 UTC] with [NTLMv2] status [`+bad+`] workstation [X] remote host [`+ip+`] mapped to [W]\[a]. local host [NULL]`, fromSambaList),
		none("[2026/01/15 20:54:02.023984,  2] ../../auth/auth_log.c:635(log_authentication_event_human_readable)", fromSambaList),
		none("  check_ntlm_password:  Authentication for user [a] -> [a] FAILED with error NT_STATUS_WRONG_PASSWORD, authoritative=1", fromSambaList),
		none(object("NT_STATUS_IO_TIMEOUT", ip, "admin"), fromSambaList),
		none(object(bad, ip, `a", "remoteAddress": "ipv4:198.51.100.7:1`), fromSamba+": a member twice"),
		none(object(bad, ip, `admin`)[:180], fromSamba),
		none(object(bad, ip, `admin`)+"x", fromSamba),
		none(`{"type": "Authentication", "Authentication": {"status": "`+bad+`"}, "Authentication": {"remoteAddress": "`+ip+`", "clientAccount": "a", "serviceDescription": "SMB2"}}`, fromSamba),
		none(`{"type": "Authorization", "Authorization": {"remoteAddress": "`+ip+`", "account": "user1"}}`, fromSamba),
	}
}
