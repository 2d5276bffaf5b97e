package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/authlog"
)

// serviceRow is one service for people and scripts.
type serviceRow struct {
	Name        tocsin.Service `json:"name"`
	Title       string         `json:"title"`
	Reads       []string       `json:"reads"`
	NoSuccess   string         `json:"no_success,omitempty"`
	Programs    []string       `json:"programs,omitempty"`
	Files       []string       `json:"files,omitempty"`
	Patterns    int            `json:"patterns"`
	Unconfirmed []string       `json:"unconfirmed,omitempty"`
	Samples     int            `json:"samples"`
	Notes       []string       `json:"notes,omitempty"`
}

func servicesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "services [SERVICE]",
		Short:   "List the services known, and what of them is read",
		Example: "  tocsin services\n  tocsin services ssh",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			defs := authlog.All()
			if len(args) == 1 {
				var err error
				if defs, err = authlog.Some(tocsin.Service(args[0])); err != nil {
					return usageError{err}
				}
			}
			w := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(w)
				for i := range defs {
					if err := enc.Encode(rowOf(&defs[i])); err != nil {
						return err
					}
				}
				return nil
			}
			if len(args) == 1 {
				return printService(cmd, rowOf(&defs[0]))
			}
			tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			fmt.Fprintln(tab, "SERVICE\tNAME\tREADS\tSAMPLES\tUNCONFIRMED")
			for i := range defs {
				r := rowOf(&defs[i])
				fmt.Fprintf(tab, "%s\t%s\t%s\t%d\t%s\n", r.Name, r.Title, strings.Join(r.Reads, ", "), r.Samples, unconfirmed(r))
			}
			if err := tab.Flush(); err != nil {
				return err
			}
			_, err := fmt.Fprintln(w, "\nUnconfirmed forms are read and told, but decide nothing. More on one: tocsin services NAME")
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func rowOf(d *authlog.Definition) serviceRow {
	r := serviceRow{
		Name: d.Name, Title: d.Title, NoSuccess: d.NoSuccess, Programs: d.Programs, Files: d.Files,
		Patterns: len(d.Patterns) + len(d.Bare), Samples: len(d.Samples), Notes: d.Notes,
	}
	for _, o := range d.Outcomes() {
		r.Reads = append(r.Reads, o.String())
	}
	r.Unconfirmed = d.Unconfirmed()
	return r
}

func unconfirmed(r serviceRow) string {
	if len(r.Unconfirmed) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", len(r.Unconfirmed), r.Patterns)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printService(cmd *cobra.Command, r serviceRow) error {
	w := bufio.NewWriter(cmd.OutOrStdout()) // which keeps the first error
	fmt.Fprintf(w, "%s: %s\nreads: %s\n", r.Name, r.Title, strings.Join(r.Reads, ", "))
	if r.NoSuccess != "" {
		fmt.Fprintf(w, "no successes: %s\n", r.NoSuccess)
	}
	fmt.Fprintf(w, "logs under: %s\nown files: %s\nforms: %d, tested by %s\n", orDash(strings.Join(r.Programs, " ")),
		orDash(strings.Join(r.Files, " ")), r.Patterns, count(r.Samples, "sample"))
	for _, u := range r.Unconfirmed {
		fmt.Fprintf(w, "unconfirmed, decides nothing: %s\n", u)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	return w.Flush()
}
