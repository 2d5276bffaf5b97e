//go:build !small

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/reference anew")

// TestReference holds docs/reference/commands.md to the tree of commands. make
// docs writes it anew.
func TestReference(t *testing.T) {
	const path = "../../docs/reference/commands.md"
	text := reference(rootCommand())
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text); diff != "" {
		t.Errorf("%s is not what the program says: run make docs, and commit it (-file +program):\n%s", path, diff)
	}
}

// TestEveryCommandExplainsItself: each that does something has an example, and
// --json, whatever it prints.
func TestEveryCommandExplainsItself(t *testing.T) {
	for _, cmd := range commands(rootCommand()) {
		switch {
		case cmd.Short == "":
			t.Errorf("%s has no word on what it does", cmd.CommandPath())
		case cmd.HasSubCommands():
		case cmd.Example == "":
			t.Errorf("%s has no example", cmd.CommandPath())
		case cmd.Flags().Lookup("json") == nil && cmd.InheritedFlags().Lookup("json") == nil:
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
	}
}

// commands returns every command below cmd, in the order of a help.
func commands(cmd *cobra.Command) (list []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			list = append(append(list, c), commands(c)...)
		}
	}
	return list
}

const referenceHead = `# Commands

Every command, its flags and examples, as ` + "`tocsin COMMAND --help`" + ` tells them. What holds for all of them, and how to ask a
hub from elsewhere: [the command line](../cli.md).

| command | does |
|---|---|
`

// reference writes the page: what there is, then one section a command.
func reference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	all := commands(root)
	for _, cmd := range all {
		path := cmd.CommandPath()
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", path, strings.ReplaceAll(path, " ", "-"), inCell(cmd.Short))
	}
	for _, cmd := range all {
		section(&b, cmd)
	}
	return b.String()
}

func section(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), inCell(strings.TrimSuffix(cmd.Short, ".")))
	if cmd.Long != "" && cmd.Long != cmd.Short {
		fmt.Fprintf(b, "\n%s\n", prose(cmd.Long))
	}
	fmt.Fprintf(b, "\n```sh\n%s\n", cmd.UseLine())
	if cmd.Example != "" {
		b.WriteString("\n")
		for line := range strings.SplitSeq(strings.Trim(cmd.Example, "\n"), "\n") {
			b.WriteString(strings.TrimPrefix(line, "  ") + "\n")
		}
	}
	b.WriteString("```\n")
	flags := ""
	one := func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" && f.Name != "version" {
			flags += flagRow(f)
		}
	}
	cmd.LocalFlags().VisitAll(one)
	cmd.InheritedFlags().VisitAll(one)
	if flags != "" {
		b.WriteString("\n| flag | meaning |\n|---|---|\n" + flags)
	}
}

func flagRow(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	if kind != "" {
		name += " " + kind
	}
	switch f.DefValue {
	case "", "false", "0", "[]", "0s":
	default:
		usage += " (default " + f.DefValue + ")"
	}
	return fmt.Sprintf("| `%s` | %s |\n", name, inCell(usage))
}

// inCell escapes what Markdown would take for itself.
func inCell(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "<", `\<`, "[", `\[`, "`", "").Replace(s)
}

// prose keeps paragraphs, and shows what is set apart by blanks as it is.
func prose(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if text, ok := strings.CutPrefix(line, "  "); ok {
			lines[i] = "    " + text
			continue
		}
		lines[i] = strings.NewReplacer("*", `\*`, "<", `\<`, "[", `\[`).Replace(line)
	}
	return strings.Join(lines, "\n")
}
