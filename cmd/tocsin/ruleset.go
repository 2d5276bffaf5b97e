package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
)

func rulesetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ruleset",
		Short: "Look at the signed lists of a hub, without the hub",
		Long: "Ruleset reads what a hub publishes: frames, snapshots and heartbeats, each in a file, or the folder\n" +
			"that the hub writes its lists to (hub.mirror). It asks nobody.",
		Example: "  tocsin ruleset verify /srv/mirror --root trust.json\n  tocsin ruleset show snapshot --rules\n" +
			"  tocsin ruleset diff monday/ tuesday/",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return mistake("say verify, show or diff") },
	}
	cmd.AddCommand(verifyCommand(), showCommand(), diffCommand())
	return cmd
}

// rulesetFlags are those of all commands about signed lists.
type rulesetFlags struct {
	root  string
	at    string
	rules bool
	json  bool
}

func (f *rulesetFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.root, "root", "", "check signatures by this: trust.json of a device (in the folder hub of the guard's state),\n"+
		"or a TUF root with the other files of its repository beside it")
	cmd.Flags().StringVar(&f.at, "at", "", "judge what is out of date as of this time (default now)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// open reads all names, and checks signatures where it can.
func (f *rulesetFlags) open(cmd *cobra.Command, names []string) ([]item, error) {
	in := inspector{at: time.Now()}
	if f.at != "" {
		var err error
		if in.at, err = parseSince(f.at, in.at); err != nil {
			return nil, mistake("--at %q: write a date such as 2026-11-01 15:04, or how long ago, such as 7d", f.at)
		}
	}
	if f.root == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "Signatures are not checked: name a --root FILE that you trust.")
	} else {
		var err error
		if in.keys, err = trustedKeys(f.root, in.at); err != nil {
			return nil, fmt.Errorf("--root %s: %w", f.root, err)
		}
	}
	var items []item
	for _, name := range names {
		found, err := in.read(name)
		if err != nil {
			return nil, err
		}
		items = append(items, found...)
	}
	return items, nil
}

// failing returns an error if one of the items is not as it should be.
func failing(items []item) error {
	bad := 0
	for _, i := range items {
		if i.err != nil {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %s must not be believed", bad, count(len(items), "message"))
	}
	return nil
}

func verifyCommand() *cobra.Command {
	var f rulesetFlags
	cmd := &cobra.Command{
		Use:   "verify FILE|FOLDER...",
		Short: "Check signatures, dates and order of what a hub published",
		Long: "Verify checks what a device would check before it believes a message, limits excepted. Of a folder\n" +
			"it also checks that no frame is missing, and that each makes the list that it says. Exit status 1\n" +
			"says that something must not be believed.",
		Example: "  tocsin ruleset verify /srv/mirror --root /var/lib/tocsin/hub/trust.json\n  tocsin ruleset verify 12.frame",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := f.open(cmd, args)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			if !f.json {
				fmt.Fprintln(tab, "FILE\tKIND\tLIST\tCREATED\tRESULT")
			}
			for _, i := range items {
				if f.json {
					err = json.NewEncoder(w).Encode(i.told(false))
				} else {
					_, err = fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", i.path, i.head.Kind, i.head.Position, moment(i.head.Created), i.result())
				}
				if err != nil {
					return err
				}
			}
			return errors.Join(tab.Flush(), failing(items))
		},
	}
	f.flags(cmd)
	return cmd
}

func showCommand() *cobra.Command {
	var f rulesetFlags
	cmd := &cobra.Command{
		Use:   "show FILE|FOLDER...",
		Short: "Tell what a message of a hub says, and with --rules every rule of it",
		Long: "Show prints the header of each message and counts its rules. What a frame changes is shown with\n" +
			"--root only; of a snapshot, and of the lists of a folder, everything.",
		Example: "  tocsin ruleset show /srv/mirror/fleet/24h/snapshot --rules",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := f.open(cmd, args)
			if err != nil {
				return err
			}
			w := bufio.NewWriter(cmd.OutOrStdout())
			for n, i := range items {
				if f.json {
					err = json.NewEncoder(w).Encode(i.told(f.rules))
				} else {
					if n > 0 {
						fmt.Fprintln(w)
					}
					err = i.show(w, f.rules)
				}
				if err != nil {
					return err
				}
			}
			return errors.Join(w.Flush(), failing(items))
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&f.rules, "rules", false, "list the rules, too")
	return cmd
}

