package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
)

func passCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pass",
		Short: "Make one-time passes, for the day somebody blocks himself",
		Long: "A one-time pass lifts the block of the address that it is redeemed from, and lets it pass for\n" +
			"24 hours. Print ten, and keep them where you look when you are locked out.",
		Example: "  tocsin pass new --owner ada\n  tocsin pass list --owner ada",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return mistake("say new or list") },
	}
	cmd.AddCommand(
		onPasses("new", "Make ten passes, in place of those of an owner that were not used", newPasses),
		onPasses("list", "List the passes of an owner, and which of them were used", listPasses),
	)
	return cmd
}

// onPasses returns a command about the passes of an owner.
func onPasses(name, short string, do func(context.Context, *api.Client, *hubTalk, tocsin.OwnerID, io.Writer) error) *cobra.Command {
	var t hubTalk
	var owner string
	cmd := &cobra.Command{
		Use:     name + " --owner OWNER",
		Short:   short,
		Example: "  tocsin pass " + name + " --owner ada",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if owner == "" {
				return mistake("whose passes? say --owner NAME")
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				return do(ctx, c, &t, tocsin.OwnerID(owner), cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "whose devices the pass opens")
	t.flags(cmd)
	return cmd
}

func newPasses(ctx context.Context, c *api.Client, t *hubTalk, owner tocsin.OwnerID, w io.Writer) error {
	codes, err := c.NewPasses(ctx, owner)
	if err != nil {
		return err
	}
	return t.print(w, codes, func() error {
		where := t.hub
		if where == "" {
			where = "HUB:PORT"
		}
		fmt.Fprintf(w, "One-time passes for the devices of %s. They are shown once; those made before hold no more.\n\n", owner)
		for i, code := range codes.Codes {
			fmt.Fprintf(w, "%3d  %s\n", i+1, code)
		}
		_, err := fmt.Fprintf(w, "\nTo redeem one, open https://%s/pass from the address that is blocked and type the code.\n"+
			"The block is lifted, and the address passes for 24 hours. Each code works once.\n", where)
		return err
	})
}

func listPasses(ctx context.Context, c *api.Client, t *hubTalk, owner tocsin.OwnerID, w io.Writer) error {
	list, err := c.Passes(ctx, owner)
	if err != nil {
		return err
	}
	if t.json {
		enc := json.NewEncoder(w)
		for _, p := range list {
			if err := enc.Encode(p); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		_, err := fmt.Fprintf(w, "%s has no passes: tocsin pass new --owner %[1]s makes ten.\n", owner)
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "PASS\tMADE\tUSED\tBY")
	for _, p := range list {
		by := "-"
		if p.For.IsValid() {
			by = show(p.For)
		}
		fmt.Fprintf(tab, "%d\t%s\t%s\t%s\n", p.Number, moment(p.Made), moment(p.Used), by)
	}
	return tab.Flush()
}
