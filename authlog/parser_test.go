package authlog

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tocsin-io/tocsin"
)

const guess = "Failed password for root from 203.0.113.7 port 40130 ssh2"

func TestProvenance(t *testing.T) {
	root := func(exe string) Writer { return Writer{Known: true, Exe: exe} }
	for _, c := range []struct {
		name    string
		program string
		writer  Writer
		want    tocsin.Provenance
	}{
		{"sshd", "sshd", root("/usr/sbin/sshd"), tocsin.Attested},
		{"sshd-session of Debian", "sshd-session", root("/usr/lib/openssh/sshd-session"), tocsin.Attested},
		{"logger -t sshd", "sshd", Writer{Known: true, UID: 1000, Exe: "/usr/bin/logger"}, tocsin.Local},
		{"logger -t sshd by root", "sshd", root("/usr/bin/logger"), tocsin.Local},
		{"sshd run by a user", "sshd", Writer{Known: true, UID: 1000, Exe: "/usr/sbin/sshd"}, tocsin.Local},
		{"sshd run by a user who is logged in by ssh", "sshd", Writer{Known: true, UID: 1000, Exe: "/usr/sbin/sshd", Unit: "ssh.service"}, tocsin.Local},
		{"a program named sshd", "sshd", root("/tmp/sshd"), tocsin.Local},
		{"nobody known", "sshd", Writer{Exe: "/usr/sbin/sshd"}, tocsin.Local},
		{"no path", "sshd", root(""), tocsin.Local},
	} {
		p := Default().Parser(nil)
		e := Entry{Message: []byte(guess), Program: c.program, PID: 7, At: fuzzReceived, Received: fuzzReceived, Writer: c.writer}
		a, n := p.ParseEntry(e)
		if n != 1 || a.Provenance != c.want {
			t.Errorf("%s: got %d × %v, want %v", c.name, n, a.Provenance, c.want)
		}
		// A line of text says nothing about its writer, even after an entry.
		if a, _ := p.Parse([]byte("sshd[8]: "+guess), fuzzReceived); a.Provenance != 0 {
			t.Errorf("%s: then a line of text: got %v, want none", c.name, a.Provenance)
		}
	}
}

func TestProvenanceOfUnits(t *testing.T) {
	msg := `2026/01/15 20:54:02 [error] 3#3: *3 user "a": password mismatch, client: 203.0.113.7, server: x, request: "GET /"`
	for unit, want := range map[string]tocsin.Provenance{"nginx.service": tocsin.Attested, "session-1.scope": tocsin.Local, "": tocsin.Local} {
		w := Writer{Known: true, UID: 33, Exe: "/usr/sbin/nginx", Unit: unit}
		a, n := Default().Parser(nil).ParseEntry(Entry{Message: []byte(msg), Program: "nginx", Received: fuzzReceived, Writer: w})
		if n != 1 || a.Provenance != want {
			t.Errorf("unit %q: got %d × %v, want %v", unit, n, a.Provenance, want)
		}
	}
}

func TestParseFillsTheAttempt(t *testing.T) {
	p := Default().Parser(time.FixedZone("x", 3600))
	got, n := p.Parse([]byte("Jan 15 20:54:02 h sshd[1]: Failed password for invalid user bob from ::ffff:203.0.113.7 port 2 ssh2"), fuzzReceived)
	want := tocsin.Attempt{
		At: time.Date(2026, 1, 15, 19, 54, 2, 0, time.UTC), Service: "ssh", Outcome: tocsin.Failure,
		Source: netip.MustParseAddrPort("203.0.113.7:2"), Account: "bob", Unknown: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})); diff != "" || n != 1 {
		t.Errorf("%d, -want +got:\n%s", n, diff)
	}
}

func TestParseEntryTime(t *testing.T) {
	at := fuzzReceived.Add(-time.Minute)
	for _, c := range []struct{ at, want time.Time }{
		{at, at},
		{time.Time{}, fuzzReceived},
		{time.Unix(5, 0), fuzzReceived},
		{fuzzReceived.Add(48 * time.Hour), fuzzReceived},
	} {
		a, _ := Default().Parser(nil).ParseEntry(Entry{Message: []byte(guess), Program: "sshd", At: c.at, Received: fuzzReceived})
		if !a.At.Equal(c.want) {
			t.Errorf("at %v: got %v, want %v", c.at, a.At, c.want)
		}
	}
}

// A log of one service says nothing about others.
func TestOnly(t *testing.T) {
	p := Default().Parser(nil)
	if err := p.Only("apache"); err != nil {
		t.Fatal(err)
	}
	access := `203.0.113.7 - bob [15/Jan/2026:20:54:03 +0000] "GET / HTTP/1.1" 200 5 "-" "-"`
	a, n := p.Parse([]byte(access), fuzzReceived)
	if n != 1 || a.Service != "apache" || a.Tentative {
		t.Errorf("got %d × %v", n, a)
	}
	if _, n := p.Parse([]byte("Jan 15 20:54:02 h sshd[1]: "+guess), fuzzReceived); n != 0 {
		t.Error("a line of sshd in a log of apache counts")
	}
	if err := p.Only("nobody"); err == nil {
		t.Error("an unknown service is no error")
	}
}

