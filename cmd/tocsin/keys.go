package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/internal/durable"
	"github.com/tocsin-io/tocsin/keys"
	"github.com/tocsin-io/tocsin/ruleset"
)

func keysCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Tell which keys sign the hub's rules, and change them",
		Long: "Keys tells which keys sign the rules that devices accept, and who decides about them. A new hub\n" +
			"decides alone: whoever takes it over can sign for it for ever. tocsin keys offline moves that to\n" +
			"keys kept on other machines; then every change waits until enough of them signed it.",
		Example: "  tocsin keys\n  tocsin keys rotate\n  tocsin keys revoke 0123456789abcdef",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				s, err := c.Keys(ctx)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				return t.print(w, s, func() error { return printKeys(w, s) })
			})
		},
	}
	t.flags(cmd)
	cmd.AddCommand(rotateCommand(), revokeKeyCommand(), recoverCommand(), offlineCommand(), pendingCommand(), signCommand(), applyCommand())
	return cmd
}

func printKeys(w io.Writer, s api.KeyStatus) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "SIGNING KEY\tFROM\tUNTIL\tSIGNS NOW")
	for _, k := range s.Signing {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", k.ID, day(k.From), day(k.Until), map[bool]string{true: "yes", false: "-"}[k.Signs])
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	where := "on other machines"
	if s.Root.OnHub {
		where = "on the hub"
	}
	verb := "decide"
	if s.Root.Threshold == 1 {
		verb = "decides"
	}
	fmt.Fprintf(w, "\nroot      version %d, until %s; %d of %s %s, %s\n", s.Root.Version, day(s.Root.Until), s.Root.Threshold, count(len(s.Root.Keys), "key"), verb, where)
	for _, k := range s.Root.Keys {
		fmt.Fprintf(w, "          %s\n", clean(k))
	}
	for class, l := range s.Limits {
		fmt.Fprintf(w, "limits    %s: %s, %d new in an hour\n", clean(class), count(l.Entries, "block"), l.Growth)
	}
	if s.Request != nil {
		fmt.Fprintln(w, "\nA change waits for signatures:")
		printPending(w, s.Pending)
	}
	for _, warning := range []string{s.Due.Sentence, s.Warning} {
		if warning != "" {
			fmt.Fprintf(w, "warning: %s\n", clean(warning))
		}
	}
	return nil
}

func day(t time.Time) string { return t.Local().Format(time.DateOnly) }

func printPending(w io.Writer, lines []string) {
	for _, l := range lines {
		fmt.Fprintln(w, "  "+clean(l))
	}
}

// change has the hub change its keys, and says what happens next.
func (t *hubTalk) change(cmd *cobra.Command, k api.KeyChange, done string) error {
	return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
		s, err := c.ChangeKeys(ctx, k)
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		return t.print(w, s, func() error {
			if s.Request == nil {
				_, err := fmt.Fprintln(w, done)
				return err
			}
			fmt.Fprintln(w, "Nothing changed yet: keys of other machines must sign first.")
			printPending(w, s.Pending)
			_, err := fmt.Fprintln(w, "Next: tocsin keys pending --output request.json, carry the file to those machines,\n"+
				"tocsin keys sign there, and here tocsin keys apply with what came back.")
			return err
		})
	})
}

// changing returns a command that has the hub change its keys.
func changing(use, short, long, done string, deed api.KeyDeed) *cobra.Command {
	var t hubTalk
	name, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		Example: "  tocsin keys " + name,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.change(cmd, api.KeyChange{Do: deed}, done) },
	}
	t.flags(cmd)
	return cmd
}

func rotateCommand() *cobra.Command {
	return changing("rotate", "List the next signing key beside those that hold",
		"Rotate makes the next signing key. The hub does so by itself in time where its root lies on it.",
		"The next signing key is listed; it signs once devices had a day to hear of it.", api.RotateKey)
}

func recoverCommand() *cobra.Command {
	return changing("recover", "Replace every key that lay on the hub, after somebody had them",
		"Recover replaces every key that was kept on the hub: devices then forget what a thief may have\n"+
			"published for ages to come. Where the root lies on the hub the thief has that, too, and this is a\n"+
			"race with him: better make a new hub and enrol every device anew. Rebuild the machine first.",
		"Every key of the hub is replaced; devices follow within a day.", api.RecoverKeys)
}

func revokeKeyCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "revoke KEYID",
		Short:   "List a signing key no longer, because it was stolen, and a new one in its place",
		Example: "  tocsin keys revoke 0123456789abcdef",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id ruleset.KeyID
			if err := id.UnmarshalText([]byte(args[0])); err != nil {
				return mistake("%q is not the ID of a signing key: tocsin keys lists them", args[0])
			}
			return t.change(cmd, api.KeyChange{Do: api.RevokeKey, Key: id},
				"The key is listed no longer, and a new one is in its place; devices follow within a day.")
		},
	}
	t.flags(cmd)
	return cmd
}

func pendingCommand() *cobra.Command {
	var t hubTalk
	var output string
	cmd := &cobra.Command{
		Use:   "pending",
		Short: "Tell what waits for signatures, and write the request to carry",
		Example: "  tocsin keys pending\n  tocsin keys pending --output request.json\n" +
			"  tocsin keys sign request.json --key ada.key      # on the machine of the key\n  tocsin keys apply request.json                   # here",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *api.Client) error {
				s, err := c.Keys(ctx)
				if err != nil {
					return err
				}
				return t.pending(cmd.OutOrStdout(), s, output)
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the request into this file")
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) pending(w io.Writer, s api.KeyStatus, output string) error {
	if s.Request == nil {
		if output != "" {
			return errors.New("nothing waits for signatures: there is no request to write")
		}
		return t.print(w, s, func() error { _, err := fmt.Fprintln(w, "Nothing waits for signatures."); return err })
	}
	if output != "" {
		if err := writeNew(output, 0o644, s.Request); err != nil {
			return err
		}
	}
	return t.print(w, s, func() error {
		printPending(w, s.Pending)
		if output != "" {
			fmt.Fprintf(w, "%s holds the request. Carry it to the machines of the keys: tocsin keys sign %[1]s --key FILE\n", output)
			return nil
		}
		_, err := fmt.Fprintln(w, "Write the request to carry with --output FILE.")
		return err
	})
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, perm os.FileMode, data []byte) error {
	if err := free(name); err != nil {
		return err
	}
	return replace(name, perm, data)
}

func replace(name string, perm os.FileMode, data []byte) error {
	return durable.WriteFile(name, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func applyCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "apply FILE...",
		Short: "Make the change that was signed on other machines",
		Long: "Apply hands the hub the request as it came back from the machines that signed: one file that went\n" +
			"from one to the next, or a copy from each.",
		Example: "  tocsin keys apply request.json\n  tocsin keys apply from-ada.json from-bob.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			k := api.KeyChange{Do: api.ApplyKeys}
			for _, name := range args {
				_, b, err := readRequest(name)
				if err != nil {
					return err
				}
				k.Signed = append(k.Signed, b)
			}
			return t.change(cmd, k, "The change is made; devices follow within a day.")
		},
	}
	t.flags(cmd)
	return cmd
}

func readRequest(name string) (*keys.Request, []byte, error) {
	b, err := readFile(name, keys.MaxSigning)
	if err != nil {
		return nil, nil, err
	}
	r, err := keys.ParseRequest(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, b, nil
}
