//go:build !small

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/compromise"
)

func compromiseCommand() *cobra.Command {
	cmd := compromisedCommand("compromise")
	cmd.Long = "Compromise answers how many devices were entered, which, how sure that is, and what is not covered. A\n" +
		"device whose telemetry is missing is unknown, and never counted as clean. The interval holds for the\n" +
		"devices that are covered; it says nothing about the others."
	cmd.Example = "  tocsin compromise\n  tocsin compromise show d-abcd\n  tocsin compromise dismiss d-abcd --reason 'our own test'\n" +
		"  tocsin compromise notice --owner ada --approve"
	cmd.AddCommand(compromisedCommand("list"), showCompromiseCommand(), dismissCommand(), noticeCommand())
	return cmd
}

func compromisedCommand(use string) *cobra.Command {
	var t hubTalk
	var word string
	var all bool
	cmd := &cobra.Command{
		Use:     use,
		Short:   "Tell how many devices were entered, how sure that is, and which need somebody",
		Example: "  tocsin compromise list\n  tocsin compromise list --state unknown\n  tocsin compromise list --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			states := []compromise.State{compromise.Confirmed, compromise.Suspected}
			switch {
			case all && word != "":
				return mistake("--all and --state: say one of them")
			case all:
				states = compromise.States()
			case word != "":
				var state compromise.State
				if err := state.UnmarshalText([]byte(word)); err != nil {
					return mistake("--state %w", err)
				}
				states = []compromise.State{state}
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				answer, err := worstFirst(ctx, c, states)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, answer, func() error { return printCompromise(w, answer, states) })
			})
		},
	}
	cmd.Flags().StringVar(&word, "state", "", "list the devices in this state (default confirmed and suspected)")
	cmd.Flags().BoolVar(&all, "all", false, "list every device")
	t.flags(cmd)
	return cmd
}

// worstFirst asks for the devices in those states, the worst first. A fleet is
// large and those who need somebody are few, so each state is asked for by itself.
func worstFirst(ctx context.Context, c *api.Client, states []compromise.State) (answer api.Compromise, err error) {
	devices := []api.Assessed{}
	for _, state := range states {
		if answer, err = c.Compromise(ctx, state); err != nil {
			return answer, err
		}
		slices.SortStableFunc(answer.Devices, func(a, b api.Assessed) int { return cmp.Compare(b.P, a.P) })
		devices = append(devices, answer.Devices...)
	}
	answer.Devices = devices
	return answer, nil
}

