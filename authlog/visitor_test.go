package authlog

import (
	"fmt"
	"testing"
	"time"
)

// TestVisitor: what a process told before never changes how its next line is
// read.
func TestVisitor(t *testing.T) {
	texts := []string{
		"203.0.113.1", "203.0.113.12", "203.0.113.1.5", "1203.0.113.1", "203.0.113.1:", "203.0.113.1:22", "x203.0.113.1",
		"203.0.113.1x", "203.0.113.1%x", "203.0.113.1_", "03.0.113.1", "2001:db8::", "2001:db8:::", "2001:db8::1", "2001:db8::1:",
		"2001:db8::12", "2001:db8::1%eth0", "::ffff:203.0.113.1", "12001:db8::1", ":2001:db8::1", "", "host.example",
	}
	lines := []string{
		"Failed password for root from %s port 22 ssh2",
		"Invalid user a from %s",
		"Invalid user %[1]s from %[1]s from %[1]s",
		"Connection closed by %s [preauth]",
		"Connection closed by %s port 40022 [preauth]",
		"Received disconnect from %s: 11: bye [preauth]",
		"Received disconnect from %s:11: bye [preauth]",
		"drop connection #1 from [%s]:40022 on [192.0.2.1]:22 past MaxStartups",
	}
	read := func(p *Parser, text string) string {
		e := Entry{Message: []byte(text), Program: "sshd", PID: 7, At: fuzzReceived, Received: fuzzReceived}
		p.table, p.echoes = nil, echoes{} // the address is asked for, not whether it counts
		for i := range p.visitors {
			p.visitors[i].slot = 0
		}
		a, n := p.ParseEntry(e)
		if late, ok := p.Overdue(fuzzReceived.Add(time.Hour)); ok {
			a, n = late, 1
		}
		if n == 0 {
			return "nothing"
		}
		return fmt.Sprintf("%v %q", a.Source, a.Account)
	}
	found := 0
	for _, before := range texts {
		for _, text := range texts {
			for _, line := range lines {
				line := fmt.Sprintf(line, text)
				p := Default().Parser(time.UTC)
				read(p, "Invalid user a from "+before)
				want := read(Default().Parser(time.UTC), line)
				if got := read(p, line); got != want {
					t.Errorf("after %q, %q: got %s, want %s", before, line, got, want)
				}
				if want != "nothing" {
					found++
				}
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d lines told of an address", found)
	}
}
