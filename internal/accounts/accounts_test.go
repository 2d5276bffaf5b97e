package accounts

import (
	"slices"
	"strings"
	"testing"
)

func TestListsAreFit(t *testing.T) {
	for _, list := range [][]string{Public(), Guests()} {
		slices.Sort(list)
		for i, n := range list {
			if n != strings.ToLower(n) || n == "" || len(n) > 16 || i > 0 && n == list[i-1] {
				t.Errorf("%q: empty, long, twice or not in lower case", n)
			}
		}
	}
	if !IsPublic("Root") || IsPublic("margaret") || !IsGuest("Anonymous") || !IsGuest("") || IsGuest("root") {
		t.Error("lists are not asked by name, whatever the case")
	}
}

func TestListsAreCopies(t *testing.T) {
	Public()[0], Guests()[0] = "x", "x"
	if Public()[0] == "x" || Guests()[0] == "x" {
		t.Error("a caller can change the list")
	}
}

func TestFoldKeepsWhatIsNotASCII(t *testing.T) {
	for in, want := range map[string]string{"Root": "root", "ÄRGER\xff": "Ärger\xff", "\u212Aafka": "\u212Aafka", "x": "x"} {
		if got := Fold(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
