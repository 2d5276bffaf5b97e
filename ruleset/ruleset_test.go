package ruleset_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/ruleset"
)

var (
	short = ruleset.Ref{Name: ruleset.Fleet, Class: ruleset.Short}
	own   = ruleset.Ref{Name: ruleset.Owner("acme"), Class: ruleset.Long}
	epoch = uint64(start.Unix())
)

func block(prefix string, d time.Duration) tocsin.Rule {
	return tocsin.Rule{Prefix: netip.MustParsePrefix(prefix), Action: tocsin.Block, Until: start.Add(d)}
}

func pass(prefix string, d time.Duration) tocsin.Rule {
	r := block(prefix, d)
	r.Action = tocsin.Pass
	return r
}

func adds(r ...tocsin.Rule) tocsin.Change { return tocsin.Change{Add: r} }

// until returns r with another end.
func until(r tocsin.Rule, hour, minute int) tocsin.Rule {
	r.Until = time.Date(2026, 3, 1, hour, minute, 0, 0, time.UTC)
	return r
}

// must applies a message that a device has to take.
func must(t *testing.T, s *ruleset.Set, m ruleset.Message, now time.Time) (*ruleset.Set, tocsin.Change) {
	t.Helper()
	next, c, err := s.Apply(m, ruleset.DefaultLimits(), now)
	if err != nil {
		t.Fatal(err)
	}
	return next, c
}

// refused checks that a message is refused for that reason and changes nothing.
func refused(t *testing.T, s *ruleset.Set, m ruleset.Message, lim ruleset.Limits, now time.Time, want error) {
	t.Helper()
	next, c, err := s.Apply(m, lim, now)
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", kindOf(m), err, want)
	}
	if next != s || !c.Empty() {
		t.Errorf("%s was refused and changed something: %v", kindOf(m), c)
	}
}

func kindOf(m ruleset.Message) string {
	switch m := m.(type) {
	case ruleset.Frame:
		return m.Kind.String() + " " + m.Position.String()
	case ruleset.Heartbeat:
		return "heartbeat " + m.Position.String()
	}
	return "?"
}

