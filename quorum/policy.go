package quorum

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tocsin-io/tocsin/internal/window"
)

// A Limit says how many within how long are too many. A Limit with a zero in it
// is switched off.
type Limit struct {
	Count  int
	Within time.Duration
}

func (l Limit) on() bool { return l.Count > 0 && l.Within > 0 }

// Bounds of a [Policy].
const (
	MaxCount  = keep // largest Count of a limit that is answered from the times themselves
	MaxMemory = 7 * 24 * time.Hour
	MaxLength = 24 * time.Hour // no block is longer: devices refuse it

	maxEntries = 1 << 24
)

// A Policy says when the hub blocks, for one owner and for all. The zero Policy
// never blocks. Every number of [Default] is explained in docs/adr/0064 and 0065.
type Policy struct {
	// What one owner's devices saw, added up. Fast and Day count failures. Spread
	// and Hint count guesses of a source that at least two devices saw, and only
	// those on accounts that do not exist, that everybody knows, or that no line
	// told; Weekly counts guesses wherever they were; see package detect for what
	// is a guess. While all that is remembered concerns one account that exists
	// and is on no public list, the person's limits hold instead; while it
	// concerns several of them, as of an office, or somebody got in from there
	// within the week, Crowd. Campaign is Hint for a source that is known to act
	// with others, and needs no second device.
	Fast, Day, Spread, Hint, Weekly, PersonFast, PersonDay, Crowd, Campaign Limit
	// Excused is how many failures of one account are excused in the week after
	// that account got in from there.
	Excused int
	// DeviceHour and DeviceDay are how many new addresses one device may have
	// blocked at its owner's others, alone; OwnerHour and OwnerDay how many all
	// devices of an owner may together.
	DeviceHour, DeviceDay, OwnerHour, OwnerDay int

	// Threshold, in thousandths, is what witnesses' trust times evidence must
	// add up to; Owners and Networks are how many distinct ones that takes;
	// Share, in thousandths of the threshold, is the most that one network (AS)
	// or one owner contributes.
	Threshold, Owners, Networks, Share int
	// Points are what one failure weighs, by what is known of its account, and
	// Full how many make a whole witness within 10 minutes, a day and a week.
	Points Points
	Full   [3]int
	// Probation is how long a new device weighs nothing, Ramp how long its
	// weight then takes to grow to what its owner's standing is. Standings are
	// in thousandths: where an owner begins, and what a confirmed report adds. A
	// refuted one halves it.
	Probation, Ramp   time.Duration
	Begin, Confirming int
	// VotesDevice and VotesOwner are how many new addresses an hour one device,
	// and one owner, may witness about.
	VotesDevice, VotesOwner int

	// First is the length of a person's or a crowd's first block, Doubt that of a
	// source by a hint or by what one device saw, Firm that of a source that
	// guesses at several devices, Fleet that of one that witnesses agree on; each further one
	// doubles, up to Longest. Forgeable bounds what rests on lines that any user
	// of a single device can write. Short is the length for shared addresses and
	// friends, which never doubles. Passing is the length of the pass that a
	// withdrawal is for whoever cannot take back.
	First, Doubt, Firm, Fleet, Longest, Forgeable, Short, Passing time.Duration
	// Shared are addresses that many use: carriers' translators, public
	// resolvers, content networks, crawlers, exits of anonymity networks.
	Shared []netip.Prefix

	// Sources, Pairs, Successes, Friends, Devices and MaxOwners bound the memory,
	// in entries: sources known to all, sources at an owner, accounts that got
	// in, sources that somebody got in from, devices, owners.
	Sources, Pairs, Successes, Friends, Devices, MaxOwners int
	// Seed keys the hashes. It is part of the policy, so that the same log gives
	// the same rules.
	Seed window.Seed
}

// Points are what one failure weighs.
type Points struct{ Public, Unknown, Nameless, Own, Probe int }

// Default returns the policy of a hub that nobody configured, with a zero Seed.
func Default() Policy {
	const day = 24 * time.Hour
	return Policy{
		Fast:       Limit{5, 10 * time.Minute},
		Day:        Limit{5, day},
		Spread:     Limit{3, MaxMemory},
		Hint:       Limit{2, MaxMemory},
		Weekly:     Limit{4, MaxMemory},
		PersonFast: Limit{10, 10 * time.Minute},
		PersonDay:  Limit{20, day},
		Crowd:      Limit{10, day},
		Campaign:   Limit{2, MaxMemory},
		Excused:    500,
		DeviceHour: 50, DeviceDay: 500, OwnerHour: 1000, OwnerDay: 10_000,

		Threshold: 1500, Owners: 3, Networks: 3, Share: 400,
		Points:    Points{Public: 5, Unknown: 5, Nameless: 4, Own: 2, Probe: 1},
		Full:      [3]int{15, 20, 20},
		Probation: 72 * time.Hour, Ramp: 14 * day,
		Begin: 500, Confirming: 10,
		VotesDevice: 500, VotesOwner: 2000,

		First: 10 * time.Minute, Doubt: 15 * time.Minute, Firm: 12 * time.Hour, Fleet: time.Hour, Longest: day,
		Forgeable: time.Hour, Short: 10 * time.Minute, Passing: 10 * time.Minute,
		Shared: resolvers(),

		Sources: 1 << 20, Pairs: 1 << 20, Successes: 1 << 18, Friends: 1 << 16,
		Devices: 1 << 20, MaxOwners: 1 << 20,
	}
}

