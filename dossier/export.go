package dossier

import (
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

// A page is a case as it is printed: for those who work on it, in English.
type page struct {
	Marking Marking
	Case    takedown.Case
	Source  string
	At      string
	Facts   [][2]string
	Due     []takedown.Proposal
	Next    []takedown.Proposal
	History []pageEntry
}

type pageEntry struct{ At, By, Act, What string }

func newPage(c takedown.Case, now time.Time) page {
	p := page{Marking: Amber, Case: c, Source: host(c.Source), At: forPeople(now)}
	if c.Port != 0 {
		p.Source += fmt.Sprintf(" port %d", c.Port)
	}
	fact := func(name, value string) {
		p.Facts = append(p.Facts, [2]string{name, takedown.OneLine(value, takedown.MaxWhy)})
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			fact(name, forPeople(t))
		}
	}
	fact("Kind", c.Kind.String())
	fact("State", c.State.String())
	if c.Domain != "" {
		fact("Domain", c.Domain)
	}
	if c.Campaign != "" {
		fact("Campaign", string(c.Campaign))
	}
	at("Opened", c.Opened)
	at("Sent", c.Sent)
	at("Acknowledged", c.Acknowledged)
	at("Provider acted", c.Acted)
	at("Verified down", c.Down)
	at("Closed", c.Closed)
	k := c.Clock(now)
	if !k.Sent.IsZero() {
		fact("Clock", fmt.Sprintf("%s of %s", hours(k.Elapsed), hours(takedown.BenchmarkEnd)))
	}
	fact("Benchmark of 48 h", k.Verdict.String())
	if c.State == takedown.Closed && c.Down.IsZero() {
		fact("Closed", "without proof that the address is down")
	}
	p.Due, p.Next = k.Due, k.Next
	for _, e := range c.History {
		p.History = append(p.History, pageEntry{At: forPeople(e.At), By: e.By, Act: e.Act.String(), What: what(e)})
	}
	return p
}

func hours(d time.Duration) string {
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// what tells the details of an entry on one line.
func what(e takedown.Entry) string {
	var parts []string
	if e.Mail != nil {
		how := "mail"
		if e.Mail.Form {
			how = "form"
		}
		parts = append(parts, fmt.Sprintf("%s to %s (%s) %s", how, e.Mail.To, e.Mail.Provider, e.Mail.MessageID))
	}
	if e.MessageID != "" {
		parts = append(parts, e.MessageID)
	}
	if e.Digest != (takedown.Digest{}) {
		parts = append(parts, "sha256:"+e.Digest.String())
	}
	if e.People == 1 && e.Act == takedown.Approve {
		parts = append(parts, "only one person may approve")
	}
	if e.Step != 0 {
		parts = append(parts, e.Step.String())
	}
	if e.Proof != nil {
		parts = append(parts, fmt.Sprintf("%d devices that had contact saw none for %s", e.Proof.Qualified, hours(takedown.Quiet)))
	}
	if !e.Seen.IsZero() {
		parts = append(parts, "contact at "+forPeople(e.Seen))
	}
	if e.Why != "" {
		parts = append(parts, e.Why)
	}
	return strings.Join(parts, "; ")
}

// Markdown returns c with its clock at now.
func Markdown(c takedown.Case, now time.Time) string {
	p := newPage(c, now)
	var b strings.Builder
	fmt.Fprintf(&b, "# Case %s: %s\n\n**%s / %s**, as of %s\n\n| | |\n|---|---|\n", plain(string(c.ID)), plain(p.Source), p.Marking.TLP, p.Marking.PAP, p.At)
	for _, f := range p.Facts {
		fmt.Fprintf(&b, "| %s | %s |\n", f[0], plain(f[1]))
	}
	reasons(&b, c.Reasons)
	proposals(&b, "To be done now", p.Due)
	proposals(&b, "To be done unless something happens", p.Next)
	b.WriteString("\n## History\n\n| when | who | act | what |\n|---|---|---|---|\n")
	for _, e := range p.History {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", e.At, plain(e.By), e.Act, plain(e.What))
	}
	return b.String()
}

func reasons(b *strings.Builder, list []tocsin.Reason) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\n## Why\n\n")
	for _, r := range list {
		fmt.Fprintf(b, "- %s\n", plain(string(r)))
	}
}

func proposals(b *strings.Builder, title string, list []takedown.Proposal) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	for _, p := range list {
		fmt.Fprintf(b, "- %s, from %s\n", p.Step, forPeople(p.Due))
	}
}

// plain returns s so that Markdown shows it as it is written.
func plain(s string) string {
	var b strings.Builder
	for _, r := range takedown.OneLine(s, takedown.MaxWhy) {
		if strings.ContainsRune("\\`*_{}[]<>#|~&!", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// HTML writes c with its clock at now as a page to print. It loads nothing.
func HTML(w io.Writer, c takedown.Case, now time.Time) error {
	return printed.Execute(w, newPage(c, now))
}

var printed = template.Must(template.New("case").Funcs(template.FuncMap{"people": forPeople}).Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Case {{.Case.ID}}</title>
<style>
body { font: 11pt/1.4 sans-serif; margin: 2em auto; max-width: 60em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #bbb; padding: .2em .6em .2em 0; overflow-wrap: anywhere; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.marking { font-weight: bold; }
@media print { body { margin: 0; max-width: none; } }
</style>
</head>
<body>
<p class="marking">{{.Marking.TLP}} / {{.Marking.PAP}}</p>
<h1>Case {{.Case.ID}}: {{.Source}}</h1>
<p>As of {{.At}}</p>
<table>{{range .Facts}}<tr><th>{{index . 0}}</th><td>{{index . 1}}</td></tr>
{{end}}</table>
{{with .Case.Reasons}}<h2>Why</h2><ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
{{end}}{{with .Due}}<h2>To be done now</h2><ul>{{range .}}<li>{{.Step}}, from {{people .Due}}</li>{{end}}</ul>
{{end}}{{with .Next}}<h2>To be done unless something happens</h2><ul>{{range .}}<li>{{.Step}}, from {{people .Due}}</li>{{end}}</ul>
{{end}}<h2>History</h2>
<table><thead><tr><th>when</th><th>who</th><th>act</th><th>what</th></tr></thead>
{{range .History}}<tr><td>{{.At}}</td><td>{{.By}}</td><td>{{.Act}}</td><td>{{.What}}</td></tr>
{{end}}</table>
<p class="marking">{{.Marking.TLP}} / {{.Marking.PAP}}</p>
</body>
</html>
`))
