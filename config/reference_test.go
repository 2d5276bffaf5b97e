package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReference holds docs/reference to the tables of settings: every key, its
// default, its meaning. make docs writes it anew.
func TestReference(t *testing.T) {
	guard, hub := Default(), DefaultHub()
	for file, text := range map[string]string{
		"guard.toml.md": guardFile.reference(&guard, guardHead),
		"hub.toml.md":   hubFile.reference(&hub, hubHead),
	} {
		path := "../docs/reference/" + file
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
			t.Errorf("%s is not what the code says: run make docs, and commit it (-file +code):\n%s", path, diff)
		}
	}
}

const guardHead = `# guard.toml

Every key of the guard's configuration file, ` + "`/etc/tocsin/guard.toml`" + `, with its default. The guard needs no file: a key that is
missing has its default. An unknown key is a mistake, and all mistakes are told at once, with their lines.

` + "```sh" + `
tocsin guard --print-config          # a file with every key, commented out
tocsin guard --check                 # find every mistake
sudo systemctl reload tocsin-guard   # take it; the log names what waits for a restart
` + "```" + `

Times are written "90s", "10m", "24h" or "7d".
`

const hubHead = `# hub.toml

Every key of the hub's configuration file, ` + "`/etc/tocsin/hub.toml`" + `, with its default. The hub needs no file: a key that is missing has
its default. An unknown key is a mistake, and all mistakes are told at once, with their lines.

` + "```sh" + `
tocsin hub --print-config            # a file with every key, commented out
tocsin hub --check                   # find every mistake
sudo systemctl restart tocsin-hub    # take it; devices come back by themselves
` + "```" + `

Times are written "90s", "10m", "24h" or "7d". What is told whom: [notifications](../notifications.md). What the policy
means: [quorum](../quorum.md).
`

// reference writes a page with every key.
func (s *schema[C]) reference(c *C, head string) string {
	var b strings.Builder
	b.WriteString(head)
	const row = "| `%s` | %s | %s |\n"
	table := ""
	for _, one := range s.settings {
		t, key, _ := strings.Cut(one.key, ".")
		if t != table {
			table = t
			fmt.Fprintf(&b, "\n## [%s]\n\n| key | default | meaning |\n|---|---|---|\n", t)
		}
		fmt.Fprintf(&b, row, key, short(literal(one.at(c))), cell(one.doc))
	}
	s.item(c, 0)
	fmt.Fprintf(&b, "\n## [[%s]]\n\nA list: write the table once for each.\n\n| key | default | meaning |\n|---|---|---|\n", s.list)
	for _, one := range s.keys {
		fmt.Fprintf(&b, row, one.key, short(literal(one.at(c))), cell(one.doc))
	}
	return b.String()
}

// short writes a default; of a long list the beginning is enough.
func short(value string) string {
	const most = 60
	if len(value) <= most || !strings.HasPrefix(value, "[") {
		return "`" + value + "`"
	}
	cut := strings.LastIndex(value[:most], ", ")
	return fmt.Sprintf("`%s, …]` (%d in all)", value[:cut], strings.Count(value, ", ")+1)
}

// cell escapes what would end a cell of a table, or begin a link.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "[[", `\[\[`, "[", `\[`, "<", `\<`).Replace(s)
}

// TestEveryKeyHasAMeaning: an empty one would be an empty cell of the reference.
func TestEveryKeyHasAMeaning(t *testing.T) {
	for _, s := range append(settings, logKeys...) {
		if s.doc == "" {
			t.Errorf("%s: say what it is", s.key)
		}
	}
	for _, s := range append(hubSettings, append(incidentSettings, recipientKeys...)...) {
		if s.doc == "" {
			t.Errorf("%s: say what it is", s.key)
		}
	}
}
