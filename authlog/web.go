package authlog

import (
	"bytes"

	"github.com/tocsin-io/tocsin"
)

// The access logs of nginx and Apache have one format, the combined one of
// Apache: the address first, which nobody can shift. Both escape double quotes
// in what the client sent, so the request ends at the first one.
const (
	accessWho = "<addr> - <account> [<clf>] \"<quoted>\" "
	accessTLS = `<addr> - - [<clf>] "\x16\x03\x01<quoted>" 400 <text>`
)

// noDash drops the "-" that stands for no name: a request without one is the
// first step of the protocol and no attempt.
func noDash(name []byte) []byte {
	if bytes.Equal(name, []byte("-")) {
		return nil
	}
	return name
}

// accessPatterns reads an access log whose lines start with before.
func accessPatterns(before string, unsureSuccess bool) []Pattern {
	ok := success(before + accessWho + "<ok> <text>")
	ok.Role, ok.Unconfirmed = Verdict, unsureSuccess
	return []Pattern{
		// TLS spoken to a port for plain HTTP: a scanner, not a browser.
		{Text: before + accessTLS, Outcome: tocsin.Probe, Role: Verdict},
		failure(before+accessWho+"<num:401> <text>", TwinA),
		ok,
	}
}
