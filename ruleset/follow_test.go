package ruleset_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

func TestAHubGoesOnWhereItWas(t *testing.T) {
	ref := ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Long}
	at := time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)
	s := newSigner(1)
	list := ruleset.New(ref, 7)
	kept := []ruleset.Sealed{seal(t, list.Snapshot(at), s)}
	var last tocsin.Rule
	for i := range 50 {
		at = at.Add(20 * time.Minute)
		c := tocsin.Change{Add: []tocsin.Rule{{
			Prefix: netip.MustParsePrefix(fmt.Sprintf("198.51.100.%d/32", i)), Action: tocsin.Block, Until: at.Add(3 * time.Hour),
		}}}
		if i%3 == 0 && i > 0 {
			c.Remove = []tocsin.Rule{last}
		}
		last = c.Add[0]
		f, next := list.Next(c, at)
		kept, list = append(kept, seal(t, f, s)), next
	}
	again := ruleset.New(ref, 0)
	for _, k := range kept {
		var err error
		if again, err = again.Follow(k); err != nil {
			t.Fatal(err)
		}
	}
	if again.Position() != list.Position() || again.Hash(at) != list.Hash(at) {
		t.Errorf("at %v, was %v", again.Position(), list.Position())
	}
	if !again.Has(last.Prefix, tocsin.Block, at) || again.Has(last.Prefix, tocsin.Pass, at) || again.Has(netip.MustParsePrefix("198.51.100.0/24"), tocsin.Block, at) {
		t.Error("what it has is not what was added")
	}
	if _, err := again.Follow(kept[3]); !errors.Is(err, ruleset.ErrStale) {
		t.Errorf("an old frame: %v", err)
	}
	other := ruleset.New(ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Short}, 0)
	if _, err := other.Follow(kept[0]); !errors.Is(err, ruleset.ErrUnknownList) {
		t.Errorf("another list's frame: %v", err)
	}
	if _, err := other.Follow(nil); !errors.Is(err, ruleset.ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
}