func same(t *testing.T, got, want []tocsin.Rule) {
	t.Helper()
	less := func(a, b tocsin.Rule) bool {
		if c := a.Prefix.Compare(b.Prefix); c != 0 {
			return c < 0
		}
		return a.Action < b.Action
	}
	comparers := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if d := cmp.Diff(want, got, comparers, cmpopts.SortSlices(less), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestNamesOfLists(t *testing.T) {
	for _, s := range []string{"fleet/1h", "fleet/24h", "owner/acme/1h", "owner/a.b_c-D9/24h"} {
		r, err := ruleset.ParseRef(s)
		if err != nil || r.String() != s {
			t.Errorf("%q: %v, %v", s, r, err)
		}
	}
	for _, s := range []string{
		"", "fleet", "fleet/2h", "owner/1h", "owner//1h", "owner/a/b/1h", "owner/../1h", "owner/a b/24h", "other/1h", "/1h",
		"owner/0123456789012345678901234567890123456789012345678901234567890/1h",
	} {
		if r, err := ruleset.ParseRef(s); err == nil {
			t.Errorf("%q passes for %v", s, r)
		}
	}
}

// TestEveryKindOfRule brings each kind of rule to a device and back.
func TestEveryKindOfRule(t *testing.T) {
	h := 90 * time.Minute // 13:50
	all := []tocsin.Rule{
		block("192.0.2.1/32", h), block("192.0.2.255/32", 20*time.Hour), block("198.51.100.0/24", h), block("203.0.113.128/31", h),
		block("2001:db8:1:2::/64", h), block("2001:db8:7::/48", h), block("2001:db8:8:8000::/49", h),
		pass("192.0.2.1/32", h), pass("2001:db8:1:3::/64", h),
	}
	want := slices.Clone(all)
	for i := range want {
		want[i].Until = start.Truncate(time.Hour).Add(2 * time.Hour)
	}
	want[1].Until = start.Truncate(time.Hour).Add(21 * time.Hour)
	f, l := ruleset.New(long, epoch).Next(adds(all...), start)
	s := newSigner(1)
	for _, m := range []ruleset.Message{f, l.Snapshot(start)} {
		m, err := ruleset.Open(seal(t, m, s), s.keys(), start)
		if err != nil {
			t.Fatal(err)
		}
		if f := m.(ruleset.Frame); f.Kind == ruleset.Delta {
			same(t, slices.Collect(f.Added()), want)
			continue
		}
		set, c := must(t, ruleset.NewSet(long), m, start)
		same(t, c.Add, want)
		same(t, slices.Collect(set.Rules(start)), want)
		same(t, slices.Collect(l.Rules(start)), want)
		if l.Len() != len(want) || set.Positions()[0] != l.Position() {
			t.Errorf("%d rules at %v", l.Len(), set.Positions())
		}
	}
}

// TestWhatAListCannotHold leaves out what cannot be told, and rounds ends.
func TestWhatAListCannotHold(t *testing.T) {
	l := ruleset.New(short, epoch)
	f, next := l.Next(adds(
		block("2001:db8::1/128", time.Minute), block("192.0.2.1/32", -time.Second), block("192.0.2.2/32", 0),
		tocsin.Rule{Prefix: netip.MustParsePrefix("192.0.2.3/32"), Until: start.Add(time.Minute)},
		tocsin.Rule{Action: tocsin.Block, Until: start.Add(time.Minute)},
	), start)
	if !f.Empty() || next != l {
		t.Errorf("%v made a frame", slices.Collect(f.Added()))
	}
	_, next = l.Next(adds(
		block("192.0.2.1/32", time.Second), block("192.0.2.2/32", 5*time.Minute), block("192.0.2.3/32", 5*time.Minute+1),
		block("192.0.2.4/32", 9*time.Hour), block("192.0.2.5/32", 3*time.Minute), block("192.0.2.5/32", 40*time.Minute),
	), start)
	same(t, slices.Collect(next.Rules(start)), []tocsin.Rule{
		until(block("192.0.2.1/32", 0), 12, 25), until(block("192.0.2.2/32", 0), 12, 25), until(block("192.0.2.3/32", 0), 12, 30),
		until(block("192.0.2.4/32", 0), 13, 20), until(block("192.0.2.5/32", 0), 13, 0),
	})
	again, same := next.Next(tocsin.Change{
		Add:    []tocsin.Rule{block("192.0.2.1/32", 2*time.Minute)},
		Remove: []tocsin.Rule{block("192.0.2.77/32", 0), pass("192.0.2.1/32", 0)},
	}, start)
	if !again.Empty() || same != next {
		t.Error("what changes nothing made a frame")
	}
}

// TestUnionOfLists follows two lists that hold the same address.
func TestUnionOfLists(t *testing.T) {
	shared := block("192.0.2.1/32", 3*time.Hour)
	_, fleet := ruleset.New(long, epoch).Next(adds(shared, block("192.0.2.2/32", time.Hour)), start)
	_, mine := ruleset.New(own, epoch).Next(adds(block("192.0.2.1/32", time.Hour)), start)
	s, _ := must(t, ruleset.NewSet(long, own), mine.Snapshot(start), start)
	s, c := must(t, s, fleet.Snapshot(start), start)
	same(t, c.Add, []tocsin.Rule{until(shared, 16, 0), until(block("192.0.2.2/32", 0), 14, 0)})

	f, fleet := fleet.Next(tocsin.Change{Remove: []tocsin.Rule{shared}}, start)
	s, c = must(t, s, f, start)
	same(t, c.Remove, nil)
	same(t, c.Add, []tocsin.Rule{until(shared, 14, 0)}) // the owner's list still holds it

	f, _ = mine.Next(tocsin.Change{Remove: []tocsin.Rule{shared}}, start)
	s, c = must(t, s, f, start)
	same(t, c.Add, nil)
	same(t, c.Remove, []tocsin.Rule{until(shared, 14, 0)})

	// What ends by itself is no removal, and a list that has run out is empty.
	later := start.Add(3 * time.Hour)
	f, _ = fleet.Next(adds(block("192.0.2.3/32", 5*time.Hour)), later)
	s, c = must(t, s, f, later)
	same(t, c.Remove, nil)
	same(t, slices.Collect(s.Rules(later)), []tocsin.Rule{until(block("192.0.2.3/32", 0), 18, 0)})
}

// TestOrder holds a device to the order of frames.
func TestOrder(t *testing.T) {
	lim := ruleset.DefaultLimits()
	zero := ruleset.New(long, epoch)
	f1, l1 := zero.Next(adds(block("192.0.2.1/32", time.Hour)), start)
	f2, l2 := l1.Next(adds(block("192.0.2.2/32", time.Hour)), start)
	f3, l3 := l2.Next(adds(block("192.0.2.3/32", time.Hour)), start)
	fresh := ruleset.NewSet(long, short)
	refused(t, fresh, f1, lim, start, ruleset.ErrGap) // a new epoch comes as a snapshot
	s, _ := must(t, fresh, zero.Snapshot(start), start)
	s, _ = must(t, s, f1, start)
	refused(t, s, f1, lim, start, ruleset.ErrStale)
	refused(t, s, f3, lim, start, ruleset.ErrGap)
	s, _ = must(t, s, f2, start)
	refused(t, s, l1.Snapshot(start), lim, start, ruleset.ErrStale)
	refused(t, s, l2.Snapshot(start), lim, start, ruleset.ErrStale)
	refused(t, s, l3.Heartbeat(start), lim, start, ruleset.ErrGap)
	refused(t, s, l1.Heartbeat(start), lim, start, ruleset.ErrStale)
	must(t, s, l2.Heartbeat(start), start)
	refused(t, s, ruleset.New(own, epoch).Snapshot(start), lim, start, ruleset.ErrUnknownList)

	// Another list at the same serial: from another hub, or mixed.
	_, other := zero.Next(adds(block("198.51.100.1/32", time.Hour)), start)
	_, other = other.Next(adds(block("198.51.100.2/32", time.Hour)), start)
	mixed, after := other.Next(adds(block("198.51.100.3/32", time.Hour)), start)
	refused(t, s, mixed, lim, start, ruleset.ErrGap)
	refused(t, s, other.Heartbeat(start), lim, start, ruleset.ErrGap)
	wrong := f3
	wrong.Result = after.Hash(start)
	refused(t, s, wrong, lim, start, ruleset.ErrGap)

	// A restored hub: the epoch grows, and the one before is over.
	restored := l1.Renumber(epoch + 1)
	g, next := restored.Next(adds(block("192.0.2.9/32", time.Hour)), start)
	refused(t, s, g, lim, start, ruleset.ErrGap)
	s, c := must(t, s, next.Snapshot(start), start)
	same(t, c.Remove, []tocsin.Rule{until(block("192.0.2.2/32", 0), 14, 0)})
	same(t, c.Add, []tocsin.Rule{until(block("192.0.2.9/32", 0), 14, 0)})
	refused(t, s, f3, lim, start, ruleset.ErrStale)
	refused(t, s, l3.Snapshot(start), lim, start, ruleset.ErrStale)
	refused(t, s, l1.Renumber(1<<63).Snapshot(start), lim, start, ruleset.ErrLimit)
}

// TestTimes refuses what is out of date, whatever the device's clock shows.
func TestTimes(t *testing.T) {
	lim := ruleset.DefaultLimits()
	_, l := ruleset.New(long, epoch).Next(adds(block("192.0.2.1/32", time.Hour)), start)
	s, snapshot, beat := newSigner(1), l.Snapshot(start), l.Heartbeat(start)
	set := ruleset.NewSet(long)
	always := s.keys()
	always[0].From, always[0].Until = start.AddDate(-50, 0, 0), start.AddDate(50, 0, 0)
	for _, now := range []time.Time{
		start.AddDate(-10, 0, 0), start.AddDate(10, 0, 0), start.Add(-11 * time.Minute), start.Add(25 * time.Hour), time.Unix(0, 0),
	} {
		for _, m := range []ruleset.Message{snapshot, beat} {
			refused(t, set, m, lim, now, ruleset.ErrExpired)
			if _, err := ruleset.Open(seal(t, m, s), always, now); !errors.Is(err, ruleset.ErrExpired) {
				t.Errorf("at %v: %v", now, err)
			}
		}
	}
	for _, now := range []time.Time{start.Add(-10 * time.Minute), start.Add(24 * time.Hour)} {
		must(t, set, snapshot, now)
	}
	held, _ := must(t, set, snapshot, start)
	refused(t, held, beat, lim, start.Add(10*time.Minute), ruleset.ErrExpired)
}

// TestFrozen shows what is not heard of, and a heartbeat extends nothing.
func TestFrozen(t *testing.T) {
	_, l := ruleset.New(long, epoch).Next(adds(block("192.0.2.1/32", time.Hour)), start)
	s := ruleset.NewSet(long)
	if len(s.Frozen(start)) != 1 {
		t.Error("a list never heard of is not frozen")
	}
	s, _ = must(t, s, l.Snapshot(start), start)
	frozen := func(after time.Duration) bool { return len(s.Frozen(start.Add(after))) == 1 }
	if frozen(0) || frozen(10*time.Minute-1) || !frozen(10*time.Minute) || !frozen(-10*365*24*time.Hour) {
		t.Error("frozen at another time than 10 minutes after the last word")
	}
	s, c := must(t, s, l.Heartbeat(start.Add(5*time.Minute)), start.Add(6*time.Minute))
	if frozen(14*time.Minute) || !frozen(15*time.Minute) || !c.Empty() {
		t.Error("a heartbeat was not heard, or changed something")
	}
	s, _ = must(t, s, l.Heartbeat(start), start.Add(7*time.Minute)) // held back by somebody
	if !frozen(15 * time.Minute) {
		t.Error("an old heartbeat passes for news")
	}
	same(t, slices.Collect(s.Rules(start)), []tocsin.Rule{until(block("192.0.2.1/32", 0), 14, 0)})
}
