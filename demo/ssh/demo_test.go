package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-io/tocsin/authlog"
)

func TestElement(t *testing.T) {
	for _, tt := range []struct{ line, set, addr string }{
		{"add element inet tocsin b4_32_2 { 203.0.113.7 timeout 10m expires 9m59s }", "b4_32_2", "203.0.113.7"},
		{"add element inet tocsin b6_64_2 { 2001:db8:66:: timeout 10m expires 10m }", "b6_64_2", "2001:db8:66::"},
		{"add element inet tocsin p4_32 { 203.0.113.7, 203.0.113.8 }", "p4_32", "203.0.113.7"},
		{"delete element inet tocsin b4_32_2 { 203.0.113.7 }", "", ""},
		{"add element inet tocsin b4_32_2 { }", "", ""},
		{"add rule inet tocsin x ip saddr 203.0.113.7", "", ""},
		{"# new generation 7 by process 4 (tocsin)", "", ""},
		{"", "", ""},
	} {
		set, addr, ok := element(tt.line)
		if ok != (tt.set != "") || ok && (set != tt.set || addr != netip.MustParseAddr(tt.addr)) {
			t.Errorf("%s: got %q, %v, %v", tt.line, set, addr, ok)
		}
	}
}

func TestAmong(t *testing.T) {
	const list = `table inet tocsin {
	set b4_32_2 {
		type ipv4_addr
		elements = { 203.0.113.7 timeout 10m expires 9m41s552ms, 192.0.2.99 timeout 10m expires 9m,
			     198.18.0.9 timeout 1d expires 23h59m1s }
	}
	set p4_32 { elements = { 192.0.2.20 } }
}`
	got := newDesk(&bytes.Buffer{}, cast()).among(list)
	want := []string{"b4_32_2      203.0.113.7        expires in 9m42s", "b4_32_2      198.18.0.9         expires in 23h59m1s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRecording checks that what is shipped is what sshd says, and tells nothing
// of where it was recorded.
func TestRecording(t *testing.T) {
	n := 0
	for line := range strings.Lines(recording) {
		n++
		r, err := parseRecorded(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.program, "sshd") || strings.Contains(line, "/") {
			t.Errorf("line %d: %s", n, line)
		}
		for word := range strings.FieldsFuncSeq(r.message, func(c rune) bool { return c == ' ' || c == '=' }) {
			if a, err := netip.ParseAddr(word); err == nil && !a.IsUnspecified() && !known(a) {
				t.Errorf("line %d: %v is no address of the story", n, a)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d lines are no story", n)
	}
}

func known(a netip.Addr) bool {
	return newDesk(nil, cast()).of(a) != nil || netip.MustParsePrefix("198.19.0.0/16").Contains(a)
}

// TestOrder has reports come in the wrong order, and the guess last of all.
func TestOrder(t *testing.T) {
	var out bytes.Buffer
	d := newDesk(&out, cast())
	d.begun = time.Now().Add(-time.Minute)
	at := d.begun.Add(time.Second)
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	stamp := func(ms int) string { return `{"level":"INFO","time":"` + after(ms).Format(time.RFC3339Nano) + `",` }
	const element = "add element inet tocsin b4_32_2 { 203.0.113.7 timeout 10m expires 10m }"
	d.monitored(devB, element, after(20))
	d.monitored(devA, element, after(3))
	d.monitored(devA, element, after(21)) // the hub's, with another end
	d.hub("The hub is ready.")
	d.hub(stamp(10) + `"msg":"decided","owner":"home","prefix":"203.0.113.7/32","until":"` + after(900_000).Format(time.RFC3339) + `","reason":"x"}`)
	d.hub(stamp(12) + `"msg":"published","list":"owner/home/1h","serial":2,"bytes":178}`)
	d.guard(devA, stamp(2)+`"msg":"blocked","prefix":"203.0.113.7/32","until":"`+after(600_000).Format(time.RFC3339)+
		`","reason":"5 failures","took":1000000}`)
	d.guard(devA, stamp(3)+`"msg":"x","prefix":["203.0.113.7/32","203.0.113.8/32"]}`)
	d.flush(at.Add(time.Second))
	if out.Len() > 0 {
		t.Fatalf("told before the guess:\n%s", out.String())
	}
	newListener(d, devA, nil).hear(authlog.Entry{
		Message: []byte("Failed password for root from 203.0.113.7 port 4711 ssh2"), Program: "sshd", PID: 7, At: at, Received: at,
	})
	d.flush(at.Add(time.Second))
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line)[1:3], " "))
	}
	want := []string{"A ATTEMPT", "A DECISION", "A KERNEL", "hub DECISION", "hub FRAME", "B KERNEL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, out.String())
	}
	loud := d.of(netip.MustParseAddr("203.0.113.7"))
	for m, ms := range map[int]time.Duration{devA: 3, devB: 20} {
		if r := loud.reaction(m).Round(time.Microsecond); r != ms*time.Millisecond {
			t.Errorf("at %s it took %v, want %v", machines[m].name, r, ms*time.Millisecond)
		}
	}
	if loud.took != time.Millisecond || loud.by != devA || len(d.trouble) > 0 {
		t.Errorf("got %v by %s, trouble %v", loud.took, machines[loud.by].name, d.trouble)
	}
}

