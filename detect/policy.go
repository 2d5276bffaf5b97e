package detect

import (
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-io/tocsin/internal/accounts"
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
	MaxCount  = window.Keep + 1 // largest Count that is answered from the times themselves
	MaxMemory = Week            // nothing is remembered longer
	MaxSpray  = 128             // largest Spray.Count

	maxEntries = 1 << 24
)

// Week is how long a failure, a success and a strike are remembered.
const Week = 7 * 24 * time.Hour

// A Policy says how many failures are too many, and what follows. The zero
// Policy never blocks. [Default] explains itself in docs/adr/0041.
type Policy struct {
	// Fast, Day and Weekly are the limits of a source that guesses. Fast and Day
	// count failures. Weekly counts guesses: a burst of failures on one account
	// is one guess, and one real account of the source's own is none; guesses
	// that all fall within Fast.Within are left to Fast.
	Fast, Day, Weekly Limit
	// PersonFast and PersonDay hold instead while all that is remembered of a
	// source concerns one account that exists and is on no public list.
	PersonFast, PersonDay Limit
	// Probes limits connections that never tried to log in.
	Probes Limit
	// Spray is how many sources on one account are an attack on it; Within is
	// counted in quarters and at most a day.
	Spray Limit
	// Excused is how many failures of one account are excused in the week after
	// that account succeeded from there.
	Excused int
	// Suspicious is how many failures of an account within a day make its
	// success a Fact.
	Suspicious int

	// First is the length of a first block; each further one doubles, up to
	// Longest. A decision that rests on forgeable lines is never longer than
	// Forgeable and never doubles. A source that somebody who belongs here got in
	// from within a week is never blocked for longer than Shared: who guesses from
	// there now may be a neighbour behind the same address.
	First, Longest, Forgeable, Shared time.Duration

	// Public are the account names that everybody knows, Guests those whose
	// success proves nothing, Instant those whose failure is a decision by
	// itself. Case does not matter.
	Public, Guests, Instant []string

	// Sources, Successes and Accounts bound the memory, in entries.
	Sources, Successes, Accounts int
	// Seed keys the hashes. Whoever reads hostile lines draws it at random; a
	// replay fixes it. A snapshot brings its own.
	Seed window.Seed
}

// Default returns the policy of a guard that nobody configured, with a zero
// Seed.
func Default() Policy {
	const day = 24 * time.Hour
	return Policy{
		Fast:       Limit{5, 10 * time.Minute},
		Day:        Limit{5, day},
		Weekly:     Limit{4, Week},
		PersonFast: Limit{10, 10 * time.Minute},
		PersonDay:  Limit{20, day},
		Probes:     Limit{20, day},
		Spray:      Limit{20, day},
		Excused:    500,
		Suspicious: 5,
		First:      10 * time.Minute,
		Longest:    day,
		Forgeable:  time.Hour,
		Shared:     time.Hour,
		Public:     accounts.Public(),
		Guests:     accounts.Guests(),
		Sources:    65_536,
		Successes:  65_536,
		Accounts:   1024,
	}
}

// Validate returns all that is wrong with p at once, or nil.
func (p Policy) Validate() error {
	var errs []error
	for _, l := range []struct {
		name  string
		limit Limit
		count int
		span  time.Duration
	}{
		{"fast", p.Fast, MaxCount, MaxMemory}, {"day", p.Day, MaxCount, MaxMemory}, {"weekly", p.Weekly, MaxCount, MaxMemory},
		{"person fast", p.PersonFast, MaxCount, MaxMemory}, {"person day", p.PersonDay, 1000, MaxMemory},
		{"probes", p.Probes, 10_000, MaxMemory}, {"spray", p.Spray, MaxSpray, 24 * time.Hour},
	} {
		if l.limit.Count < 0 || l.limit.Count > l.count {
			errs = append(errs, fmt.Errorf("detect: %s: %d is not between 0 (off) and %d", l.name, l.limit.Count, l.count))
		}
		if l.limit.Within < 0 || l.limit.Within > l.span {
			errs = append(errs, fmt.Errorf("detect: %s: %v is not between 0 (off) and %v", l.name, l.limit.Within, l.span))
		}
	}
	if p.First < 0 || p.Longest < p.First || p.Forgeable < 0 || p.Shared < 0 {
		errs = append(errs, fmt.Errorf("detect: a first block of %v must be positive and at most the longest, %v", p.First, p.Longest))
	}
	if p.Excused < 0 || p.Excused > 60_000 || p.Suspicious < 0 {
		errs = append(errs, fmt.Errorf("detect: excused %d and suspicious %d must be positive, at most 60000", p.Excused, p.Suspicious))
	}
	for _, n := range []int{p.Sources, p.Successes, p.Accounts} {
		if n < 0 || n > maxEntries {
			errs = append(errs, fmt.Errorf("detect: cannot remember %d, at most %d", n, maxEntries))
		}
	}
	return errors.Join(errs...)
}
