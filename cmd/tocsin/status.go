package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/operator"
)

func statusCommand() *cobra.Command {
	var t talk
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Tell how the guard is, what it reads and what it has seen",
		Example: "  tocsin status\n  tocsin status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := t.client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if t.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(st)
			}
			return printStatus(cmd.OutOrStdout(), st, time.Now())
		},
	}
	t.flags(cmd)
	return cmd
}

func printStatus(w io.Writer, st operator.Status, now time.Time) error {
	mode := ""
	if st.DryRun {
		mode = ", dry run: nothing is blocked"
	}
	fmt.Fprintf(w, "tocsin %s, up %s%s\n", st.Version, span(now.Sub(st.Since)), mode)
	fmt.Fprintf(w, "firewall  %s; %s, %s; mended %s\n", st.Backend, count(st.Blocks, "block"), count(st.Passes, "pass"), count(int(st.Drifts), "time"))
	fmt.Fprintf(w, "runs as   %s, with %s\n", st.User, orDash(strings.Join(st.Power, ", ")))
	fmt.Fprintf(w, "remembers %s in %d KiB; %s since the start\n", count(st.Sources, "source"), st.MemoryBytes>>10,
		count(int(st.Decisions), "decision"))
	if st.Clues+st.Contacts > 0 {
		fmt.Fprintf(w, "noticed   %s about this device; %s told\n", count(int(st.Clues), "clue"), count(int(st.Contacts), "contact"))
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\nLOG\tTRUST\tLINES\tATTEMPTS\tLAST")
	for _, l := range st.Logs {
		last := "-"
		if !l.Last.IsZero() {
			last = span(now.Sub(l.Last)) + " ago"
		}
		fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%s\n", l.Name, l.Provenance, l.Lines, l.Attempts, last)
	}
	if len(st.Services) > 0 {
		fmt.Fprintln(tab, "\nSERVICE\tFAILED\tLET IN\tPROBES")
	}
	for _, s := range st.Services {
		fmt.Fprintf(tab, "%s\t%d\t%d\t%d\n", s.Service, s.Failures, s.Successes, s.Probes)
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	words := make([]string, len(st.Protected))
	for i, p := range st.Protected {
		words[i] = show(p)
	}
	fmt.Fprintf(w, "\nnever blocked: %s\n", orDash(strings.Join(words, " ")))
	if st.Hub != nil {
		printLine(w, *st.Hub, now)
	}
	for _, warning := range st.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	return nil
}
