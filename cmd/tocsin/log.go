//go:build !small

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/ledger"
	"github.com/tocsin-io/tocsin/store/sqlite"
)

func logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show what operators did, and whether the log of it was changed",
		Long: "The hub writes down what people order, change and are refused, who signs in, and who takes a\n" +
			"backup. Each entry carries a hash of itself and of the one before.",
		Example: "  tocsin log show\n  tocsin log verify",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return mistake("say show or verify") },
	}
	cmd.AddCommand(showLogCommand(), verifyLogCommand())
	return cmd
}

// A logTalk reads the log from a hub, or from the folder of one.
type logTalk struct {
	hubTalk
	folder string
}

func (t *logTalk) flags(cmd *cobra.Command) {
	t.hubTalk.flags(cmd)
	cmd.Flags().StringVar(&t.folder, "folder", "", "read the database in this folder, without a hub")
}

// offline lets do read the folder.
func (t *logTalk) offline(ctx context.Context, do func(*sqlite.LedgerReader) error) (err error) {
	r, err := sqlite.ReadLedger(ctx, t.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--folder %s: there is no database of a hub in it", t.folder)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return do(r)
}

func showLogCommand() *cobra.Command {
	var t logTalk
	var by string
	var most int
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show what operators did, the newest last",
		Example: "  tocsin log show\n  tocsin log show --by ada -n 200\n  tocsin log show --folder /srv/restored --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 1 {
				return mistake("-n %d: want at least 1", most)
			}
			if t.folder == "" {
				return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
					list, err := c.Deeds(ctx, by, most)
					if err != nil {
						return err
					}
					return t.printDeeds(cmd.OutOrStdout(), list)
				})
			}
			return t.offline(cmd.Context(), func(r *sqlite.LedgerReader) error {
				list, err := lastDeeds(cmd.Context(), r, by, most)
				if err != nil {
					return err
				}
				return t.printDeeds(cmd.OutOrStdout(), list)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "only what somebody of that name did")
	cmd.Flags().IntVarP(&most, "lines", "n", 50, "how many, the newest")
	t.flags(cmd)
	return cmd
}

// lastDeeds returns the newest entries of somebody, or of all with "", newest
// first.
func lastDeeds(ctx context.Context, r *sqlite.LedgerReader, by string, most int) (list []api.Deed, err error) {
	const page = 1000
	for before := uint64(0); len(list) < most; {
		entries, err := r.LastEntries(ctx, before, page)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if (by == "" || e.By == by) && len(list) < most {
				list = append(list, api.DeedOf(e))
			}
			before = e.Serial
		}
		if len(entries) < page {
			break
		}
	}
	return list, nil
}

// printDeeds shows entries, given newest first.
func (t *logTalk) printDeeds(w io.Writer, list []api.Deed) error {
	slices.Reverse(list)
	return printList(&t.hubTalk, w, list, "Nothing is in the log.", "ENTRY\tWHEN\tBY\tHOW\tFROM\tDID\tOUTCOME", func(d api.Deed) []any {
		from := "-"
		if d.From.IsValid() {
			from = d.From.String()
		}
		return []any{d.Serial, moment(d.At), clean(d.By), clean(d.How), from, clean(d.Did), clean(d.Outcome)}
	})
}

func verifyLogCommand() *cobra.Command {
	var t logTalk
	var head string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Tell whether the log of what operators did is as it was written",
		Long: "Verify reads the log from its first entry and tells the first that was changed, removed, put in or\n" +
			"moved; the exit status is 1 then. It prints the head, a hash of all of it. Note that somewhere\n" +
			"else: whoever may write the hub's database can cut off the log's end or make all of it anew, which\n" +
			"only a head from before (--head) shows.",
		Example: "  tocsin log verify\n  tocsin log verify --head $(cat noted)\n  tocsin log verify --folder /srv/restored --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			noted, err := ledger.Hash{}, error(nil)
			if head != "" {
				if noted, err = ledger.ParseHash(head); err != nil {
					return mistake("--head: %v", err)
				}
			}
			w := cmd.OutOrStdout()
			if t.folder == "" {
				return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
					check, err := c.VerifyLog(ctx, head)
					if err != nil {
						return err
					}
					return t.printCheck(w, check)
				})
			}
			return t.offline(cmd.Context(), func(r *sqlite.LedgerReader) error {
				report, err := ledger.Verify(r.Entries(cmd.Context(), 0), noted)
				if err != nil {
					return err
				}
				return t.printCheck(w, api.CheckOf(report, noted))
			})
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "head that was noted before: it must still be in the log")
	t.flags(cmd)
	return cmd
}

// printCheck tells what was found; a log that is not good is an error.
func (t *logTalk) printCheck(w io.Writer, c api.LogCheck) error {
	err := t.print(w, c, func() error {
		if !c.Good {
			return nil
		}
		fmt.Fprintf(w, "The log is as it was written. Entries: %d.\nhead %s\n", c.Entries, c.Head)
		if c.NotedAt > 0 {
			fmt.Fprintf(w, "The head that was noted is that of entry %d.\n", c.NotedAt)
		}
		return nil
	})
	if err != nil || c.Good {
		return err
	}
	if c.BrokenAt == 0 {
		return errors.New(clean(c.Why))
	}
	return fmt.Errorf("the log was changed: %s; %d before it hold, and what comes after cannot be trusted", clean(c.Why), c.Entries)
}
