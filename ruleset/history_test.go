package ruleset_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

// A model is a list as anybody would write it: what ends when.
type model map[ruleKey]time.Time

type ruleKey struct {
	prefix netip.Prefix
	action tocsin.Action
}

func (m model) apply(c tocsin.Change, class ruleset.Class, now time.Time) {
	for _, r := range c.Remove {
		delete(m, ruleKey{r.Prefix, r.Action})
	}
	for _, r := range c.Add {
		if !r.Until.After(now) {
			continue
		}
		end := r.Until
		if most := now.Add(class.Max()); end.After(most) {
			end = most
		}
		if down := end.Truncate(class.Step()); !down.Equal(end) {
			end = down.Add(class.Step())
		}
		m[ruleKey{r.Prefix, r.Action}] = end
	}
}

// rules returns what is in force of several models, each rule once.
func inForce(now time.Time, models ...model) []tocsin.Rule {
	all := model{}
	for _, m := range models {
		for k, end := range m {
			if end.After(now) && end.After(all[k]) {
				all[k] = end
			}
		}
	}
	var out []tocsin.Rule
	for k, end := range all {
		out = append(out, tocsin.Rule{Prefix: k.prefix, Action: k.action, Until: end})
	}
	return ordered(out)
}

func ordered(rules []tocsin.Rule) []tocsin.Rule {
	slices.SortFunc(rules, func(a, b tocsin.Rule) int {
		if c := a.Prefix.Compare(b.Prefix); c != 0 {
			return c
		}
		return int(a.Action) - int(b.Action)
	})
	return rules
}

func equal(a, b []tocsin.Rule) bool {
	return slices.EqualFunc(a, b, func(a, b tocsin.Rule) bool {
		return a.Prefix == b.Prefix && a.Action == b.Action && a.Until.Equal(b.Until)
	})
}

// drawRule draws from few prefixes, so that they meet again.
func drawRule(t *rapid.T, now time.Time) tocsin.Rule {
	r := tocsin.Rule{Action: tocsin.Block, Until: now.Add(time.Duration(rapid.IntRange(-60, 30*3600).Draw(t, "ttl")) * time.Second)}
	n := rapid.IntRange(0, 40).Draw(t, "source")
	v4 := netip.AddrFrom4([4]byte{198, 18, byte(n % 5), byte(n)})
	v6 := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(n % 5), byte(n)})
	bits4, bits6 := 32, 64
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		r.Action = tocsin.Pass
	case 1:
		bits4, bits6 = 24+n%8, 48+n%16
	}
	r.Prefix = netip.PrefixFrom(v4, bits4).Masked()
	if n%3 == 0 {
		r.Prefix = netip.PrefixFrom(v6, bits6).Masked()
	}
	return r
}

// TestHistory plays random histories on a hub and a device that loses frames,
// restarts, and is away for a while: it always enforces exactly what the hub
// says, or knows that it lacks something.
func TestHistory(t *testing.T) {
	s := newSigner(1)
	refs := []ruleset.Ref{long, short, own}
	rapid.Check(t, func(t *rapid.T) {
		now, epoch := start, epoch
		models := []model{{}, {}, {}}
		var lists []*ruleset.List
		for _, r := range refs {
			lists = append(lists, ruleset.New(r, epoch))
		}
		set := ruleset.NewSet(refs...)
		kernel := model{}
		take := func(m ruleset.Message) error {
			opened, err := ruleset.Open(seal(t, m, s), s.keys(), now)
			if err != nil {
				t.Fatal(err)
			}
			next, c, err := set.Apply(opened, ruleset.DefaultLimits(), now)
			set = next
			for _, r := range c.Remove {
				delete(kernel, ruleKey{r.Prefix, r.Action})
			}
			for _, r := range c.Add {
				kernel[ruleKey{r.Prefix, r.Action}] = r.Until
			}
			return err
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "list")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 4*3600).Draw(t, "wait")) * time.Second)
			case 1:
				epoch++
				lists[i] = lists[i].Renumber(epoch)
			case 2:
				set = restart(t, set)
			}
			var c tocsin.Change
			for range rapid.IntRange(0, 6).Draw(t, "adds") {
				c.Add = append(c.Add, drawRule(t, now))
			}
			for range rapid.IntRange(0, 4).Draw(t, "removes") {
				c.Remove = append(c.Remove, drawRule(t, now))
			}
			models[i].apply(c, refs[i].Class, now)
			frame, next := lists[i].Next(c, now)
			lists[i] = next
			if !frame.Empty() && rapid.IntRange(0, 4).Draw(t, "lost") > 0 {
				if err := take(frame); err != nil && !errors.Is(err, ruleset.ErrGap) {
					t.Fatal(err)
				}
			}
			for i, l := range lists {
				if err := take(l.Heartbeat(now)); errors.Is(err, ruleset.ErrGap) {
					err = take(l.Snapshot(now))
					if err != nil {
						t.Fatal(err)
					}
				} else if err != nil {
					t.Fatal(err)
				}
				if set.Positions()[i] != l.Position() {
					t.Fatalf("at %v, the hub at %v", set.Positions()[i], l.Position())
				}
				if got := ordered(slices.Collect(l.Rules(now))); !equal(got, inForce(now, models[i])) {
					t.Fatalf("the hub's %v: %v, want %v", l.Position(), got, inForce(now, models[i]))
				}
			}
			want := inForce(now, models...)
			if got := ordered(slices.Collect(set.Rules(now))); !equal(got, want) {
				t.Fatalf("the device holds %v, want %v", got, want)
			}
			if got := inForce(now, kernel); !equal(got, want) {
				t.Fatalf("its kernel holds %v, want %v", got, want)
			}
		}
	})
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

// restart returns the set as a restarted device finds it.
func restart(t fataler, s *ruleset.Set) *ruleset.Set {
	t.Helper()
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	again := ruleset.NewSet()
	if err := again.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestDamagedSet reads what a broken disk gives back.
func TestDamagedSet(t *testing.T) {
	_, l := ruleset.New(long, epoch).Next(adds(block("192.0.2.1/32", time.Hour), pass("2001:db8::/64", time.Hour)), start)
	s, _ := must(t, ruleset.NewSet(long, short), l.Snapshot(start), start)
	b, err := s.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		flipped := slices.Clone(b)
		flipped[i] ^= 1
		for _, bad := range [][]byte{flipped, b[:i], append(slices.Clone(b), b[i])} {
			got := ruleset.NewSet(own)
			if err := got.UnmarshalBinary(bad); !errors.Is(err, ruleset.ErrMalformed) {
				t.Fatalf("byte %d: %v", i, err)
			}
			if p := got.Positions(); len(p) != 1 || p[0].Ref != own {
				t.Fatal("damage changed the set")
			}
		}
	}
	if again := restart(t, s); !slices.Equal(again.Positions(), s.Positions()) {
		t.Errorf("%v after a restart, %v before", again.Positions(), s.Positions())
	}
}
