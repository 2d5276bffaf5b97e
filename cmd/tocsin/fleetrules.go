package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/config"
	"github.com/tocsin-io/tocsin/operator"
)

// fleetTalk adds the flags of commands that talk to the guard of this machine or,
// with --fleet, to the hub.
type fleetTalk struct {
	hubTalk
	fleet     bool
	owner     string
	emergency bool
}

func (t *fleetTalk) flags(cmd *cobra.Command, fleet string) {
	cmd.Flags().BoolVar(&t.fleet, "fleet", false, fleet)
	cmd.Flags().StringVar(&t.owner, "owner", "", "with --fleet: only at the devices of this owner (default at everybody's)")
	if cmd.Name() == "block" {
		cmd.Flags().BoolVar(&t.emergency, "emergency", false, "with --fleet: to all devices at once, where it would go by rings; needs --note")
	}
	t.reach(cmd)
}

// check refuses flags that mean the hub where the guard is asked.
func (t *fleetTalk) check(cmd *cobra.Command) error {
	for _, name := range []string{"owner", "emergency", "hub-socket", "hub", "token-file", "ca"} {
		if !t.fleet && cmd.Flags().Changed(name) {
			return mistake("--%s is about a hub: say --fleet, too", name)
		}
	}
	if t.fleet && cmd.Flags().Changed("socket") {
		return mistake("--socket is the guard's: leave it out, or --fleet")
	}
	return nil
}

// whose names the devices that an order is for.
func (t *fleetTalk) whose() string {
	if t.owner == "" {
		return "at every owner's devices"
	}
	return "at the devices of " + t.owner
}

// give has an order carried out by the hub.
func (t *fleetTalk) give(cmd *cobra.Command, verb operator.Verb, req operator.Order) error {
	o := api.Order{
		Verb: api.Verb(verb), Prefix: req.Prefix, Owner: tocsin.OwnerID(t.owner), Seconds: int(req.For / time.Second), Note: req.Note,
		Emergency: t.emergency,
	}
	if req.Verb == operator.End {
		o.Verb, o.Of = api.End, api.Verb(verb)
	}
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		d, err := c.Order(ctx, o)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		return t.print(w, d, func() error {
			t.tell(w, o, d)
			return nil
		})
	})
}

func (t *fleetTalk) tell(w io.Writer, o api.Order, d api.Done) {
	name := show(d.Prefix)
	switch o.Verb {
	case api.Block:
		fmt.Fprintf(w, "%s is blocked %s, %s.\n", name, t.whose(), until(d.Until))
	case api.Unblock:
		fmt.Fprintf(w, "%s passes %s, %s; its blocks are lifted, and what it did is forgiven.\n", name, t.whose(), until(d.Until))
	case api.Allow:
		fmt.Fprintf(w, "%s is never blocked %s, %s.\n", name, t.whose(), until(d.Until))
	case api.End:
		fmt.Fprintf(w, "The order to %s %s %s is taken back.\n", o.Of, name, t.whose())
	}
	if d.Note != "" {
		fmt.Fprintln(w, clean(d.Note))
	}
}

// list prints the hub's rules of one scope.
func (t *fleetTalk) list(cmd *cobra.Command) error {
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		w := bufio.NewWriter(cmd.OutOrStdout())
		tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		enc := json.NewEncoder(w)
		n, now := 0, time.Now()
		for r, err := range c.Rules(ctx, tocsin.OwnerID(t.owner)) {
			if err != nil {
				return err
			}
			if t.json {
				if err := enc.Encode(r); err != nil {
					return err
				}
				continue
			}
			if n++; n == 1 {
				fmt.Fprintln(tab, "PREFIX\tACTION\tBY\tENDS IN\tREASON")
			}
			fmt.Fprintln(tab, hubRuleRow(r, now))
		}
		if n == 0 && !t.json {
			fmt.Fprintf(w, "The hub has no rule in force %s.\n", t.whose())
		}
		if err := tab.Flush(); err != nil {
			return err
		}
		return w.Flush()
	})
}

func hubRuleRow(r api.Rule, now time.Time) string {
	ends := span(r.Until.Sub(now))
	if r.Until.After(now.AddDate(5, 0, 0)) {
		ends = "never"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", show(r.Prefix), r.Action, orDash(r.Origin), ends, clean(string(r.Reason)))
}

func explainCommand() *cobra.Command {
	var t hubTalk
	var owner string
	cmd := &cobra.Command{
		Use:     "explain ADDRESS",
		Short:   "Tell why the fleet blocks an address, or does not",
		Example: "  tocsin rules explain 203.0.113.7\n  tocsin rules explain 203.0.113.7 --owner ada",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := netip.ParseAddr(args[0])
			if err != nil || a.Zone() != "" {
				return mistake("%q is not an address such as 203.0.113.7", args[0])
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				e, err := c.Explain(ctx, tocsin.OwnerID(owner), a.Unmap())
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, e, func() error { return printExplanation(w, e) })
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "as it is at the devices of this owner (default at everybody's)")
	t.flags(cmd)
	return cmd
}

func printExplanation(w io.Writer, e api.Explanation) error {
	at := "at every owner's devices"
	if e.Owner != "" {
		at = "at the devices of " + string(e.Owner)
	}
	if len(e.Rules) == 0 {
		fmt.Fprintf(w, "No rule is in force about %s %s.\n", e.Address, at)
	}
	for _, r := range e.Rules {
		scope := "everybody's"
		if r.Owner != "" {
			scope = string(r.Owner) + "'s"
		}
		fmt.Fprintf(w, "%s: %s by %s, %s, a rule of %s: %s\n", show(r.Prefix), r.Action, orDash(r.Origin), until(r.Until), scope, clean(string(r.Reason)))
	}
	for _, l := range e.Lines {
		fmt.Fprintln(w, "  "+clean(l))
	}
	return nil
}

func exportCommand() *cobra.Command {
	var t fleetTalk
	cmd := &cobra.Command{
		Use:   "export --fleet",
		Short: "Print what the fleet blocks, one prefix a line, for firewalls that read lists",
		Long: "Export prints what every device blocks or, with --owner, what the devices of one owner block.\n" +
			"What passes is left out.",
		Example: "  tocsin rules export --fleet > blocked.txt\n  tocsin rules export --fleet --owner ada",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !t.fleet {
				return mistake("the hub exports its list: say --fleet (tocsin rules prints the guard's)")
			}
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				w := cmd.OutOrStdout()
				if !t.json {
					return c.List(ctx, tocsin.OwnerID(t.owner), w)
				}
				out, in := io.Pipe()
				go func() { in.CloseWithError(c.List(ctx, tocsin.OwnerID(t.owner), in)) }()
				defer out.Close()
				return prefixesAsJSON(out, w)
			})
		},
	}
	t.flags(cmd, "export what the hub has devices block")
	cmd.Flags().BoolVar(&t.json, "json", false, "print JSON, one object a line")
	return cmd
}

// prefixesAsJSON turns lines into objects.
func prefixesAsJSON(r io.Reader, w io.Writer) error {
	s, enc := bufio.NewScanner(r), json.NewEncoder(w)
	for s.Scan() {
		p, err := config.ParsePrefix(s.Text())
		if err != nil {
			return fmt.Errorf("the hub's list: %w", err)
		}
		if err := enc.Encode(map[string]netip.Prefix{"prefix": p}); err != nil {
			return err
		}
	}
	return s.Err()
}