// resolvers are the best known public ones: a lie about them would hurt most.
func resolvers() (list []netip.Prefix) {
	for _, s := range []string{
		"1.0.0.1", "1.1.1.1", "8.8.4.4", "8.8.8.8", "9.9.9.9", "149.112.112.112", "208.67.220.220", "208.67.222.222",
		"2001:4860:4860::", "2606:4700:4700::", "2620:fe::", "2620:119:35::",
	} {
		a := netip.MustParseAddr(s)
		bits := 32
		if a.Is6() {
			bits = 64
		}
		list = append(list, netip.PrefixFrom(a, bits))
	}
	return list
}

// Validate returns all that is wrong with p at once, or nil.
func (p Policy) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("quorum: "+format, args...)) }
	for _, l := range []struct {
		name  string
		limit Limit
		count int
	}{
		{"fast", p.Fast, MaxCount}, {"day", p.Day, MaxCount}, {"spread", p.Spread, MaxCount}, {"hint", p.Hint, MaxCount}, {"weekly", p.Weekly, MaxCount},
		{"person fast", p.PersonFast, MaxCount}, {"person day", p.PersonDay, 1000}, {"crowd", p.Crowd, MaxCount},
		{"campaign", p.Campaign, MaxCount},
	} {
		if l.limit.Count < 0 || l.limit.Count > l.count {
			bad("%s: %d is not between 0 (off) and %d", l.name, l.limit.Count, l.count)
		}
		if l.limit.Within < 0 || l.limit.Within > MaxMemory {
			bad("%s: %v is not between 0 (off) and %v", l.name, l.limit.Within, MaxMemory)
		}
	}
	for _, d := range []struct {
		name   string
		length time.Duration
	}{
		{"first", p.First}, {"doubt", p.Doubt}, {"firm", p.Firm}, {"fleet", p.Fleet}, {"longest", p.Longest},
		{"forgeable", p.Forgeable}, {"short", p.Short}, {"passing", p.Passing},
	} {
		if d.length < 0 || d.length > MaxLength {
			bad("%s: %v is not between 0 and %v", d.name, d.length, MaxLength)
		}
	}
	if p.Share < 0 || p.Share*2 >= 1000 {
		bad("share: %d thousandths: two networks must not decide alone, at most 499", p.Share)
	}
	if p.Threshold <= 0 || p.Threshold > 100_000 || p.Owners < 2 || p.Networks < 2 {
		bad("a threshold of %d thousandths, %d owners and %d networks: it takes a threshold and at least 2 of each", p.Threshold, p.Owners, p.Networks)
	}
	if p.Owners > panelSize || p.Networks > panelSize {
		bad("%d owners and %d networks: at most %d witnesses are remembered", p.Owners, p.Networks, panelSize)
	}
	if p.Begin < 0 || p.Begin > 1000 || p.Confirming < 0 || p.Confirming > 1000 || p.Probation < 0 || p.Ramp < 0 {
		bad("begin %d and confirming %d must be between 0 and 1000, probation and ramp positive", p.Begin, p.Confirming)
	}
	if p.Excused < 0 || p.Excused > 60_000 {
		bad("excused: %d is not between 0 and 60000", p.Excused)
	}
	for _, n := range []int{p.Points.Public, p.Points.Unknown, p.Points.Nameless, p.Points.Own, p.Points.Probe, p.Full[0], p.Full[1], p.Full[2]} {
		if n < 0 || n > maxPoints {
			bad("points: %d is not between 0 and %d", n, maxPoints)
		}
	}
	for _, n := range []int{p.DeviceHour, p.DeviceDay, p.OwnerHour, p.OwnerDay, p.VotesDevice, p.VotesOwner} {
		if n < 0 || n > 60_000 {
			bad("rate: %d is not between 0 and 60000", n)
		}
	}
	for _, n := range []int{p.Sources, p.Pairs, p.Successes, p.Friends, p.Devices, p.MaxOwners} {
		if n < 0 || n > maxEntries {
			bad("cannot remember %d, at most %d", n, maxEntries)
		}
	}
	return errors.Join(errs...)
}

// Version returns a short hash of the policy: an explanation says by which
// rules it was decided.
func (p Policy) Version() string {
	b, err := json.Marshal(p)
	if err != nil {
		return "" // a policy is numbers and prefixes: it always encodes
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
