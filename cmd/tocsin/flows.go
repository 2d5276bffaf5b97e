//go:build !small

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/logsource/file"
)

func flowsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "Hand the hub what others saw of the devices' outgoing connections",
		Long: "The hub ranks controllers by what devices contacted. Guards tell it where that is switched on; where\n" +
			"Zeek watches the network, its conn.log tells it, also of days gone by.",
		Example: "  tocsin flows import conn.log",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return mistake("say import") },
	}
	cmd.AddCommand(importFlowsCommand())
	return cmd
}

func importFlowsCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Hand in conn.logs of Zeek, TSV or JSON; - is standard input",
		Long: "Import hands conn.logs of Zeek to the hub, one after the other; .gz, .xz and .zst are unpacked. It keeps\n" +
			"what devices of the fleet opened, known by the address that the hub sees, or by their label address\n" +
			"(tocsin devices label ID address=192.0.2.10). Of a file that breaks off, what came before is kept.",
		Example: "  tocsin flows import conn.log\n  tocsin flows import conn.2023-10-1*.log.gz\n  ssh sensor cat conn.log | tocsin flows import -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bar := newProgress(cmd.ErrOrStderr(), args)
			defer bar.Finish()
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				for _, name := range args {
					if err := t.importFlows(ctx, cmd, c, name, bar); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
				}
				return nil
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) importFlows(ctx context.Context, cmd *cobra.Command, c *api.Client, name string, bar *progress) error {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := file.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	done, err := c.ImportFlows(ctx, io.TeeReader(in, barWriter{bar}))
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if t.json {
		return json.NewEncoder(w).Encode(struct {
			File string `json:"file"`
			api.FlowsImport
		}{name, done})
	}
	fmt.Fprintf(w, "%s: %s of %s kept as %s; %d of other machines left out, %s not understood.\n", safe(name), count(done.Taken, "connection"),
		count(done.Devices, "device"), count(done.Contacts, "contact"), done.Others, count(done.Bad, "line"))
	if done.Ahead > 0 {
		fmt.Fprintf(w, "warning: %s left out that end after now: is the clock right where they were recorded?\n", count(done.Ahead, "connection"))
	}
	if done.FirstBad != "" {
		fmt.Fprintf(w, "first not understood: %s\n", safe(done.FirstBad))
	}
	if done.Cut != "" {
		fmt.Fprintf(w, "warning: the end could not be read: %s\n", safe(done.Cut))
	}
	return nil
}
