//go:build !small

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/bulletin"
)

// noticeFlags are those of tocsin compromise notice.
type noticeFlags struct {
	hubTalk
	owner    string
	language string
	folder   string
	public   bool
	approve  bool
	yes      bool
}

func noticeCommand() *cobra.Command {
	var f noticeFlags
	cmd := &cobra.Command{
		Use:   "notice",
		Short: "Read what owners and everybody are told, approve it, and write what is approved to files",
		Long: "Notice prints one letter for each owner (attacked? entered? what to do now) and the public bulletin,\n" +
			"in English and French, and whether somebody approved it. --approve shows each text that nobody\n" +
			"approved, asks, and approves exactly what was shown: once it changes, it has to be approved again.\n" +
			"--out writes approved texts into a folder, as plain text and as Markdown, and nothing else.",
		Example: "  tocsin compromise notice --owner ada --language fr\n  tocsin compromise notice --public --approve\n" +
			"  tocsin compromise notice --out letters",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.owner, "owner", "", "only the letter to this owner (default all, and the bulletin)")
	cmd.Flags().BoolVar(&f.public, "public", false, "only the public bulletin")
	cmd.Flags().StringVar(&f.language, "language", "", "only in this language: en or fr")
	cmd.Flags().StringVar(&f.folder, "out", "", "write approved texts into this folder")
	cmd.Flags().BoolVar(&f.approve, "approve", false, "approve texts, one by one")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "with --approve: without asking; somebody read them")
	f.flags(cmd)
	return cmd
}

func (f *noticeFlags) run(cmd *cobra.Command) error {
	switch {
	case f.public && f.owner != "":
		return mistake("--public and --owner: say one of them")
	case f.yes && !f.approve:
		return mistake("--yes means nothing without --approve")
	case f.language != "" && !slices.Contains(bulletin.Languages(), bulletin.Language(f.language)):
		return mistake("--language %q: write en or fr", f.language)
	}
	return f.ask(cmd, func(ctx context.Context, c *api.Client) error {
		var list []api.Notice
		for n, err := range c.Notices(ctx, tocsin.OwnerID(f.owner), bulletin.Language(f.language)) {
			if err != nil {
				return err
			}
			if !f.public || n.Kind == bulletin.Public {
				list = append(list, n)
			}
		}
		if f.approve {
			if err := f.approveAll(ctx, cmd, c, list); err != nil {
				return err
			}
		}
		if f.folder != "" {
			return f.write(cmd, list)
		}
		return f.printAll(cmd.OutOrStdout(), list)
	})
}

func (f *noticeFlags) printAll(w io.Writer, list []api.Notice) error {
	if f.json {
		enc := json.NewEncoder(w)
		for _, n := range list {
			if err := enc.Encode(n); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "There is no text: look at --owner and --language.")
	}
	for i, n := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "--- %s: %s\n", titleOf(n), readiness(n))
		if !f.approve || f.yes { // otherwise they were shown before they were asked about
			printNotice(w, n)
		}
	}
	return nil
}

// titleOf says which text n is.
func titleOf(n api.Notice) string {
	if n.Kind == bulletin.Public {
		return "to everybody, " + safe(string(n.Language))
	}
	return "to " + safe(n.To) + ", " + safe(string(n.Language))
}

// readiness says whether n may be sent. What the hub says of that is looked at
// again.
func readiness(n api.Notice) string {
	err := n.Text.Ready()
	switch {
	case err == nil:
		return fmt.Sprintf("approved by %s at %s", safe(n.Approval.By), moment(n.Approval.At))
	case errors.Is(err, bulletin.ErrChanged):
		return "changed after it was approved: not approved"
	}
	return "not approved"
}

func printNotice(w io.Writer, n api.Notice) {
	fmt.Fprintf(w, "Subject: %s\n\n%s\n", safe(n.Subject), strings.TrimRight(safeText(n.Plain), "\n"))
	warnHidden(w, n.Subject, n.Plain)
}

// approveAll asks about each text that is not approved, and puts the answer of the
// hub into list.
func (f *noticeFlags) approveAll(ctx context.Context, cmd *cobra.Command, c *api.Client, list []api.Notice) error {
	done, refused := 0, 0
	for i, n := range list {
		if n.Text.Ready() == nil {
			continue
		}
		agreed := f.yes
		if !agreed {
			var err error
			agreed, err = asked(cmd, "Approve this text?", "read the texts", func(w io.Writer) {
				fmt.Fprintf(w, "--- %s\n", titleOf(n))
				printNotice(w, n)
				fmt.Fprintln(w)
			})
			if err != nil {
				return err
			}
		}
		if !agreed {
			refused++
			continue
		}
		approved, err := c.ApproveNotice(ctx, n.Text.Digest()) // of what was shown, whatever the hub calls it
		if err != nil {
			return fmt.Errorf("%s: %w", titleOf(n), err)
		}
		list[i], done = approved, done+1
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s approved, %d not.\n", count(done, "text"), refused)
	return nil
}

// write puts approved texts into files, and says which are not approved.
func (f *noticeFlags) write(cmd *cobra.Command, list []api.Notice) error {
	if err := os.MkdirAll(f.folder, 0o700); err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	enc := json.NewEncoder(w)
	written := 0
	for _, n := range list {
		if n.Text.Ready() != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, and not written\n", titleOf(n), readiness(n))
			continue
		}
		name := filepath.Join(f.folder, fileOf(n))
		plain := "Subject: " + n.Subject + "\n\n" + n.Plain
		if err := errors.Join(replace(name+".txt", 0o600, []byte(plain)), replace(name+".md", 0o600, []byte(n.Markdown))); err != nil {
			return err
		}
		written++
		if f.json {
			if err := enc.Encode(map[string]string{"to": n.To, "language": string(n.Language), "file": name + ".txt", "markdown": name + ".md"}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s: %s.txt, %[2]s.md\n", titleOf(n), name)
	}
	if written == 0 {
		return errors.New("no text is approved, so none was written: approve them with --approve")
	}
	return nil
}

// fileOf names the file of a text. The owner's name may hold anything; the digest
// keeps those apart that look alike.
func fileOf(n api.Notice) string {
	owner := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, n.To)
	digest := n.Text.Digest()
	if n.Kind == bulletin.Public {
		return fmt.Sprintf("bulletin-%s-%x", n.Language, digest[:4])
	}
	return fmt.Sprintf("letter-%.40s-%s-%x", owner, n.Language, digest[:4])
}

func notifyCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Send a test to everybody whom the hub notifies, and say who could not be reached",
		Long: "Notify sends a test by every mail address and webhook that the hub's configuration names. Do it once\n" +
			"after every change of them: on the day of an attack it is too late.",
		Example: "  tocsin hub notify",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				if err := c.TestNotifications(ctx); err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, map[string]bool{"sent": true}, func() error {
					_, err := fmt.Fprintln(w, "A test went to every recipient. Ask them whether it arrived.")
					return err
				})
			})
		},
	}
	t.flags(cmd)
	return cmd
}
