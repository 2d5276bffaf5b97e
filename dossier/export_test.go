package dossier

import (
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/takedown"
)

func printedCase(t interface{ Fatal(...any) }, c takedown.Case) string {
	var b strings.Builder
	if err := HTML(&b, c, day0.Add(20*time.Hour)); err != nil {
		t.Fatal(err)
	}
	return b.String() + Markdown(c, day0.Add(20*time.Hour))
}

func TestExport(t *testing.T) {
	c := opened(t, takedown.Controller)
	m := &takedown.Mail{Provider: "example.net", To: "abuse@example.net", MessageID: "<1@fleet.example>"}
	for _, e := range []takedown.Entry{
		{At: day0.Add(time.Minute), By: "anna", Act: takedown.Approve, Digest: takedown.Digest{1}, People: 1},
		{At: day0.Add(31 * time.Minute), By: "anna", Act: takedown.Approve, Digest: takedown.Digest{1}, People: 1},
		{At: day0.Add(32 * time.Minute), By: takedown.System, Act: takedown.Send, Digest: takedown.Digest{1}, Mail: m},
		{At: day0.Add(33 * time.Minute), By: takedown.System, Act: takedown.Bounce, MessageID: m.MessageID, Why: "550 <unknown> | user"},
		{At: day0.Add(2 * time.Hour), By: "anna", Act: takedown.Escalate, Step: takedown.SecondChannel, Why: "telephoned, [see](http://example.net)"},
	} {
		var err error
		if c, err = c.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	if err := HTML(&b, c, day0.Add(20*time.Hour)); err != nil {
		t.Fatal(err)
	}
	golden(t, "case-html", b.String())
	golden(t, "case-markdown", Markdown(c, day0.Add(20*time.Hour)))
	c.Reasons = []tocsin.Reason{"<script>alert(1)</script>"}
	b.Reset()
	if err := HTML(&b, c, day0); err != nil || strings.Contains(b.String(), "<script") {
		t.Error(err, b.String())
	}
	if s := Markdown(c, day0); strings.Contains(s, "[see](") || strings.Contains(strings.ReplaceAll(s, `\<`, ""), "<") {
		t.Error(s)
	}
}
