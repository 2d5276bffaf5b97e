package api

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/reference anew")

// TestReference holds docs/reference/api.md to the routes and to what the document
// says of them. make docs writes it anew.
func TestReference(t *testing.T) {
	const path = "../docs/reference/api.md"
	text := reference(t)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(have), text); diff != "" {
		t.Errorf("%s is not what the hub serves: run make docs, and commit it (-file +code):\n%s", path, diff)
	}
}

const referenceHead = `# The API of a hub

Everything that a hub answers, on its TLS port (7443) and on its socket. Fields, bounds and errors of each route are in the
OpenAPI document, which the hub serves at ` + "`/openapi.json`" + `.

` + "```sh" + `
sudo tocsin hub authority > hub.pem
sudo tocsin hub access add reporting --role viewer --for 90d     # prints a token, once
curl --cacert hub.pem -H "Authorization: Bearer $TOKEN" https://hub.example.net:7443/v1/status
sudo curl --unix-socket /var/lib/tocsin-hub/hub.sock http://hub/v1/status
` + "```" + `

* Every error is ` + "`" + `{"error": "one sentence that says what to do"}` + "`" + `.
* A role may do what the one before may: viewer, analyst, admin. Root over the socket is admin.
* Bodies, pages and rates are bounded; what is too much gets 413 or 429 with ` + "`Retry-After`" + `.
* Fields are only added.
`

// describing is what the page takes from the document.
type describing struct {
	Paths map[string]map[string]struct{ Summary string }
}

// reference writes the page.
func reference(t *testing.T) string {
	var doc describing
	if err := json.Unmarshal(Document, &doc); err != nil {
		t.Fatal(err)
	}
	routes := new(API).routes()
	slices.SortStableFunc(routes, func(a, b route) int {
		_, left, _ := strings.Cut(a.pattern, " ")
		_, right, _ := strings.Cut(b.pattern, " ")
		return cmp.Compare(left, right)
	})
	var b strings.Builder
	b.WriteString(referenceHead)
	table := func(title string, which func(who) bool) {
		fmt.Fprintf(&b, "\n## %s\n\n| route | role | does |\n|---|---|---|\n", title)
		for _, r := range routes {
			if method, path, _ := strings.Cut(r.pattern, " "); which(r.who) {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.pattern, roleName(r.who), doc.Paths[path][strings.ToLower(method)].Summary)
			}
		}
	}
	table("For people and programs", func(w who) bool { return w >= viewer })
	table("For devices", func(w who) bool { return w == device || w == renewing })
	table("For anybody", func(w who) bool { return w == anybody })
	return b.String()
}

func roleName(w who) string {
	switch w {
	case anybody:
		return "none"
	case device, renewing:
		return "device"
	}
	return string(roleOf(w))
}
