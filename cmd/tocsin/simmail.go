//go:build !small

package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/sim/postbox"
)

func simMailCommand() *cobra.Command {
	var c postbox.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "mail --out DIR [flags]",
		Short: "Take mails on this machine and deliver none, to try what a hub sends",
		Long: "Sim mail is a mail server that takes every mail, keeps it in DIR and delivers none, so that a hub can\n" +
			"be tried: [mail] server = \"127.0.0.1:2525\" and tls = \"none\". With --bounces each comes back as\n" +
			"undeliverable, into a Maildir. It listens on the loopback only. Ctrl-C ends it.",
		Example: "  tocsin sim mail --out letters\n  tocsin sim mail --out letters --bounces answers --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Out == "" {
				return mistake("write the folder to keep mails in: --out DIR")
			}
			w := cmd.OutOrStdout()
			c.Ready = func(address string) { fmt.Fprintf(cmd.ErrOrStderr(), "taking mails at %s\n", address) }
			c.Took = func(l postbox.Letter) {
				if asJSON {
					_ = json.NewEncoder(w).Encode(l) // who does not read it has it in the folder
					return
				}
				fmt.Fprintf(w, "%s: to %s: %s\n", clean(l.File), clean(l.To), clean(l.Subject))
			}
			return postbox.Run(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:2525", "address of the loopback to listen on")
	cmd.Flags().StringVar(&c.Out, "out", "", "folder to keep mails in; made if need be")
	cmd.Flags().StringVar(&c.Bounces, "bounces", "", "Maildir that every mail comes back to as undeliverable; none by default")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one line for each mail")
	return cmd
}
