package authlog

import (
	"bytes"
	"time"

	"github.com/tocsin-io/tocsin"
)

const (
	fromElasticConn  = "elastic/integrations: packages/qnap_nas/data_stream/log/_dev/test/pipeline/test-access.log"
	fromElasticEvent = "elastic/integrations: packages/qnap_nas/data_stream/log/_dev/test/pipeline/test-event.log"
)

// qnap reads the connection log that QTS and QuTS hero send to a syslog server.
// Attacker text stands on both sides of the address, so the names of the fields
// around it must occur exactly once.
func qnap() Definition {
	return Definition{
		Name:     "qnap",
		Title:    "QNAP QTS and QuTS hero",
		Programs: []string{"qulogd", "qlogd"},
		Patterns: qnapPatterns(),
		Join:     ByAccount,
		Window:   2 * time.Second, // the event line is written in the same second
		Account:  noDashes,
		Samples:  qnapSamples(),
		Notes: []string{
			"Sending to a remote syslog server is off by default. QTS 4.2 logs no connections by default, QuTS hero only those of administrators.",
			"The NAS limits how many failures of SMB it logs: counts are lower bounds.",
			"Over TLS the NAS writes RFC 5424; both forms are read.",
		},
	}
}

// noDashes drops the "---" that stands for no name.
func noDashes(name []byte) []byte {
	if bytes.Equal(name, []byte("---")) {
		return nil
	}
	return name
}

func qnapPatterns() []Pattern {
	const who = " log: Users: <account>, Source IP: <addr>, Computer name: <text>"
	const what = ", Connection type: <word>, Accessed resources: <text>, Action: "
	return []Pattern{
		failure("conn"+who+what+"Login Fail", Verdict),
		success("conn" + who + what + "Login Success"),
		success("conn" + who + what + "Login OK"),
		{
			Text:    "event" + who + `, Content: [Users] Failed to log in via user account "<text>". Source IP address: <host>.`,
			Outcome: tocsin.Failure, Role: Echo, Unconfirmed: true,
		},
	}
}

func qnapSamples() []Sample {
	const a, p = "203.0.113.7", "qulogd"
	conn := func(user, addr, computer, kind, resource, action string) string {
		return "conn log: Users: " + user + ", Source IP: " + addr + ", Computer name: " + computer +
			", Connection type: " + kind + ", Accessed resources: " + resource + ", Action: " + action
	}
	const event = `event log: Users: admin, Source IP: 203.0.113.7, Computer name: ---, Application: Users, Category: Login and Security, Content: [Users] `
	forged := "x, Source IP: 198.51.100.7, Computer name: y"
	return []Sample{
		fails(p, conn("admin", a, "---", "HTTPS", "Administration", "Login Fail"), a, 0, "admin", fromElasticConn),
		fails(p, conn(`office\user1`, "2001:db8::7", "PC-1", "Samba", "---", "Login Fail"), "2001:db8::7", 0, `office\user1`, fromElasticConn),
		fails(p, conn("---", "::ffff:203.0.113.7", "---", "HTTP/HTTPS", "---", "Login Fail")+"\r", a, 0, "", fromElasticConn),
		fails(p, conn("\x1b[1ma\x00", a, "\xff", "SSH", "---", "Login Fail"), a, 0, "a\ufffd", fromElasticConn),
		fails("qlogd", conn("admin", a, "---", "HTTP", "Administration", "Login Fail"), a, 0, "admin", fromElasticConn),
		{
			Line: "<28>Nov 21 14:43:02 nas01 qulogd[14387]: " + conn("admin", a, "---", "HTTPS", "Administration", "Login Fail"),
			Want: tocsin.Failure, Addr: a, Account: "admin", From: fromElasticConn,
		},
		{
			Line: "<28>1 2026-01-15T20:43:02+01:00 nas01 qulogd: 14387 - [QuLog@Event user=\"admin\" ip=\"203.0.113.7\"] " + conn("admin", a, "---", "HTTPS", "Administration", "Login Fail"),
			Want: tocsin.Failure, Addr: a, Account: "admin", From: fromElasticConn,
		},
		held(fails(p, event+`Failed to log in via user account "admin". Source IP address: 203.0.113.7.`, a, 0, "admin", fromElasticEvent)),
		succeeds(p, conn("backup", "192.0.2.10", "---", "HTTPS", "Administration", "Login Success"), "192.0.2.10", 0, "backup", fromElasticConn),
		succeeds("qlogd", conn("backup", "192.0.2.10", "---", "SAMBA", "---", "Login OK"), "192.0.2.10", 0, "backup", fromElasticConn),
		unlike(p, conn("admin", a, "---", "Samba", "a -> b", "Rename"), fromElasticConn),
		unlike(p, conn("admin", a, "---", "HTTPS", "---", "Logout"), fromElasticConn),
		unlike(p, conn(forged, a, "---", "HTTPS", "---", "Login Fail"), fromElasticConn+": the fields twice, nobody knows whose"),
		unlike(p, conn("admin", a, forged, "HTTPS", "---", "Login Fail"), fromElasticConn+": the fields twice, nobody knows whose"),
		unlike(p, conn("admin", "---", "---", "HTTPS", "---", "Login Fail"), fromElasticConn),
		unlike(p, conn("admin", a, "---", "Samba", "x, Action: Login Fail", "Read"), fromElasticConn),
		unlike(p, conn("admin", a, "---", "HTTPS", "---", "Login Fa"), fromElasticConn),
		unlike(p, event+`Changed the password of user "test".`, fromElasticEvent),
		unlike("sshd", conn("admin", a, "---", "HTTPS", "---", "Login Fail"), fromElasticConn),
	}
}
