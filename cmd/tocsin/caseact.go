//go:build !small

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/takedown"
)

// approveFlags are those of tocsin case approve.
type approveFlags struct {
	hubTalk
	wish    api.DraftWish
	rewrite bool
	yes     bool
}

func approveCaseCommand() *cobra.Command {
	var f approveFlags
	cmd := &cobra.Command{
		Use:   "approve ID",
		Short: "Read the whole mail of a case, and agree to it word by word",
		Long: "Approve shows the mail with its recipient, asks, and approves exactly what was shown. The hub writes\n" +
			"it the first time; later the one that stands is shown, so that a second person approves the same.\n" +
			"--rewrite, --language and --to have it written anew: what was approved before counts no longer. A\n" +
			"controller takes a second person, or where one person runs the hub alone the same after 30 minutes.",
		Example: "  tocsin case approve TC-20231014-7F3K2Q9M\n  tocsin case approve TC-20231014-7F3K2Q9M --language fr\n" +
			"  tocsin case approve TC-20231014-7F3K2Q9M --to abuse@upstream.example",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := caseID(args[0])
			if err != nil {
				return err
			}
			if l := f.wish.Language; l != "" && !slices.Contains([]string{"en", "fr", "de"}, l) {
				return mistake("--language %q: write en, fr or de", l)
			}
			return f.run(cmd, id)
		},
	}
	cmd.Flags().StringVar(&f.wish.Language, "language", "", "write the mail in en, fr or de (default the hub's)")
	cmd.Flags().StringVar(&f.wish.To, "to", "", "write the mail to this address (default the contact that was found)")
	cmd.Flags().BoolVar(&f.rewrite, "rewrite", false, "write the mail anew, from what is known now")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "approve without asking: somebody read it")
	f.flags(cmd)
	return cmd
}

func (f *approveFlags) run(cmd *cobra.Command, id takedown.ID) error {
	return f.file(cmd, func(ctx context.Context, c *api.Client) (none api.CaseFile, err error) {
		f.wish.Keep = !f.rewrite && f.wish.Language == "" && f.wish.To == ""
		file, err := c.DraftCase(ctx, id, f.wish)
		if err != nil {
			return none, err
		}
		if file.Draft == nil {
			return none, fmt.Errorf("the hub wrote no mail for %s: look at tocsin case show %[1]s", id)
		}
		d := *file.Draft
		if f.yes {
			printMail(cmd.ErrOrStderr(), d)
		} else {
			agreed, err := asked(cmd, "Approve this mail?", "read the mail", func(w io.Writer) {
				printMail(w, d)
				fmt.Fprintln(w)
			})
			if err != nil {
				return none, err
			}
			if !agreed {
				return none, errors.New("not approved")
			}
		}
		return c.ApproveCase(ctx, id, d.Digest)
	}, func(w io.Writer, file api.CaseFile) error {
		_, err := fmt.Fprintf(w, "The mail of %s to %s is %s.\n%s", id, recipient(file), approvalOf(file), nextAfter(file))
		return err
	})
}

func recipient(f api.CaseFile) string {
	if f.Draft == nil {
		return "nobody"
	}
	return safe(f.Draft.Letter.To)
}

func nextAfter(f api.CaseFile) string {
	if f.Draft == nil || !f.Draft.Approved {
		return ""
	}
	return fmt.Sprintf("Next: tocsin case send %s\n", f.Case.ID)
}

func sendCaseCommand() *cobra.Command {
	var t hubTalk
	var wish api.SendWish
	cmd := &cobra.Command{
		Use:   "send ID",
		Short: "Send the mail that was approved, or note that you sent it",
		Long: "Send has the hub mail what was approved, and the clock begins. --by-hand sends nothing: it notes that\n" +
			"you sent that text yourself, or filled in the provider's form. One mail a day goes to one provider\n" +
			"about one source.",
		Example: "  tocsin case send TC-20231014-7F3K2Q9M\n  tocsin case send TC-20231014-7F3K2Q9M --by-hand",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := caseID(args[0])
			if err != nil {
				return err
			}
			return t.file(cmd, func(ctx context.Context, c *api.Client) (api.CaseFile, error) { return c.SendCase(ctx, id, wish) },
				func(w io.Writer, f api.CaseFile) error {
					if n := len(f.Case.Mails); n > 0 {
						fmt.Fprintf(w, "%s: %s.\n", id, mailLine(f.Case.Mails[n-1]))
					}
					return tellClock(w, f)
				})
		},
	}
	cmd.Flags().BoolVar(&wish.ByHand, "by-hand", false, "you sent it yourself, or filled in the provider's form")
	t.flags(cmd)
	return cmd
}

