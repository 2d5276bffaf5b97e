package docs

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"path"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	table "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markdown is CommonMark with tables. Raw HTML is left out: a page holds what
// this package writes, whatever its source says.
var markdown = goldmark.New(
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignNone))),
	goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(marks{}, 100))),
)

// read renders a file. It returns the headings of the second level, and what is
// wrong with its links.
func (l *Library) read(file string) (body []byte, parts []link, wrong []string, err error) {
	source, err := fs.ReadFile(l.files, file)
	if err != nil {
		return nil, nil, nil, err
	}
	doc := markdown.Parser().Parse(text.NewReader(source))
	ids := map[string]int{}
	var links []ast.Node
	err = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			words := plain(n, source)
			id := unique(ids, slug(words))
			n.SetAttributeString("id", []byte(id))
			if n.Level == 2 {
				parts = append(parts, link{Title: words, Address: "#" + id})
			}
		case *ast.Link, *ast.Image:
			links = append(links, n)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, nil, nil, err
	}
	for _, n := range links {
		if problem := l.lead(n, file); problem != "" {
			wrong = append(wrong, problem)
		}
	}
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, source, doc); err != nil {
		return nil, nil, nil, err
	}
	return b.Bytes(), parts, wrong, nil
}

// lead has a link of a file lead to a page; what is in the source only becomes
// text.
func (l *Library) lead(n ast.Node, file string) (problem string) {
	if image, ok := n.(*ast.Image); ok {
		name := path.Join(path.Dir(file), string(image.Destination))
		image.Destination = []byte(Folder + name)
		if _, err := fs.Stat(l.files, name); err != nil || path.Ext(name) != ".png" {
			return fmt.Sprintf("no picture %s", name)
		}
		return ""
	}
	to := n.(*ast.Link)
	dest, part, _ := strings.Cut(string(to.Destination), "#")
	switch {
	case strings.HasPrefix(dest, "https://"), strings.HasPrefix(dest, "http://"), strings.HasPrefix(dest, "mailto:"):
		return ""
	case dest == "":
		return ""
	}
	name := path.Join(path.Dir(file), dest)
	if strings.HasPrefix(name, "../") || name == ".." {
		n.Parent().ReplaceChild(n.Parent(), n, elsewhere(to, strings.TrimPrefix(name, "../")))
		return ""
	}
	known := address(name)
	if name == path.Clean(decisions) {
		known = decisions
	}
	if l.pages[known] == nil {
		return fmt.Sprintf("no page %s", to.Destination)
	}
	to.Destination = []byte(Folder + known)
	if part != "" {
		to.Destination = append(to.Destination, "#"+part...)
	}
	return ""
}

// elsewhere returns the words of a link to a file that is no page.
func elsewhere(to *ast.Link, file string) ast.Node {
	away := &sourceFile{name: file}
	for n := to.FirstChild(); n != nil; {
		next := n.NextSibling()
		away.AppendChild(away, n)
		n = next
	}
	return away
}

// A sourceFile stands for a link to a file of the repository that is no page.
type sourceFile struct {
	ast.BaseInline
	name string
}

var kindSourceFile = ast.NewNodeKind("SourceFile")

// Kind tells what node it is.
func (s *sourceFile) Kind() ast.NodeKind { return kindSourceFile }

// Dump writes it for people who look for a fault.
func (s *sourceFile) Dump(source []byte, level int) { ast.DumpHelper(s, source, level, nil, nil) }

// plain returns the words of a node, without marks.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if t, ok := c.(*ast.Text); ok {
			b.Write(t.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
			continue
		}
		b.WriteString(plain(c, source))
	}
	return b.String()
}

// slug makes the name of a heading as people know it from where the source is
// looked at: lower case, blanks to hyphens, no punctuation.
func slug(words string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, words)
}

// unique tells headings with the same words apart.
func unique(seen map[string]int, id string) string {
	n := seen[id]
	seen[id]++
	if n == 0 {
		return id
	}
	return fmt.Sprintf("%s-%d", id, n)
}

// marks renders what goldmark would write otherwise: nothing of raw HTML, an
// anchor for each heading, and what is too wide for a telephone scrolls by itself,
// by keyboard too.
type marks struct{}

// RegisterFuncs says which nodes are rendered here.
func (marks) RegisterFuncs(reg renderer.NodeRendererFuncRegisterer) {
	nothing := func(util.BufWriter, []byte, ast.Node, bool) (ast.WalkStatus, error) { return ast.WalkSkipChildren, nil }
	reg.Register(ast.KindRawHTML, nothing)
	reg.Register(ast.KindHTMLBlock, nothing)
	reg.Register(ast.KindHeading, heading)
	reg.Register(ast.KindCodeBlock, code)
	reg.Register(ast.KindFencedCodeBlock, code)
	reg.Register(table.KindTable, within("<div class=\"wide\" role=\"group\" aria-label=\"Table\" tabindex=\"0\"><table>\n", "</table></div>\n"))
	reg.Register(table.KindTableCell, tableCell)
	reg.Register(kindSourceFile, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			_, _ = w.WriteString(` <span class="file">(in the source: ` + html.EscapeString(n.(*sourceFile).name) + `)</span>`)
		}
		return ast.WalkContinue, nil
	})
}

func within(before, after string) renderer.NodeRendererFunc {
	return func(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			_, _ = w.WriteString(before)
		} else {
			_, _ = w.WriteString(after)
		}
		return ast.WalkContinue, nil
	}
}

func heading(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	h := n.(*ast.Heading)
	value, _ := h.AttributeString("id")
	id, _ := value.([]byte)
	if entering {
		_, _ = fmt.Fprintf(w, "<h%d id=%q>", h.Level, html.EscapeString(string(id)))
		return ast.WalkContinue, nil
	}
	if h.Level > 1 {
		_, _ = fmt.Fprintf(w, ` <a class="anchor" href="#%s" aria-label="Link to: %s">#</a>`,
			html.EscapeString(string(id)), html.EscapeString(plain(h, source)))
	}
	_, _ = fmt.Fprintf(w, "</h%d>\n", h.Level)
	return ast.WalkContinue, nil
}

func code(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	_, _ = w.WriteString(`<pre tabindex="0"><code>`)
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		_, _ = w.WriteString(html.EscapeString(string(line.Value(source))))
	}
	_, _ = w.WriteString("</code></pre>\n")
	return ast.WalkSkipChildren, nil
}

func tableCell(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	open, shut := "<td>", "</td>\n"
	if n.Parent().Kind() == table.KindTableHeader && plain(n, source) != "" {
		open, shut = `<th scope="col">`, "</th>\n"
	}
	if entering {
		_, _ = w.WriteString(open)
	} else {
		_, _ = w.WriteString(shut)
	}
	return ast.WalkContinue, nil
}
