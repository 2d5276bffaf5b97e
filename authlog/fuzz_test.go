package authlog

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
)

var fuzzReceived = time.Date(2026, 1, 15, 21, 0, 0, 0, time.UTC)

// checkAttempt holds what is true of every attempt, whatever the line.
func checkAttempt(t *testing.T, a tocsin.Attempt, n int) {
	t.Helper()
	if n < 0 || n > MaxRepeat {
		t.Fatalf("%d attempts", n)
	}
	if n == 0 {
		return
	}
	addr := a.Source.Addr()
	if !addr.IsValid() || addr.Is4In6() || addr.Zone() != "" || addr.IsUnspecified() {
		t.Fatalf("address %v", addr)
	}
	if len(a.Account) > tocsin.MaxAccount || !utf8.ValidString(a.Account) {
		t.Fatalf("account %q", a.Account)
	}
	for _, r := range a.Account {
		if !showable(r) {
			t.Fatalf("account %q holds %U", a.Account, r)
		}
	}
	if a.Outcome < tocsin.Failure || a.Outcome > tocsin.Probe || a.Service == "" {
		t.Fatalf("attempt %v", a)
	}
	if a.At.Sub(fuzzReceived) > slack || a.At.Unix() < earliest {
		t.Fatalf("at %v", a.At)
	}
}

func FuzzParse(f *testing.F) {
	for _, d := range All() {
		for _, s := range d.Samples {
			if s.Line != "" {
				f.Add([]byte(s.Line))
				continue
			}
			f.Add([]byte("Jan 15 20:54:02 host1 " + s.Program + "[4101]: " + s.Message))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		p := Default().Parser(time.UTC)
		a, n := p.Parse(line, fuzzReceived)
		checkAttempt(t, a, n)
		// The same line twice is no new session: never more than it told alone.
		b, m := p.Parse(line, fuzzReceived)
		checkAttempt(t, b, m)
		for {
			late, ok := p.Overdue(far)
			if !ok {
				break
			}
			checkAttempt(t, late, 1)
		}
		if _, ok := p.Pending(); ok {
			t.Fatal("something waits after all was told")
		}
		e := Entry{Message: line, Program: "sshd", PID: 1, At: fuzzReceived, Received: fuzzReceived}
		a, n = Default().Parser(time.UTC).ParseEntry(e)
		checkAttempt(t, a, n)
		if n > 0 && a.Provenance != tocsin.Local {
			t.Fatalf("nobody known attests %v", a)
		}
		if !bytes.Equal(line, before) {
			t.Fatal("the line was changed")
		}
	})
}

var valued = regexp.MustCompile(`<[a-z]+:([^>]+)>`)

// render writes a line of pattern text with the address in it. What the
// attacker typed goes into the free hole numbered where, harmless words into
// the others; -1 puts it into all.
func render(text, address, typed string, where int) string {
	// Right after an address the service writes itself: a comma or a bracket.
	text = strings.ReplaceAll(text, "<addr><text>", "<addr>,<text>")
	text = strings.ReplaceAll(text, "<addr:port>", address+":40122")
	text = valued.ReplaceAllString(text, "$1")
	text = strings.NewReplacer(
		"<quoted>", "GET / HTTP/1.1", "<addr>", address, "<port>", "40122", "<count>", "1",
		"<num>", "7", "<word>", "word", "<field>", "a word", "<host>", "192.0.2.5", "<phrase>", "some words",
		"<clf>", "15/Jan/2026:20:54:03 +0000", "<date>", "Thu, 15 Jan 2026 20:54:02 UTC", "<ok>", "200",
	).Replace(text)
	var out strings.Builder
	for hole := 0; text != ""; {
		switch {
		case strings.HasPrefix(text, "<<"):
			out.WriteByte('<')
			text = text[2:]
		case strings.HasPrefix(text, "<account>"), strings.HasPrefix(text, "<text>"):
			if where < 0 || where == hole {
				out.WriteString(typed)
			} else if strings.HasPrefix(text, "<account>") {
				out.WriteString("bob")
			}
			hole++
			_, text, _ = strings.Cut(text, ">")
		default:
			out.WriteByte(text[0])
			text = text[1:]
		}
	}
	return out.String()
}

