package main

import (
	"net/netip"
	"time"
)

// A part is what an actor has in the story, and so how it must end.
type part uint8

const (
	attacker part = iota // is blocked, and dropped from then on
	person               // mistypes, gets in, is never blocked
	allowed              // fails and fails, is never blocked: the allowlist names it
)

// An actor is somebody at the device's door, and what became of him.
type actor struct {
	name   string
	part   part
	prefix netip.Prefix // all his addresses: of IPv6 his /64
	from   []netip.Addr // where he comes from, in turn
	tries  []string     // accounts, in turn
	pause  time.Duration
	holds  bool // has a connection open all the while
	seen        // what was seen of him
}

// seen is what became of an actor. Times are those of the journal and of
// whoever watches the kernel, on one clock.
type seen struct {
	guesses   []time.Time // by the time of the line that told it
	letIn     int
	blocked   time.Time     // zero is never
	until     time.Time     // end of the block
	took      time.Duration // by the guard: from the line read to the rule proved
	held      bool          // the kernel holds him, told or not
	element   bool          // a rule for him was reported
	spared    bool          // the guard said that it does not block him
	afterward string        // what happened to his next connection
	passes    bool          // that got through
	cut       string        // what happened to the connection that he held
	cutOff    bool          // that is dead
}

const shortly = 250 * time.Millisecond

// cast returns the actors, all from addresses set aside for documentation.
func cast() []*actor {
	usual := []string{"root", "admin", "oracle", "postgres", "test", "ubuntu", "pi", "guest"}
	return []*actor{
		{name: "slow bot", prefix: host("198.18.0.9"), tries: usual, pause: 3 * time.Second},
		{name: "loud bot", prefix: host("203.0.113.7"), tries: usual, pause: shortly},
		{name: "anna", part: person, prefix: host("203.0.113.50"), tries: []string{"anna", "anna"}, pause: 2 * shortly},
		{name: "second bot", prefix: host("198.51.100.9"), tries: usual, pause: shortly, holds: true},
		{name: "IPv6 bot", prefix: netip.MustParsePrefix("2001:db8:66::/64"), from: addrs("2001:db8:66::a1", "2001:db8:66::b2",
			"2001:db8:66::c3", "2001:db8:66::d4", "2001:db8:66::e5"), tries: usual, pause: shortly},
		{name: "old script", part: allowed, prefix: host("198.51.100.20"), tries: usual[:6], pause: shortly},
	}
}

func host(addr string) netip.Prefix {
	a := netip.MustParseAddr(addr)
	return netip.PrefixFrom(a, a.BitLen())
}

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

// source is where the actor's nth guess comes from.
func (a *actor) source(n int) netip.Addr {
	if len(a.from) == 0 {
		return a.prefix.Addr()
	}
	return a.from[n%len(a.from)]
}

// who is how lines name the actor.
func (a *actor) who() string {
	if a.prefix.IsSingleIP() {
		return a.prefix.Addr().String()
	}
	return a.prefix.String()
}

// reaction is how long it took from the line that told the newest guess before
// the block to the report that the firewall holds it.
func (s *seen) reaction() time.Duration {
	var last time.Time
	for _, at := range s.guesses {
		if at.After(last) && !at.After(s.blocked) {
			last = at
		}
	}
	return s.blocked.Sub(last)
}