func TestSome(t *testing.T) {
	defs, err := Some("ssh", "samba")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Compile(defs...)
	if err != nil {
		t.Fatal(err)
	}
	p := m.Parser(nil)
	if _, n := p.Parse([]byte("Jan 15 20:54:02 h dropbear[1]: Bad password attempt for 'root' from 203.0.113.7:5543"), fuzzReceived); n != 0 {
		t.Error("a service that was not asked for counts")
	}
	if _, n := p.Parse([]byte("Jan 15 20:54:02 h sshd[1]: "+guess), fuzzReceived); n != 1 {
		t.Error("ssh does not count")
	}
	if _, err := Some("ssh", "gopher", "finger"); err == nil || !strings.Contains(err.Error(), "gopher") || !strings.Contains(err.Error(), "finger") {
		t.Errorf("got %v, want an error that names both", err)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, text := range []string{
		"x <addr", "x <nothing> <addr>", "no address", "<account><addr>", "x <account> <text><addr>",
		`x <addr> <text> y "<quoted>`,
	} {
		_, err := Compile(Definition{Name: "x", Programs: []string{"x"}, Patterns: []Pattern{failure(text, Verdict)}})
		if err == nil || !strings.Contains(err.Error(), "x") {
			t.Errorf("%q: got %v, want an error", text, err)
		}
	}
	if _, err := Compile(Definition{Name: "X"}, Definition{Name: "y"}, Definition{Name: "y"}); err == nil || strings.Count(err.Error(), "\n") < 3 {
		t.Errorf("got %v, want all mistakes at once", err)
	}
}

func TestHeads(t *testing.T) {
	for _, head := range []string{
		"Jan 15 20:54:02 host sshd[7]: ", "Jan 5 20:54:02 host sshd[7]: ", "Jan  5 20:54:02 host sshd[7]: ",
		"Jan 15 20:54:02 host sshd: ", "Jan 15 20:54:02 sshd[7]: ", "<38>Jan 15 20:54:02 host sshd[7]: ",
		"<38>1 2026-01-15T20:54:02Z host sshd 7 - - ", "<38>1 2026-01-15T20:54:02.123456+01:00 host sshd - - [a b=\"]\"][c] \xef\xbb\xbf",
		"<38>1 - host sshd 7 - - ", "<38>sshd[7]: ", "sshd[7]: ", "sshd: ",
		"2026-01-15T20:54:02.123456+01:00 host sshd[7]: ", "2026-01-15 20:54:02,123 host sshd[7]: ",
		"1768510442.03 host sshd[7]: ", "Jan 15 20:54:02 host sshd-session[7]: ",
	} {
		if a, n := fresh().Parse([]byte(head+guess), fuzzReceived); n != 1 || a.Account != "root" {
			t.Errorf("%q: got %d × %v", head, n, a)
		}
	}
	for _, head := range []string{
		"", "Jan 15 20:54:02 ", "Jan 15 20:54:02 host ", "Jan 15 20:54:02 host sshd[x]: ", "Jan 15 20:54:02 host sshd[7: ",
		"Jan 15 20:54:02 host su[7]: sshd[8]: ", "<38>1 2026-01-15T20:54:02Z host su 7 - - sshd[7]: ", "<>Jan 15 20:54:02 host su[7]: ",
		"Jan 15 20:54:02 host " + strings.Repeat("s", 100) + "[7]: ", "<38>1 2026-01-15T20:54:02Z host sshd 7 - [a ",
	} {
		if a, n := fresh().Parse([]byte(head+guess), fuzzReceived); n != 0 {
			t.Errorf("%q: got %d × %v, want nothing", head, n, a)
		}
	}
}

func TestLongLines(t *testing.T) {
	long := func(n int) []byte {
		return []byte("sshd[7]: Failed password for invalid user " + strings.Repeat("a", n) + " from 203.0.113.7 port 1 ssh2")
	}
	if a, n := fresh().Parse(long(60<<10), fuzzReceived); n != 1 || len(a.Account) != tocsin.MaxAccount {
		t.Errorf("60 KiB: got %d × %v", n, a)
	}
	if _, n := fresh().Parse(long(MaxLine), fuzzReceived); n != 0 {
		t.Error("a line longer than MaxLine counts")
	}
	deep := append([]byte(`{"Authentication":`), bytes.Repeat([]byte(`{"a":[`), 1<<12)...)
	if _, n := fresh().Parse(deep, fuzzReceived); n != 0 {
		t.Error("a deep object counts")
	}
}

// A password that dovecot was told to log is never kept.
func TestPasswordsAreNotKept(t *testing.T) {
	a, n := fresh().Parse([]byte("Jan 15 20:54:02 h dovecot: auth-worker(1): sql(a,203.0.113.7): Password mismatch (given password: Secret$1)"), fuzzReceived)
	if n != 1 || strings.Contains(a.Account, "Secret") {
		t.Errorf("got %d × %v", n, a)
	}
}

func TestReportsOfDefinitions(t *testing.T) {
	d, _ := find(All(), "qnap")
	if got := len(d.Unconfirmed()); got != 1 {
		t.Errorf("qnap: got %d unconfirmed patterns, want 1", got)
	}
	d, _ = find(All(), "nginx")
	want := []tocsin.Outcome{tocsin.Failure, tocsin.Success, tocsin.Probe}
	if diff := cmp.Diff(want, d.Outcomes()); diff != "" {
		t.Errorf("nginx, -want +got:\n%s", diff)
	}
}
