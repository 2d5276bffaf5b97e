package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tocsin-io/tocsin/api"
	"github.com/tocsin-io/tocsin/keys"
)

func offlineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "offline",
		Short: "Make keys on other machines, and have them decide which keys sign",
		Long: "Three keys on three machines that are not the hub, of which two must agree: make one on each with\n" +
			"new, name all three to the hub with move, have two of them sign, and apply. From then on whoever\n" +
			"takes over the hub can be shut out again.",
		Example: "  tocsin keys offline new ada.key                  # on each of three machines\n" +
			"  tocsin keys offline move tocsin-root1.A... tocsin-root1.B... tocsin-root1.C... --threshold 2\n" +
			"  tocsin keys pending --output request.json\n" +
			"  tocsin keys sign request.json --key ada.key      # on two of them\n" +
			"  tocsin keys apply request.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return mistake("say new or move") },
	}
	cmd.AddCommand(newKeyCommand(), moveCommand())
	return cmd
}

func newKeyCommand() *cobra.Command {
	var pass passphrase
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "new FILE",
		Short: "Make a key that is kept on this machine, under a passphrase",
		Long: "New makes a key for a machine that is not the hub, and writes it, encrypted, into a file. What it\n" +
			"prints is public: carry it to the hub.",
		Example: "  tocsin keys offline new ada.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := free(args[0]); err != nil {
				return err
			}
			secret, err := pass.choose(cmd)
			if err != nil {
				return err
			}
			k, err := keys.NewOfflineKey()
			if err != nil {
				return err
			}
			b, err := k.Encrypt(secret)
			if err != nil {
				return err
			}
			if err := writeNew(args[0], 0o600, b); err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			public := k.Public()
			if asJSON {
				return json.NewEncoder(w).Encode(map[string]string{"file": args[0], "public": public.Text(), "fingerprint": public.Fingerprint()})
			}
			_, err = fmt.Fprintf(w, "%s\n\nThis is the public half; carry it to the hub. Note its fingerprint, to compare when it signs: %s\n"+
				"%s holds the key; without the passphrase it is worth nothing. Keep a copy of it, and not on the hub.\n",
				public.Text(), public.Fingerprint(), args[0])
			return err
		},
	}
	pass.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func moveCommand() *cobra.Command {
	var t hubTalk
	var threshold int
	cmd := &cobra.Command{
		Use:   "move PUBLIC...",
		Short: "Have these keys decide from now on, and no longer the hub or those before",
		Long: "Move asks that root and list of signing keys be decided by keys of other machines. Enough of the\n" +
			"new keys must sign, and of the ones that decided before. Then the hub's own root key is erased.",
		Example: "  tocsin keys offline move tocsin-root1.A... tocsin-root1.B... tocsin-root1.C... --threshold 2",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				if _, err := keys.ParsePublicKey(a); err != nil {
					return usageError{err}
				}
			}
			if threshold < 1 || threshold > len(args) {
				return mistake("--threshold %d: write how many of the %s must sign, usually 2 of 3", threshold, count(len(args), "key"))
			}
			return t.change(cmd, api.KeyChange{Do: api.MoveRoot, Root: args, Threshold: threshold}, "These keys decide from now on; devices follow within a day.")
		},
	}
	cmd.Flags().IntVar(&threshold, "threshold", 2, "how many of the keys must sign")
	t.flags(cmd)
	return cmd
}

// signFlags are those of tocsin keys sign.
type signFlags struct {
	key    string
	output string
	yes    bool
	json   bool
	pass   passphrase
}

func signCommand() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign REQUEST --key FILE",
		Short: "Sign a request with the key of this machine",
		Long: "Sign shows what a request would change, asks, and adds the signature of this machine's key to the\n" +
			"file. It needs no hub. Compare the fingerprints with those noted when the keys were made.",
		Example: "  tocsin keys sign request.json --key ada.key\n  tocsin keys sign request.json --key ada.key --output from-ada.json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.key, "key", "", "file of the key, as tocsin keys offline new made it")
	cmd.Flags().StringVarP(&f.output, "output", "o", "", "write the signed request into this file (default the same)")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "sign without asking: somebody read what it changes")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	f.pass.flags(cmd)
	return cmd
}