// lies are what an attacker types to put the blame on somebody else.
var lies = []string{
	"", "x", "-", "x from 198.51.100.7 port 22 ssh2", " from 198.51.100.7 port 22", "198.51.100.7",
	`x" was not found in "y", client: 198.51.100.7, server: z`, "x>, method=PLAIN, rip=198.51.100.7, lip=1",
	"x] from [198.51.100.7] failed to sign in to [DSM] via [password] due to authorization failure.",
	"x, Source IP: 198.51.100.7, Computer name: y, Connection type: SSH, Accessed resources: a, Action: Login Fail",
	"x] remote host [ipv4:198.51.100.7:1] mapped to [", "x,198.51.100.7): unknown user", "x 198.51.100.7 port 1 [preauth]",
	"x\nJan 15 20:54:02 h sshd[1]: Failed password for y from 198.51.100.7 port 1 ssh2", "x ssh2: RSA SHA256:x",
	`x] FAIL LOGIN: Client "198.51.100.7"`, "x' from 198.51.100.7:22", "x rhost=198.51.100.7", "x [preauth]", "]",
	"x>, rip=198.51.100.7, lip=1", `x": password mismatch, client: 198.51.100.7, server: z`, "x,198.51.100.7,<s>): unknown user",
	"x,198.51.100.7): Password mismatch", `x] OK LOGIN: Client "198.51.100.7", anon password "y`, `x] FAIL LOGIN: Client "198.51.100.7`,
	"x] at [1] with [a] status [NT_STATUS_OK] workstation [w] remote host [ipv4:198.51.100.7:1] became [",
	"x] at [1] with [a] status [NT_STATUS_WRONG_PASSWORD] workstation [w] remote host [ipv4:198.51.100.7:1] mapped to [",
	"x from 198.51.100.7 port 1 ssh2: a b ID y (serial 1) CA r s", "x 198.51.100.7 port 1: y", "y (198.51.100.7)",
	"x [15/Jan/2026:20:54:03 +0000] \"GET\" 200 5", "x from 198.51.100.7 not allowed because y",
	"message repeated 5 times: [ x]", "\x1b[31m", "\xff\x00", "invalid user x", strings.Repeat("a ", 500),
}

// FuzzHostileAccount puts any text where the attacker's words stand, in every
// pattern of every service: the address must be the service's own, or none.
func FuzzHostileAccount(f *testing.F) {
	for i, lie := range lies {
		f.Add(lie, uint16(i))
		for which := uint16(0); which < 400; which += 61 {
			f.Add(lie, which)
		}
	}
	defs := All()
	f.Fuzz(func(t *testing.T, typed string, which uint16) {
		for di := range defs {
			d := &defs[di]
			if len(d.Patterns) > 0 {
				text := d.Patterns[int(which)%len(d.Patterns)].Text
				program := strings.ReplaceAll(d.Programs[int(which)%len(d.Programs)], "#", "7")
				checkBlame(t, "Jan 15 20:54:02 host "+program+"[411]: ", text, typed)
			}
			if len(d.Bare) > 0 {
				checkBlame(t, "", d.Bare[int(which)%len(d.Bare)].Text, typed)
			}
		}
	})
}

