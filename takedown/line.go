package takedown

import (
	"strings"
	"unicode/utf8"
)

// OneLine returns s as one line of at most limit bytes of valid UTF-8: what ends
// a line becomes a blank, what cannot be seen or turns the direction of writing
// is left out, so that nothing an attacker or a provider wrote adds a header to
// a mail or hides a part of a text.
func OneLine(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\v', r == '\f', r == 0x85, r == 0x2028, r == 0x2029:
			r = ' '
		case unseen(r):
			continue
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// unseen reports whether r is a control character, a sign of direction, or of
// no width.
func unseen(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xad, r == 0x61c, r == 0x180e, r == 0xfeff:
		return true
	case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return true
	}
	return r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe007f
}