func (f *signFlags) run(cmd *cobra.Command, name string) error {
	if f.key == "" {
		return mistake("with which key? say --key FILE")
	}
	file, err := readFile(f.key, keys.MaxSigning)
	if err != nil {
		return err
	}
	r, _, err := readRequest(name)
	if err != nil {
		return err
	}
	if f.output != "" {
		if err := free(f.output); err != nil {
			return err
		}
	}
	if err := f.agree(cmd, r); err != nil {
		return err
	}
	secret, err := f.pass.enter(cmd)
	if err != nil {
		return err
	}
	k, err := keys.OpenOfflineKey(file, secret)
	if err != nil {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	if err := r.Sign(k); err != nil {
		return err
	}
	text, err := r.Text()
	if err != nil {
		return err
	}
	to := name
	if f.output != "" {
		to = f.output
	}
	if err := replace(to, 0o644, text); err != nil {
		return err
	}
	missing := r.Complete()
	w := cmd.OutOrStdout()
	if f.json {
		return json.NewEncoder(w).Encode(map[string]any{"file": to, "complete": missing == nil, "changes": r.Lines()})
	}
	next := "Enough have signed: carry it to the hub, and there tocsin keys apply " + to
	if missing != nil {
		next = "More must sign: carry it to the next machine, or to the hub together with the others' copies."
	}
	_, err = fmt.Fprintf(w, "%s is signed by %s. %s\n", to, k.Public().Fingerprint(), next)
	return err
}

// agree shows what is to be signed, and has the person agree.
func (f *signFlags) agree(cmd *cobra.Command, r *keys.Request) error {
	if f.yes {
		return nil
	}
	agreed, err := asked(cmd, "Sign this?", "read the request", func(w io.Writer) { printPending(w, r.Lines()) })
	if err == nil && !agreed {
		err = errors.New("not signed")
	}
	return err
}

// asked shows something to the person at the terminal, and asks. Without one it
// tells to do there what is to be done, such as "read the request".
func asked(cmd *cobra.Command, question, do string, show func(io.Writer)) (bool, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return false, fmt.Errorf("nobody is there to agree: %s at a terminal, or say --yes", do)
	}
	w := cmd.ErrOrStderr()
	show(w)
	fmt.Fprint(w, question+" Type yes: ")
	answer, err := readLine(in)
	return strings.EqualFold(strings.TrimSpace(answer), "yes"), err
}

// readLine reads up to the end of a line, and nothing beyond it.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 1<<10; {
		n, err := r.Read(b)
		if n > 0 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if err == io.EOF && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
	return string(line), nil
}

// A passphrase comes from the terminal or from a file, never from the command
// line, where others of the machine see it.
type passphrase struct{ file string }

func (p *passphrase) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "file with the passphrase (default: asked for)")
}

// choose asks for a new passphrase, twice.
func (p *passphrase) choose(cmd *cobra.Command) ([]byte, error) {
	if p.file != "" {
		return p.read()
	}
	one, err := p.ask(cmd, fmt.Sprintf("New passphrase, at least %d characters: ", keys.MinPassphrase))
	if err != nil {
		return nil, err
	}
	if len(one) < keys.MinPassphrase {
		return nil, fmt.Errorf("passphrase: at least %d characters", keys.MinPassphrase)
	}
	two, err := p.ask(cmd, "Once more: ")
	if err == nil && !bytes.Equal(one, two) {
		err = errors.New("the two passphrases differ: try again")
	}
	return one, err
}

// enter asks for the passphrase of a key.
func (p *passphrase) enter(cmd *cobra.Command) ([]byte, error) {
	if p.file != "" {
		return p.read()
	}
	return p.ask(cmd, "Passphrase: ")
}

func (p *passphrase) read() ([]byte, error) {
	b, err := readFile(p.file, 1<<10)
	if err != nil {
		return nil, fmt.Errorf("--passphrase-file: %w", err)
	}
	return bytes.TrimRight(b, "\r\n"), nil
}

func (p *passphrase) ask(cmd *cobra.Command, words string) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, errors.New("nobody is there to ask for the passphrase: use a terminal, or --passphrase-file")
	}
	fmt.Fprint(cmd.ErrOrStderr(), words)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return b, err
}
