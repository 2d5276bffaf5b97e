package docs

import (
	"bytes"
	"fmt"
	"html"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// A group is a heading of the first page, and the pages listed below it.
type group struct {
	Title string
	Links []link
}

// A link leads to a page, or to a part of one.
type link struct {
	Title, Address string
	Here           bool
}

// A view is what the layout shows.
type view struct {
	Title, Style string
	Body         []byte // markup of this package
	Parts        []link // headings of the page
	List         []link // pages, where the page is a list of them
	Groups       []group
	Missing      bool
	Search       bool     // it is the page of a search
	Asked        string   // what somebody searched for
	Found        []result // and what was found
}

// write writes the page. It is written by hand: a template's package would make
// the program a third larger (ADR 84).
func (v view) write(w *bytes.Buffer) {
	say := func(format string, words ...any) {
		for i := range words {
			words[i] = html.EscapeString(words[i].(string))
		}
		fmt.Fprintf(w, format, words...)
	}
	say(pageHead, v.Title, Folder+v.Style, Folder, Folder+searchPage, strconv.Itoa(maxQuery), v.Asked)
	if v.Missing {
		say("<h1>%s</h1>\n<p>It may have moved with a new version. <a href=\"%s\">Look for it in the contents</a>.</p>\n", v.Title, Folder)
	}
	v.results(say)
	if len(v.List) > 0 {
		say("<h1>%s</h1>\n<p>Why things are as they are, one page each. A decision is replaced by a new page, never edited away.</p>\n", v.Title)
		items(say, `<ul class="list">`, v.List)
	}
	const end = "</h1>\n"
	title, rest, found := bytes.Cut(v.Body, []byte(end))
	if w.Write(title); found {
		w.WriteString(end)
	}
	if len(v.Parts) > fewParts {
		open := ""
		if len(v.Parts) <= manyParts {
			open = " open"
		}
		say("<details class=\"parts\"%s>\n<summary>On this page</summary>\n", open)
		items(say, "<ul>", v.Parts)
		say("</details>\n")
	}
	w.Write(rest)
	say("</main>\n<nav id=\"pages\" aria-label=\"All pages\">\n")
	for _, g := range v.Groups {
		say("<h2>%s</h2>\n", g.Title)
		items(say, "<ul>", g.Links)
	}
	say("</nav>\n</body>\n</html>\n")
}

// results writes what a search found.
func (v view) results(say func(string, ...any)) {
	if v.Search {
		say("<h1>%s</h1>\n", v.Title)
	}
	switch {
	case v.Asked == "":
		return
	case len(v.Found) == 0:
		say("<p>Nothing holds all of these words: %s. Try fewer, or look through the pages.</p>\n", v.Asked)
	default:
		say("<ul class=\"found\">\n")
		for _, one := range v.Found {
			say("<li><a href=\"%s\">%s</a><br>%s</li>\n", one.Address, one.Title, one.Around)
		}
		say("</ul>\n")
	}
}

// Pages with few parts need no list of them; with many it is closed at first.
const (
	fewParts  = 2
	manyParts = 12
)

func items(say func(string, ...any), open string, links []link) {
	say(open + "\n")
	for _, one := range links {
		if one.Here {
			say("<li><a href=\"%s\" aria-current=\"page\">%s</a></li>\n", one.Address, one.Title)
		} else {
			say("<li><a href=\"%s\">%s</a></li>\n", one.Address, one.Title)
		}
	}
	say("</ul>\n")
}

const pageHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s · Tocsin</title>
<link rel="stylesheet" href="%s">
<link rel="icon" href="` + Folder + `icon.svg" type="image/svg+xml">
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
<a class="home" href="%s">Tocsin manual</a>
<form action="%s" role="search">
<input type="search" name="q" aria-label="Search the manual" placeholder="Search" maxlength="%s" value="%s">
</form>
<a href="#pages">All pages</a>
<a href="/console/">Console</a>
</header>
<main id="text" tabindex="-1">
`

// groups reads the first page: each item of a list below a heading begins with
// the link to a page.
func (l *Library) groups() (all []group, err error) {
	text, err := fs.ReadFile(l.files, "README.md")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "## "); ok {
			all = append(all, group{Title: name})
		}
		rest, ok := strings.CutPrefix(line, "* [")
		if !ok || len(all) == 0 {
			continue
		}
		name, rest, _ := strings.Cut(rest, "](")
		to, _, _ := strings.Cut(rest, ")")
		if to = address(to); l.pages[to] != nil {
			last := &all[len(all)-1]
			last.Links = append(last.Links, link{Title: name, Address: Folder + to})
		}
	}
	return all, nil
}

// marked returns the groups as seen from a page.
func (l *Library) marked(here string) []group {
	all := make([]group, 0, len(l.nav))
	for _, g := range l.nav {
		links := slices.Clone(g.Links)
		for i := range links {
			links[i].Here = links[i].Address == Folder+here
		}
		all = append(all, group{g.Title, links})
	}
	return all
}

// below lists the pages of a folder.
func (l *Library) below(folder string) (list []link) {
	for _, name := range l.Pages() {
		if name != folder && strings.HasPrefix(name, folder) {
			list = append(list, link{Title: l.pages[name].title, Address: Folder + name})
		}
	}
	return list
}
