//go:build !small

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// safe writes a text of others on one line: what would steer a terminal, or cannot
// be seen, or turns the direction of writing becomes a question mark.
func safe(s string) string { return strings.ReplaceAll(safeText(s), "\n", "?") }

// safeText is safe for a text of several lines.
func safeText(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', unicode.IsPrint(r):
			return r
		case r == '\t', unicode.Is(unicode.Zs, r): // as French texts have them
			return ' '
		}
		return '?'
	}, strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "?"))
}

// hidden counts what safeText does not show as it is.
func hidden(s string) (n int) {
	for _, r := range strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "\x00") {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r) {
			n++
		}
	}
	return n
}

// warnHidden tells a person that what is shown is not all that would be sent.
func warnHidden(w io.Writer, texts ...string) {
	if n := hidden(strings.Join(texts, "")); n > 0 {
		fmt.Fprintf(w, "warning: %s in it cannot be shown, and stand here as ?\n", count(n, "character"))
	}
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// tenths writes a share more exactly.
func tenths(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// rows are names and values, below each other.
type rows struct{ tab *tabwriter.Writer }

func newRows(w io.Writer) rows { return rows{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// row prints a name and its value, if there is one.
func (r rows) row(name, value string) {
	if value != "" {
		fmt.Fprintf(r.tab, "%s\t%s\n", name, value)
	}
}

func (r rows) flush() error { return r.tab.Flush() }
