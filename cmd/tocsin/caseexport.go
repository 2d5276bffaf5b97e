//go:build !small

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/takedown"
)

func dossierCommand() *cobra.Command {
	var t hubTalk
	var language string
	cmd := &cobra.Command{
		Use:   "dossier ID",
		Short: "Print the full dossier of a case: TLP:AMBER, for those who ask for it",
		Long: "Dossier prints what is handed out on request only, to a provider or the police: victims' addresses,\n" +
			"models, method and evidence. What is mailed by itself holds none of that. With --json the dossier\n" +
			"is data, and the text beside it.",
		Example: "  tocsin case dossier TC-20231014-7F3K2Q9M > dossier.txt\n  tocsin case dossier TC-20231014-7F3K2Q9M --language de --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := caseID(args[0])
			if err != nil {
				return err
			}
			if language != "" && !slices.Contains([]string{"en", "fr", "de"}, language) {
				return mistake("--language %q: write en, fr or de", language)
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				d, err := c.FullDossier(ctx, id, language)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.ErrOrStderr(), "TLP:AMBER: it names victims and how they were found out. Hand it to those only who must know, and never to the address that it is about.")
				w := cmd.OutOrStdout()
				return t.print(w, d, func() error {
					_, err := io.WriteString(w, safeText(d.Text))
					return err
				})
			})
		},
	}
	cmd.Flags().StringVar(&language, "language", "", "en, fr or de (default the hub's)")
	t.flags(cmd)
	return cmd
}

func exportCaseCommand() *cobra.Command {
	var t hubTalk
	var form string
	cmd := &cobra.Command{
		Use:   "export ID",
		Short: "Write a case with its clock as Markdown, or as a page to print",
		Example: "  tocsin case export TC-20231014-7F3K2Q9M > case.md\n" +
			"  tocsin case export TC-20231014-7F3K2Q9M --format html > case.html",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := caseID(args[0])
			if err != nil {
				return err
			}
			switch {
			case form != "md" && form != "html":
				return mistake("--format %q: write md or html", form)
			case t.json && cmd.Flags().Changed("format"):
				return mistake("--json and --format: say one of them")
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				if !t.json {
					return printForm(ctx, c, id, form, cmd.OutOrStdout())
				}
				f, err := c.Case(ctx, id)
				if err != nil {
					return err
				}
				return t.print(cmd.OutOrStdout(), f, nil)
			})
		},
	}
	cmd.Flags().StringVar(&form, "format", "md", "md or html")
	t.flags(cmd)
	return cmd
}

// printForm writes a case. Markdown may end on a terminal.
func printForm(ctx context.Context, c *api.Client, id takedown.ID, form string, w io.Writer) error {
	if form == "html" {
		return c.PrintCase(ctx, id, form, w)
	}
	var b strings.Builder
	if err := c.PrintCase(ctx, id, form, &b); err != nil {
		return err
	}
	_, err := io.WriteString(w, safeText(b.String()))
	return err
}
