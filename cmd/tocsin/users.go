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

func usersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Say who may sign in to the console, and as what",
		Long: "People sign in to the console with a name and a password that only they know: add prints a link\n" +
			"with which they choose it, once, within a day. A viewer sees; an analyst gives orders about\n" +
			"addresses and cases, too; an admin does everything. For programs: tocsin hub access.",
		Example: "  tocsin users add ada --role admin\n  tocsin users list\n  tocsin users role bob analyst\n  tocsin users reset bob",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return mistake("say list, add, role, off, on, remove, reset or signout")
		},
	}
	cmd.AddCommand(listUsersCommand(), addUserCommand(), roleCommand(),
		changeUserCommand("off NAME", "Keep a user from signing in, and sign them out", "  tocsin users off bob", "%s is off and signed out: tocsin users on %[1]s takes that back.",
			func(ctx context.Context, c *api.Client, name string) error { return setOff(ctx, c, name, true) }),
		changeUserCommand("on NAME", "Let a user sign in again", "  tocsin users on bob", "%s may sign in again.",
			func(ctx context.Context, c *api.Client, name string) error { return setOff(ctx, c, name, false) }),
		changeUserCommand("remove NAME", "Remove a user, and sign them out", "  tocsin users remove bob", "%s is removed. What they did stays in the log: tocsin log show --by %[1]s",
			func(ctx context.Context, c *api.Client, name string) error { return c.RemoveUser(ctx, name) }),
		resetUserCommand(),
		changeUserCommand("signout NAME", "Sign a user out everywhere; they may sign in again", "  tocsin users signout bob", "%s is signed out everywhere.",
			func(ctx context.Context, c *api.Client, name string) error { return c.SignOutUser(ctx, name) }),
	)
	return cmd
}

func setOff(ctx context.Context, c *api.Client, name string, off bool) error {
	return c.ChangeUser(ctx, name, api.UserChange{Off: &off})
}

func listUsersCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List who may sign in",
		Example: "  tocsin users list\n  tocsin users list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				list, err := c.Users(ctx)
				if err != nil {
					return err
				}
				return t.printUsers(cmd.OutOrStdout(), list)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) printUsers(w io.Writer, list []api.User) error {
	return printList(t, w, list, "Nobody can sign in to the console: tocsin users add NAME --role admin makes the first account.",
		"NAME\tROLE\tSTATE\tSESSIONS\tLAST SIGN-IN\tMADE", func(u api.User) []any {
			return []any{clean(u.Name), u.Role, userState(u), u.Sessions, moment(u.Last), moment(u.Made)}
		})
}

func userState(u api.User) string {
	switch {
	case u.Off:
		return "off"
	case u.Waiting:
		return "invited"
	}
	return "on"
}

// checkRole refuses what is no role.
func checkRole(called, role string) error {
	switch store.Role(role) {
	case store.Viewer, store.Analyst, store.Admin:
		return nil
	}
	return mistake("%s %q: write viewer, analyst or admin", called, role)
}

func addUserCommand() *cobra.Command {
	var t hubTalk
	var role string
	cmd := &cobra.Command{
		Use:     "add NAME --role viewer|analyst|admin",
		Short:   "Make a user and a one-time link with which they choose a password",
		Example: "  tocsin users add ada --role admin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRole("--role", role); err != nil {
				return err
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				u, err := c.AddUser(ctx, api.UserWish{Name: args[0], Role: store.Role(role)})
				if err != nil {
					return err
				}
				return t.printLink(cmd.OutOrStdout(), u, "choose a password")
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "viewer, analyst or admin")
	t.flags(cmd)
	return cmd
}

// printLink shows a one-time link by each address of the console.
func (t *hubTalk) printLink(w io.Writer, u api.UserInvited, todo string) error {
	return t.print(w, u, func() error {
		at := u.Addresses
		if len(at) == 0 {
			at = []string{"https://HUB"}
		}
		fmt.Fprintf(w, "%s%s\n\nWith this link %s (%s) can %s, once, until %s. It is shown once: give it to nobody else.\n",
			clean(at[0]), u.Link, clean(u.Name), u.Role, todo, moment(u.Until))
		for _, other := range at[1:] {
			fmt.Fprintf(w, "From elsewhere it is %s/console/welcome# and the same code.\n", clean(other))
		}
		return nil
	})
}

func roleCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "role NAME viewer|analyst|admin",
		Short:   "Change what a user may do, at once",
		Example: "  tocsin users role bob analyst",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRole("role", args[1]); err != nil {
				return err
			}
			role := store.Role(args[1])
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				if err := c.ChangeUser(ctx, args[0], api.UserChange{Role: &role}); err != nil {
					return noUser(args[0], err)
				}
				w := cmd.OutOrStdout()
				return t.print(w, map[string]string{"name": args[0], "role": args[1]}, func() error {
					_, err := fmt.Fprintf(w, "%s has the role of %s from now on.\n", args[0], role)
					return err
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// noUser says what to do about a name that is not there.
func noUser(name string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no user %q: tocsin users list shows them", name)
	}
	return err
}

// changeUserCommand is one that does something to a user and says so.
func changeUserCommand(use, short, example, said string, do func(context.Context, *api.Client, string) error) *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
			if err := do(ctx, c, args[0]); err != nil {
				return noUser(args[0], err)
			}
			w := cmd.OutOrStdout()
			return t.print(w, map[string]string{"name": args[0], "done": cmd.Name()}, func() error {
				_, err := fmt.Fprintf(w, said+"\n", args[0])
				return err
			})
		})
	}
	t.flags(cmd)
	return cmd
}

func resetUserCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Make a one-time link with which a user takes another password",
		Long: "Reset is for who forgot a password, and works on the hub's machine only. The old password, and who\n" +
			"is signed in with it, stay until the link is used; it holds for a day, and a newer one replaces it.",
		Example: "  tocsin users reset bob",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				u, err := c.ResetUser(ctx, args[0])
				if err != nil {
					return noUser(args[0], err)
				}
				return t.printLink(cmd.OutOrStdout(), u, "take another password")
			})
		},
	}
	t.flags(cmd)
	return cmd
}
