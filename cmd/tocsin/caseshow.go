//go:build !small

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/takedown"
)

func showCaseCommand() *cobra.Command {
	var t hubTalk
	var mail bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Tell of one case: state, clock and what is due, contact, history",
		Example: "  tocsin case show TC-20231014-7F3K2Q9M\n  tocsin case show TC-20231014-7F3K2Q9M --mail",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := caseID(args[0])
			if err != nil {
				return err
			}
			return t.file(cmd, func(ctx context.Context, c *api.Client) (api.CaseFile, error) { return c.Case(ctx, id) },
				func(w io.Writer, f api.CaseFile) error {
					if err := printCase(w, f); err != nil || !mail {
						return err
					}
					if f.Draft == nil {
						_, err := fmt.Fprintf(w, "\nNo mail is written: tocsin case approve %s writes one.\n", id)
						return err
					}
					fmt.Fprintln(w)
					printMail(w, *f.Draft)
					return nil
				})
		},
	}
	cmd.Flags().BoolVar(&mail, "mail", false, "print the mail, too")
	t.flags(cmd)
	return cmd
}

func printCase(w io.Writer, f api.CaseFile) error {
	c := f.Case
	r := newRows(w)
	r.row("case", string(c.ID))
	r.row("state", c.State.String())
	r.row("about", fmt.Sprintf("%s, %s", caseAbout(c.Opening), c.Kind))
	r.row("domain", safe(c.Domain))
	r.row("campaign", safe(string(c.Campaign)))
	for _, reason := range c.Reasons {
		r.row("because", safe(string(reason)))
	}
	r.row("opened", moment(c.Opened))
	clockRows(r, f.Clock)
	contactRows(r, f.Contact)
	if d := f.Draft; d != nil {
		r.row("mail", fmt.Sprintf("to %s, in %s, written %s; %s", safe(d.Letter.To), safe(d.Language), moment(d.At), approvalOf(f)))
	}
	for _, m := range c.Mails {
		r.row("sent", mailLine(m))
	}
	if err := r.flush(); err != nil {
		return err
	}
	for _, p := range f.Clock.Due {
		fmt.Fprintf(w, "\nDue since %s: %s\n  tocsin case escalate %s --step %s --why ...", moment(p.Due), stepText(p.Step), c.ID, p.Step)
	}
	if len(f.Clock.Due) > 0 {
		fmt.Fprintln(w)
	}
	return printHistory(w, c.History)
}

// clockRows tell where a case stands in time.
func clockRows(r rows, k takedown.Clock) {
	if k.Sent.IsZero() {
		r.row("clock", "not running: it begins with the first mail")
		return
	}
	r.row("clock", fmt.Sprintf("%s since the first mail, %s", span(k.Elapsed), moment(k.Sent)))
	r.row("benchmark", fmt.Sprintf("48h, until %s: %s", moment(k.Deadline), verdictText(k)))
	for _, p := range k.Next {
		r.row("next", fmt.Sprintf("%s, from %s unless something happens", p.Step, moment(p.Due)))
	}
}

func verdictText(k takedown.Clock) string {
	switch k.Verdict {
	case takedown.Pending:
		return span(k.Deadline.Sub(k.Now)) + " left"
	case takedown.Met:
		return "met, after " + span(k.Elapsed)
	case takedown.Missed:
		return "missed"
	}
	return k.Verdict.String()
}

// stepText says what a step is.
func stepText(s takedown.Step) string {
	return map[takedown.Step]string{
		takedown.SecondChannel: "try another way to the same provider: its form, another address, the telephone",
		takedown.Upstream:      "write to the network that connects the provider",
		takedown.NationalCERT:  "write to the CERT of the provider's country",
		takedown.Registrar:     "write to the registrar of the domain",
		takedown.Benchmark:     "48 hours are over: say so to whoever counts on it",
	}[s]
}

