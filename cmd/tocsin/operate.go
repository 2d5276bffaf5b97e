package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/operator"
)

// talk adds the flags of every command that talks to the guard.
type talk struct {
	socket string
	json   bool
}

func (t *talk) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.socket, "socket", config.Default().Socket, "the guard's control socket")
	cmd.Flags().BoolVar(&t.json, "json", false, "print JSON")
}

func (t *talk) client() operator.Client { return operator.Client{Path: t.socket} }

func blockCommand() *cobra.Command {
	var t talk
	var o order
	cmd := &cobra.Command{
		Use:   "block ADDRESS|PREFIX",
		Short: "Drop what an address or prefix starts",
		Example: "  tocsin block 203.0.113.7\n  tocsin block 203.0.113.0/24 --for 7d --note 'asked by the provider'\n" +
			"  tocsin block --end 203.0.113.7\n  tocsin block 203.0.113.7 --fleet --owner ada",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.give(cmd, t, operator.Block, args[0])
		},
	}
	o.flags(cmd, "24h")
	t.flags(cmd)
	return cmd
}

func unblockCommand() *cobra.Command {
	var t talk
	var o order
	cmd := &cobra.Command{
		Use:     "unblock ADDRESS|PREFIX",
		Short:   "Lift every block of an address, let it pass for a while and forgive what it did",
		Example: "  tocsin unblock 203.0.113.7\n  tocsin unblock 203.0.113.7 --for 8h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.give(cmd, t, operator.Unblock, args[0])
		},
	}
	o.flags(cmd, "1h")
	t.flags(cmd)
	return cmd
}

func allowCommand() *cobra.Command {
	var t talk
	var o order
	cmd := &cobra.Command{
		Use:     "allow ADDRESS|PREFIX",
		Short:   "Never block an address or prefix",
		Example: "  tocsin allow 198.51.100.20\n  tocsin allow --end 198.51.100.20",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.give(cmd, t, operator.Allow, args[0])
		},
	}
	o.flags(cmd, "for good")
	t.flags(cmd)
	return cmd
}

type order struct {
	span string
	note string
	end  bool

	force bool
	hub   fleetTalk
}

func (o *order) flags(cmd *cobra.Command, usual string) {
	cmd.Flags().StringVar(&o.span, "for", "", "how long, such as 90m, 24h or 7d (default "+usual+")")
	cmd.Flags().StringVar(&o.note, "note", "", "why, for whoever reads the rules later")
	if cmd.Name() == "block" {
		cmd.Flags().BoolVar(&o.force, "force", false, "block even the address that you are logged in from")
	}
	if cmd.Name() != "unblock" {
		cmd.Flags().BoolVar(&o.end, "end", false, "take the order back")
	}
	o.hub.flags(cmd, "have the hub order it at all devices, not only this one")
}

func (o *order) give(cmd *cobra.Command, t talk, verb operator.Verb, what string) error {
	if err := o.hub.check(cmd); err != nil {
		return err
	}
	prefix, err := config.ParsePrefix(what)
	if err != nil {
		return usageError{err}
	}
	req := operator.Order{Verb: verb, Prefix: prefix, Note: o.note}
	if o.span != "" {
		if req.For, err = config.ParseDuration(o.span); err != nil || req.For <= 0 {
			return mistake("--for %q: write a time such as 90m, 24h or 7d", o.span)
		}
	}
	if o.end {
		req.Verb, req.Of = operator.End, verb
	}
	if a, out := lockedOut(prefix, sessionSources("/proc", os.Getpid())); out && req.Verb == operator.Block && !o.force {
		return fmt.Errorf("you are logged in from %v: this would lock you out; allow that address first, or say --force", a)
	}
	if o.hub.json = t.json; o.hub.fleet {
		return o.hub.give(cmd, verb, req)
	}
	d, err := t.client().Order(cmd.Context(), req)
	if err != nil {
		return err
	}
	if t.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(d)
	}
	tell(cmd.OutOrStdout(), req.Verb, verb, d)
	return nil
}

func tell(w io.Writer, did, verb operator.Verb, d operator.Done) {
	name, until := show(d.Prefix), until(d.Until)
	switch did {
	case operator.Block:
		fmt.Fprintf(w, "%s is blocked %s.\n", name, until)
	case operator.Unblock:
		fmt.Fprintf(w, "%s passes %s; %s lifted, and what it did is forgiven.\n", name, until, count(d.Lifted, "block"))
	case operator.Allow:
		fmt.Fprintf(w, "%s is never blocked, %s.\n", name, until)
	case operator.End:
		fmt.Fprintf(w, "The order to %s %s is taken back.\n", verb, name)
	}
	if d.Note != "" {
		fmt.Fprintln(w, d.Note)
	}
}

func rulesCommand() *cobra.Command {
	var t talk
	var hub fleetTalk
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "List who is blocked or passed, by whom, until when, and what was dropped",
		Long: "Rules lists what is in force on this machine. With --fleet it lists what the hub has every device\n" +
			"enforce, or with --owner what it has the devices of one owner enforce besides.",
		Example: "  tocsin rules\n  tocsin rules --fleet --owner ada\n  tocsin rules explain 203.0.113.7",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := hub.check(cmd); err != nil {
				return err
			}
			if hub.json = t.json; hub.fleet {
				return hub.list(cmd)
			}
			w := cmd.OutOrStdout()
			if t.json {
				enc := json.NewEncoder(w)
				return t.client().Rules(cmd.Context(), func(r operator.Rule) error { return enc.Encode(r) })
			}
			tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			n := 0
			err := t.client().Rules(cmd.Context(), func(r operator.Rule) error {
				if n++; n == 1 {
					fmt.Fprintln(tab, "PREFIX\tACTION\tBY\tENDS IN\tDROPPED\tLAST\tREASON")
				}
				_, err := fmt.Fprintln(tab, ruleRow(r, time.Now()))
				return err
			})
			if err != nil {
				return err
			}
			if n == 0 {
				fmt.Fprintln(w, "No rule is in force.")
			}
			return tab.Flush()
		},
	}
	t.flags(cmd)
	hub.flags(cmd, "list what the hub has all devices enforce")
	cmd.AddCommand(explainCommand(), exportCommand())
	return cmd
}

func ruleRow(r operator.Rule, now time.Time) string {
	ends := span(r.Until.Sub(now))
	if r.Until.After(now.AddDate(5, 0, 0)) {
		ends = "never"
	}
	last := "-"
	if r.LastHit != nil {
		last = span(now.Sub(*r.LastHit)) + " ago"
	}
	return strings.Join([]string{
		show(r.Prefix), r.Action, strings.Join(r.Origins, "+"), ends, fmt.Sprint(r.Hits), last, string(r.Reason),
	}, "\t")
}