func diffCommand() *cobra.Command {
	var f rulesetFlags
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Tell which rules two snapshots, or two folders of lists, do not share",
		Long: "Diff compares the lists as they stood when they were made: + is only in the new one, - only in the\n" +
			"old one, ~ ends at another time.",
		Example: "  tocsin ruleset diff monday/fleet/24h/snapshot tuesday/fleet/24h/snapshot\n  tocsin ruleset diff monday/ tuesday/",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var sides [2]map[string]standing
			for n, name := range args {
				items, err := f.open(cmd, []string{name})
				if err == nil {
					err = failing(items)
				}
				if err == nil {
					sides[n], err = lists(name, items)
				}
				if err != nil {
					return err
				}
				if f.root == "" && n == 0 {
					cmd.SetErr(io.Discard) // once is enough
				}
			}
			w := bufio.NewWriter(cmd.OutOrStdout())
			if err := f.compare(w, sides[0], sides[1]); err != nil {
				return err
			}
			return w.Flush()
		},
	}
	f.flags(cmd)
	return cmd
}

// A standing is the rules of a list at the time it was made.
type standing map[ruleKey]time.Time

type ruleKey struct {
	prefix netip.Prefix
	action tocsin.Action
}

// lists returns the lists that the items hold whole, by name.
func lists(name string, items []item) (map[string]standing, error) {
	found := map[string]standing{}
	for _, i := range items {
		if i.list == nil {
			continue
		}
		s := standing{}
		for r := range i.list.Rules(i.head.Created) {
			s[ruleKey{r.Prefix, r.Action}] = r.Until
		}
		found[i.head.Position.Ref.String()] = s
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no whole list is in it: name a snapshot, or a folder of lists", name)
	}
	return found, nil
}

// A difference is one rule that two lists do not share.
type difference struct {
	List   string       `json:"list"`
	Change string       `json:"change"` // added, removed, renewed
	Prefix netip.Prefix `json:"prefix"`
	Action string       `json:"action"`
	Until  time.Time    `json:"until"`
}

var changeMarks = map[string]string{"added": "+", "removed": "-", "renewed": "~"}

func (f *rulesetFlags) compare(w io.Writer, old, now map[string]standing) error {
	names := slices.Sorted(maps.Keys(old))
	for name := range now {
		if _, ok := old[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	total := map[string]int{}
	for _, name := range names {
		for _, d := range differ(name, old[name], now[name]) {
			total[d.Change]++
			var err error
			if f.json {
				err = json.NewEncoder(w).Encode(d)
			} else {
				_, err = fmt.Fprintf(w, "%s %s %s %s %s\n", changeMarks[d.Change], d.List, d.Action, show(d.Prefix), until(d.Until))
			}
			if err != nil {
				return err
			}
		}
	}
	if f.json {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d added, %d removed, %d with another end, in %s.\n", total["added"], total["removed"], total["renewed"], count(len(names), "list"))
	return err
}

// differ returns what two standings of a list do not share, by prefix.
func differ(name string, old, now standing) (found []difference) {
	tell := func(change string, k ruleKey, until time.Time) {
		found = append(found, difference{name, change, k.prefix, k.action.String(), until})
	}
	for k, end := range now {
		if before, ok := old[k]; !ok {
			tell("added", k, end)
		} else if !before.Equal(end) {
			tell("renewed", k, end)
		}
	}
	for k, end := range old {
		if _, ok := now[k]; !ok {
			tell("removed", k, end)
		}
	}
	slices.SortFunc(found, func(a, b difference) int {
		if c := a.Prefix.Compare(b.Prefix); c != 0 {
			return c
		}
		if a.Action < b.Action {
			return -1
		}
		return 1
	})
	return found
}
