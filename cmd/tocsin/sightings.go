package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

func sightingsCommand() *cobra.Command {
	var t talk
	cmd := &cobra.Command{
		Use:     "sightings",
		Short:   "List what the guard has seen of each source, as a hub would be told",
		Example: "  tocsin sightings\n  tocsin sightings --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			if t.json {
				enc := json.NewEncoder(w)
				return t.client().Sightings(cmd.Context(), func(s tocsin.Sighting) error { return enc.Encode(api.SightingOf(s)) })
			}
			tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tab, "SOURCE\tSERVICE\tFIRST\tLAST\tFAILED\tLET IN\tPROBES\tDROPPED\tACCOUNTS\tFACTS")
			err := t.client().Sightings(cmd.Context(), func(s tocsin.Sighting) error {
				_, err := fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", show(s.Source), s.Service,
					stampOf(s.First), stampOf(s.Last), s.Failures, s.Successes, s.Probes, s.Dropped, len(s.Accounts), s.Facts)
				return err
			})
			if err != nil {
				return err
			}
			return tab.Flush()
		},
	}
	t.flags(cmd)
	return cmd
}
