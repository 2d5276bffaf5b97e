package authlog

const (
	fromDropbearPassword = "mkj/dropbear: svr-authpasswd.c"
	fromDropbearAuth     = "mkj/dropbear: svr-auth.c"
	fromDropbearHub      = "crowdsecurity/hub: parsers/s01-parse/crowdsecurity/dropbear-logs.yaml"
)

// dropbear reads the SSH server of routers and small devices. It writes address
// and port as one word, IPv6 without brackets.
func dropbear() Definition {
	return Definition{
		Name:        "dropbear",
		Title:       "Dropbear SSH",
		Programs:    []string{"dropbear"},
		Executables: []string{"/usr/sbin/dropbear", "/usr/bin/dropbear", "/usr/bin/dropbearmulti", "/usr/sbin/dropbearmulti"},
		Patterns:    dropbearPatterns(),
		Samples:     dropbearSamples(),
		Notes: []string{
			"Connections of an unknown account count once each, however many passwords were tried.",
		},
	}
}

func dropbearPatterns() []Pattern {
	const from = " from <addr:port>"
	const exit = "xit before auth from <<<addr:port>>: "
	var ps []Pattern
	for _, b := range []string{"B", "b"} { // the first letter depends on the version
		ps = append(ps,
			failure(b+"ad password attempt for '<account>'"+from, Verdict),
			failure(b+"ad PAM password attempt for '<account>'"+from, Verdict))
	}
	for _, l := range []string{"L", "l"} {
		ps = append(ps,
			nobody(failure(l+"ogin attempt for nonexistent user"+from, Verdict)),
			nobody(failure(l+"ogin attempt for nonexistent user '<account>'"+from, Verdict)),
			failure(l+"ogin attempt with wrong user <account>"+from, Verdict))
	}
	for _, e := range []string{"E", "e"} {
		ps = append(ps,
			failure(e+exit+"Max auth tries reached - user '<account>'", Closing),
			probe(e+exit+"(user '<text>', 0 fails): <text>"),
			failure(e+exit+"(user '<account>', <num> fails): <text>", Closing),
			probe(e+exit+"<text>"))
	}
	for _, p := range []string{"P", "p"} {
		ps = append(ps,
			success(p+"assword auth succeeded for '<account>'"+from),
			success(p+"ubkey auth succeeded for '<account>' with <text>"+from))
	}
	return append(ps,
		success("PAM password auth succeeded for '<account>'"+from),
		success("Auth succeeded with blank password for '<account>'"+from))
}

func dropbearSamples() []Sample {
	const a, v6, p = "203.0.113.7", "2001:db8::7", "dropbear"
	const forged = "x' from 198.51.100.7:22"
	return []Sample{
		fails(p, "Bad password attempt for 'root' from 203.0.113.7:5543", a, 5543, "root", fromDropbearPassword),
		fails(p, "bad password attempt for 'root' from ::ffff:203.0.113.7:5543", a, 5543, "root", fromDropbearPassword),
		fails(p, "Bad PAM password attempt for 'root' from 2001:db8::7:5543", v6, 5543, "root", "mkj/dropbear: svr-authpam.c"),
		fails(p, "Bad password attempt for '"+forged+"' from 203.0.113.7:5543\r\n", a, 5543, forged, fromDropbearPassword),
		fails(p, "Bad password attempt for '\x1b[2J\xffroot' from 203.0.113.7:5543", a, 5543, "\ufffdroot", fromDropbearPassword),
		unknown(fails(p, "Login attempt for nonexistent user from 203.0.113.7:5545", a, 5545, "", fromDropbearAuth)),
		unknown(fails(p, "login attempt for nonexistent user 'nobody here' from 203.0.113.7:5545", a, 5545, "nobody here", fromDropbearAuth)),
		fails(p, "Login attempt with wrong user a from 198.51.100.7:22 from 203.0.113.7:5545", a, 5545, "a from 198.51.100.7:22", fromDropbearAuth),
		fails(p, "Exit before auth from <203.0.113.7:5546>: Max auth tries reached - user 'root'", a, 5546, "root", fromDropbearHub),
		fails(p, "Exit before auth from <203.0.113.7:5546>: (user 'root', 10 fails): Max auth tries reached - user 'root'", a, 5546, "root", fromDropbearHub),
		probes(p, "Exit before auth from <203.0.113.7:5546>: (user 'root', 0 fails): Exited normally", a, 5546, fromDropbearHub),
		probes(p, "Exit before auth from <203.0.113.7:5546>: No matching algo kex", a, 5546, fromDropbearHub),
		succeeds(p, "Password auth succeeded for 'backup' from 192.0.2.10:49242", "192.0.2.10", 49242, "backup", fromDropbearPassword),
		succeeds(p, "PAM password auth succeeded for 'backup' from 192.0.2.10:49242", "192.0.2.10", 49242, "backup", "mkj/dropbear: svr-authpam.c"),
		succeeds(p, "Pubkey auth succeeded for 'backup' with ssh-ed25519 key SHA256:EXAMPLE from [2001:db8::10]:49242", "2001:db8::10", 49242, "backup", "mkj/dropbear: svr-authpubkey.c"),
		unlike(p, "Child connection from 203.0.113.7:5543", "mkj/dropbear: svr-main.c"),
		unlike(p, "Exit (root) from <203.0.113.7:5543>: Disconnect received", "mkj/dropbear: svr-session.c"),
		unlike(p, "User 'root' has blank password, rejected", fromDropbearPassword),
		unlike(p, "Bad password attempt for 'root' from host.example:5543", fromDropbearPassword),
		unlike(p, "Bad password attempt for 'root' from 203.0.113", fromDropbearPassword),
	}
}
