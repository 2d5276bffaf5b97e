package hub_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tocsin-io/tocsin"
	"github.com/tocsin-io/tocsin/blocklist"
	"github.com/tocsin-io/tocsin/fleet"
	"github.com/tocsin-io/tocsin/quorum"
)

// A crowd is a fleet's mind and many devices that speak to it, without their
// connections.
type crowd struct {
	t       *testing.T
	mind    *fleet.Fleet
	serial  uint64
	now     time.Time
	counter map[tocsin.DeviceID]uint64
}

func newFleetMind(t *testing.T) *crowd {
	p := quorum.Default()
	p.Seed.K0, p.Seed.K1 = 1, 2
	return &crowd{
		t: t, mind: fleet.New(fleet.Config{Quorum: p}), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		counter: map[tocsin.DeviceID]uint64{},
	}
}

// A member is a device that has been there for long.
type member struct {
	name    string // its owner has the same
	network uint32
}

func (m member) from() netip.Addr {
	return netip.AddrFrom4([4]byte{198, 19, byte(m.network), byte(len(m.name))})
}

func (c *crowd) apply(e tocsin.Event) {
	c.serial++
	c.now = c.now.Add(time.Millisecond)
	e.Serial, e.At = c.serial, c.now
	c.mind.Apply(e)
}

// says has a member tell of a source.
func (c *crowd) says(m member, s tocsin.Sighting) {
	id := tocsin.DeviceID("d-" + m.name)
	c.counter[id]++
	s.ID = tocsin.ID{Device: id, Boot: 1, Counter: c.counter[id]}
	s.Service, s.First, s.Last, s.Provenance = "ssh", c.now.Add(-time.Second), c.now, tocsin.Attested
	c.apply(tocsin.Event{Received: &tocsin.Received{
		Sighting: s, At: c.now, From: m.from(), Network: m.network, Channel: tocsin.Enrolled,
		Owner: tocsin.OwnerID(m.name), Enrolled: c.now.Add(-60 * 24 * time.Hour),
	}})
}

func (c *crowd) attacked(m member, source netip.Prefix) {
	c.says(m, tocsin.Sighting{
		Source: source, Failures: 20, Facts: tocsin.FactSet(0).With(tocsin.BlockedHere),
		Accounts: []tocsin.Tried{{Tag: "root", Failures: 20}},
	})
}

func (c *crowd) letIn(m member, source netip.Prefix) {
	c.says(m, tocsin.Sighting{Source: source, Successes: 1, Accounts: []tocsin.Tried{{Tag: tocsin.AccountTag(m.name), Successes: 1}}})
}

func (c *crowd) lost(m member, source netip.Prefix) {
	c.apply(tocsin.Event{Loss: &tocsin.Loss{
		Device: tocsin.DeviceID("d-" + m.name), Owner: tocsin.OwnerID(m.name), Network: m.network, From: m.from(),
		Enrolled: c.now.Add(-60 * 24 * time.Hour), Prefix: source,
	}})
}

// everywhere counts the rules that bind every owner.
func (c *crowd) everywhere() (n int) {
	for range c.mind.Rules(fleet.Everybody, c.now) {
		n++
	}
	return n
}

func (c *crowd) blocked(owner tocsin.OwnerID, a netip.Addr) bool {
	e, _, held := c.mind.Lookup(owner, a, c.now)
	return held && e.Action == tocsin.Block
}

func TestSybilsInTwoNetworks(t *testing.T) {
	c := newFleetMind(t)
	victims := make([]netip.Prefix, 20)
	for i := range victims {
		victims[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), 32)
	}
	const sybils = 5000
	for i := range sybils {
		m := member{fmt.Sprint("sybil", i), 64496 + uint32(i%2)}
		for _, v := range victims {
			c.attacked(m, v)
		}
	}
	if n := c.everywhere(); n != 0 {
		t.Errorf("%d devices in two networks have %d addresses blocked at everybody's", sybils, n)
	}
	if c.blocked("honest", victims[0].Addr()) {
		t.Error("an owner that said nothing blocks a victim")
	}
	// They do not drown the honest either.
	attacker := netip.MustParsePrefix("198.51.100.7/32")
	for i := range 3 {
		c.attacked(member{fmt.Sprint("honest", i), 64500 + uint32(i)}, attacker)
	}
	if !c.blocked("somebody", attacker.Addr()) {
		t.Error("three owners in three networks are no witnesses any more")
	}
}

func TestOnePercentUndoesNoBlock(t *testing.T) {
	c := newFleetMind(t)
	attacker := netip.MustParsePrefix("198.51.100.7/32")
	const devices = 1000
	var liars []member
	for i := range devices / 100 { // in two networks, each an owner
		liars = append(liars, member{fmt.Sprint("liar", i), 64500 + uint32(i%2)})
	}
	for _, m := range liars { // who prepared it: somebody got in from there
		c.letIn(m, attacker)
	}
	c.now = c.now.Add(time.Hour)
	for i := range devices - len(liars) {
		c.attacked(member{fmt.Sprint("honest", i), 64510 + uint32(i%40)}, attacker)
	}
	if !c.blocked("somebody", attacker.Addr()) {
		t.Fatal("990 devices are no witnesses")
	}
	for range 3 { // a second word of one device is none
		for _, m := range liars {
			c.lost(m, attacker)
		}
	}
	if !c.blocked("somebody", attacker.Addr()) || !c.blocked("honest1", attacker.Addr()) {
		t.Error("1 % of the devices undo a block of all")
	}
	for _, e := range entries(c, "honest1") {
		if e.Action == tocsin.Pass {
			t.Errorf("a pass at somebody else's: %+v", e)
		}
	}
}

func entries(c *crowd, owner tocsin.OwnerID) (list []blocklist.Entry) {
	for e := range c.mind.Entries(owner, c.now) {
		list = append(list, e)
	}
	return list
}
