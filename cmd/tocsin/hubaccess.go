//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/store"
)

func accessCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Give people and programs API tokens, list and end them",
		Long: "An API token lets a person or a program ask the hub over the network. A viewer sees; an analyst\n" +
			"gives orders about addresses, too; an admin does everything.",
		Example: "  tocsin hub access add grafana --role viewer\n  tocsin hub access list\n  tocsin hub access drop grafana",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return mistake("say add, list or drop") },
	}
	cmd.AddCommand(addAccessCommand(), listAccessCommand(), dropAccessCommand())
	return cmd
}

func addAccessCommand() *cobra.Command {
	var t hubTalk
	var role, span string
	cmd := &cobra.Command{
		Use:     "add NAME --role viewer|analyst|admin",
		Short:   "Make an API token; it is shown once",
		Example: "  tocsin hub access add grafana --role viewer\n  tocsin hub access add bob --role analyst --for 30d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			wish := api.AccessWish{Name: args[0], Role: store.Role(role)}
			if wish.Role != store.Viewer && wish.Role != store.Analyst && wish.Role != store.Admin {
				return mistake("--role %q: write viewer, analyst or admin", role)
			}
			if wish.Seconds, err = seconds("--for", span); err != nil {
				return err
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				a, err := c.NewAccess(ctx, wish)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, a, func() error {
					end := "It holds until it is dropped"
					if !a.Until.IsZero() {
						end = "It holds until " + moment(a.Until)
					}
					_, err := fmt.Fprintf(w, "%s\n\nThe API token of %s (%s). It is shown once. %s: tocsin hub access drop %[2]s\n", a.Token, a.Name, a.Role, end)
					return err
				})
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, analyst or admin")
	cmd.Flags().StringVar(&span, "for", "", "how long it holds, such as 30d (default until it is dropped)")
	t.flags(cmd)
	return cmd
}

func listAccessCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the API tokens, without their secrets",
		Example: "  tocsin hub access list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				list, err := c.Accesses(ctx)
				if err != nil {
					return err
				}
				return t.printAccesses(cmd.OutOrStdout(), list)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) printAccesses(w io.Writer, list []api.Access) error {
	return printList(t, w, list, "Nobody has an API token: tocsin hub access add makes one.",
		"NAME\tROLE\tMADE\tENDS\tLAST USED", func(a api.Access) []any {
			return []any{clean(a.Name), a.Role, moment(a.Made), moment(a.Until), moment(a.Used)}
		})
}

func dropAccessCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "drop NAME",
		Short:   "End an API token, at once",
		Example: "  tocsin hub access drop grafana",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				if err := c.DropAccess(ctx, args[0]); errors.Is(err, store.ErrNotFound) {
					return fmt.Errorf("there is no API token %q: tocsin hub access list shows them", args[0])
				} else if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, map[string]string{"dropped": args[0]}, func() error {
					_, err := fmt.Fprintf(w, "The API token of %s is no longer taken.\n", args[0])
					return err
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}
