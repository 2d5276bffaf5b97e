package docs

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"
)

// shown serves a page and returns it parsed.
func shown(t *testing.T, l *Library, address string) *html.Node {
	t.Helper()
	rec := httptest.NewRecorder()
	l.ServeHTTP(rec, httptest.NewRequest("GET", Folder+address, nil))
	if rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%s: %d %v", address, rec.Code, rec.Header())
	}
	doc, err := html.Parse(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func each(n *html.Node, visit func(*html.Node)) {
	for c := range n.Descendants() {
		visit(c)
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func library(t *testing.T) *Library {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEveryLinkLeadsSomewhere: between pages, to their parts, to pictures, and to
// the files of the source.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	l := library(t)
	parts := map[string]map[string]bool{}
	for _, address := range l.Pages() {
		parts[address] = map[string]bool{}
		each(shown(t, l, address), func(n *html.Node) {
			if id := attribute(n, "id"); id != "" {
				if parts[address][id] {
					t.Errorf("%s: two parts are called %s", address, id)
				}
				parts[address][id] = true
			}
		})
		if file := l.pages[address].file; file != "" {
			_, _, wrong, err := l.read(file)
			if err != nil || len(wrong) > 0 {
				t.Errorf("docs/%s: %v %v", file, wrong, err)
			}
		}
	}
	for _, address := range l.Pages() {
		each(shown(t, l, address), func(n *html.Node) {
			if to := attribute(n, "href"); n.Data == "a" && !leads(parts, address, to) {
				t.Errorf("%s: %s leads nowhere", address, to)
			}
			if n.Data == "span" && attribute(n, "class") == "file" {
				name := strings.TrimSuffix(strings.TrimPrefix(n.FirstChild.Data, "(in the source: "), ")")
				if _, err := os.Stat(filepath.Join("..", name)); err != nil {
					t.Errorf("%s: %v", address, err)
				}
			}
		})
	}
}

func leads(parts map[string]map[string]bool, from, to string) bool {
	to, part, _ := strings.Cut(to, "#")
	switch {
	case strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "http://"), strings.HasPrefix(to, "mailto:"), to == "/console/":
		return true
	case to == "":
		to = Folder + from
	}
	page, ok := strings.CutPrefix(to, Folder)
	return ok && parts[page] != nil && (part == "" || parts[page][part])
}

// ours is every element of a page, with the attributes that it may have.
var ours = map[string]string{
	"html": "lang", "head": "", "meta": "charset name content", "title": "", "link": "rel href type", "body": "", "header": "",
	"main": "id tabindex", "nav": "id aria-label", "details": "class open", "summary": "",
	"h1": "id", "h2": "id", "h3": "id", "h4": "id", "p": "", "ul": "class", "ol": "start", "li": "", "a": "href class aria-label aria-current",
	"code": "", "pre": "tabindex", "em": "", "strong": "", "blockquote": "", "hr": "", "br": "", "img": "src alt",
	"form": "action role", "input": "type name aria-label placeholder maxlength value",
	"div": "class role aria-label tabindex", "span": "class", "table": "", "thead": "", "tbody": "", "tr": "", "th": "scope", "td": "",
}

// TestEveryPageHoldsOnlyOurMarkup: no script, no style, nothing that runs.
func TestEveryPageHoldsOnlyOurMarkup(t *testing.T) {
	l := library(t)
	for _, address := range l.Pages() {
		checkMarkup(t, address, shown(t, l, address))
	}
}

func checkMarkup(t *testing.T, address string, doc *html.Node) {
	t.Helper()
	headings := 0
	each(doc, func(n *html.Node) {
		if n.Type == html.CommentNode {
			t.Errorf("%s: a comment %q", address, n.Data)
		}
		if n.Type != html.ElementNode {
			return
		}
		allowed, ok := ours[n.Data]
		if !ok {
			t.Errorf("%s: <%s>", address, n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(strings.Fields(allowed), a.Key) {
				t.Errorf("%s: <%s %s=%q>", address, n.Data, a.Key, a.Val)
			}
		}
		if n.Data == "h1" {
			headings++
		}
	})
	if headings != 1 {
		t.Errorf("%s has %d titles, want one", address, headings)
	}
}

// TestHostileSource: whatever a page's source says, it stays text.
func TestHostileSource(t *testing.T) {
	l, err := open(fstest.MapFS{
		"README.md": file("# <script>alert(1)</script> All\n\n## <img src=x onerror=alert(1)>\n\n* [<b>x</b>](a.md): a page\n"),
		"a.md": file("# A\n\n<script>alert(1)</script>\n\nline <b onclick=\"x()\">bold</b> [run](javascript:alert(1)) [data](data:text/html,x)\n\n" +
			"![p](https://192.0.2.1/x.png) <https://example.net/a>\n\n## \"><script>x</script>\n\n```html\"><script>\n<script>x</script>\n```\n\n" +
			"| a <i>b</i> |\n|:-:|\n| <iframe src=x> |\n\n[up](../../etc/passwd) [\"><script>](../x\"><script>)\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "a"} {
		doc := shown(t, l, address)
		checkMarkup(t, address, doc)
		each(doc, func(n *html.Node) {
			for _, key := range []string{"href", "src"} {
				to := strings.ToLower(attribute(n, key))
				if strings.HasPrefix(to, "javascript:") || strings.HasPrefix(to, "data:") || key == "src" && !strings.HasPrefix(to+"/", "/") {
					t.Errorf("%s: %s=%q", address, key, to)
				}
			}
		})
	}
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// TestServing: what browsers are told, and what they need not fetch again.
func TestServing(t *testing.T) {
	l := library(t)
	get := func(address string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", Folder+address, nil)
		if len(header) == 2 {
			r.Header.Set(header[0], header[1])
		}
		rec := httptest.NewRecorder()
		l.ServeHTTP(rec, r)
		return rec
	}
	rec := get("keys")
	tag := rec.Header().Get("ETag")
	if rec.Code != http.StatusOK || tag == "" || rec.Header().Get("Cache-Control") != "no-cache" ||
		rec.Header().Get("Content-Security-Policy") != policy || !strings.Contains(rec.Body.String(), `<html lang="en">`) {
		t.Errorf("keys: %d %v", rec.Code, rec.Header())
	}
	if rec := get("keys", "If-None-Match", tag); rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
		t.Errorf("the same page again: %d", rec.Code)
	}
	if rec := get(l.style); rec.Code != http.StatusOK || !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %v", rec.Code, rec.Header())
	}
	if rec := get("icon.svg"); rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != "image/svg+xml" {
		t.Errorf("icon: %d %v", rec.Code, rec.Header())
	}
	if rec := get("spec/feed.md"); rec.Code != http.StatusMovedPermanently || rec.Header().Get("Location") != Folder+"spec/feed" {
		t.Errorf("a file's name: %d %v", rec.Code, rec.Header())
	}
	for _, missing := range []string{"nothing", "../api", "pictures/none.png", "spec", "docs.go", "%00", "adr/../keys/"} {
		if rec := get(missing); rec.Code != http.StatusNotFound || rec.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%q: %d", missing, rec.Code)
		}
	}
}

// TestSearch: what people look for is found, and what strangers type stays text.
func TestSearch(t *testing.T) {
	l := library(t)
	for asked, want := range map[string]string{
		"locked out pass":       Folder + "start-one-box#5-ten-passes-before-you-need-them",
		"hub backup":            Folder + "reference/commands#tocsin-hub-backup",
		"MOVING root":           Folder + "keys#moving-the-root-to-other-machines",
		"max_user_instances":    Folder + "incident-walkthrough",
		"policy.witness_owners": Folder + "reference/hub.toml#policy",
		"no.such nonsensical":   "",
	} {
		found := l.find(asked)
		at := slices.IndexFunc(found, func(r result) bool { return r.Address == want })
		if want != "" && (at < 0 || at > 4) || want == "" && len(found) > 0 {
			t.Errorf("%q: %v", asked, found)
		}
	}
	for _, asked := range []string{"", "   ", "<script>alert(1)</script>", strings.Repeat("e ", 10_000), "\xff\xfe", "a\x00b", "\"><img src=x>"} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", Folder+searchPage+"?"+url.Values{"q": {asked}}.Encode(), nil)
		l.ServeHTTP(rec, r)
		doc, err := html.Parse(rec.Body)
		if err != nil || rec.Code != http.StatusOK {
			t.Fatal(asked, rec.Code, err)
		}
		checkMarkup(t, "search for "+asked, doc)
	}
	refused := 0
	for range 3 * searchBurst {
		rec := httptest.NewRecorder()
		l.ServeHTTP(rec, httptest.NewRequest("GET", Folder+searchPage+"?q=a", nil))
		if rec.Code == http.StatusTooManyRequests && rec.Header().Get("Retry-After") != "" {
			refused++
		}
	}
	if refused < searchBurst {
		t.Errorf("%d searches of %d at once were refused", refused, 3*searchBurst)
	}
	if n := len(l.find("the")); n != maxResults {
		t.Errorf("%d results, want %d at most", n, maxResults)
	}
}

// TestEveryPageIsInTheContents: whoever looks for a page finds it there.
func TestEveryPageIsInTheContents(t *testing.T) {
	l := library(t)
	listed := map[string]bool{Folder: true}
	for _, g := range l.nav {
		for _, one := range g.Links {
			listed[one.Address] = true
		}
	}
	for _, address := range l.Pages() {
		if !listed[Folder+address] && (address == decisions || !strings.HasPrefix(address, decisions)) {
			t.Errorf("docs/README.md does not list %s", address)
		}
	}
}

// TestFilesOfTheSource holds the links of what is read in the repository only.
func TestFilesOfTheSource(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#([^)]*))?\)`)
	for _, name := range []string{"README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAll(text, nil)
		if name == "README.md" {
			checkPictures(t, string(text))
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target, err := os.ReadFile(filepath.Join("..", m[1]))
			if info, e := os.Stat(filepath.Join("..", m[1])); err != nil && (e != nil || !info.IsDir()) {
				t.Errorf("%s: %v", name, err)
			}
			if m[2] != "" && !slices.Contains(headings(string(target)), m[2]) {
				t.Errorf("%s: %s has no part %s", name, m[1], m[2])
			}
		}
	}
}

// checkPictures: what was taken is shown.
func checkPictures(t *testing.T, readme string) {
	pictures, err := filepath.Glob("pictures/*.png")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		if !strings.Contains(readme, "](docs/"+filepath.ToSlash(p)+")") {
			t.Errorf("README.md does not show docs/%s: take the comment away from around its pictures", p)
		}
	}
}

func headings(text string) (ids []string) {
	for line := range strings.Lines(text) {
		if words := strings.TrimLeft(line, "#"); words != line && strings.HasPrefix(words, " ") {
			ids = append(ids, slug(strings.TrimSpace(words)))
		}
	}
	return ids
}

// TestTheTestsNamedExist: a threat model that names tests which are gone promises
// what nobody holds.
func TestTheTestsNamedExist(t *testing.T) {
	have := map[string]bool{}
	def := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") && path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range def.FindAllStringSubmatch(string(text), -1) {
			have[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
		if !have[m[1]] {
			t.Errorf("threat-model.md names %s, which does not exist", m[1])
		}
	}
}

// TestSlug: parts are called as where the source is looked at.
func TestSlug(t *testing.T) {
	for words, want := range map[string]string{
		"Played live":                    "played-live",
		"What it can't know":             "what-it-cant-know",
		"Clues: POST /v1/clues":          "clues-post-v1clues",
		"tocsin hub access add":          "tocsin-hub-access-add",
		"[hub]":                          "hub",
		"1. Build, and look — carefully": "1-build-and-look--carefully",
	} {
		if got := slug(words); got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
}