// tellClock says in one line how a case stands.
func tellClock(w io.Writer, f api.CaseFile) error {
	line := fmt.Sprintf("%s is %s.", f.Case.ID, f.Case.State)
	if !f.Clock.Sent.IsZero() {
		line += fmt.Sprintf(" Clock: %s of 48h, %s.", span(f.Clock.Elapsed), f.Clock.Verdict)
	}
	if len(f.Clock.Due) > 0 {
		line += " Due: " + strings.Join(stepWords(f.Clock.Due), ", ") + "."
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// An actHelp says what a command does with a case by one word.
type actHelp struct {
	act         takedown.Act
	short, long string
	mustWhy     bool
}

// actCommands are those that do something with a case by one word.
func actCommands() []*cobra.Command {
	list := []*cobra.Command{noteCommand(), escalateCommand()}
	for _, h := range []actHelp{
		{takedown.Close, "End a case", "Close ends a case. One that the fleet did not see go down takes a reason.", false},
		{takedown.Reject, "Give a case up, with a reason", "Reject gives a case up: it was a mistake, or nobody can be asked.", true},
		{takedown.Acknowledge, "Note that the provider answered", "Acknowledge notes that the provider answered, by telephone for example. Mails are better handed in whole: tocsin case answer.", false},
		{takedown.TakeAction, "Note that the provider says it acted", "Action notes that the provider says it acted. The case is down once devices of the fleet see no contact any more.", false},
	} {
		list = append(list, actCommand(h))
	}
	return list
}

func actCommand(h actHelp) *cobra.Command {
	var t hubTalk
	var why string
	name := h.act.String()
	cmd := &cobra.Command{
		Use: name + " ID", Short: h.short, Long: h.long,
		Example: "  tocsin case " + name + " TC-20231014-7F3K2Q9M --why 'they called back'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if h.mustWhy && strings.TrimSpace(why) == "" {
				return mistake("why? say --why, for whoever reads the case later")
			}
			return t.act(cmd, args[0], api.CaseAct{Act: h.act, Why: takedown.OneLine(why, takedown.MaxWhy)})
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "why, for whoever reads the case later")
	t.flags(cmd)
	return cmd
}

func (t *hubTalk) act(cmd *cobra.Command, text string, act api.CaseAct) error {
	id, err := caseID(text)
	if err != nil {
		return err
	}
	return t.file(cmd, func(ctx context.Context, c *api.Client) (api.CaseFile, error) { return c.ActOnCase(ctx, id, act) }, tellClock)
}

func noteCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:     "note ID TEXT...",
		Short:   "Write something down in a case",
		Example: "  tocsin case note TC-20231014-7F3K2Q9M telephoned, they look into it",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			why := takedown.OneLine(strings.Join(args[1:], " "), takedown.MaxWhy)
			if why == "" {
				return mistake("what is to be noted? write it behind the ID")
			}
			return t.act(cmd, args[0], api.CaseAct{Act: takedown.Note, Why: why})
		},
	}
	t.flags(cmd)
	return cmd
}

func escalateCommand() *cobra.Command {
	var t hubTalk
	var why, word string
	cmd := &cobra.Command{
		Use:   "escalate ID --step STEP",
		Short: "Note that you did what the clock proposed: another channel, the upstream, the CERT, the registrar",
		Long: "Escalate notes that a step was taken. Nothing takes it by itself: write to the next one with tocsin\n" +
			"case approve --to ADDRESS and tocsin case send, then note it here. Steps: second-channel, upstream,\n" +
			"national-cert, registrar, benchmark.",
		Example: "  tocsin case escalate TC-20231014-7F3K2Q9M --step second-channel --why 'filled in their form'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var step takedown.Step
			if err := step.UnmarshalText([]byte(word)); err != nil {
				return mistake("--step %w", err)
			}
			return t.act(cmd, args[0], api.CaseAct{Act: takedown.Escalate, Step: step, Why: takedown.OneLine(why, takedown.MaxWhy)})
		},
	}
	cmd.Flags().StringVar(&word, "step", "", "which step: second-channel, upstream, national-cert, registrar or benchmark")
	cmd.Flags().StringVar(&why, "why", "", "what was done, for whoever reads the case later")
	t.flags(cmd)
	return cmd
}

// maxAnswer bounds a letter; the hub takes no more.
const maxAnswer = 10 << 20

func answerCommand() *cobra.Command {
	var t hubTalk
	cmd := &cobra.Command{
		Use:   "answer [FILE]",
		Short: "Hand in a mail that came back: a bounce, or what the provider answered",
		Long: "Answer reads a mail as it came, header and all, from FILE or standard input, and notes it with the case\n" +
			"that it names. An alias of your mail server can do it for every answer.",
		Example: "  tocsin case answer < letter.eml\n  tocsin case answer letter.eml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			letter, err := readLetter(cmd, args)
			if err != nil {
				return err
			}
			return t.file(cmd, func(ctx context.Context, c *api.Client) (api.CaseFile, error) {
				return c.TakeAnswer(ctx, bytes.NewReader(letter))
			},
				func(w io.Writer, f api.CaseFile) error {
					if n := len(f.Case.History); n > 0 {
						e := f.Case.History[n-1]
						fmt.Fprintf(w, "Noted: %s %s\n", e.Act, entryText(e))
					}
					return tellClock(w, f)
				})
		},
	}
	t.flags(cmd)
	return cmd
}

func readLetter(cmd *cobra.Command, args []string) ([]byte, error) {
	if len(args) > 0 && args[0] != "-" {
		return readFile(args[0], maxAnswer)
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		return nil, mistake("the mail is read from standard input: tocsin case answer < letter.eml")
	}
	b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(b) > maxAnswer:
		return nil, fmt.Errorf("the mail is larger than %d bytes: take its attachments out", maxAnswer)
	case len(bytes.TrimSpace(b)) == 0:
		return nil, errors.New("the mail is empty: hand it in as it came, header and all")
	}
	return b, nil
}
