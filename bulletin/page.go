package bulletin

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A page is a text before it is rendered: its parts stand in both renderings.
type page struct{ parts []part }

type part struct {
	kind  shape
	text  string
	items []string
}

// shape is what a part looks like.
type shape uint8

const (
	title shape = iota
	heading
	question
	paragraph
	bullets
	steps
)

func (p *page) add(kind shape, text string) { p.parts = append(p.parts, part{kind: kind, text: text}) }
func (p *page) list(kind shape, items ...string) {
	p.parts = append(p.parts, part{kind: kind, items: items})
}
func (p *page) under(kind shape, q, answer string) { p.add(kind, q); p.add(paragraph, answer) }

// What comes from elsewhere stands between these marks until it is rendered;
// [quote] sees to it that nothing else holds them.
const (
	opens  = '\x01'
	closes = '\x02'
)

// maxQuote bounds what is quoted, in characters.
const maxQuote = 80

// quote makes text from elsewhere (a host name, a path, an account) fit to stand
// in a sentence: one line, without what would steer a terminal or turn the
// reading direction, and marked so that no renderer takes it for its own.
func quote(s string) string {
	var b strings.Builder
	b.WriteRune(opens)
	n, blank := 0, true
	for _, r := range strings.ToValidUTF8(s, "�") {
		if n++; n > maxQuote {
			b.WriteRune('…')
			break
		}
		if !unicode.IsPrint(r) { // controls, line ends, bidirectional marks, odd blanks
			r = '�'
		}
		blank = blank && r == ' '
		b.WriteRune(r)
	}
	if blank {
		b.WriteRune('?')
	}
	b.WriteRune(closes)
	return b.String()
}

// plain renders p for a letter: lines of at most 76 characters, but for words
// that are longer.
func (p *page) plain() string {
	var b strings.Builder
	for i, part := range p.parts {
		switch {
		case i == 0, part.kind == paragraph && p.parts[i-1].kind == question:
		case part.kind == heading:
			b.WriteString("\n\n")
		default:
			b.WriteByte('\n')
		}
		text := bare(part.text)
		switch part.kind {
		case title, heading:
			line := map[shape]string{title: "=", heading: "-"}[part.kind]
			wrapped := wrap(text, "", "")
			b.WriteString(wrapped + strings.Repeat(line, longest(wrapped)) + "\n")
		case question, paragraph:
			b.WriteString(wrap(text, "", ""))
		case bullets:
			for _, item := range part.items {
				b.WriteString(wrap(bare(item), "  * ", "    "))
			}
		case steps:
			for n, item := range part.items {
				mark := strconv.Itoa(n+1) + ". "
				b.WriteString(wrap(bare(item), "  "+mark, strings.Repeat(" ", 2+len(mark))))
			}
		}
	}
	return b.String()
}

// markdown renders p as CommonMark.
func (p *page) markdown() string {
	var b strings.Builder
	for i, part := range p.parts {
		if i > 0 {
			b.WriteByte('\n')
		}
		switch part.kind {
		case title:
			b.WriteString("# " + code(part.text) + "\n")
		case heading:
			b.WriteString("## " + code(part.text) + "\n")
		case question:
			b.WriteString("**" + code(part.text) + "**\n")
		case paragraph:
			b.WriteString(code(part.text) + "\n")
		case bullets:
			for _, item := range part.items {
				b.WriteString("* " + code(item) + "\n")
			}
		case steps:
			for n, item := range part.items {
				b.WriteString(strconv.Itoa(n+1) + ". " + code(item) + "\n")
			}
		}
	}
	return b.String()
}

var unquoting = strings.NewReplacer(string(opens), "", string(closes), "") // made once: it takes longer than a letter

// bare takes the marks of quotes away.
func bare(s string) string { return unquoting.Replace(s) }

// code makes every quote a code span: what is in one is never markup.
func code(s string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, string(opens))
		b.WriteString(before)
		if !found {
			return b.String()
		}
		var quoted string
		quoted, s, _ = strings.Cut(rest, string(closes))
		fence := "`"
		for strings.Contains(quoted, fence) {
			fence += "`"
		}
		if len(fence) > 1 || strings.HasPrefix(quoted, " ") && strings.HasSuffix(quoted, " ") {
			quoted = " " + quoted + " "
		}
		b.WriteString(fence + quoted + fence)
	}
}

const width = 76

// wrap breaks text at blanks, the first line after first and the others after
// rest. A blank that does not break (U+00A0) stays in its line.
func wrap(text, first, rest string) string {
	var b strings.Builder
	b.WriteString(first)
	length, begun := utf8.RuneCountInString(first), false
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\n' }) {
		n := utf8.RuneCountInString(w)
		if begun && length+1+n > width {
			b.WriteString("\n" + rest)
			length, begun = utf8.RuneCountInString(rest), false
		}
		if begun {
			b.WriteByte(' ')
			length++
		}
		b.WriteString(w)
		length, begun = length+n, true
	}
	b.WriteByte('\n')
	return b.String()
}

// longest returns the length of the longest line, in characters.
func longest(s string) (n int) {
	for line := range strings.Lines(s) {
		n = max(n, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
	return n
}
