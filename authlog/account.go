package authlog

import (
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
)

// An internTable keeps the account names seen lately, so that a name guessed a
// thousand times is one string. Its size is fixed: a name that falls on the
// place of another replaces it.
type internTable [1024]string

// account returns b as an account name: at most [tocsin.MaxAccount] bytes of
// valid UTF-8 without terminal escapes; every byte that is not text becomes
// U+FFFD.
func (t *internTable) account(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	var buf [tocsin.MaxAccount]byte
	if len(b) > tocsin.MaxAccount || !plain(b) {
		b = cleaned(buf[:0], b)
	}
	slot := &t[hash(b)%uint64(len(t))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}

func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// cleaned appends to out what of b may be shown, as long as there is room.
func cleaned(out, b []byte) []byte {
	for len(b) > 0 {
		if n := escapeLen(b); n > 0 {
			b = b[n:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if !showable(r) {
			r = utf8.RuneError
		}
		if len(out)+utf8.RuneLen(r) > cap(out) {
			break
		}
		out, b = utf8.AppendRune(out, r), b[n:]
	}
	return out
}

// escapeLen returns the length of the terminal escape (CSI) that b starts with.
func escapeLen(b []byte) int {
	if len(b) < 3 || b[0] != 0x1b || b[1] != '[' {
		return 0
	}
	for i := 2; i < len(b) && i < 32; i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return i + 1
		}
		if b[i] < 0x20 || b[i] > 0x3f {
			return 0
		}
	}
	return 0
}

// showable reports whether r neither controls a terminal nor turns the
// direction of the text around it.
func showable(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r < 0xa0, r == 0xfeff:
		return false
	case r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f:
		return false
	}
	return true
}

// hash is FNV-1a: short names, and whoever makes two of them collide only
// shares a place with himself.
func hash(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
