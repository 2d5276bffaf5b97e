package dossier

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/tocsin-io/tocsin/takedown"
)

// A Forwardable is what a provider is sent, and may pass on to anybody.
type Forwardable struct {
	Marking
	Case   takedown.ID `json:"case"`
	To     string      `json:"to"`
	Lines  []string    `json:"lines"`            // as a log, in UTC, victims masked
	Left   int         `json:"left,omitempty"`   // older lines that found no room
	Report []byte      `json:"report,omitempty"` // X-ARF v4.2
	Gap    string      `json:"gap,omitempty"`    // why there is no report
	kind   takedown.Kind
	source string
	port   uint16
	domain string
	org    string
	reply  string
	sum    summary
}

// A Message is one mail, as people approve it and as it is sent: whoever sends it
// keeps it from the one to the other, as later facts give another text.
type Message struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Report  []byte `json:"report,omitempty"` // X-ARF, for an attachment of application/json
}

// Digest is what an approval holds on to: another letter, another digest.
func (m Message) Digest() takedown.Digest {
	h := sha256.New()
	for _, part := range []string{m.To, m.Subject, m.Text, string(m.Report)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return takedown.Digest(h.Sum(nil))
}

// Build writes both dossiers of a case. Where a report in X-ARF would not be
// valid, the forwardable one says why and has none.
func Build(in Input) (Forwardable, Full, error) {
	list := in.events()
	if len(list) == 0 {
		return Forwardable{}, Full{}, fmt.Errorf("dossier of case %s: %w", in.Case.ID, errNothing)
	}
	s := sum(list)
	f := Forwardable{
		Marking: Clear, Case: in.Case.ID, To: takedown.OneLine(in.To, takedown.MaxName),
		kind: in.Case.Kind, source: host(in.Case.Source), port: in.Case.Port, domain: takedown.OneLine(in.Case.Domain, takedown.MaxName),
		org: takedown.OneLine(in.Sender.Org, takedown.MaxName), reply: takedown.OneLine(in.Sender.Contact, takedown.MaxName), sum: s,
	}
	f.Left = max(len(list)-MaxLines, 0)
	for _, e := range list[f.Left:] {
		f.Lines = append(f.Lines, e.line(in.Case.Source, false))
	}
	var err error
	if f.Report, err = report(&in, &f); err != nil {
		f.Gap = err.Error()
	}
	return f, full(&in, list, s), nil
}

// Message returns the mail to the abuse contact in a language.
func (f Forwardable) Message(l Language) Message {
	w := l.words()
	subject := fmt.Sprintf("[%s] %s%s %s", f.Case, w.title[f.kind], w.colon, f.source)
	if f.kind == takedown.Controller && f.port != 0 {
		subject += fmt.Sprintf(" (port %d)", f.port)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s / %s\n\n%s\n\n%s\n\n", f.TLP, f.PAP, w.greeting, w.what[f.kind])
	f.facts(&b, w)
	fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", w.askTitle, w.ask[f.kind], fmt.Sprintf(w.evidence, len(f.Lines)))
	for _, line := range f.Lines {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	if f.Left > 0 {
		fmt.Fprintf(&b, "    %s\n", fmt.Sprintf(w.left, f.Left))
	}
	fmt.Fprintf(&b, "\n%s\n%s\n", w.answerTitle, fmt.Sprintf(w.answer, f.Case))
	if f.Report != nil {
		fmt.Fprintf(&b, "%s\n", w.attached)
	}
	fmt.Fprintf(&b, "%s\n\n%s\n%s\n%s\n", w.passOn, w.closing, f.org, f.reply)
	return Message{To: f.To, Subject: takedown.OneLine(subject, 200), Text: b.String(), Report: f.Report}
}

// facts writes what is known, a line each.
func (f Forwardable) facts(b *strings.Builder, w *words) {
	row := func(name, value string) { fmt.Fprintf(b, "    %-*s %s\n", w.width(), name+w.colon, value) }
	row(w.address, f.source)
	if f.port != 0 {
		row(w.port, fmt.Sprint(f.port))
	}
	if f.domain != "" {
		row(w.domain, f.domain)
	}
	row(w.from, forPeople(f.sum.first))
	row(w.to, forPeople(f.sum.last))
	if f.sum.attempts > 0 {
		row(w.attempts, fmt.Sprint(f.sum.attempts))
	}
	if f.sum.connections > 0 {
		row(w.connections, fmt.Sprint(f.sum.connections))
	}
	if len(f.sum.services) > 0 {
		row(w.services, strings.Join(f.sum.services, ", "))
	}
	if f.sum.networks > 0 {
		row(w.networks, fmt.Sprint(f.sum.networks))
	}
}
