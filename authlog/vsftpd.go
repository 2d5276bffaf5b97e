package authlog

import "github.com/tocsin-io/tocsin"

const (
	fromVsftpd    = "InfrastructureServices/vsftpd: logging.c"
	fromVsftpdHub = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/vsftpd-logs.yaml"
)

// vsftpd reads vsftpd.log, and the same lines by syslog. All its messages have
// the same head, and some end in what the client typed (a file name, the
// password of an anonymous user): the head with the address must occur once.
func vsftpd() Definition {
	return Definition{
		Name:        "vsftpd",
		Title:       "vsftpd",
		Programs:    []string{"vsftpd"},
		Executables: []string{"/usr/sbin/vsftpd"},
		Files:       []string{"/var/log/vsftpd.log"},
		Patterns:    vsftpdPatterns(""),
		Bare:        vsftpdPatterns("[pid <num>] "),
		Join:        ByAccount,
		Samples:     vsftpdSamples(),
		Notes: []string{
			"Needs xferlog_enable=YES and not xferlog_std_format=YES, or syslog_enable=YES; dual_log_enable=YES keeps both logs.",
			"The lines of PAM in auth.log tell the same failures and are not read.",
		},
	}
}

func vsftpdPatterns(pid string) []Pattern {
	return []Pattern{
		failure(pid+`[<account>] <phrase:FAIL LOGIN>: Client "<addr>"<text>`, Verdict),
		failure(pid+`FAIL LOGIN: Client "<addr>"`, Verdict),
		success(pid + `[<account>] <phrase:OK LOGIN>: Client "<addr>"<text>`),
		failure(pid+`[<account>] <phrase:FTP response>: Client "<addr>"<text>, "530 Permission denied."`, Verdict),
	}
}

func vsftpdSamples() []Sample {
	const a, at = "203.0.113.7", "Thu Jan 15 20:54:02 2026 "
	line := func(text string, want tocsin.Outcome, addr, account string) Sample {
		return Sample{Line: at + text, Want: want, Addr: addr, Account: account, From: fromVsftpd}
	}
	const forged = `x] FAIL LOGIN: Client "198.51.100.7"`
	return []Sample{
		line(`[pid 27244] [admin] FAIL LOGIN: Client "::ffff:203.0.113.7"`, tocsin.Failure, a, "admin"),
		line(`[pid 2] [admin] FAIL LOGIN: Client "203.0.113.7"`+"\r\n", tocsin.Failure, a, "admin"),
		line(`[pid 27244] [x] FAIL LOGIN] FAIL LOGIN: Client "2001:db8::7"`, tocsin.Failure, "2001:db8::7", "x] FAIL LOGIN"),
		line(`[pid 27244] [`+forged+`] FAIL LOGIN: Client "203.0.113.7"`, 0, "", ""),
		line(`[pid 27307] [ftp] OK LOGIN: Client "203.0.113.7", anon password "`+forged, 0, "", ""),
		line(`[pid 27307] [ftp] FTP command: Client "203.0.113.7", "USER `+forged, 0, "", ""),
		line(`[pid 27307] [a] OK UPLOAD: Client "203.0.113.7", "/`+forged, 0, "", ""),
		line("[pid 27244] [a\x1b[31m\x00\xff] FAIL LOGIN: Client \"203.0.113.7\"", tocsin.Failure, a, "a\ufffd\ufffd"),
		line(`[pid 27244] FAIL LOGIN: Client "203.0.113.7"`, tocsin.Failure, a, ""),
		line(`[pid 15685] [www-data] FTP response: Client "203.0.113.7", "530 Permission denied."`, tocsin.Failure, a, "www-data"),
		fails("vsftpd", `[admin] FAIL LOGIN: Client "203.0.113.7"`, a, 0, "admin", fromVsftpd),
		{Line: `Thu Jan  1 20:54:02 2026 [pid 27307] [user1] OK LOGIN: Client "192.0.2.10"`, Want: tocsin.Success, Addr: "192.0.2.10", Account: "user1", From: fromVsftpdHub},
		line(`[pid 27307] [ftp] OK LOGIN: Client "192.0.2.10", anon password "a@example.org"`, tocsin.Success, "192.0.2.10", "ftp"),
		line(`[pid 27245] CONNECT: Client "::ffff:203.0.113.7"`, 0, "", ""),
		line(`[pid 27245] [user1] OK UPLOAD: Client "203.0.113.7", "/] FAIL LOGIN: Client", 12 bytes, 1.2Kbyte/sec`, 0, "", ""),
		line(`[pid 27245] [user1] FTP command: Client "203.0.113.7", "USER x"`, 0, "", ""),
		line(`[pid 27245] [user1] FTP response: Client "203.0.113.7", "530 Login incorrect."`, 0, "", ""),
		line(`[pid 27245] [user1] FAIL LOGIN: Client "203.0.113.7`, 0, "", ""),
		line(`[pid 27245] [user1] FAIL LOGIN: Client "host.example"`, 0, "", ""),
		unlike("vsftpd", "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=a rhost=203.0.113.7  user=a", fromPAM),
	}
}
