package sighting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tocsin-io/tocsin"
)

// aboutAccounts are the facts whose subject is an account, unless it is a path.
var aboutAccounts = []tocsin.Fact{
	tocsin.SuccessAfterFailures, tocsin.SuccessFromBlocked, tocsin.Spray, tocsin.InstantAccount,
	tocsin.KeysChanged, tocsin.AccountAdded, tocsin.NewOrigin,
}

// Subject returns the subject of a clue as it may leave the device: printable, at
// most [tocsin.MaxSubject] bytes, and without an account name that not everybody
// knows. A name becomes its tag under the owner's key (see [Tag]); so does the
// user's part of a path below a folder of home folders, such as /home/NAME or
// /volume1/homes/NAME, and that of a crontab. Apply it once: a tag would be
// tagged again.
func Subject(key []byte, about tocsin.Fact, subject string) string {
	if slices.Contains(aboutAccounts, about) && subject != "" && !strings.Contains(subject, "/") {
		return printable(string(Tag(key, subject)))
	}
	parts := strings.Split(subject, "/")
	below := false // the part before is a folder of which each entry is a user's
	for i, part := range parts {
		folder := i > 0 && isFolderOfUsers(parts[i-1], part)
		switch {
		case folder:
			below = true
		case below && part != "" && part != "." && part != "..":
			parts[i], below = string(Tag(key, part)), false
		}
	}
	return printable(strings.Join(parts, "/"))
}

// isFolderOfUsers reports whether the entries of a folder are called as accounts.
func isFolderOfUsers(parent, name string) bool {
	switch strings.ToLower(name) {
	case "home", "homes", "@home", "crontabs", "linger":
		return true
	case "cron", "mail":
		return strings.EqualFold(parent, "spool")
	}
	return false
}

// printable escapes what a terminal would obey, and cuts at a whole character.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		text := s[:n]
		if r == utf8.RuneError && n == 1 || !strconv.IsPrint(r) {
			text = fmt.Sprintf("\\x%x", s[:n])
		}
		if b.Len()+len(text) > tocsin.MaxSubject {
			break
		}
		b.WriteString(text)
		s = s[n:]
	}
	return b.String()
}
