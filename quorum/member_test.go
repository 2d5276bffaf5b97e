package quorum

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
)

// TestMembersOfACampaign are decided upon earlier, and people by the same rules as
// ever, whatever their source is a member of.
func TestMembersOfACampaign(t *testing.T) {
	const at = "198.51.100.7"
	for _, tt := range []struct {
		name             string
		list             []tocsin.Received
		member, stranger string
	}{
		{"one guess", []tocsin.Received{told("o", "d", at, 0, "root")}, "[]", "[]"},
		{"two guesses at one device", []tocsin.Received{told("o", "d", at, 0, "root"), told("o", "d", at, time.Minute, "admin")}, "[o block 15m0s]", "[]"},
		{"two at once", []tocsin.Received{told("o", "d", at, 0, "root", "admin")}, "[o block 15m0s]", "[]"},
		{"a burst on one account", []tocsin.Received{told("o", "d", at, 0, "root", "root", "root")}, "[]", "[]"},
		{"a person", []tocsin.Received{told("o", "d", at, 0, "#grace", "#grace", "#grace", "#grace")}, "[]", "[]"},
		{"two people", []tocsin.Received{told("o", "d", at, 0, "#grace", "#ada", "#ada")}, "[]", "[]"},
		{"where somebody belongs", []tocsin.Received{in(told("o", "d", at, 0), "#grace"), told("o", "d", at, time.Minute, "root", "admin")}, "[]", "[]"},
		{"of the week before last", []tocsin.Received{told("o", "d", at, 0, "root"), told("o", "d", at, 8*24*time.Hour, "admin")}, "[]", "[]"},
		{"a shared address", []tocsin.Received{told("o", "d", "9.9.9.9", 0, "root", "admin")}, "[o block 10m0s]", "[]"},
		{"by hearsay", []tocsin.Received{hearsay(told("o", "d", at, 0, "root", "admin"))}, "[]", "[]"},
	} {
		for member, want := range map[bool]string{true: tt.member, false: tt.stranger} {
			tally := New(Default())
			var got []string
			for _, r := range tt.list {
				if member {
					got = append(got, words(tally.ObserveMember(r))...)
				} else {
					got = append(got, words(tally.Observe(r))...)
				}
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%s, member %v: got %v, want %s", tt.name, member, got, want)
			}
		}
	}
}

func hearsay(r tocsin.Received) tocsin.Received {
	r.Provenance = tocsin.Network
	return r
}

func TestAMembersBlockSaysWhy(t *testing.T) {
	tally := New(Default())
	rulings := tally.ObserveMember(told("o", "d", "198.51.100.7", 0, "root", "admin"))
	if len(rulings) != 1 || !strings.Contains(string(rulings[0].Reason), "acts with others") {
		t.Errorf("got %+v", rulings)
	}
	e := tally.Explain("o", rulings[0].Prefix, day0)
	if !slices.ContainsFunc(e.Lines(), func(l string) bool { return strings.Contains(l, "acts with others") }) {
		t.Errorf("got %q", e.Lines())
	}
}

func TestCampaignCanBeSwitchedOff(t *testing.T) {
	p := Default()
	p.Campaign = Limit{}
	if r := New(p).ObserveMember(told("o", "d", "198.51.100.7", 0, "root", "admin")); len(r) > 0 {
		t.Errorf("got %+v", r)
	}
	p.Campaign = Limit{MaxCount + 1, MaxMemory}
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "campaign") {
		t.Errorf("got %v", err)
	}
}
