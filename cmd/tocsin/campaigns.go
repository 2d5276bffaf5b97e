//go:build !small

package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/table"
)

// few is how many lines of a long list are shown unless all are asked for.
const few = 20

func campaignsCommand() *cobra.Command {
	cmd := listCampaignsCommand("campaigns")
	cmd.Long = "Campaigns lists sources that act together, as far as the hub can tell: open are those whose attempts go\n" +
		"on, held those that still knock and are dropped. SOURCES is how many were seen and, in brackets, how\n" +
		"many there seem to be."
	cmd.Example = "  tocsin campaigns\n  tocsin campaigns show c-20231014-1\n  tocsin campaigns export --tlp green > campaigns.stix.json"
	cmd.AddCommand(listCampaignsCommand("list"), showCampaignCommand(), exportCampaignsCommand())
	return cmd
}

func listCampaignsCommand(use string) *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     use,
		Short:   "List attacks whose sources act together",
		Example: "  tocsin campaigns list\n  tocsin campaigns list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				return listCampaigns(ctx, c, cmd.OutOrStdout(), t.json)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func listCampaigns(ctx context.Context, c *api.Client, w io.Writer, asJSON bool) error {
	enc := json.NewEncoder(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for g, err := range c.Campaigns(ctx) {
		if err != nil {
			return err
		}
		if asJSON {
			if err := enc.Encode(g); err != nil {
				return err
			}
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(tab, "ID\tSTATUS\tOPENED\tLAST\tSOURCES\tDEVICES\tATTEMPTS\tSURE\tSERVICES")
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d (%.0f)\t%d\t%d\t%s\t%s\n", safe(string(g.ID)), g.Status, moment(g.Opened), moment(g.Last),
			g.Sources, g.Size.Value, g.Targets, g.Attempts, percent(g.Confidence), safe(joined(g.Services)))
	}
	if n == 0 && !asJSON {
		fmt.Fprintln(w, "The hub knows of no campaign: no sources act together, as far as it can tell.")
	}
	return tab.Flush()
}

func showCampaignCommand() *cobra.Command {
	var t hubTalk
	var all bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Tell of one campaign: its sources, why each counts, and what happened when",
		Example: "  tocsin campaigns show c-20231014-1\n  tocsin campaigns show c-20231014-1 --all",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				p, err := c.Campaign(ctx, tocsin.CampaignID(args[0]))
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, p, func() error { return printCampaign(w, p, all) })
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print all sources, not only those that are surest")
	t.flags(cmd)
	return cmd
}

func printCampaign(w io.Writer, p api.CampaignPage, all bool) error {
	r := newRows(w)
	r.row("campaign", safe(string(p.ID)))
	r.row("status", p.Status.String())
	r.row("opened", moment(p.Opened))
	r.row("attempts", fmt.Sprintf("%d, from %s to %s", p.Attempts, moment(p.First), moment(p.Last)))
	r.row("dropped", fmt.Sprintf("%d packets at least", p.Dropped))
	if !p.Ended.IsZero() {
		r.row("ended", moment(p.Ended))
	}
	if p.Into != "" {
		r.row("see", safe(string(p.Into)))
	}
	r.row("sure", percent(p.Confidence)+" that its sources act together")
	r.row("size", fmt.Sprintf("%d sources seen; %.0f in all, between %.0f and %.0f", len(p.Sources), p.Size.Value, p.Size.Low, p.Size.High))
	r.row("targets", count(len(p.Targets), "device"))
	r.row("services", safe(joined(p.Services)))
	r.row("accounts", safe(joined(p.Accounts[:min(few, len(p.Accounts))])))
	if p.Shared {
		r.row("note", "maybe several campaigns that use the same machines")
	}
	if err := r.flush(); err != nil {
		return err
	}
	printMembers(w, "Sources", p.Sources, all)
	if len(p.Unattributed) > 0 {
		printMembers(w, "Active at the same time, joined to it by nothing and not blocked for that", p.Unattributed, all)
	}
	if len(p.Timeline) > 0 {
		fmt.Fprintln(w, "\nTimeline")
	}
	for _, m := range p.Timeline {
		fmt.Fprintf(w, "  %s  %s\n", moment(m.At), safe(string(m.Text)))
	}
	return nil
}