func contactRows(r rows, c *api.CaseContact) {
	if c == nil {
		return
	}
	found := ""
	if c.Found != "" {
		found = " (" + safe(c.Found) + ")"
	}
	for _, m := range c.Mails {
		r.row("contact", safe(m)+found)
	}
	for _, form := range c.Forms {
		r.row("form", safe(form))
	}
	r.row("network", strings.TrimSpace(prefixText(c)+" "+safe(c.Name)))
	r.row("holder", safe(c.Holder))
	r.row("country", safe(c.Country))
	for _, o := range c.Others {
		r.row("other", safe(o))
	}
	for _, remark := range append(c.Remarks, c.Notes...) {
		r.row("remark", safe(remark))
	}
	if c.Stale {
		r.row("note", "this contact is of "+moment(c.At)+", and no registry answers")
	}
}

func prefixText(c *api.CaseContact) string {
	if !c.Network.IsValid() {
		return ""
	}
	return c.Network.String()
}

func mailLine(m takedown.Mail) string {
	line := fmt.Sprintf("%s to %s", moment(m.At), safe(m.To))
	if m.Form {
		line += ", by hand"
	}
	switch {
	case !m.Bounced.IsZero():
		line += ", bounced " + moment(m.Bounced)
	case !m.Delivered.IsZero():
		line += ", delivered " + moment(m.Delivered)
	}
	return line
}

// approvalOf says how far the mail that stands is approved.
func approvalOf(f api.CaseFile) string {
	c := f.Case
	if f.Draft != nil && slices.ContainsFunc(c.Mails, func(m takedown.Mail) bool { return m.Digest == f.Draft.Digest }) && len(c.Approvals) == 0 {
		return "it was sent"
	}
	var names []string
	if f.Draft != nil && c.Text == f.Draft.Digest {
		for _, a := range c.Approvals {
			names = append(names, safe(a.By))
		}
	}
	switch {
	case len(names) == 0:
		return "nobody approved it"
	case f.Draft.Approved:
		return "approved by " + strings.Join(names, ", ") + ": it may be sent"
	}
	return "approved by " + strings.Join(names, ", ") + "; " + another(c)
}

// another says who has to approve besides.
func another(c takedown.Case) string {
	last := c.Approvals[len(c.Approvals)-1]
	for _, e := range c.History {
		if e.Act == takedown.Approve && e.People > 1 && e.At.Equal(last.At) {
			return "a second person has to"
		}
	}
	return fmt.Sprintf("one person alone approves it again from %s on", moment(last.At.Add(takedown.Again)))
}

// printMail prints a whole mail, as it would be sent.
func printMail(w io.Writer, d api.CaseDraft) {
	l := d.Letter
	fmt.Fprintf(w, "To: %s\nSubject: %s\n\n%s\n", safe(l.To), safe(l.Subject), strings.TrimRight(safeText(l.Text), "\n"))
	if l.Report != "" {
		fmt.Fprintf(w, "\n--- attached: report in X-ARF\n%s\n---\n", strings.TrimRight(safeText(l.Report), "\n"))
	}
	if d.Gap != "" {
		fmt.Fprintf(w, "\nNo report in X-ARF is attached: %s\n", safe(d.Gap))
	}
	fmt.Fprintf(w, "\nSHA-256 %s\n", hex.EncodeToString(d.Digest[:]))
	warnHidden(w, l.To, l.Subject, l.Text, l.Report)
}

func printHistory(w io.Writer, history []takedown.Entry) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nWHEN\tWHO\tDID\tWHAT")
	for _, e := range history {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", moment(e.At), safe(e.By), e.Act, orDash(entryText(e)))
	}
	return tab.Flush()
}

func entryText(e takedown.Entry) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if e.Mail != nil {
		add("to %s", safe(e.Mail.To))
	}
	if e.Step != 0 {
		add("%s", e.Step)
	}
	if e.MessageID != "" {
		add("%s", safe(e.MessageID))
	}
	if e.Proof != nil {
		add("%s of %s saw no contact for %s", count(e.Proof.Qualified, "device"), count(e.Proof.Owners, "owner"), span(takedown.Quiet))
	}
	if !e.Seen.IsZero() {
		add("contact seen at %s", moment(e.Seen))
	}
	if e.Why != "" {
		add("%s", safe(e.Why))
	}
	return strings.Join(parts, "; ")
}