// TestCheck spoils a good story in every way.
func TestCheck(t *testing.T) {
	at := time.Now()
	good := func(a *actor) {
		a.guesses, a.letIn = []guess{{at, devA}}, 1
		for _, m := range devices() {
			blocked := a.part == attacker && m != devD
			a.answered(m, !blocked)
			if blocked {
				a.hold(m, at.Add(time.Millisecond))
			}
		}
		a.cutOff = a.holds != hub
	}
	for _, tt := range []struct {
		who, want string
		spoil     func(*actor)
	}{
		{"203.0.113.7", "", func(*actor) {}},
		{"203.0.113.7", "was never seen", func(a *actor) { a.guesses = nil }},
		{"203.0.113.7", "was not blocked at B", func(a *actor) { delete(a.blocked, devB) }},
		{"203.0.113.7", "still gets through to C", func(a *actor) { a.answers[devC] = true }},
		{"203.0.113.7", "the clock was set meanwhile", func(a *actor) { a.blocked[devC] = at.Add(time.Hour) }},
		{"203.0.113.7", "kept the connection", func(a *actor) { a.cutOff = false }},
		{"198.18.0.9", "is blocked at D, which is another's", func(a *actor) { a.hold(devD, at) }},
		{"198.18.0.9", "gets no answer of D", func(a *actor) { a.answers[devD] = false }},
		{"203.0.113.50", "was blocked", func(a *actor) { a.hold(devA, at) }},
		{"203.0.113.50", "did not get in", func(a *actor) { a.letIn = 0 }},
		{"203.0.113.50", "does not get through to D", func(a *actor) { a.answers[devD] = false }},
	} {
		d := newDesk(&bytes.Buffer{}, cast())
		for _, a := range d.actors {
			good(a)
		}
		tt.spoil(d.of(netip.MustParseAddr(tt.who)))
		err := d.conclude()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("got %v, want %q", err, tt.want)
		}
	}
}

// FuzzReports feeds what programs may say. Whatever it is, what is shown fits
// the terminal and cannot move its cursor.
func FuzzReports(f *testing.F) {
	f.Add("add element inet tocsin b4 { 203.0.113.7 timeout 10m }")
	f.Add(`{"time":"2026-01-15T20:54:09Z","msg":"blocked","prefix":"203.0.113.7/32","reason":"\u001b[31m x\n y","took":1}`)
	f.Add(`{"MESSAGE":"Failed password for invalid user \u001b[2J from 203.0.113.7 port 5 ssh2","SYSLOG_IDENTIFIER":"sshd","_PID":"1","__REALTIME_TIMESTAMP":"1"}`)
	f.Add("2026-01-15T20:54:09.250000Z A sshd[41]: Failed password for root from 203.0.113.7 port 5 ssh2")
	f.Fuzz(func(t *testing.T, line string) {
		var out bytes.Buffer
		d := newDesk(&out, cast())
		d.monitored(devA, line, time.Now())
		d.guard(devA, line)
		d.hub(line)
		newListener(d, devB, nil).journal(line)
		d.post(event{at: time.Now(), kind: shown, text: line})
		if r, err := parseRecorded(line); err == nil && r.at.IsZero() {
			t.Errorf("%q has no time", line)
		}
		d.flush(time.Now().Add(1000 * time.Hour))
		for shown := range strings.Lines(out.String()) {
			shown = strings.TrimSuffix(shown, "\n")
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q shows %q", line, shown)
			}
		}
	})
}

// TestShownKeepsColumns has a line of a program that is too wide broken between
// words and nowhere changed: a long version must not make a table a paragraph.
func TestShownKeepsColumns(t *testing.T) {
	row := "D     d-df5lraa2elhf6opm  ben    connected  0       -      2026-12-27   v0.0.0-20261127050943-ef4443118ee8"
	want := "  D     d-df5lraa2elhf6opm  ben    connected  0       -      2026-12-27\n    v0.0.0-20261127050943-ef4443118ee8"
	if got := asShown(row); got != want {
		t.Errorf("it shows\n%s\nwant\n%s", got, want)
	}
	long := strings.Repeat("x", 200)
	if got := asShown(long); got != "  "+long {
		t.Errorf("one long word becomes %q", got)
	}
	if got := asShown("a " + long); got != "  a\n    "+long {
		t.Errorf("a long word after another becomes %q", got)
	}
}
