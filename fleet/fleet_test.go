package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
)

var day = time.Date(2023, 10, 14, 18, 42, 0, 0, time.UTC)

func config() fleet.Config {
	return fleet.Config{Quorum: quorum.Default(), Allow: []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")}}
}

// log makes events in the order of their serials.
type log struct{ events []tocsin.Event }

func (l *log) add(e tocsin.Event, at time.Time) tocsin.Event {
	e.Serial, e.At = uint64(len(l.events)+1), at
	if e.Received != nil {
		e.Received.At = at
	}
	l.events = append(l.events, e)
	return e
}

// seen is what one device tells of one source.
func seen(device, owner, source string, n uint32, facts tocsin.FactSet, at time.Time) tocsin.Event {
	return tocsin.Event{Received: &tocsin.Received{
		Sighting: tocsin.Sighting{
			ID: tocsin.ID{Device: tocsin.DeviceID(device), Boot: 1, Counter: uint64(at.UnixNano())}, Source: netip.MustParsePrefix(source),
			Service: "ssh", First: at, Last: at, Failures: n, Provenance: tocsin.Attested, Facts: facts,
			Accounts: []tocsin.Tried{{Tag: "root", Failures: n}},
		},
		From: netip.MustParseAddr("192.0.2.1"), Network: 64500, Channel: tocsin.Enrolled,
		Owner: tocsin.OwnerID(owner), Enrolled: at.AddDate(0, -6, 0),
	}}
}

var blockedHere = tocsin.FactSet(0).With(tocsin.BlockedHere)

func order(owner, prefix string, a tocsin.Action, d time.Duration, at time.Time) tocsin.Event {
	return tocsin.Event{Order: &tocsin.Order{Owner: tocsin.OwnerID(owner), By: "margaret", Decision: tocsin.Decision{
		Prefix: netip.MustParsePrefix(prefix), Action: a, At: at, Until: at.Add(d), Reason: "because",
	}}}
}

func TestADevicesBlockBindsItsOwner(t *testing.T) {
	f := fleet.New(config())
	var l log
	f.Apply(l.add(seen("a", "home", "198.51.100.7/32", 5, blockedHere, day), day))
	changes := f.Changes()
	if len(changes) != 1 || changes[0].Owner != "home" || len(changes[0].Add) != 1 || changes[0].Bulk {
		t.Fatalf("got %+v", changes)
	}
	if r := changes[0].Add[0]; r.Prefix.String() != "198.51.100.7/32" || r.Action != tocsin.Block || !r.Until.After(day) {
		t.Errorf("got %+v", r)
	}
	if again := f.Changes(); len(again) != 0 {
		t.Errorf("told twice: %+v", again)
	}
	at := day.Add(time.Minute)
	if e, by, ok := f.Lookup("home", netip.MustParseAddr("198.51.100.7"), at); !ok || by != "home" || e.Action != tocsin.Block {
		t.Errorf("got %+v %v %v", e, by, ok)
	}
	if _, _, ok := f.Lookup("stranger", netip.MustParseAddr("198.51.100.7"), at); ok {
		t.Error("it binds a stranger")
	}
	if lines := f.Explain("home", netip.MustParseAddr("198.51.100.7"), at).Lines(); len(lines) == 0 {
		t.Error("it does not explain itself")
	}
}

func TestTheAllowlistWins(t *testing.T) {
	f := fleet.New(config())
	var l log
	effects := f.Apply(l.add(seen("a", "home", "9.9.9.9/32", 50, blockedHere, day), day))
	for _, e := range effects {
		if e.Verdict != blocklist.Spared {
			t.Errorf("got %+v", e)
		}
	}
	f.Apply(l.add(order("", "9.9.9.9/32", tocsin.Block, time.Hour, day), day))
	if c := f.Changes(); len(c) != 0 {
		t.Errorf("blocked: %+v", c)
	}
}

// TestTheAllowlistIsInNoWiderBlock orders the network of an address that is never
// blocked: devices would block both.
func TestTheAllowlistIsInNoWiderBlock(t *testing.T) {
	f := fleet.New(config())
	var l log
	for _, owner := range []string{"home", ""} {
		e := f.Apply(l.add(order(owner, "9.9.9.0/24", tocsin.Block, time.Hour, day), day))
		if len(e) != 1 || e[0].Verdict != blocklist.Spared {
			t.Errorf("got %+v", e)
		}
	}
	if c := f.Changes(); len(c) != 0 {
		t.Errorf("published: %+v", c)
	}
}

func TestOrders(t *testing.T) {
	f := fleet.New(config())
	var l log
	f.Apply(l.add(order("", "203.0.113.0/24", tocsin.Block, time.Hour, day), day))
	f.Apply(l.add(order("home", "198.51.100.7/32", tocsin.Block, time.Hour, day), day))
	c := f.Changes()
	if len(c) != 2 || c[0].Owner != fleet.Everybody || !c[0].Bulk || c[1].Owner != "home" || c[1].Bulk {
		t.Fatalf("got %+v", c)
	}
	lift := order("", "203.0.113.0/24", tocsin.Pass, time.Hour, day)
	lift.Order.Lift = true
	if fleet.Check(*lift.Order) == nil {
		t.Error("a wide pass is taken")
	}
	lift = order("home", "198.51.100.7/32", tocsin.Pass, time.Hour, day)
	lift.Order.Lift = true
	f.Apply(l.add(lift, day))
	c = f.Changes()
	if len(c) != 1 || len(c[0].Remove) != 1 || len(c[0].Add) != 1 || c[0].Add[0].Action != tocsin.Pass {
		t.Fatalf("got %+v", c)
	}
	end := order("", "203.0.113.0/24", tocsin.Block, 0, day)
	end.Order.End = true
	f.Apply(l.add(end, day))
	if c = f.Changes(); len(c) != 1 || len(c[0].Remove) != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestCheckRefusesWhatDevicesDo(t *testing.T) {
	for _, one := range []struct {
		name string
		o    tocsin.Order
		ok   bool
	}{
		{"a host", *order("", "198.51.100.7/32", tocsin.Block, time.Hour, day).Order, true},
		{"a /24", *order("", "198.51.100.0/24", tocsin.Block, time.Hour, day).Order, true},
		{"a /23", *order("", "198.51.100.0/23", tocsin.Block, time.Hour, day).Order, false},
		{"everything", *order("", "0.0.0.0/0", tocsin.Block, time.Hour, day).Order, false},
		{"an unmasked one", *order("", "198.51.100.7/24", tocsin.Block, time.Hour, day).Order, false},
		{"a /48", *order("", "2001:db8::/48", tocsin.Block, time.Hour, day).Order, true},
		{"a /47", *order("", "2001:db8::/47", tocsin.Block, time.Hour, day).Order, false},
		{"nothing", tocsin.Order{}, false},
		{"a mapped one", *order("", "::ffff:198.51.100.7/128", tocsin.Block, time.Hour, day).Order, false},
		{"over already", *order("", "198.51.100.7/32", tocsin.Block, 0, day).Order, false},
		{"a wide pass", *order("", "198.51.100.0/24", tocsin.Pass, time.Hour, day).Order, false},
	} {
		if err := fleet.Check(one.o); (err == nil) != one.ok {
			t.Errorf("%s: %v", one.name, err)
		}
	}
}

// random makes a log that has a bit of everything.
func random(seed uint64, n int) []tocsin.Event {
	r := rand.New(rand.NewPCG(seed, 2))
	var l log
	at := day
	for i := range n {
		at = at.Add(time.Duration(r.IntN(60)) * time.Second)
		source := fmt.Sprintf("198.18.%d.%d/32", r.IntN(3), r.IntN(40))
		owner := fmt.Sprint("owner", r.IntN(6))
		device := fmt.Sprint(owner, "-", r.IntN(3))
		switch r.IntN(20) {
		case 0:
			l.add(order([]string{"", owner}[r.IntN(2)], source, tocsin.Block, time.Duration(r.IntN(5000))*time.Second, at), at)
		case 1:
			e := order([]string{"", owner}[r.IntN(2)], source, tocsin.Pass, time.Hour, at)
			e.Order.Lift = r.IntN(2) == 0
			l.add(e, at)
		case 2:
			l.add(tocsin.Event{Loss: &tocsin.Loss{
				Device: tocsin.DeviceID(device), Owner: tocsin.OwnerID(owner), Network: uint32(64500 + r.IntN(5)), Enrolled: at.AddDate(0, -6, 0),
				From: netip.MustParseAddr("192.0.2.1"), Prefix: netip.MustParsePrefix(source),
			}}, at)
		default:
			e := seen(device, owner, source, uint32(r.IntN(6)), 0, at)
			if r.IntN(8) == 0 {
				e.Received.Facts = blockedHere
			}
			e.Received.Dropped = uint32(r.IntN(2))
			e.Received.Network = uint32(64500 + i%5)
			l.add(e, at)
		}
	}
	return l.events
}

func TestTheSameLogGivesTheSameRules(t *testing.T) {
	for seed := range uint64(5) {
		events := random(seed, 4000)
		end := events[len(events)-1].At
		one, two := fleet.New(config()), fleet.New(config())
		mirror := make(map[string]tocsin.Rule) // what devices hold that are told every change
		for i, e := range events {
			one.Apply(e)
			two.Apply(e)
			if i%7 == 0 { // asking changes nothing
				for _, c := range two.Changes() {
					keep(mirror, c)
				}
				two.Explain("owner1", netip.MustParseAddr("198.18.0.1"), e.At)
			}
		}
		for _, c := range two.Changes() {
			keep(mirror, c)
		}
		if one.Hash(end) != two.Hash(end) {
			t.Errorf("seed %d: two hashes", seed)
		}
		want := make(map[string]tocsin.Rule)
		for _, owner := range one.Owners() {
			for r := range one.Rules(owner, end) {
				want[fmt.Sprint(owner, r.Prefix, r.Action)] = r
			}
		}
		if len(want) == 0 {
			t.Fatalf("seed %d: no rule at all", seed)
		}
		for k, r := range mirror {
			if !r.Until.After(end) {
				delete(mirror, k)
			}
		}
		if len(mirror) != len(want) {
			t.Errorf("seed %d: the changes lead to %d rules, want %d", seed, len(mirror), len(want))
		}
		for k, r := range want {
			if !mirror[k].Until.Equal(r.Until) {
				t.Errorf("seed %d: %s ends %v, the changes say %v", seed, k, r.Until, mirror[k].Until)
			}
		}
	}
}

func keep(mirror map[string]tocsin.Rule, c fleet.Scoped) {
	for _, r := range c.Remove {
		delete(mirror, fmt.Sprint(c.Owner, r.Prefix, r.Action))
	}
	for _, r := range c.Add {
		mirror[fmt.Sprint(c.Owner, r.Prefix, r.Action)] = r
	}
}