// printMembers prints sources, the surest first.
func printMembers(w io.Writer, title string, list []tocsin.Member, all bool) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b tocsin.Member) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(b.Attempts, a.Attempts))
	})
	left := 0
	if !all && len(list) > few {
		left, list = len(list)-few, list[:few]
	}
	fmt.Fprintf(w, "\n%s\n", title)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "  SOURCE\tSURE\tATTEMPTS\tDEVICES\tFIRST\tLAST\tWHY")
	for _, m := range list {
		fmt.Fprintf(tab, "  %s\t%s\t%d\t%d\t%s\t%s\t%s\n", show(m.Source), percent(m.Confidence), m.Attempts, m.Devices, moment(m.First),
			moment(m.Last), safe(joined(m.Reasons)))
	}
	_ = tab.Flush() // the caller's writer keeps the error, or it is a terminal that is gone
	if left > 0 {
		fmt.Fprintf(w, "  and %d more: --all shows them\n", left)
	}
}

// An exportForm is how campaigns leave the hub.
type exportForm struct {
	hubTalk
	format, tlp string
}

func exportCampaignsCommand() *cobra.Command {
	var f exportForm
	cmd := &cobra.Command{
		Use:   "export [ID]",
		Short: "Write all campaigns, or one, for other systems: STIX 2.1, JSON or CSV",
		Long: "Export writes campaigns to standard output. STIX tells nothing of owners and devices, and carries a\n" +
			"colour of the Traffic Light Protocol (--tlp). JSON and CSV are for your own use: they name devices or\n" +
			"the reasons for each source. CSV has one source a line.",
		Example: "  tocsin campaigns export > campaigns.stix.json\n  tocsin campaigns export c-20231014-1 --format csv\n" +
			"  tocsin campaigns export --tlp green",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().StringVar(&f.format, "format", "stix", "stix, json or csv")
	cmd.Flags().StringVar(&f.tlp, "tlp", "amber", "who may read it: clear, green, amber, amber+strict or red (STIX only)")
	f.flags(cmd)
	return cmd
}

func (f *exportForm) run(cmd *cobra.Command, args []string) error {
	if f.json {
		if cmd.Flags().Changed("format") && f.format != "json" {
			return mistake("--json and --format %s: say one of them", f.format)
		}
		f.format = "json"
	}
	switch {
	case !slices.Contains([]string{"stix", "json", "csv"}, f.format):
		return mistake("--format %q: write stix, json or csv", f.format)
	case !slices.Contains([]string{"clear", "green", "amber", "amber+strict", "red"}, f.tlp):
		return mistake("--tlp %q: write clear, green, amber, amber+strict or red", f.tlp)
	case f.format != "stix" && cmd.Flags().Changed("tlp"):
		return mistake("--tlp is for STIX: %s carries no colour", f.format)
	}
	return f.ask(cmd, func(ctx context.Context, c *api.Client) error {
		var id tocsin.CampaignID
		if len(args) > 0 {
			id = tocsin.CampaignID(args[0])
		}
		w := cmd.OutOrStdout()
		if f.format == "stix" {
			return c.STIX(ctx, id, f.tlp, w)
		}
		write := json.NewEncoder(w).Encode
		if f.format == "csv" {
			write = campaignRows(w)
		}
		return eachCampaign(ctx, c, id, func(p api.CampaignPage) error { return write(p) })
	})
}

// eachCampaign hands over all campaigns whole, or one.
func eachCampaign(ctx context.Context, c *api.Client, id tocsin.CampaignID, do func(api.CampaignPage) error) error {
	if id != "" {
		p, err := c.Campaign(ctx, id)
		if err != nil {
			return err
		}
		return do(p)
	}
	for g, err := range c.Campaigns(ctx) {
		if err != nil {
			return err
		}
		p, err := c.Campaign(ctx, g.ID)
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

// campaignRows writes the header of a table, and returns what writes a campaign.
func campaignRows(w io.Writer) func(any) error {
	out := csv.NewWriter(w)
	head := out.Write([]string{"campaign", "source", "first", "last", "attempts", "devices", "confidence", "reasons"})
	return func(v any) error {
		p, ok := v.(api.CampaignPage)
		if !ok || head != nil {
			return head
		}
		for _, m := range p.Sources {
			row := []string{
				cell(string(p.ID)), m.Source.String(), utc(m.First), utc(m.Last), strconv.FormatUint(uint64(m.Attempts), 10),
				strconv.FormatUint(uint64(m.Devices), 10), strconv.FormatFloat(m.Confidence, 'f', 3, 64), cell(joined(m.Reasons)),
			}
			if err := out.Write(row); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	}
}

// utc writes a time for programs; the zero time is nothing.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// cell returns s so that no spreadsheet takes it for a formula.
func cell(s string) string { return table.Harmless(safe(s)) }
