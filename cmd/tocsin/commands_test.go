package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// own are what cobra adds.
var own = []string{"completion", "help"}

// TestEveryCommandIsDocumented: each has an example and --json where it prints
// anything, and docs/cli.md names it.
func TestEveryCommandIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	var visit func(path []string)
	visit = func(path []string) {
		var out bytes.Buffer
		if status := Main(t.Context(), append(slices.Clone(path), "--help"), strings.NewReader(""), &out, &out); status != done {
			t.Fatalf("%v --help: status %d", path, status)
		}
		help, name := out.String(), strings.Join(path, " ")
		below := commandsBelow(help)
		if len(path) > 0 && !strings.Contains(string(text), "`tocsin "+name) {
			t.Errorf("docs/cli.md does not tell of tocsin %s", name)
		}
		for _, want := range []string{"Examples:", "--json"} {
			if len(below) == 0 && !strings.Contains(help, want) {
				t.Errorf("tocsin %s --help has no %q", name, want)
			}
		}
		for _, name := range below {
			visit(append(slices.Clone(path), name))
		}
	}
	visit(nil)
}

// commandsBelow reads the names of commands in a help.
func commandsBelow(help string) (names []string) {
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if name := strings.Fields(line); len(name) > 0 && !slices.Contains(own, name[0]) {
			names = append(names, name[0])
		}
	}
	return names
}
