//go:build !small

package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/controller"
	"github.com/tocsin-io/tocsin/takedown"
)

// hubControllersCommand is tocsin controllers, with the commands below it.
func hubControllersCommand(below ...*cobra.Command) *cobra.Command {
	var t hubTalk
	var most int
	cmd := &cobra.Command{
		Use:   "controllers",
		Short: "Find who commands the compromised devices",
		Long: "Controllers asks the hub which addresses look like what commands compromised devices, best first. Q is\n" +
			"how likely chance alone would put such an address there; only what is low enough, and seen by more\n" +
			"than one kind of device or owner, is proposed for a case. SCORE ranks, and decides nothing. GATES\n" +
			"are how much prevalence, precedence and regularity had to say: 0 is nothing, 1 the whole.",
		Example: "  tocsin controllers\n  tocsin controllers --most 5 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 1 || most > api.MaxPage {
				return mistake("--most %d: write 1 to %d", most, api.MaxPage)
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				r, err := c.Ranking(ctx, most)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, r, func() error { return printHubRanking(w, r) })
			})
		},
	}
	cmd.Flags().IntVar(&most, "most", few, "candidates to print at most")
	t.flags(cmd)
	cmd.AddCommand(below...)
	return cmd
}

func printHubRanking(w io.Writer, r api.Ranking) error {
	fmt.Fprintf(w, "%s, of which %d likely compromised; %s that they contacted.\n", count(r.Devices, "device"), r.Labelled, count(r.Observed, "destination"))
	if len(r.Candidates) == 0 {
		_, err := fmt.Fprintf(w, "No address looks like a controller: %s.\n", orDash(safe(string(r.Lacking))))
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nADDRESS\tPORT\tCLASS\tQ\tSCORE\tDEVICES\tCOMPROMISED\tOWNERS\tGATES\tFIRST\tCASE")
	for _, c := range r.Candidates {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%.2g\t%.2f\t%d\t%d\t%d\t%.2f %.2f %.2f\t%s\t%s\n", c.Address, portOf(c.Port, c.Protocol), c.Class, c.Q, c.Score,
			c.Devices, c.Labelled, c.Owners, c.Gates[0], c.Gates[1], c.Gates[2], moment(c.First), mayPropose(c))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "and %d more, behind those: --most shows them\n", r.Omitted)
	}
	for _, p := range r.Proposals {
		fmt.Fprintf(w, "\nProposed: a case about %s %s.\n", p.Kind, caseAbout(p))
		for _, reason := range p.Reasons {
			fmt.Fprintf(w, "  %s\n", safe(string(reason)))
		}
		fmt.Fprintf(w, "Open it:  %s\n", openingCommand(p))
	}
	return nil
}

func mayPropose(c controller.Candidate) string {
	if c.MayPropose {
		return "may be opened"
	}
	return "-"
}

// portOf writes a port with its protocol, if that is not TCP.
func portOf(port uint16, protocol uint8) string {
	switch protocol {
	case 0, 6:
		return fmt.Sprint(port)
	case 17:
		return fmt.Sprintf("%d/udp", port)
	}
	return fmt.Sprintf("%d/%d", port, protocol)
}

// caseAbout writes what a case is about.
func caseAbout(o takedown.Opening) string {
	text := show(o.Source)
	if o.Port != 0 {
		text += " port " + portOf(o.Port, o.Protocol)
	}
	return text
}

// openingCommand returns the command that opens what is proposed. Nothing that
// others wrote is in it: it is copied into a shell.
func openingCommand(o takedown.Opening) string {
	line := "tocsin case new"
	switch o.Kind {
	case takedown.Controller:
		line += fmt.Sprintf(" --controller %s --port %d", o.Source.Addr(), o.Port)
	case takedown.CompromisedServer:
		line += " --server " + show(o.Source)
	default:
		line += " --source " + show(o.Source)
	}
	if o.Protocol == 17 && o.Kind == takedown.Controller {
		line += " --udp"
	}
	if plainWord(o.Campaign) {
		line += " --campaign " + string(o.Campaign)
	}
	return line + " --why 'proposed by the ranking'"
}

// plainWord reports whether id is safe in a shell.
func plainWord(id tocsin.CampaignID) bool {
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return id != "" && id[0] != '-'
}
