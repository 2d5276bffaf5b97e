package mail

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// cleanLine returns s as one line that cannot move a reader's cursor.
func cleanLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return ' '
		case unicode.Is(unicode.Cf, r): // also turns the direction of a text around
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD")))
}

// cleanText is cleanLine for many lines.
func cleanText(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return cut(strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return '\n'
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)), maxReplyText)
}

// cut returns at most so many bytes of s, and no half character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// fieldsOf reads fields such as those of a header, as far as there are any, by
// their names in lower case. The first of a name counts.
func fieldsOf(s string) map[string]string {
	f := map[string]string{}
	name := ""
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if line[0] == ' ' || line[0] == '\t' { // goes on from the line before
			if name != "" && len(f[name]) < 2000 {
				f[name] += " " + strings.TrimSpace(line)
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if name = strings.ToLower(strings.TrimSpace(key)); !ok || f[name] != "" {
			name = ""
			continue
		}
		f[name] = strings.TrimSpace(value)
	}
	return f
}

// unxtext decodes what SMTP writes instead of some characters (RFC 3461): "+3D"
// for "=".
func unxtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// decode turns the usual character sets of European letters into UTF-8. What is
// left unknown keeps its ASCII.
func decode(s, charset string, unknown bool) string {
	if !unknown {
		return s
	}
	table := charmap.Windows1252 // also for ISO 8859-1, which is what programs mean by it
	switch strings.ToLower(charset) {
	case "iso-8859-15", "latin9":
		table = charmap.ISO8859_15
	case "iso-8859-2", "latin2":
		table = charmap.ISO8859_2
	case "windows-1250":
		table = charmap.Windows1250
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
	default:
		return s
	}
	out, err := table.NewDecoder().String(s)
	if err != nil {
		return s
	}
	return out
}

// untag takes the marks out of a page: enough to read what a person wrote.
func untag(s string) string {
	lower := strings.Map(func(r rune) rune { // as long as s, whatever is in it
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.ToValidUTF8(s, "?")
	var b strings.Builder
	for at := 0; at < len(s); {
		open := strings.IndexByte(s[at:], '<')
		if open < 0 {
			b.WriteString(s[at:])
			break
		}
		b.WriteString(s[at : at+open])
		at += open + 1
		end := strings.IndexByte(s[at:], '>')
		if end < 0 {
			break
		}
		name, _, _ := strings.Cut(strings.TrimSpace(lower[at:at+end]), " ")
		at += end + 1
		switch strings.Trim(name, "/") {
		case "br", "p", "div", "tr", "li":
			b.WriteByte('\n')
		}
		if name == "style" || name == "script" {
			length := strings.Index(lower[at:], "</"+name)
			if length < 0 {
				length = len(s) - at // it never ends
			}
			at += length
		}
	}
	return html.UnescapeString(b.String())
}
