//go:build !small

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/takedown"
)

func caseCommand() *cobra.Command {
	cmd := listCasesCommand("case")
	cmd.Long = "A case is one takedown: whom the hub asks to shut an address down, who approved the mail word by word,\n" +
		"and a clock that should beat 48 hours. Nothing is sent that nobody approved; a controller takes a\n" +
		"second person. CLOCK counts from the first mail."
	cmd.Example = "  tocsin case\n  tocsin case new --controller 203.0.113.7 --port 443 --why 'first in the ranking'\n" +
		"  tocsin case approve TC-20231014-7F3K2Q9M\n  tocsin case send TC-20231014-7F3K2Q9M"
	cmd.AddCommand(listCasesCommand("list"), newCaseCommand(), showCaseCommand(), approveCaseCommand(), sendCaseCommand(), answerCommand(),
		dossierCommand(), exportCaseCommand())
	cmd.AddCommand(actCommands()...)
	return cmd
}

func listCasesCommand(use string) *cobra.Command {
	var t hubTalk
	var all bool
	cmd := &cobra.Command{
		Use:     use,
		Short:   "List cases that are under way, their clocks and what is due",
		Example: "  tocsin case list\n  tocsin case list --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				return listCases(ctx, c, cmd.OutOrStdout(), all, t.json)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "list those that are closed or rejected, too")
	t.flags(cmd)
	return cmd
}

func listCases(ctx context.Context, c *api.Client, w io.Writer, all, asJSON bool) error {
	enc := json.NewEncoder(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for l, err := range c.Cases(ctx) {
		if err != nil {
			return err
		}
		if !all && (l.State == takedown.Closed || l.State == takedown.Rejected) {
			continue
		}
		if asJSON {
			if err := enc.Encode(l); err != nil {
				return err
			}
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(tab, "ID\tSTATE\tKIND\tABOUT\tOPENED\tCLOCK\tDUE")
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.State, l.Kind, caseAbout(takedown.Opening{Source: l.Source, Port: l.Port, Protocol: l.Protocol}), moment(l.Opened),
			shortClock(l.Clock), orDash(strings.Join(stepWords(l.Clock.Due), ", ")))
	}
	if n == 0 && !asJSON {
		fmt.Fprintln(w, "No case is under way: tocsin controllers proposes some, tocsin case new opens one.")
	}
	return tab.Flush()
}

// shortClock writes a clock into a table.
func shortClock(k takedown.Clock) string {
	if k.Sent.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%s of 48h, %s", span(k.Elapsed), k.Verdict)
}

func stepWords(list []takedown.Proposal) (words []string) {
	for _, p := range list {
		words = append(words, p.Step.String())
	}
	return words
}

// A caseSubject is what a new case is about, as typed.
type caseSubject struct {
	hubTalk
	controller, source, server string
	port                       uint16
	udp                        bool
	domain, campaign, why      string
}

func newCaseCommand() *cobra.Command {
	var s caseSubject
	cmd := &cobra.Command{
		Use:   "new --controller ADDRESS --port N | --source ADDRESS | --server ADDRESS",
		Short: "Open a case as a draft; nothing leaves the hub",
		Long: "New opens a case about a controller, about a source that guesses passwords, or about somebody's server\n" +
			"that is misused. The hub looks up whom to write to. Read the mail and agree to it with tocsin case\n" +
			"approve. What a case is about already goes on there.",
		Example: "  tocsin case new --controller 203.0.113.7 --port 443 --domain c.example --why 'first in the ranking'\n" +
			"  tocsin case new --source 198.51.100.9 --campaign c-20231014-1 --why 'the loudest source'\n" +
			"  tocsin case new --server 203.0.113.80 --why 'devices fetched the bot there'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wish, err := s.wish()
			if err != nil {
				return err
			}
			return s.file(cmd, func(ctx context.Context, c *api.Client) (api.CaseFile, error) { return c.OpenCase(ctx, wish) },
				func(w io.Writer, f api.CaseFile) error {
					fmt.Fprintf(w, "Case %s is open, about %s.\n", f.Case.ID, caseAbout(f.Case.Opening))
					printWhom(w, f)
					_, err := fmt.Fprintf(w, "Read the mail and agree to it: tocsin case approve %s\n", f.Case.ID)
					return err
				})
		},
	}
	cmd.Flags().StringVar(&s.controller, "controller", "", "address of a controller; wants --port")
	cmd.Flags().StringVar(&s.source, "source", "", "address of a source that guesses passwords (of IPv6 also a /64)")
	cmd.Flags().StringVar(&s.server, "server", "", "address of a server that is misused")
	cmd.Flags().Uint16Var(&s.port, "port", 0, "port that the controller listens on")
	cmd.Flags().BoolVar(&s.udp, "udp", false, "that port is of UDP (default TCP)")
	cmd.Flags().StringVar(&s.domain, "domain", "", "domain that leads there, if one does")
	cmd.Flags().StringVar(&s.campaign, "campaign", "", "campaign that it belongs to")
	cmd.Flags().StringVar(&s.why, "why", "", "why: it goes into the history, and the mail may say it")
	s.flags(cmd)
	return cmd
}

// wish reads what was typed.
func (s *caseSubject) wish() (api.CaseWish, error) {
	w := api.CaseWish{Domain: s.domain, Campaign: tocsin.CampaignID(s.campaign), Port: s.port, Why: takedown.OneLine(s.why, takedown.MaxWhy)}
	var text string
	n := 0
	for kind, typed := range map[takedown.Kind]string{
		takedown.Controller: s.controller, takedown.BruteForce: s.source, takedown.CompromisedServer: s.server,
	} {
		if typed != "" {
			w.Kind, text, n = kind, typed, n+1
		}
	}
	switch {
	case n != 1:
		return w, mistake("what is it about? say one of --controller, --source and --server")
	case w.Kind == takedown.Controller && s.port == 0:
		return w, mistake("where does the controller listen? say --port N")
	case w.Kind != takedown.Controller && (s.port != 0 || s.udp):
		return w, mistake("--port and --udp are of a controller")
	case w.Why == "":
		return w, mistake("why? say --why, for whoever reads the case later")
	}
	if s.udp {
		w.Protocol = 17
	}
	var err error
	w.Source, err = oneAddress(text)
	return w, err
}

// oneAddress reads an address, or a /64 of IPv6.
func oneAddress(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if a, alone := netip.ParseAddr(text); alone == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	switch {
	case err != nil || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Is4() && p.Bits() != 32 || p.Addr().Is6() && p.Bits() < 64:
		return p, mistake("%q: write one address, such as 203.0.113.7, or a /64 of IPv6", text)
	case !takedown.Public(p.Addr()):
		return p, mistake("%q belongs to no provider: nobody can be asked about it", text)
	}
	return p, nil
}

// file asks for a case, and prints it as JSON or in words.
func (t *hubTalk) file(cmd *cobra.Command, do func(context.Context, *api.Client) (api.CaseFile, error), words func(io.Writer, api.CaseFile) error) error {
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		f, err := do(ctx, c)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		return t.print(w, f, func() error { return words(w, f) })
	})
}

// caseID reads the ID of a case, in whatever letters it was told on the telephone.
func caseID(text string) (takedown.ID, error) {
	id := takedown.ID(strings.ToUpper(strings.TrimSpace(text)))
	if !id.Valid() {
		return "", mistake("%q is not the ID of a case, such as TC-20231014-7F3K2Q9M: tocsin case lists them", text)
	}
	return id, nil
}

// printWhom says whom the hub would write to.
func printWhom(w io.Writer, f api.CaseFile) {
	switch c := f.Contact; {
	case c == nil:
		fmt.Fprintln(w, "Whom to write to is not known yet.")
	case len(c.Mails) == 0 && len(c.Forms) > 0:
		fmt.Fprintf(w, "No mail address was found. There is a form: %s\n", safe(c.Forms[0]))
	case len(c.Mails) == 0:
		fmt.Fprintln(w, "No contact was found: name one with tocsin case approve --to ADDRESS.")
	default:
		fmt.Fprintf(w, "Contact: %s (%s), found by %s.\n", safe(c.Mails[0]), orDash(safe(cmp.Or(c.Name, c.Holder))), orDash(safe(c.Found)))
	}
}
