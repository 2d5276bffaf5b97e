package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
)

// sightingRow is one sighting for scripts, which depend on these names.
type sightingRow struct {
	Device     tocsin.DeviceID `json:"device"`
	Boot       uint64          `json:"boot"`
	Counter    uint64          `json:"counter"`
	Source     string          `json:"source"`
	Port       uint16          `json:"port"`
	Service    tocsin.Service  `json:"service"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Failures   uint32          `json:"failures"`
	Successes  uint32          `json:"successes"`
	Probes     uint32          `json:"probes"`
	Dropped    uint32          `json:"dropped"`
	Accounts   []triedRow      `json:"accounts,omitempty"`
	Provenance string          `json:"provenance"`
	Facts      []string        `json:"facts,omitempty"`
}

type triedRow struct {
	Tag       tocsin.AccountTag `json:"tag"`
	Failures  uint32            `json:"failures"`
	Successes uint32            `json:"successes"`
	Unknown   bool              `json:"unknown,omitempty"`
}

func sightingOf(s tocsin.Sighting) sightingRow {
	r := sightingRow{
		Device: s.ID.Device, Boot: s.ID.Boot, Counter: s.ID.Counter, Source: s.Source.String(), Port: s.Port,
		Service: s.Service, First: s.First, Last: s.Last, Failures: s.Failures, Successes: s.Successes,
		Probes: s.Probes, Dropped: s.Dropped, Provenance: s.Provenance.String(),
	}
	for _, t := range s.Accounts {
		r.Accounts = append(r.Accounts, triedRow(t))
	}
	for f := tocsin.SuccessAfterFailures; f <= tocsin.BlockedHere; f++ {
		if s.Facts.Has(f) {
			r.Facts = append(r.Facts, f.String())
		}
	}
	return r
}

func sightingsCommand() *cobra.Command {
	var t talk
	cmd := &cobra.Command{
		Use:   "sightings",
		Short: "List what the guard has seen of each source, as a hub would be told",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w := cmd.OutOrStdout()
			if t.json {
				enc := json.NewEncoder(w)
				return t.client().Sightings(cmd.Context(), func(s tocsin.Sighting) error { return enc.Encode(sightingOf(s)) })
			}
			tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tab, "SOURCE\tSERVICE\tFIRST\tLAST\tFAILED\tLET IN\tPROBES\tDROPPED\tACCOUNTS\tFACTS")
			err := t.client().Sightings(cmd.Context(), func(s tocsin.Sighting) error {
				_, err := fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", show(s.Source), s.Service,
					clock(s.First), clock(s.Last), s.Failures, s.Successes, s.Probes, s.Dropped, len(s.Accounts), s.Facts)
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
