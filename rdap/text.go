package rdap

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean returns s as one line of at most so many bytes that cannot move a
// terminal's cursor or turn the direction of a text around.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return ' '
		}
		if r == utf8.RuneError || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.TrimSpace(s[:most])
}

// plainMail returns the mail address that a registry wrote. An address with a
// name, a comment, quotes, a line break or a second address is refused rather
// than mended: it would be written into the header of a letter.
func plainMail(s string) (string, bool) {
	s = strings.Trim(s, " ")
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if !validMail(s) {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	return s[:at] + strings.ToLower(s[at:]), true
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func validMail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > 254 || len(local) > 64 || !only(local, letters+digits+".+-_=&'#~") {
		return false
	}
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || !only(label, letters+digits+"-") {
			return false
		}
	}
	if last := labels[len(labels)-1]; len(labels) < 2 || !strings.ContainsAny(last, letters) {
		return false // a name without a domain, or an address of a machine
	}
	got, err := mail.ParseAddress(s)
	return err == nil && got.Name == "" && got.Address == s
}

func only(s, allowed string) bool {
	return strings.Trim(s, allowed) == ""
}
