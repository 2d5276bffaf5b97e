// Package docs is the documentation: files for whoever reads the repository, and
// the same as pages that a hub serves. It promises that a page holds no markup
// but its own, runs no script, asks nobody else for anything, and that each link
// between pages leads somewhere, which a test holds.
//
// It knows nothing of what it tells about: what is generated from the code comes
// from the tests of the packages (make docs).
package docs

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed *.md adr/*.md spec/*.md reference/*.md pictures
var files embed.FS

//go:embed style.css
var style []byte

//go:embed icon.svg
var icon []byte

// Folder is where the pages are served.
const Folder = "/docs/"

// policy lets a browser load what this package serves, and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// A page is one file, rendered when it is first asked for.
type page struct {
	file  string // such as "spec/feed.md"
	title string
	once  sync.Once
	html  []byte
	tag   string
	err   error
}

// A Library answers requests below [Folder] with pages. Make one with [New].
type Library struct {
	files fs.FS
	pages map[string]*page // by what follows Folder: "", "keys", "spec/feed"
	nav   []group
	style string // name of the style sheet, which changes with it

	once  sync.Once // makes the index, when somebody searches
	index []section
	pace  pace
}

// New returns the documentation.
func New() (*Library, error) { return open(files) }

// open reads the titles of all pages and their order. The first page, README.md,
// lists the others by groups.
func open(from fs.FS) (*Library, error) {
	l := &Library{files: from, pages: map[string]*page{}, style: "style-" + digest(style)[:12] + ".css"}
	err := fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".md" || strings.HasPrefix(name, "pictures/") {
			return err
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		l.pages[address(name)] = &page{file: name, title: title(text)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("documentation: %w", err)
	}
	l.pages[decisions] = &page{title: "Decisions"}
	if l.nav, err = l.groups(); err != nil {
		return nil, fmt.Errorf("documentation: %w", err)
	}
	return l, nil
}

// decisions is the address of the list of all pages below it.
const decisions = "adr/"

// address returns what follows [Folder] in the address of a file.
func address(file string) string {
	if file == "README.md" {
		return ""
	}
	return strings.TrimSuffix(file, ".md")
}

// title returns the first heading.
func title(text []byte) string {
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.ReplaceAll(strings.TrimSpace(strings.TrimPrefix(first, "#")), "`", "")
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ServeHTTP answers with a page, the style sheet or a picture.
func (l *Library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-cache") // kept, but asked for anew: pages change with the program
	name := strings.TrimPrefix(r.URL.Path, Folder)
	switch {
	case name == l.style:
		h.Set("Cache-Control", "max-age=31536000, immutable")
		serve(w, r, "text/css; charset=utf-8", digest(style), style)
	case name == searchPage:
		l.search(w, r)
	case name == "icon.svg":
		serve(w, r, "image/svg+xml", digest(icon), icon)
	case strings.HasPrefix(name, "pictures/") && path.Ext(name) == ".png":
		picture, err := fs.ReadFile(l.files, name)
		if err != nil {
			l.missing(w)
			return
		}
		serve(w, r, "image/png", digest(picture), picture)
	case strings.HasSuffix(name, ".md") && l.pages[address(name)] != nil:
		http.Redirect(w, r, Folder+address(name), http.StatusMovedPermanently)
	default:
		l.page(w, r, name)
	}
}

func (l *Library) page(w http.ResponseWriter, r *http.Request, name string) {
	p := l.pages[name]
	if p == nil {
		l.missing(w)
		return
	}
	if err := l.render(name, p); err != nil {
		http.Error(w, "This page cannot be shown: it is in the source, docs/"+p.file, http.StatusInternalServerError)
		return
	}
	serve(w, r, "text/html; charset=utf-8", p.tag, p.html)
}

// serve answers with b, or says that the browser has it.
func serve(w http.ResponseWriter, r *http.Request, kind, tag string, b []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (l *Library) missing(w http.ResponseWriter) {
	var b bytes.Buffer
	view{Title: "There is no such page", Style: l.style, Groups: l.marked("-"), Missing: true}.write(&b)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(b.Bytes()) // whoever hung up does not want it
}

// Pages lists the addresses of all pages below [Folder].
func (l *Library) Pages() (list []string) {
	for name := range l.pages {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// render makes the page once.
func (l *Library) render(name string, p *page) error {
	p.once.Do(func() {
		v := view{Title: p.title, Style: l.style, Groups: l.marked(name)}
		if name == decisions {
			v.List = l.below(decisions)
		} else if v.Body, v.Parts, _, p.err = l.read(p.file); p.err != nil {
			return
		}
		if name == "" { // its parts are the contents of all, beside it anyway
			v.Parts = nil
		}
		var b bytes.Buffer
		v.write(&b)
		p.html, p.tag = b.Bytes(), digest(b.Bytes())
	})
	return p.err
}