func printCompromise(w io.Writer, answer api.Compromise, states []compromise.State) error {
	printSummary(w, answer.Summary)
	if len(answer.Devices) == 0 {
		_, err := fmt.Fprintf(w, "\nNo device is %s.\n", strings.Join(stateWords(states), " or "))
		return err
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "STATE\tP\tDEVICE\tNAME\tOWNER\tSOURCES\tWHY")
	for _, d := range answer.Devices {
		fmt.Fprintf(tab, "%s\t%.2f\t%s\t%s\t%s\t%d\t%s\n", d.State, d.P, safe(string(d.Device)), orDash(safe(d.Name)), orDash(safe(string(d.Owner))),
			d.Attack.Sources, orDash(safe(string(d.Why))))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nThe evidence: tocsin compromise show DEVICE. What owners are told: tocsin compromise notice.")
	return err
}

// printSummary answers what was left open in 2023: how many, how sure, what is
// not covered.
func printSummary(w io.Writer, s compromise.Summary) {
	fmt.Fprintf(w, "From %s to %s: %s, %d attacked.\n\n", moment(s.From), moment(s.To), count(s.Devices, "device"), s.Attacked)
	for _, state := range compromise.States() {
		fmt.Fprintf(w, "  %-14s %7d\n", state, s.States[state])
	}
	fmt.Fprintf(w, "\nConfirmed: %d of %s covered, %s; between %s and %s (95 %%, Wilson).\n", s.Confirmed, count(s.Covered, "device"),
		tenths(s.Share.Value), tenths(s.Share.Low), tenths(s.Share.High))
	if beside := s.States[compromise.Confirmed] - s.Confirmed; beside > 0 {
		fmt.Fprintf(w, "Besides, %d confirmed where telemetry is missing: they are not in that share.\n", beside)
	}
	left := s.Devices - s.Covered
	if left == 0 {
		fmt.Fprintln(w, "Every device is covered.")
		return
	}
	var why []string
	for _, u := range s.Uncovered {
		why = append(why, fmt.Sprintf("%s %d", u.Why, u.Devices))
	}
	fmt.Fprintf(w, "Not covered: %s (%s): %s. Nothing above is said about them.\n", count(left, "device"), tenths(1-s.Coverage),
		orDash(strings.Join(why, ", ")))
}

func stateWords(states []compromise.State) (words []string) {
	for _, s := range states {
		words = append(words, s.String())
	}
	return words
}

func showCompromiseCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "show DEVICE",
		Short:   "Tell what became of one device, with all the evidence",
		Example: "  tocsin compromise show d-abcd\n  tocsin compromise show d-abcd --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.assessed(cmd, func(ctx context.Context, c *api.Client) (api.Assessed, error) {
				return c.Assessed(ctx, tocsin.DeviceID(args[0]))
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func dismissCommand() *cobra.Command {
	var t hubTalk
	var reason string
	cmd := &cobra.Command{
		Use:   "dismiss DEVICE --reason WHY",
		Short: "Close a device's evidence as harmless: it was looked at, and explained",
		Long: "Dismiss closes what is known of a device as a false positive. It holds for this evidence only: what\n" +
			"comes later opens the device again. Who closed it, when and why stay on record.",
		Example: "  tocsin compromise dismiss d-abcd --reason 'the backup job of Ada, since May'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return mistake("why is it harmless? say --reason WHY")
			}
			return t.assessed(cmd, func(ctx context.Context, c *api.Client) (api.Assessed, error) {
				return c.Dismiss(ctx, tocsin.DeviceID(args[0]), reason)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it is harmless, for whoever reads it later")
	t.flags(cmd)
	return cmd
}

// assessed prints what do returns.
func (t *hubTalk) assessed(cmd *cobra.Command, do func(context.Context, *api.Client) (api.Assessed, error)) error {
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		d, err := do(ctx, c)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		return t.print(w, d, func() error { return printAssessed(w, d) })
	})
}

func printAssessed(w io.Writer, d api.Assessed) error {
	r := newRows(w)
	r.row("device", safe(string(d.Device)))
	r.row("name", safe(d.Name))
	r.row("owner", safe(string(d.Owner)))
	r.row("state", fmt.Sprintf("%s: %s", d.State, safe(string(d.Why))))
	r.row("p", fmt.Sprintf("%.2f (orders the work, decides nothing)", d.P))
	if d.Attack.Sources > 0 {
		r.row("attacked", fmt.Sprintf("by %s, %d attempts at least, from %s to %s", count(d.Attack.Sources, "source"), d.Attack.Attempts,
			moment(d.Attack.First), moment(d.Attack.Last)))
	}
	r.row("telemetry", map[bool]string{true: "complete", false: "incomplete"}[d.Covered])
	for _, m := range d.Missing {
		r.row("missing", fmt.Sprintf("%s, from %s to %s", m.Why, moment(m.From), moment(m.To)))
	}
	if c := d.Closing; c != nil {
		r.row("closed", fmt.Sprintf("by %s at %s: %s", safe(c.By), moment(c.At), safe(c.Reason)))
	}
	if err := r.flush(); err != nil {
		return err
	}
	if len(d.Ledger) == 0 {
		_, err := fmt.Fprintln(w, "\nThere is no evidence against it.")
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nWHEN\tEVIDENCE\tGROUP\tABOUT\tNOTE")
	for _, e := range d.Ledger {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", moment(e.At), e.Kind, e.Group, orDash(evidenceAbout(e)), orDash(evidenceNote(e)))
	}
	if err := tab.Flush(); err != nil || d.Omitted == 0 {
		return err
	}
	_, err := fmt.Fprintf(w, "and %d more of these kinds\n", d.Omitted)
	return err
}

func evidenceAbout(e compromise.Entry) string {
	var parts []string
	if e.Source.IsValid() {
		parts = append(parts, "from "+show(e.Source))
	}
	if e.To.IsValid() {
		parts = append(parts, "to "+e.To.String())
	}
	if e.Subject != "" {
		parts = append(parts, safe(e.Subject))
	}
	return strings.Join(parts, " ")
}

func evidenceNote(e compromise.Entry) string {
	var parts []string
	if e.Hearsay {
		parts = append(parts, "hearsay")
	}
	if e.Closed {
		parts = append(parts, "closed")
	}
	return strings.Join(parts, ", ")
}