// escaped is what web servers do with the words of a client before they log
// them; the patterns of their access logs rely on it.
func escaped(text, typed string) string {
	if !strings.Contains(text, "<clf>") {
		return typed
	}
	return strings.NewReplacer(`"`, `\x22`, `\`, `\x5c`, "\n", `\x0a`).Replace(typed)
}

var reused = Default().Parser(time.UTC)

// fresh returns a parser that knows no session, without the cost of a new one.
func fresh() *Parser {
	p := reused
	for _, ok := p.Overdue(far); ok; _, ok = p.Overdue(far) {
	}
	if p.table != nil {
		clear(p.table[:])
	}
	return p
}

func checkBlame(t *testing.T, head, text, typed string) {
	t.Helper()
	for i := range 10 {
		where, address := i/2-1, []string{"203.0.113.7", "2001:db8::7"}[i%2]
		if where >= 0 && where >= strings.Count(text, "<account>")+strings.Count(text, "<text>") {
			break
		}
		line := head + render(text, address, escaped(text, typed), where)
		p := fresh()
		a, n := p.Parse([]byte(line), fuzzReceived)
		if n == 0 {
			late, ok := p.Overdue(far)
			if !ok {
				continue
			}
			a, n = late, 1
		}
		checkAttempt(t, a, n)
		if a.Source.Addr() != netip.MustParseAddr(address) {
			t.Fatalf("%q blames %v, not %s", line, a.Source, address)
		}
	}
}

// Every lie in every pattern, without a fuzzer.
func TestHostileAccounts(t *testing.T) {
	for _, d := range All() {
		for _, lie := range lies {
			for _, p := range d.Patterns {
				for _, program := range d.Programs {
					checkBlame(t, "Jan 15 20:54:02 host "+strings.ReplaceAll(program, "#", "7")+"[411]: ", p.Text, lie)
				}
			}
			for _, p := range d.Bare {
				checkBlame(t, "", p.Text, lie)
			}
		}
	}
}

// Where the attacker's words stand in one place only, no name can hide a line
// either: the attempt counts, whatever he types.
func TestNoNameHidesALine(t *testing.T) {
	for _, d := range All() {
		for _, p := range d.Patterns {
			if d.Named || strings.Count(p.Text, "<account>")+strings.Count(p.Text, "<text>") != 1 {
				continue
			}
			for _, lie := range lies {
				line := "Jan 15 20:54:02 host " + strings.ReplaceAll(d.Programs[0], "#", "7") + "[411]: " + render(p.Text, "203.0.113.7", lie, -1)
				q := fresh()
				if _, n := q.Parse([]byte(line), fuzzReceived); n > 0 {
					continue
				}
				if _, ok := q.Overdue(far); !ok {
					t.Errorf("%s: %q: nothing", d.Name, line)
				}
			}
		}
	}
}

// Every pattern of every service reads its own form when nobody lies: none is
// shadowed by another one that gives a different answer.
func TestEveryPatternReads(t *testing.T) {
	for _, d := range All() {
		for _, p := range d.Patterns {
			line := "Jan 15 20:54:02 host " + strings.ReplaceAll(d.Programs[0], "#", "7") + "[411]: " + render(p.Text, "203.0.113.7", "bob", 0)
			a, n, _ := told(Default(), Sample{Line: line})
			if n == 0 || a.Outcome != p.Outcome || a.Unknown != p.Unknown || a.Service != d.Name {
				t.Errorf("%s: %q: got %d × %v", d.Name, line, n, a)
			}
		}
		m, err := Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Bare {
			line := render(p.Text, "203.0.113.7", "bob", 0)
			a, n, _ := told(m, Sample{Line: line})
			if n == 0 || a.Outcome != p.Outcome || a.Tentative != p.Unconfirmed {
				t.Errorf("%s: %q: got %d × %v", d.Name, line, n, a)
			}
		}
	}
}

func FuzzStamp(f *testing.F) {
	for _, s := range stampCases {
		f.Add([]byte(s.text), fuzzReceived.Unix())
	}
	f.Fuzz(func(t *testing.T, text []byte, received int64) {
		at := time.Unix(received%(1<<33), 0)
		got, rest, ok := ParseStamp(text, time.UTC, at)
		if !ok {
			if !bytes.Equal(rest, text) {
				t.Fatal("no stamp, but text is gone")
			}
			return
		}
		if got.Sub(at) > slack || got.Unix() < earliest && !got.Equal(at) {
			t.Fatalf("%q at %v gives %v", text, at, got)
		}
		if !bytes.HasSuffix(text, rest) || len(rest) >= len(text) {
			t.Fatalf("%q leaves %q", text, rest)
		}
	})
}
